"""Four engineering designs under limits.

Formulas, limits and boxes as published; the limits keep their units. The share of the box that is feasible was counted
over 10^6 uniform points (tests count it again over fewer):

    tension spring   0.91 %      speed reducer   0.18 %      welded beam   0.10 %      pressure vessel   16.8 %

Spring, beam and vessel: C. A. Coello Coello, E. Mezura-Montes, "Constraint-handling in genetic algorithms through the
use of dominance-based tournament selection", Advanced Engineering Informatics 16 (2002); the spring's wider box from
A.-R. Hedar, M. Fukushima, "Derivative-free filter simulated annealing method for constrained continuous global
optimization", Journal of Global Optimization 35 (2006). Speed reducer: A. C. C. Lemonge, H. J. C. Barbosa, C. C. H.
Borges, F. B. S. Silva, "Constrained optimization problems in mechanical engineering design using a real-coded
steady-state genetic algorithm", Mecánica Computacional 29 (2010), all seven variables real.

The pressure vessel is that of Coello and Mezura-Montes with real thicknesses: the published 6059.9 holds for multiples of
0.0625 only. Its box is that of BoTorch's copy (which rounds the thicknesses in the cost and not in the limits).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.problems.base import Array

POLE = 100.0
"""The spring's formula for the shear stress divides by (coil - wire) diameter; above this it is cut off, so that the
diagonal of the box has a value."""


def tension_spring(x: Array) -> Mapping[str, Array]:
    """Weight of a coil spring with wire diameter d, coil diameter D and N active coils, x = (d, D, N) `[..., 3]`."""
    d, D, N = np.moveaxis(x, -1, 0)
    with np.errstate(divide="ignore"):
        shear = (4 * D**2 - d * D) / (12566 * d**3 * (D - d)) + 1 / (5108 * d**2)
    return {
        "weight": d**2 * D * (N + 2),
        "deflection": D**3 * N / (71785 * d**4),
        "shear_stress": np.minimum(shear, POLE),
        "surge_frequency": 140.45 * d / (N * D**2),
        "outer_diameter": (d + D) / 1.5,
    }


def speed_reducer(x: Array) -> Mapping[str, Array]:
    """Weight of a gearbox, x `[..., 7]` = (face width, module, teeth, two shaft lengths, two shaft diameters)."""
    b, m, z, l1, l2, d1, d2 = np.moveaxis(x, -1, 0)
    return {
        "weight": 0.7854 * b * m**2 * (3.3333 * z**2 + 14.9334 * z - 43.0934)
        - 1.508 * b * (d1**2 + d2**2)
        + 7.4777 * (d1**3 + d2**3)
        + 0.7854 * (l1 * d1**2 + l2 * d2**2),
        "bending_stress": 27 / (b * m**2 * z),
        "contact_stress": 397.5 / (b * m**2 * z**2),
        "deflection_1": 1.93 * l1**3 / (m * z * d1**4),
        "deflection_2": 1.93 * l2**3 / (m * z * d2**4),
        "shaft_stress_1": np.sqrt((745 * l1 / (m * z)) ** 2 + 16.9e6) / (0.1 * d1**3),
        "shaft_stress_2": np.sqrt((745 * l2 / (m * z)) ** 2 + 157.5e6) / (0.1 * d2**3),
        "gear_size": m * z,
        "width_ratio": b / m,
        "shaft_ratio_1": (1.5 * d1 + 1.9) / l1,
        "shaft_ratio_2": (1.1 * d2 + 1.9) / l2,
    }


def welded_beam(x: Array) -> Mapping[str, Array]:
    """Cost of a welded beam, x `[..., 4]` = (weld thickness h, weld length l, bar height t, bar width b) in inches.

    The buckling load is the published 4.013 E sqrt(t^2 b^6 / 36) / L^2 (1 - t/(2L) sqrt(E/(4G))), with which the
    best published design lies on its limit.
    """
    h, length, t, b = np.moveaxis(x, -1, 0)
    P, L, E, G = 6000.0, 14.0, 30e6, 12e6
    M = P * (L + length / 2)
    R = np.sqrt(length**2 / 4 + ((h + t) / 2) ** 2)
    J = 2 * np.sqrt(2) * h * length * (length**2 / 12 + ((h + t) / 2) ** 2)
    primary, secondary = P / (np.sqrt(2) * h * length), M * R / J
    cost = 1.10471 * h**2 * length + 0.04811 * t * b * (14 + length)
    return {
        "cost": cost,
        "shear_stress": np.sqrt(primary**2 + primary * secondary * length / R + secondary**2),
        "bending_stress": 6 * P * L / (b * t**2),
        "weld_overhang": h - b,
        "material_cost": 0.10471 * h**2 + 0.04811 * t * b * (14 + length),
        "deflection": 4 * P * L**3 / (E * t**3 * b),
        "buckling_load": 4.013 * E * t * b**3 / 6 / L**2 * (1 - t / (4 * L) * np.sqrt(E / G)),
    }


def pressure_vessel(x: Array) -> Mapping[str, Array]:
    """Cost of a cylinder with two half spheres, x `[..., 4]` = (thickness of shell and of head, inner radius, length)."""
    shell, head, r, length = np.moveaxis(x, -1, 0)
    return {
        "cost": 0.6224 * shell * r * length + 1.7781 * head * r**2 + 3.1661 * shell**2 * length + 19.84 * shell**2 * r,
        "shell_margin": shell - 0.0193 * r,
        "head_margin": head - 0.00954 * r,
        "volume": np.pi * r**2 * length + 4 / 3 * np.pi * r**3,
        "length_limit": length,
    }
