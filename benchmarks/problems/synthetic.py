"""Closed-form functions of real variables.

Branin and Hartmann6 after L. C. W. Dixon and G. P. Szegö, "The global optimization problem: an introduction", Towards
Global Optimisation 2 (1978). Ackley after D. H. Ackley, "A Connectionist Machine for Genetic Hillclimbing" (1987), here
in [-5, 10]^10, which puts the optimum at a third of each side and not in the middle.
"""

from __future__ import annotations

import numpy as np

from benchmarks.problems.base import Array, BenchProblem, box, minimized

_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def branin(x: Array) -> Array:
    """(x2 - b x1^2 + c x1 - r)^2 + 10 (1 - t) cos x1 + 10, for x `[..., 2]`."""
    x1, x2 = x[..., 0], x[..., 1]
    b, c, r, t = 5.1 / (4 * np.pi**2), 5 / np.pi, 6.0, 1 / (8 * np.pi)
    return np.asarray((x2 - b * x1**2 + c * x1 - r) ** 2 + 10 * (1 - t) * np.cos(x1) + 10)


def hartmann6(x: Array) -> Array:
    """-sum_i alpha_i exp(-sum_j A_ij (x_j - P_ij)^2), over the first six columns of x `[..., >= 6]`."""
    distance = np.sum(_A * (x[..., None, :6] - _P) ** 2, axis=-1)
    return np.asarray(-np.exp(-distance) @ _ALPHA)


def ackley(x: Array) -> Array:
    """20 + e - 20 exp(-0.2 sqrt(mean x^2)) - exp(mean cos(2 pi x)), for x `[..., d]`."""
    valley = np.exp(-0.2 * np.sqrt(np.mean(x**2, axis=-1)))
    ripple = np.exp(np.mean(np.cos(2 * np.pi * x), axis=-1))
    return np.asarray(20 + np.e - 20 * valley - ripple)


BRANIN = BenchProblem(
    name="branin",
    problem=minimized(box({"x1": (-5.0, 10.0), "x2": (0.0, 15.0)})),
    formula=lambda x: {"f": branin(x)},
    optimum=0.39788735772973816,
    budget=30,
)
HARTMANN6 = BenchProblem(
    name="hartmann6",
    problem=minimized(box({f"x{j}": (0.0, 1.0) for j in range(1, 7)})),
    formula=lambda x: {"f": hartmann6(x)},
    optimum=-3.3223680114155147,
    budget=60,
)
ACKLEY10 = BenchProblem(
    name="ackley10",
    problem=minimized(box({f"x{j}": (-5.0, 10.0) for j in range(1, 11)})),
    formula=lambda x: {"f": ackley(x)},
    optimum=0.0,
    budget=60,
)
HARTMANN6_IN_20 = BenchProblem(
    name="hartmann6_in_20",
    problem=minimized(box({f"x{j}": (0.0, 1.0) for j in range(1, 21)})),
    formula=lambda x: {"f": hartmann6(x)},
    optimum=HARTMANN6.optimum,
    budget=100,
)
"""Hartmann6 with fourteen parameters that do nothing: 20 dimensions for the cost of an ask."""
