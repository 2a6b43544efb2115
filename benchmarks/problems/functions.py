"""Closed-form test functions of real variables, all to be minimized. x is `[..., d]`, the value `[...]`.

Unless noted, after S. Surjanovic, D. Bingham, "Virtual Library of Simulation Experiments: Test Functions and Datasets"
(2013), which collects the original sources:

    branin, hartmann6   L. C. W. Dixon, G. P. Szegö, "The global optimization problem: an introduction", Towards Global
                        Optimization 2 (1978)
    ackley              D. H. Ackley, "A Connectionist Machine for Genetic Hillclimbing" (1987)
    rosenbrock          H. H. Rosenbrock, "An automatic method for finding the greatest or least value of a function",
                        The Computer Journal 3 (1960)
    levy                A. V. Levy, A. Montalvo, "The tunneling algorithm for the global minimization of functions",
                        SIAM Journal on Scientific and Statistical Computing 6 (1985)
    styblinski_tang     M. A. Styblinski, T.-S. Tang, "Experiments in nonconvex optimization", Neural Networks 3 (1990)
    michalewicz         Z. Michalewicz, "Genetic Algorithms + Data Structures = Evolution Programs" (1992)
    griewank            A. O. Griewank, "Generalized descent for global optimization", Journal of Optimization Theory and
                        Applications 34 (1981)
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.problems.base import Array

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
HARTMANN6_AT = np.array([0.20168951265373836, 0.150010691811158, 0.47687397421706995, 0.27533243049404754,
                         0.3116516166001132, 0.6573005340654955])  # fmt: skip
"""Where Hartmann6 is least, -3.3223680114155147: the known point, polished."""
BRANIN_AT = np.array([[-np.pi, 12.275], [np.pi, 2.275], [3 * np.pi, 2.475]])
"""The three points where Branin is least, 0.39788735772973816."""


def branin(x: Array) -> Array:
    """(x2 - b x1^2 + c x1 - r)^2 + 10 (1 - t) cos x1 + 10, for x `[..., 2]`."""
    x1, x2 = x[..., 0], x[..., 1]
    b, c, r, t = 5.1 / (4 * np.pi**2), 5 / np.pi, 6.0, 1 / (8 * np.pi)
    return np.asarray((x2 - b * x1**2 + c * x1 - r) ** 2 + 10 * (1 - t) * np.cos(x1) + 10)


def hartmann6(x: Array) -> Array:
    """-sum_i alpha_i exp(-sum_j A_ij (x_j - P_ij)^2), for x `[..., 6]`."""
    distance = np.sum(_A * (x[..., None, :] - _P) ** 2, axis=-1)
    return np.asarray(-np.exp(-distance) @ _ALPHA)


def ackley(x: Array) -> Array:
    """20 + e - 20 exp(-0.2 sqrt(mean x^2)) - exp(mean cos(2 pi x)); 0 at 0."""
    valley = np.exp(-0.2 * np.sqrt(np.mean(x**2, axis=-1)))
    ripple = np.exp(np.mean(np.cos(2 * np.pi * x), axis=-1))
    return np.asarray(20 + math.e - 20 * valley - ripple)


def rosenbrock(x: Array) -> Array:
    """sum_j 100 (x_{j+1} - x_j^2)^2 + (1 - x_j)^2; 0 at 1."""
    head, tail = x[..., :-1], x[..., 1:]
    return np.asarray(np.sum(100 * (tail - head**2) ** 2 + (1 - head) ** 2, axis=-1))


def levy(x: Array) -> Array:
    """sin^2(pi w_1) + sum_{j<d} (w_j - 1)^2 (1 + 10 sin^2(pi w_j + 1)) + (w_d - 1)^2 (1 + sin^2(2 pi w_d)), with
    w = 1 + (x - 1) / 4; 0 at 1."""
    w = 1 + (x - 1) / 4
    head, last = w[..., :-1], w[..., -1]
    middle = np.sum((head - 1) ** 2 * (1 + 10 * np.sin(np.pi * head + 1) ** 2), axis=-1)
    end = (last - 1) ** 2 * (1 + np.sin(2 * np.pi * last) ** 2)
    return np.asarray(np.sin(np.pi * w[..., 0]) ** 2 + middle + end)


def styblinski_tang(x: Array) -> Array:
    """sum_j (x_j^4 - 16 x_j^2 + 5 x_j) / 2; -39.16617 d at -2.903534."""
    return np.asarray(np.sum(x**4 - 16 * x**2 + 5 * x, axis=-1) / 2)


def michalewicz(x: Array) -> Array:
    """-sum_j sin(x_j) sin^20(j x_j^2 / pi); steep valleys between plateaus."""
    j = np.arange(1, x.shape[-1] + 1)
    return np.asarray(-np.sum(np.sin(x) * np.sin(j * x**2 / np.pi) ** 20, axis=-1))


def griewank(x: Array) -> Array:
    """1 + sum_j x_j^2 / 4000 - prod_j cos(x_j / sqrt j); 0 at 0."""
    j = np.arange(1, x.shape[-1] + 1)
    return np.asarray(1 + np.sum(x**2, axis=-1) / 4000 - np.prod(np.cos(x / np.sqrt(j)), axis=-1))
