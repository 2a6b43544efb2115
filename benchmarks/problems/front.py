"""The best known front of several objectives, by an evolutionary search, and the hypervolume below it.

The search is that of K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist multiobjective genetic algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6 (2002): simulated binary crossover, polynomial mutation,
survival by domination rank and crowding, feasible before infeasible. An archive keeps every non-dominated point seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems.base import Array

Evaluate = Callable[[Array], tuple[Array, Array]]
"""x `[n, d]` -> (objectives to be minimized `[n, m]`, sum of what limits are missed by `[n]`, 0 where feasible)."""
_CROSSOVER, _MUTATION = 15.0, 20.0
"""Distribution indices: larger keeps children nearer to their parents."""
_ARCHIVE = 6000


def better(Y: Array, violation: Array) -> NDArray[np.bool_]:
    """`[n, n]`: whether row i is better than row j, by feasibility, then violation, then domination."""
    dominates = np.all(Y[:, None] <= Y[None], axis=-1) & np.any(Y[:, None] < Y[None], axis=-1)
    same = violation[:, None] == violation[None]
    return np.asarray(np.where(same, dominates, violation[:, None] < violation[None]))


def non_dominated(Y: Array, chunk: int = 500) -> NDArray[np.bool_]:
    """Which rows of `Y [n, m]`, minimized, no other row dominates."""
    keep = np.ones(len(Y), dtype=bool)
    for i in range(0, len(Y), chunk):
        part = Y[i : i + chunk, None]
        keep[i : i + chunk] = ~np.any(np.all(Y[None] <= part, axis=-1) & np.any(Y[None] < part, axis=-1), axis=1)
    return keep


def merged(archive: Array, Y: Array) -> Array:
    """The non-dominated rows of `archive [n, m]`, in which no row dominates another, and of `Y [k, m]` together."""
    Y = np.unique(Y, axis=0)
    Y = Y[non_dominated(Y)]
    # A row that equals one of the archive is not new.
    Y = Y[~np.any(np.all(archive[None] <= Y[:, None], axis=-1), axis=1)]
    beaten = np.any(np.all(Y[None] <= archive[:, None], axis=-1), axis=1)
    return np.vstack([archive[~beaten], Y])


def crowding(Y: Array) -> Array:
    """Sum over the objectives of the distance between a row's neighbors `[n]`; infinite at the ends."""
    out = np.zeros(len(Y))
    for column in Y.T:
        order = np.argsort(column)
        gap = np.full(len(Y), np.inf)
        span = np.ptp(column) or 1.0
        gap[order[1:-1]] = (column[order[2:]] - column[order[:-2]]) / span
        out += gap
    return out


def survivors(Y: Array, violation: Array, size: int) -> NDArray[np.intp]:
    """The `size` best rows by rank, the last rank by crowding."""
    wins = better(Y, violation)
    left = np.arange(len(Y))
    kept: list[int] = []
    while len(kept) < size:
        front = left[~wins[np.ix_(left, left)].any(axis=0)]
        if len(kept) + len(front) > size:
            front = front[np.argsort(-crowding(Y[front]))[: size - len(kept)]]
        kept += front.tolist()
        left = np.setdiff1d(left, front)
    return np.array(kept)


def children(X: Array, rng: np.random.Generator) -> Array:
    """As many children as parents `X [n, d]`, in the unit cube."""
    n, d = X.shape
    mothers, fathers = X[rng.integers(n, size=n)], X[rng.integers(n, size=n)]
    r = rng.random((n, d))
    spread = np.where(r < 0.5, 2 * r, 1 / (2 * (1 - r))) ** (1 / (_CROSSOVER + 1))
    crossed = (mothers + fathers) / 2 + spread * (mothers - fathers) / 2
    out = np.where(rng.random((n, d)) < 0.9, crossed, mothers)
    r = rng.random((n, d))
    power = 1 / (_MUTATION + 1)
    step = np.where(r < 0.5, (2 * r) ** power - 1, 1 - (2 * (1 - r)) ** power)
    mutated = rng.random((n, d)) < 1 / d
    return np.asarray(np.clip(out + np.where(mutated, step, 0.0), 0.0, 1.0), dtype=float)


def search(evaluate: Evaluate, d: int, *, size: int, generations: int, seed: int = 0) -> Array:
    """The feasible non-dominated points `[n, m]` that `size * generations` evaluations in the unit cube have found."""
    rng = np.random.default_rng(seed)
    X = rng.random((size, d))
    Y, violation = evaluate(X)
    archive = merged(np.empty((0, Y.shape[1])), Y[violation == 0])
    for _ in range(generations):
        new = children(X, rng)
        new_Y, new_violation = evaluate(new)
        archive = merged(archive, new_Y[new_violation == 0])
        if len(archive) > _ARCHIVE:
            archive = archive[np.argsort(-crowding(archive))[:_ARCHIVE]]
        X, Y = np.vstack([X, new]), np.vstack([Y, new_Y])
        violation = np.concatenate([violation, new_violation])
        keep = survivors(Y, violation, size)
        X, Y, violation = X[keep], Y[keep], violation[keep]
    return archive


def sampled_hypervolume(Y: Array, reference: Array, n: int) -> tuple[float, float]:
    """(volume between the rows of `Y [k, m]`, minimized, and `reference [m]`; its standard error), from `n` uniform
    points. For fronts of thousands in four dimensions, where exact slicing takes hours."""
    low = Y.min(axis=0)
    rng = np.random.default_rng(0)
    hits = 0
    chunk = 2000
    for _ in range(n // chunk):
        points = low + rng.random((chunk, len(low))) * (reference - low)
        inside = np.zeros(chunk, dtype=bool)
        for part in np.array_split(Y, max(1, len(Y) // 200)):
            left = np.flatnonzero(~inside)
            inside[left] = np.any(np.all(part[None] <= points[left, None], axis=-1), axis=1)
        hits += int(inside.sum())
    share = hits / (n // chunk * chunk)
    box = float(np.prod(reference - low))
    return box * share, box * float(np.sqrt(share * (1 - share) / n))
