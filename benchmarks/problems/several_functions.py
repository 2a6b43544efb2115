"""Formulas of several objectives, all to be minimized; x is `[..., d]`.

BraninCurrin: S. Belakaria, A. Deshwal, J. R. Doppa, "Max-value entropy search for multi-objective Bayesian optimization",
NeurIPS (2019).  ZDT1: E. Zitzler, K. Deb, L. Thiele, "Comparison of multiobjective evolutionary algorithms: empirical
results", Evolutionary Computation 8 (2000).  DTLZ2: K. Deb, L. Thiele, M. Laumanns, E. Zitzler, "Scalable multi-objective
optimization test problems", CEC (2002).  Vehicle safety (RE3-5-4) and car side impact (RE4-7-1): R. Tanabe, H. Ishibuchi,
"An easy-to-use real-world multi-objective optimization problem suite", Applied Soft Computing 89 (2020).  OSY:
A. Osyczka, S. Kundu, "A new method to solve generalized multicriteria optimization problems using the simple genetic
algorithm", Structural Optimization 10 (1995).  CONSTR: K. Deb, "Multi-Objective Optimization using Evolutionary
Algorithms" (2001), section 8.3.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.problems.base import Array
from benchmarks.problems.functions import branin


def branin_currin(x: Array) -> Mapping[str, Array]:
    """Branin on the unit square, and Currin's exponential function."""
    a, b = x[..., 0], x[..., 1]
    # At b = 0 the exponential is 0 in the limit.
    with np.errstate(divide="ignore"):
        decay = 1 - np.exp(-1 / (2 * b))
    top = 2300 * a**3 + 1900 * a**2 + 2092 * a + 60
    bottom = 100 * a**3 + 500 * a**2 + 4 * a + 20
    return {"branin": branin(np.stack([15 * a - 5, 15 * b], axis=-1)), "currin": decay * top / bottom}


def zdt1(x: Array) -> Mapping[str, Array]:
    """f1 = x1, f2 = g (1 - sqrt(f1 / g)), g = 1 + 9 mean(x2 ... xd); the front is f2 = 1 - sqrt f1."""
    first = x[..., 0]
    g = 1 + 9 * np.mean(x[..., 1:], axis=-1)
    return {"f1": first, "f2": g * (1 - np.sqrt(first / g))}


def dtlz2(x: Array, m: int, center: Array | float = 0.5) -> Mapping[str, Array]:
    """With m objectives, the point of the unit sphere's positive part with angles pi/2 x1 ... pi/2 x_{m-1}, times
    1 + g, g = sum_{j >= m} (x_j - c_j)^2, where `center` is c. The front is the sphere itself, wherever c lies."""
    angle = np.pi / 2 * x[..., : m - 1]
    radius = 1 + np.sum((x[..., m - 1 :] - center) ** 2, axis=-1)
    out = {}
    for i in range(m):
        cosines = np.prod(np.cos(angle[..., : m - 1 - i]), axis=-1)
        sine = np.sin(angle[..., m - 1 - i]) if i else 1.0
        out[f"f{i + 1}"] = radius * cosines * sine
    return out


def vehicle_safety(x: Array) -> Mapping[str, Array]:
    """Mass, acceleration and toe-board intrusion of a car body with five plate thicknesses x `[..., 5]`."""
    a, b, c, d, e = np.moveaxis(x, -1, 0)
    return {
        "mass": 1640.2823 + 2.3573285 * a + 2.3220035 * b + 4.5688768 * c + 7.7213633 * d + 4.4559504 * e,
        "acceleration": 6.5856
        + (1.15 - 0.1106 * a - 0.3695 * d + 0.0861 * e) * a
        + (0.3628 * d - 1.0427) * b
        + (0.9738 - 0.3437 * c) * c
        + (0.8364 + 0.1764 * d) * d,
        "intrusion": -0.0551
        + (0.0181 - 0.0073 * b) * a
        + (0.1024 - 0.0241 * b + 0.024 * c - 0.0118 * d) * b
        + (0.0421 - 0.0204 * d - 0.008 * e) * c
        + 0.0109 * d**2,
    }


def car_side_impact(x: Array) -> Mapping[str, Array]:
    """Weight, pubic force, mean velocity of two points, and the sum of what ten safety rules are missed by.

    x `[..., 7]`: seven plate thicknesses.
    """
    a, b, c, d, e, f, g = np.moveaxis(x, -1, 0)
    weight = 1.98 + 4.9 * a + 6.67 * b + 6.98 * c + 4.01 * d + 1.78 * e + 1e-5 * f + 2.73 * g
    force = 4.72 - 0.5 * d - 0.19 * b * c
    pillar = 10.58 - 0.674 * a * b - 0.67275 * b
    door = 16.45 - 0.489 * c * g - 0.843 * e * f
    limit_minus_value = [
        1 - (1.16 - 0.3717 * b * d - 0.0092928 * c),
        0.32 - (0.261 - 0.0159 * a * b - 0.06486 * a - 0.019 * b * g + 0.0144 * c * e + 0.0154464 * f),
        0.32
        - (0.214 + 0.00817 * e - 0.045195 * a - 0.0135168 * a + 0.03099 * b * f - 0.018 * b * g)
        - (0.007176 * c + 0.023232 * c - 0.00364 * e * f - 0.018 * b**2),
        0.32 - (0.74 - 0.61 * b - 0.031296 * c - 0.031872 * g + 0.227 * b**2),
        32 - (28.98 + 3.818 * c - 4.2 * a * b + 1.27296 * f - 2.68065 * g),
        32 - (33.86 + 2.95 * c - 5.057 * a * b - 3.795 * b - 3.4431 * g + 1.45728),
        32 - (46.36 - 9.9 * b - 4.4505 * a),
        4 - force,
        9.9 - pillar,
        15.7 - door,
    ]
    missed = np.sum([np.maximum(-slack, 0) for slack in limit_minus_value], axis=0)
    return {"weight": weight, "force": force, "velocity": (pillar + door) / 2, "missed": missed}


def osy(x: Array) -> Mapping[str, Array]:
    """Two objectives and six limits, each `c >= 0`; x `[..., 6]`."""
    a, b, c, d, e, f = np.moveaxis(x, -1, 0)
    return {
        "f1": -(25 * (a - 2) ** 2 + (b - 2) ** 2 + (c - 1) ** 2 + (d - 4) ** 2 + (e - 1) ** 2),
        "f2": np.sum(x**2, axis=-1),
        "c1": a + b - 2,
        "c2": 6 - a - b,
        "c3": 2 + a - b,
        "c4": 2 - a + 3 * b,
        "c5": 4 - (c - 3) ** 2 - d,
        "c6": (e - 3) ** 2 + f - 4,
    }


def constr(x: Array) -> Mapping[str, Array]:
    """f1 = x1, f2 = (1 + x2) / x1, where x2 + 9 x1 >= 6 and 9 x1 - x2 >= 1."""
    a, b = x[..., 0], x[..., 1]
    return {"f1": a, "f2": (1 + b) / a, "c1": 9 * a + b - 6, "c2": 9 * a - b - 1}
