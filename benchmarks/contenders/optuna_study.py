"""Optuna 5: TPESampler and GPSampler with their defaults, by the ask-and-tell interface of its documentation.

Constraints: `trial.set_constraint`, not above 0 where met. Failures: `state=FAIL`, which the samplers leave out.
Several objectives: `directions`. Conditions: define-by-run, `trial.suggest_*` in the order of dependence. Trials in
flight are RUNNING in the study's storage, which both samplers look at (constant liar; fantasies).
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import TrialState, create_trial

from benchmarks.contenders.base import Adapter, Opening, Proposal, Result
from benchmarks.contenders.spec import Axis


class OptunaStudy(Adapter):
    """A study in memory with this sampler."""

    def __init__(self, opening: Opening, sampler: BaseSampler) -> None:
        super().__init__(opening)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directions = [o.goal for o in self.spec.objectives]
        self._study = optuna.create_study(sampler=sampler, directions=directions)

    def ask(self, n: int) -> Sequence[Proposal]:
        """`study.ask()` and the suggestions of all active parameters, n times."""
        return [self._ask() for _ in range(n)]

    def _ask(self) -> Proposal:
        trial = self._study.ask()
        point: dict[str, float] = {}
        known: dict[str, object] = {}
        for p in self.spec.order:
            if self.spec.is_active(p, known):
                point[p.name] = _suggested(trial, p.name, p.axis)
                known[p.name] = p.value(point[p.name])
        return Proposal(self.spec.from_axes(point), trial)

    def tell(self, proposal: Proposal, result: Result) -> None:
        """`study.tell`, with the constraints set before."""
        trial = proposal.handle
        if result.values is None:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        for name, excess in self._excesses(result.values).items():
            trial.set_constraint(name, excess)
        self._study.tell(trial, [result.values[o.name] for o in self.spec.objectives])

    def add(self, result: Result) -> None:
        """`study.add_trial` with a complete trial."""
        assert result.values is not None
        active = [p for p in self.spec.parameters if p.name in result.params]
        trial = create_trial(
            params={p.name: p.coordinate(result.params[p.name]) for p in active},
            distributions={p.name: _distribution(p.axis) for p in active},
            values=[result.values[o.name] for o in self.spec.objectives],
            constraints=self._excesses(result.values),
        )
        self._study.add_trial(trial)

    def _excesses(self, values: dict[str, float]) -> dict[str, float]:
        names = [f"{metric} {'<=' if sign > 0 else '>='} {limit:g}" for metric, sign, limit in self.spec.limits]
        return dict(zip(names, self.spec.excesses(values), strict=True))


class Tpe(OptunaStudy):
    """The default sampler."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening, TPESampler(seed=opening.seed))


class Gp(OptunaStudy):
    """The Gaussian process sampler."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening, GPSampler(seed=opening.seed))


def _suggested(trial: optuna.Trial, name: str, axis: Axis) -> float:
    """A coordinate of the axis. Integers are given as they are, a choice by its index among unordered choices."""
    match axis.kind:
        case "real":
            return float(trial.suggest_float(name, axis.low, axis.high, log=axis.log))
        case "whole":
            return int(trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log))
        case "choice":
            return int(trial.suggest_categorical(name, range(int(axis.high) + 1)))


def _distribution(axis: Axis) -> BaseDistribution:
    match axis.kind:
        case "real":
            return FloatDistribution(axis.low, axis.high, log=axis.log)
        case "whole":
            return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        case "choice":
            return CategoricalDistribution(range(int(axis.high) + 1))
