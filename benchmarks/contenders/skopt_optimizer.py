"""scikit-optimize 0.10: its Optimizer with its defaults, ask and tell; results are told together before the next ask.

Constraints and failures: a penalized loss (`penalty.py`). Batches: `ask(n_points)`, with its constant liar. It knows
nothing of trials in flight, so it is asked for as many points more as there are, and those in flight are left out.
Conditions: all parameters are always given, and the inactive ones dropped.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skopt import Optimizer
from skopt.space import Categorical, Integer, Real

from benchmarks.contenders.base import NOT_THE_PARAMS, Adapter, Opening, Proposal, Result
from benchmarks.contenders.penalty import penalized
from benchmarks.contenders.spec import Axis


class Skopt(Adapter):
    """One optimizer; it minimizes."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        dimensions = [_dimension(p.axis) for p in self.spec.free]
        self._optimizer = Optimizer(dimensions, random_state=opening.seed)
        self._in_flight: list[list[Any]] = []
        self._news: list[tuple[list[Any], float]] = []

    def ask(self, n: int) -> Sequence[Proposal]:
        """`tell` of all news, which fits the model, and `ask`."""
        if self._news:
            self._optimizer.tell([point for point, _ in self._news], [loss for _, loss in self._news])
            self._news = []
        wanted = n + len(self._in_flight)
        points = [self._optimizer.ask()] if wanted == 1 else self._optimizer.ask(n_points=wanted)
        fresh = [point for point in points if point not in self._in_flight][:n]
        self._in_flight += fresh
        return [Proposal(self.spec.from_axes(self._axes(point)), point) for point in fresh]

    def tell(self, proposal: Proposal, result: Result) -> None:
        """Kept for the next ask, at the point suggested."""
        self._in_flight.remove(proposal.handle)
        self._tell(proposal.handle, result)

    def add(self, result: Result) -> None:
        """Kept for the next ask."""
        axes = self.spec.to_axes(result.params)
        point = [axes[p.name] if p.axis.kind == "real" else int(axes[p.name]) for p in self.spec.free]
        self._tell(point, result)

    def _tell(self, point: list[Any], result: Result) -> None:
        loss = penalized(self.spec, result, self.results)
        if loss is not None and result.failure not in NOT_THE_PARAMS:
            self._news.append((point, loss))

    def _axes(self, point: Sequence[Any]) -> dict[str, float]:
        given = {p.name: float(x) for p, x in zip(self.spec.free, point, strict=True)}
        return {p.name: p.axis.low for p in self.spec.parameters} | given


def _dimension(axis: Axis) -> Real | Integer | Categorical:
    prior = "log-uniform" if axis.log else "uniform"
    match axis.kind:
        case "real":
            return Real(axis.low, axis.high, prior=prior)
        case "whole":
            return Integer(int(axis.low), int(axis.high), prior=prior)
        case "choice":
            return Categorical(list(range(axis.size or 1)))
