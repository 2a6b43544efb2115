"""hyperopt 0.3: `tpe.suggest` with its defaults, called as its `fmin` calls it.

Constraints: a penalized loss (`penalty.py`). Failures: `STATUS_FAIL`, as its documentation has it. Batches: one new id
after the other, with the trials in flight among the documents. Conditions: what exists with one choice alone hangs below
it in `hp.choice`; other conditional parameters are always given, and dropped where they are inactive.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK, Trials, hp, tpe
from hyperopt.base import Domain

from benchmarks.contenders.base import Adapter, Opening, Proposal, Result
from benchmarks.contenders.penalty import penalized
from benchmarks.contenders.spec import Axis, Parameter, Spec


class Hyperopt(Adapter):
    """Trials in memory; TPE minimizes."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._domain = Domain(_no_objective, _space(self.spec, self.spec.top))
        self._trials = Trials()
        self._rng = np.random.default_rng(opening.seed)

    def ask(self, n: int) -> Sequence[Proposal]:
        """`tpe.suggest`, n times."""
        return [self._ask() for _ in range(n)]

    def _ask(self) -> Proposal:
        (tid,) = self._trials.new_trial_ids(1)
        seed = int(self._rng.integers(2**31 - 1))
        (document,) = tpe.suggest([tid], self._domain, self._trials, seed, verbose=False)
        self._trials.insert_trial_docs([document])
        self._trials.refresh()
        values = document["misc"]["vals"]
        point = {
            p.name: _from_hyperopt(p.axis, float(values[p.name][0])) for p in self.spec.parameters if values[p.name]
        }
        return Proposal(self.spec.from_axes(point), tid)

    def tell(self, proposal: Proposal, result: Result) -> None:
        """The document of the trial, done."""
        (document,) = [d for d in self._trials._dynamic_trials if d["tid"] == proposal.handle]
        self._finish(document, result)

    def add(self, result: Result) -> None:
        """One more document, as `suggest` would have made it, done."""
        (tid,) = self._trials.new_trial_ids(1)
        axes = self.spec.to_axes(result.params)
        given = {p.name for p in self.spec.top} | result.params.keys()
        misc = {
            "tid": tid,
            "cmd": self._domain.cmd,
            "workdir": self._domain.workdir,
            "idxs": {name: [tid] if name in given else [] for name in axes},
            "vals": {
                p.name: [_to_hyperopt(p.axis, axes[p.name])] if p.name in given else [] for p in self.spec.parameters
            },
        }
        (document,) = self._trials.new_trial_docs([tid], [None], [{"status": STATUS_OK, "loss": 0.0}], [misc])
        self._finish(document, result)
        self._trials.insert_trial_docs([document])
        self._trials.refresh()

    def _finish(self, document: dict[str, Any], result: Result) -> None:
        loss = penalized(self.spec, result, self.results) if result.values else None
        document["state"] = JOB_STATE_DONE
        document["result"] = {"status": STATUS_FAIL} if loss is None else {"status": STATUS_OK, "loss": loss}
        self._trials.refresh()


def _space(spec: Spec, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """These parameters, with those that hang below them."""
    out = {}
    for p in parameters:
        below = spec.below(p)
        children = [_space(spec, ps) for ps in below]
        out[p.name] = hp.choice(p.name, children) if any(below) else _expression(p.name, p.axis)
    return out


def _expression(name: str, axis: Axis) -> Any:
    """Whole numbers on a log scale have half a unit more at both ends, so that the ends are as likely as the others."""
    match axis.kind, axis.log:
        case "real", False:
            return hp.uniform(name, axis.low, axis.high)
        case "real", True:
            return hp.loguniform(name, math.log(axis.low), math.log(axis.high))
        case "whole", False:
            return hp.uniformint(name, axis.low, axis.high)
        case "whole", True:
            return hp.qloguniform(name, math.log(axis.low - 0.5), math.log(axis.high + 0.5), 1)
        case _:
            return hp.randint(name, axis.size)


def _from_hyperopt(axis: Axis, value: float) -> float:
    """The coordinate of what a document holds: the value itself, to be clipped at the rounded ends."""
    return axis.clipped(value)


def _to_hyperopt(axis: Axis, x: float) -> float | int:
    return int(x) if axis.kind == "choice" else float(x)


def _no_objective(point: Any) -> float:
    """Domain wants a function; ask and tell never calls it."""
    raise NotImplementedError("the trials are evaluated elsewhere")
