"""Scores over many runs: means with intervals, ranks, differences, and how many training runs it took.

Everything is by problem and seed: a loss per run is `Losses`, a curve per run `Curves`. Contenders are paired by problem
and seed, where they met the same luck.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.records import Run
from benchmarks.score import time_mean, unrolled

Array = NDArray[np.float64]
Losses = Mapping[str, Mapping[int, float]]
"""problem -> seed -> loss in [0, 1]."""
Curves = Mapping[str, Mapping[int, Array]]
"""problem -> seed -> loss after each evaluation `[total]`."""
Runs = Mapping[str, Mapping[int, Run]]
"""problem -> seed -> run."""

RESAMPLES = 2000
ZERO = 1e-9
"""Losses up to this are at the best known."""
FLOOR = 1e-6
"""Logarithms are of losses no smaller than this."""
FEWEST_SEEDS = 5
"""With fewer seeds a bootstrap over them says nothing: no verdict is given on a single problem."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> int:
        """-1 below 0, 1 above 0, 0 when the interval holds 0."""
        return int(self.low > 0) - int(self.high < 0)


def arranged(runs: Iterable[Run], problems: Sequence[str], mode: str) -> dict[str, dict[str, dict[int, Run]]]:
    """Contender -> problem -> seed -> run, of these problems in this mode."""
    out: dict[str, dict[str, dict[int, Run]]] = {}
    for run in runs:
        if run.mode == mode and run.problem in problems:
            out.setdefault(run.contender, {}).setdefault(run.problem, {})[run.seed] = run
    return out


def curves(runs: Runs) -> dict[str, dict[int, Array]]:
    """The curve of every run."""
    return {p: {s: unrolled(run.curve, run.total) for s, run in seeds.items()} for p, seeds in runs.items()}


def finals(given: Curves) -> dict[str, dict[int, float]]:
    """The loss at the end of every run."""
    return {p: {s: float(curve[-1]) for s, curve in seeds.items()} for p, seeds in given.items()}


def areas(given: Curves) -> dict[str, dict[int, float]]:
    """The mean of every curve over its evaluations: the area under it, in [0, 1]."""
    return {p: {s: float(curve.mean()) for s, curve in seeds.items()} for p, seeds in given.items()}


def time_areas(given: Mapping[str, Runs]) -> dict[str, dict[str, dict[int, float]]]:
    """Contender -> the mean loss of every run over the simulated clock, up to the time at which the last contender ends
    on that problem. Fast evaluations and early results both pay."""
    ends: dict[str, float] = {}
    for each in given.values():
        for problem, seeds in each.items():
            ends[problem] = max(ends.get(problem, 0.0), *(run.simulated for run in seeds.values()))
    return {
        c: {p: {s: time_mean(run.clock, ends[p]) for s, run in seeds.items()} for p, seeds in each.items() if ends[p]}
        for c, each in given.items()
    }


def mean(losses: Losses) -> float:
    """Over the problems, of the mean over the seeds of each. NaN without any."""
    return float(np.mean([_mean(seeds) for seeds in losses.values()])) if losses else float("nan")


def log_mean(losses: Losses) -> float:
    """Over the problems and their seeds as in `mean`, of log10(max(loss, FLOOR))."""
    return mean({p: {s: float(np.log10(max(x, FLOOR))) for s, x in seeds.items()} for p, seeds in losses.items()})


def bootstrap(losses: Losses, rng: np.random.Generator) -> Interval:
    """The mean over problems and seeds; the interval resamples the problems, and in each of them the seeds."""
    if not losses:
        return Interval(float("nan"), float("nan"), float("nan"))
    groups = [np.array(list(seeds.values())) for seeds in losses.values()]
    drawn = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    means = np.empty(drawn.shape)
    for index, group in enumerate(groups):
        place = drawn == index
        seeds = rng.integers(len(group), size=(int(place.sum()), len(group)))
        means[place] = group[seeds].mean(axis=1)
    low, high = np.quantile(means.mean(axis=1), [0.025, 0.975])
    return Interval(mean(losses), float(low), float(high))


def mean_ranks(losses: Mapping[str, Losses]) -> dict[str, float]:
    """Contender -> the mean over problems of its rank by mean loss, 1 the best, ties averaged.

    On each problem those are ranked who have runs of it.
    """
    return _mean_ranks({c: {(p,): _mean(seeds) for p, seeds in each.items()} for c, each in losses.items()})


def paired_ranks(losses: Mapping[str, Losses]) -> dict[str, float]:
    """The same with a rank for every problem and seed; of each problem the seeds that all have who have runs of it."""
    common: dict[str, set[int]] = {}
    for each in losses.values():
        for problem, seeds in each.items():
            common[problem] = common.get(problem, set(seeds)) & set(seeds)
    return _mean_ranks({c: {(p, s): each[p][s] for p in each for s in sorted(common[p])} for c, each in losses.items()})


def difference(ours: Losses, theirs: Losses) -> dict[str, dict[int, float]]:
    """Ours - theirs of every problem and seed that both have: below 0, ours is better."""
    out: dict[str, dict[int, float]] = {}
    for problem in ours.keys() & theirs.keys():
        common = sorted(ours[problem].keys() & theirs[problem].keys())
        if common:
            out[problem] = {seed: ours[problem][seed] - theirs[problem][seed] for seed in common}
    return {problem: out[problem] for problem in sorted(out)}


def shares_needed(ours: Curves, theirs: Curves) -> dict[str, float]:
    """Problem -> the share of the evaluations after which our median curve is at their final median; inf if never.

    Where both end at the best known, it is our evaluations until there, divided by theirs. Where they end with nothing
    better than a typical result, or nothing feasible, ours has to be better than that.
    """
    out = {}
    for problem in sorted(ours.keys() & theirs.keys()):
        mine, other = _median(ours[problem]), _median(theirs[problem])
        n = min(len(mine), len(other))
        there = _first_at(mine, min(float(other[n - 1]), 1.0 - 2.0 * ZERO))
        if max(mine[-1], other[-1]) <= ZERO:
            out[problem] = _first_at(mine, 0.0) / _first_at(other, 0.0)
        else:
            out[problem] = there / n
    return out


def shares_in_flight(sequential: Curves, parallel: Curves, *, reached_by_both: bool = False) -> list[float]:
    """Trainings in parallel / training runs one at a time, each until the same loss: two shares a problem.

    The losses are those that the sequential median has after half, and after three quarters, of its evaluations; inf where
    the parallel median never gets there. Such a loss is one the sequential median has just come to, and another curve of
    the same kind needs longer to it, by chance alone. With `reached_by_both`, they are the higher of the losses that the
    two medians have there: a measure that is 1 in the mean if they differ by chance only.
    """
    out = []
    for problem in sorted(sequential.keys() & parallel.keys()):
        one, many = _median(sequential[problem]), _median(parallel[problem])
        for part in (2, 3):
            at = len(one) * part // 4 - 1
            level = float(max(one[at], many[min(at, len(many) - 1)]) if reached_by_both else one[at])
            if level < 1.0:
                out.append(_first_at(many, level) / _first_at(one, level))
    return out


def median_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], rng: np.random.Generator
) -> Interval | None:
    """Of one problem: our median loss minus theirs, over the seeds both have, which are resampled as pairs.

    None with fewer than FEWEST_SEEDS.
    """
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < FEWEST_SEEDS:
        return None
    pairs = np.array([[ours[seed], theirs[seed]] for seed in common])
    drawn = np.median(pairs[rng.integers(len(pairs), size=(RESAMPLES, len(pairs)))], axis=1)
    low, high = np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975])
    first, second = np.median(pairs, axis=0)
    return Interval(float(first - second), float(low), float(high))


def restricted(given: Mapping[str, Runs], problems: Sequence[str]) -> dict[str, dict[str, Mapping[int, Run]]]:
    """The same contenders on these problems only; without those that have none of them."""
    out = {c: {p: seeds for p, seeds in each.items() if p in problems} for c, each in given.items()}
    return {c: each for c, each in out.items() if each}


def _mean(seeds: Mapping[int, float]) -> float:
    return float(np.mean(list(seeds.values())))


def _median(seeds: Mapping[int, Array]) -> Array:
    return np.asarray(np.median(np.array(list(seeds.values())), axis=0))


def _first_at(curve: Array, level: float) -> float:
    """The first evaluation, from 1, at which the curve is at `level` (within ZERO) or below; inf if never."""
    reached = np.flatnonzero(curve <= level + ZERO)
    return float(reached[0] + 1) if len(reached) else float("inf")


def _mean_ranks(scores: Mapping[str, Mapping[tuple[object, ...], float]]) -> dict[str, float]:
    cells = sorted({cell for each in scores.values() for cell in each}, key=str)
    ranks: dict[str, list[float]] = {contender: [] for contender in scores}
    for cell in cells:
        present = [contender for contender in scores if cell in scores[contender]]
        for contender, rank in zip(present, rankdata([scores[c][cell] for c in present]), strict=True):
            ranks[contender].append(float(rank))
    return {contender: float(np.mean(each)) for contender, each in ranks.items() if each}
