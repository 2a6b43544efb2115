"""Non-dominated points and the hypervolume they cover. Everything is maximized here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo.common.arrays import Array


def is_non_dominated(Y: Array) -> NDArray[np.bool_]:
    """Which rows of `Y [n, m]` no other row dominates (at least as good everywhere, better somewhere).

    Equal rows are all kept.
    """
    Y = np.asarray(Y, dtype=float)
    keep = np.ones(len(Y), dtype=bool)
    order = np.lexsort(-Y.T[::-1]) if len(Y) else np.arange(0)
    front: list[int] = []
    for i in order:
        rows = Y[front]
        if front and np.any(np.all(rows >= Y[i], axis=1) & np.any(rows > Y[i], axis=1)):
            keep[i] = False
        else:
            front.append(int(i))
    return keep


def hypervolume(Y: Array, reference: Array) -> float:
    """Volume between `reference [m]` and the union of boxes below the rows of `Y [n, m]`.

    Exact, by slicing along the last objective: O(n^(m-1) log n), fine for fronts of hundreds and m <= 4.
    """
    Y = np.asarray(Y, dtype=float)
    reference = np.asarray(reference, dtype=float)
    Y = Y[np.all(reference < Y, axis=1)] if len(Y) else Y.reshape(0, len(reference))
    if not len(Y):
        return 0.0
    Y = np.unique(Y[is_non_dominated(Y)], axis=0)
    if Y.shape[1] == 1:
        return float(Y.max() - reference[0])
    if Y.shape[1] == 2:
        Y = Y[np.argsort(-Y[:, 0])]
        below = np.concatenate(([reference[1]], Y[:-1, 1]))
        return float(np.sum((Y[:, 0] - reference[0]) * (Y[:, 1] - below)))
    Y = Y[np.argsort(-Y[:, -1])]
    depth = Y[:, -1] - np.concatenate((Y[1:, -1], [reference[-1]]))
    return float(sum(h * hypervolume(Y[: i + 1, :-1], reference[:-1]) for i, h in enumerate(depth) if h > 0))
