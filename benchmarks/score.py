"""The score of one run: a loss in [0, 1] after each evaluation, 0 at the best known and 1 at a typical configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

import hpo
from benchmarks.problems.base import BenchProblem
from hpo.problem.metrics import shortfall
from hpo.trials.pareto import hypervolume

Array = NDArray[np.float64]
Values = Mapping[str, float]


def is_feasible(problem: hpo.Problem, values: Values) -> bool:
    """Whether `values` meet every limit, equality included."""
    return all(shortfall(metric, values[metric.name]) == 0 for metric in problem.limited)


def loss(bench: BenchProblem, values: Values | None) -> float:
    """Normalized regret of one result of a problem with one objective: (value - best) / (typical - best) in [0, 1].

    1 for what failed (None) or is not feasible.
    """
    if values is None or not is_feasible(bench.problem, values):
        return 1.0
    value = values[bench.problem.objectives[0].name]
    return float(np.clip((value - bench.best) / (bench.typical - bench.best), 0.0, 1.0))


def losses(bench: BenchProblem, truths: Sequence[Values | None]) -> list[float]:
    """The loss after each evaluation, of the best so far; `truths` are the exact metrics, None for what failed.

    Several objectives: 1 - hypervolume of the feasible results above the reference point / that of the best known front.
    """
    if len(bench.problem.objectives) > 1:
        return _uncovered(bench, truths)
    best, curve = 1.0, []
    for values in truths:
        best = min(best, loss(bench, values))
        curve.append(best)
    return curve


def recommended_losses(bench: BenchProblem, answers: Sequence[tuple[int, Values | None]], n: int) -> list[float]:
    """The loss of what was recommended, carried forward from each (evaluation, exact metrics) to the next, `n` long.

    1 before the first answer. Not the best so far: a recommendation may become worse.
    """
    curve = [1.0] * n
    for evaluation, values in sorted(answers, key=lambda answer: answer[0]):
        curve[evaluation - 1 :] = [loss(bench, values)] * (n - evaluation + 1)
    return curve


def first_feasible(problem: hpo.Problem, truths: Sequence[Values | None]) -> int | None:
    """Number of the first evaluation, from 1, that met every limit; None if none did."""
    for evaluation, values in enumerate(truths, start=1):
        if values is not None and is_feasible(problem, values):
            return evaluation
    return None


def unrolled(curve: Sequence[tuple[int, float]], total: int) -> Array:
    """The loss after each of `total` evaluations, from where it changes: the inverse of `records.steps`."""
    values = np.ones(total)
    for evaluation, value in curve:
        values[evaluation - 1 :] = value
    return values


def at_times(clock: Sequence[tuple[float, float]], times: Array) -> Array:
    """The loss at each of the simulated `times [n]`, from (seconds, loss) where it changes; 1 before the first."""
    moments = np.array([moment for moment, _ in clock])
    levels = np.array([1.0, *(value for _, value in clock)])
    return np.asarray(levels[np.searchsorted(moments, times, side="right")])


def time_mean(clock: Sequence[tuple[float, float]], end: float) -> float:
    """The mean loss over the simulated seconds from 0 to `end`, exactly."""
    moments = np.array([0.0, *(moment for moment, _ in clock if moment < end), end])
    levels = np.array([1.0, *(value for moment, value in clock if moment < end)])
    return float(np.sum(np.diff(moments) * levels) / end)


def _uncovered(bench: BenchProblem, truths: Sequence[Values | None]) -> list[float]:
    """1 - hypervolume / best, after each result.

    A new point y adds its own box less what the front covers of it, hv({min(p, y): p in front}): most of those corners
    are dominated, so with many objectives this is far cheaper than the volume of the whole front. The idea is that of
    L. While, L. Bradstreet, L. Barone, "A fast way of calculating exact hypervolumes", IEEE Transactions on Evolutionary
    Computation 16 (2012).
    """
    signs = np.array([1.0 if o.goal == "maximize" else -1.0 for o in bench.problem.objectives])
    reference = signs * np.array(bench.reference)
    front = np.empty((0, len(signs)))
    covered, curve = 0.0, []
    for values in truths:
        if values is not None and is_feasible(bench.problem, values):
            y = signs * np.array([values[o.name] for o in bench.problem.objectives])
            if np.all(y > reference) and not np.any(np.all(front >= y, axis=1)):
                covered += float(np.prod(y - reference)) - hypervolume(np.minimum(front, y), reference)
                front = np.vstack([front[~np.all(front <= y, axis=1)], y])
        curve.append(float(np.clip(1 - covered / bench.best, 0.0, 1.0)))
    return curve
