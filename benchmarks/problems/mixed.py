"""A mixed space: three real, three whole, one choice."""

from __future__ import annotations

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem, minimized
from benchmarks.problems.synthetic import hartmann6

LEVELS = {"k2": 6, "k4": 6, "k6": 11}
"""Hartmann6's second, fourth and sixth coordinate live on this many equal steps of [0, 1]."""
MODES = {"plain": (1.0, 0.0), "moved": (0.9, 0.15), "damped": (0.6, 0.0)}
"""What the choice does: (factor on the value, shift of all six coordinates)."""

_TO_UNIT = np.array([1.0, 1 / (LEVELS["k2"] - 1), 1.0, 1 / (LEVELS["k4"] - 1), 1.0, 1 / (LEVELS["k6"] - 1)])
_FACTOR, _SHIFT = np.array(list(MODES.values())).T


def hartmann6_mixed(x: Array) -> Array:
    """factor(mode) * hartmann6(u + shift(mode)), for x `[..., 7]` = (x1, k2, x3, k4, x5, k6, index of the mode)."""
    mode = x[..., 6].astype(int)
    return np.asarray(_FACTOR[mode] * hartmann6(x[..., :6] * _TO_UNIT + _SHIFT[mode][..., None]))


HARTMANN6_MIXED = BenchProblem(
    name="hartmann6_mixed",
    problem=minimized(
        hpo.Space(
            {
                "x1": hpo.Float(0.0, 1.0),
                "k2": hpo.Int(0, LEVELS["k2"] - 1),
                "x3": hpo.Float(0.0, 1.0),
                "k4": hpo.Int(0, LEVELS["k4"] - 1),
                "x5": hpo.Float(0.0, 1.0),
                "k6": hpo.Int(0, LEVELS["k6"] - 1),
                "mode": hpo.Categorical(list(MODES)),
            }
        )
    ),
    formula=lambda x: {"f": hartmann6_mixed(x)},
    optimum=-3.090554070642146,
    budget=50,
)
