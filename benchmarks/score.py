"""Scores: regret of a run, quartiles, and the paired comparison of two contenders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import hpo
from hpo.metrics import shortfall

SMALLEST_REGRET = 1e-8
"""Regrets below this count as equal to it: the optima are known to about this precision."""
TIE = 0.01
"""Two regrets within this of each other in log10 (2.3 %) are a tie."""
RESAMPLES = 10_000


def is_feasible(problem: hpo.Problem, values: Mapping[str, float]) -> bool:
    """Whether `values` meet every limit."""
    return all(shortfall(metric, values[metric.name]) == 0 for metric in problem.limited)


def regrets(problem: hpo.Problem, results: Sequence[Mapping[str, float]], optimum: float) -> list[float | None]:
    """Distance of the best feasible value so far from `optimum`, after each result; None while nothing is feasible."""
    objective = problem.objectives[0]
    sign = 1.0 if objective.goal == "minimize" else -1.0
    best: float | None = None
    curve: list[float | None] = []
    for values in results:
        if is_feasible(problem, values):
            regret = max(sign * (values[objective.name] - optimum), 0.0)
            best = regret if best is None else min(best, regret)
        curve.append(best)
    return curve


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """(25 %, median, 75 %)."""
    low, middle, high = np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


@dataclass(frozen=True)
class Paired:
    """How `ours` compares with `theirs` over the same seeds, in log10 regret: below 0, ours is better."""

    n: int
    wins: int
    ties: int
    losses: int
    p: float
    """Two-sided Wilcoxon signed-rank test of the differences; 1 when all are zero."""
    p_worse: float
    """One-sided, against "ours is not worse"."""
    median: float
    low: float
    high: float
    """95 % percentile bootstrap interval of the median difference."""

    @property
    def verdict(self) -> str:
        """In words, at the 5 % level."""
        if self.p >= 0.05:
            return "no difference shown"
        return "better" if self.median < 0 else "worse"


def paired(ours: Sequence[float], theirs: Sequence[float], rng: np.random.Generator) -> Paired:
    """Compare the final regrets of two contenders, seed by seed.

    Raises ValueError when the lists are empty or differ in length.
    """
    from scipy.stats import wilcoxon

    if not ours or len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} results are no pairs")
    difference = _log(ours) - _log(theirs)
    tests = [
        float(wilcoxon(difference, alternative=alternative).pvalue) if difference.any() else 1.0
        for alternative in ("two-sided", "greater")
    ]
    medians = np.median(rng.choice(difference, (RESAMPLES, len(difference))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return Paired(
        n=len(difference),
        wins=int(np.sum(difference < -TIE)),
        ties=int(np.sum(np.abs(difference) <= TIE)),
        losses=int(np.sum(difference > TIE)),
        p=tests[0],
        p_worse=tests[1],
        median=float(np.median(difference)),
        low=float(low),
        high=float(high),
    )


def _log(regret: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(np.log10(np.maximum(regret, SMALLEST_REGRET)))
