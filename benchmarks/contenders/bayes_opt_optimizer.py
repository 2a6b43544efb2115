"""bayesian-optimization 3.4: five random points, then `suggest` and `register`, as its documentation's ask-and-tell page.

Its kernel has one length scale for all dimensions, so every number is given as its position in [0, 1], on the log scale
where there is one, and snapped; a choice is one of its own categorical parameters. Constraints: its NonlinearConstraint,
with its default expected improvement; until a point meets them it is to be given random ones. Failures: the worst value
seen of every metric. Batches and trials in flight: its ConstantLiar around the default acquisition, where it can be used:
it takes no constraints and crashes with categorical parameters; there `suggest` is just called again. Conditions: all
parameters are always given, and the inactive ones dropped.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bayes_opt import BayesianOptimization
from bayes_opt.acquisition import ConstantLiar, UpperConfidenceBound
from bayes_opt.exception import NoValidPointRegisteredError
from scipy.optimize import NonlinearConstraint

from benchmarks.contenders.base import NOT_THE_PARAMS, Adapter, Opening, Proposal, Result
from benchmarks.contenders.penalty import worst
from benchmarks.contenders.spec import Spec

INITIAL_POINTS = 5
KAPPA = 2.576
"""Its default for problems without constraints."""


class BayesOpt(Adapter):
    """One optimizer; it maximizes."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        spec = self.spec
        has_choice = any(p.axis.kind == "choice" for p in spec.free)
        lies = opening.q > 1 and not has_choice and not spec.constraints
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it calls all but floats experimental
            self._optimizer = BayesianOptimization(
                f=None,
                pbounds={
                    p.name: [str(i) for i in range(p.axis.size or 1)] if p.axis.kind == "choice" else (0.0, 1.0)
                    for p in spec.free
                },
                acquisition_function=ConstantLiar(UpperConfidenceBound(kappa=KAPPA)) if lies else None,
                constraint=_constraint(spec),
                random_state=opening.seed,
                verbose=0,
                allow_duplicate_points=True,
            )
        self._n_asked = self._n_added = 0

    def ask(self, n: int) -> Sequence[Proposal]:
        """`suggest`, n times."""
        return [self._ask() for _ in range(n)]

    def _ask(self) -> Proposal:
        self._n_asked += 1
        point: Mapping[str, Any]
        if self._n_asked + self._n_added <= INITIAL_POINTS:
            (point,) = self._optimizer.random_sample(1)
        else:
            try:
                point = self._optimizer.suggest()
            except NoValidPointRegisteredError:
                (point,) = self._optimizer.random_sample(1)
        return Proposal(self.spec.from_axes(_axes(self.spec, point)), dict(point))

    def tell(self, proposal: Proposal, result: Result) -> None:
        """`register`, at the point suggested; nothing while a failure has no worst value to take."""
        self._register(proposal.handle, result)

    def add(self, result: Result) -> None:
        """`register`."""
        self._n_added += 1
        axes = self.spec.to_axes(result.params)
        kinds = {p.name: p for p in self.spec.free}
        point = {
            name: str(int(axes[name])) if p.axis.kind == "choice" else p.axis.position(axes[name])
            for name, p in kinds.items()
        }
        self._register(point, result)

    def _register(self, point: Mapping[str, Any], result: Result) -> None:
        values = result.values or worst(self.spec, self.results)
        if values is None or result.failure in NOT_THE_PARAMS:
            return
        measured = [values[c.name] for c in self.spec.constraints]
        given = {0: None, 1: measured[0] if measured else None}.get(len(measured), np.array(measured))
        self._optimizer.register(params=dict(point), target=-self.spec.losses(values)[0], constraint_value=given)


def _constraint(spec: Spec) -> NonlinearConstraint | None:
    """All constraints as one; a single one has scalars for limits."""
    if not spec.constraints:
        return None
    lower = [-np.inf if c.lower is None else c.lower for c in spec.constraints]
    upper = [np.inf if c.upper is None else c.upper for c in spec.constraints]
    if len(lower) == 1:
        return NonlinearConstraint(_no_function, lower[0], upper[0])
    return NonlinearConstraint(_no_function, np.array(lower), np.array(upper))


def _no_function(_: Any) -> Any:
    """The class wants a function; ask and tell never calls it."""
    raise NotImplementedError("the trials are evaluated elsewhere")


def _axes(spec: Spec, point: Mapping[str, Any]) -> dict[str, float]:
    axes = {p.name: p.axis.low for p in spec.parameters}
    for p in spec.free:
        axes[p.name] = int(point[p.name]) if p.axis.kind == "choice" else p.axis.at(float(point[p.name]))
    return axes
