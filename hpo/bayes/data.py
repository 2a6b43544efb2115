"""History -> arrays: the one place where signs change. Behind it everything is maximized.

Shapes: n completed trials, f failures to learn from, p trials in flight, d encoded columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hpo.common.arrays import Array
from hpo.problem.encoding import Encoder
from hpo.problem.metrics import Constraint, Objective, is_feasible
from hpo.trials.history import History, oriented
from hpo.trials.trial import LEAP, LEARNED_KINDS, Trial


@dataclass(frozen=True, eq=False)
class MetricData:
    """One metric as a model sees it: larger is better for an objective, as measured for a constraint.

    Attributes:
        metric: whose values these are.    sign: what they were multiplied by.
        y: [n] values; of an objective that leaps off all others, that of the best other.
        sem: [n] standard errors as told, NaN where none was.
        lower, upper: limits in the units of y, infinite where there is none.
    """

    metric: Objective | Constraint
    sign: float
    y: Array
    sem: Array
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What the trials of a history say, as arrays.

    Attributes:
        history: the trials that the arrays are of.
        X: [n, d] completed trials.    X_failed: [f, d] trials whose params made them fail.
        X_in_flight: [p, d].    feasible: [n] bool, every limit met as measured, and not set aside.
        objectives, constraints: their measured values, in the order of the problem.
        n_completed, n_failed: how many of either there are with those that are left out here.
    """

    encoder: Encoder
    history: History
    X: Array
    X_failed: Array
    X_in_flight: Array
    feasible: np.ndarray[tuple[int], np.dtype[np.bool_]]
    objectives: tuple[MetricData, ...]
    constraints: tuple[MetricData, ...]
    n_completed: int
    n_failed: int


MAX_MODELED = 1500
"""Completed trials that the surrogates are built on at most: an exact GP costs the third power of their number."""
MAX_FAILED = 500
_LARGEST = 1e300
"""Of larger values and limits the models see this: sums and differences of theirs overflow."""


def relevant(history: History) -> History:
    """`history` with as many ended trials as surrogates can be built on: all of up to 1500 completed ones, else the best
    half of that and as many spread evenly, by rank, over the rest; of those whose params made them fail the last 500.

    Rank goes by how far the limits are missed, then by the mean rank in the objectives.
    """
    completed, failed = history.completed, _learned(history)
    if len(completed) <= MAX_MODELED and len(failed) <= MAX_FAILED:
        return history
    kept = {t.number for t in failed[-MAX_FAILED:]} | {t.number for t in history.in_flight}
    if len(completed) <= MAX_MODELED:
        kept |= {t.number for t in completed}
    else:
        values = np.array([[oriented(o, t) for o in history.problem.objectives] for t in completed])
        ranks = np.argsort(np.argsort(-values, axis=0, kind="stable"), axis=0, kind="stable").sum(axis=1)
        order = np.lexsort((ranks, history.violations()))
        best, rest = np.split(order, [MAX_MODELED // 2])
        spread = rest[np.linspace(0, len(rest) - 1, MAX_MODELED - len(best)).round().astype(np.intp)]
        kept |= {completed[i].number for i in np.concatenate([best, spread])}
    return replace(history, trials=tuple(t for t in history.trials if t.number in kept))


def training_data(history: History, encoder: Encoder) -> TrainingData:
    """The arrays of what is `relevant` of a history; params are encoded by `encoder`."""
    problem, n_completed, n_failed = history.problem, len(history.completed), len(_learned(history))
    history = relevant(history)
    return TrainingData(
        encoder=encoder,
        history=history,
        X=encoder.encode([t.params for t in history.completed]),
        X_failed=encoder.encode([t.params for t in _learned(history)]),
        X_in_flight=encoder.encode([t.params for t in history.in_flight]),
        feasible=np.array(
            [not t.set_aside and is_feasible(problem.metrics, t.values) for t in history.completed], dtype=bool
        ),
        objectives=tuple(_series(history, m) for m in problem.objectives),
        constraints=tuple(_series(history, m) for m in problem.constraints),
        n_completed=n_completed,
        n_failed=n_failed,
    )


def _learned(history: History) -> list[Trial]:
    """Trials whose params made them fail."""
    return [t for t in history.failed if t.kind in LEARNED_KINDS]


def _series(history: History, metric: Objective | Constraint) -> MetricData:
    sign = metric.sign if isinstance(metric, Objective) else 1.0
    told = [t.values[metric.name] for t in history.completed]
    y = np.clip(sign * np.array([m.value for m in told], dtype=float), -_LARGEST, _LARGEST)
    leaps = np.array([t.set_aside == LEAP for t in history.completed], dtype=bool)
    if isinstance(metric, Objective) and leaps.any() and not leaps.all():
        y[leaps] = np.minimum(y[leaps], y[~leaps].max())
    lower, upper = metric.limits
    limits = sorted([sign * (-np.inf if lower is None else lower), sign * (np.inf if upper is None else upper)])
    return MetricData(
        metric=metric,
        sign=sign,
        y=y,
        sem=np.array([np.nan if m.sem is None else m.sem for m in told], dtype=float),
        lower=_kept(limits[0]),
        upper=_kept(limits[1]),
    )


def _kept(limit: float) -> float:
    return float(limit) if np.isinf(limit) else float(np.clip(limit, -_LARGEST, _LARGEST))
