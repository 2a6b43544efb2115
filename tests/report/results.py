"""Histories that tests of reports show."""

from __future__ import annotations

from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState

LATENCY = Constraint("latency_ms", upper=15, unit="ms")


def history(goal: str, *results: tuple[float, float] | None) -> History:
    """Trials with (accuracy, latency); None is a failure."""
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("accuracy", goal), LATENCY])  # type: ignore[arg-type]
    trials = [
        Trial(i, {"x": i / 100}, TrialState.FAILED, i, kind="oom", message="too big")
        if result is None
        else Trial(
            i,
            {"x": i / 100},
            TrialState.COMPLETED,
            i,
            {"accuracy": Measurement(result[0]), "latency_ms": Measurement(result[1])},
        )
        for i, result in enumerate(results)
    ]
    return History(problem, 1, tuple(trials))
