"""One objective under limits: evaluations to the first feasible point, and the best feasible value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem, Formula
from benchmarks.problems.designs import pressure_vessel, speed_reducer, tension_spring, welded_beam
from benchmarks.problems.formula import box, cube, from_formula
from benchmarks.problems.functions import ackley
from benchmarks.problems.tables import hpolib_limited

GARDNER_BOX = {"x": (0.0, 6.0), "y": (0.0, 6.0)}


def gardner1(x: Array) -> Mapping[str, Array]:
    """Minimize cos 2x cos y + sin x, where cos x cos y - sin x sin y <= 0.5: half of the square is feasible.

    J. R. Gardner, M. J. Kusner, Z. Xu, K. Q. Weinberger, J. P. Cunningham, "Bayesian optimization with inequality
    constraints", ICML (2014), section 4, simulation 1.
    """
    a, b = x[..., 0], x[..., 1]
    return {
        "f": np.cos(2 * a) * np.cos(b) + np.sin(a),
        "c": np.cos(a) * np.cos(b) - np.sin(a) * np.sin(b),
    }


def gardner2(x: Array) -> Mapping[str, Array]:
    """Minimize sin x + y, where sin x sin y <= -0.95: two small islands are feasible (simulation 2 of the same paper)."""
    a, b = x[..., 0], x[..., 1]
    return {"f": np.sin(a) + b, "c": np.sin(a) * np.sin(b)}


def ackley_ball10(x: Array) -> Mapping[str, Array]:
    """Ackley in the half ball sum x <= 0, |x| <= 5: 2 in 100,000 points of the box are feasible.

    D. Eriksson, M. Poloczek, "Scalable constrained Bayesian optimization", AISTATS (2021), section 4.2. The optimum, 0 at
    the origin, lies on the first limit and at a third of each side of the box.
    """
    return {"f": ackley(x), "total": np.sum(x, axis=-1), "radius": np.linalg.norm(x, axis=-1)}


def _problem(
    name: str, space: hpo.Space, formula: Formula, objective: str, limits: Sequence[hpo.Constraint], budget: int
) -> BenchProblem:
    problem = hpo.Problem(space, [hpo.Objective(objective, goal="minimize"), *limits])
    return from_formula(name, "constrained", problem, formula, budget)


CONSTRAINED = (
    _problem(
        "tension_spring",
        box({"wire": (0.01, 1.0), "coil": (0.01, 1.0), "coils": (0.01, 20.0)}),
        tension_spring,
        "weight",
        [
            hpo.Constraint("deflection", lower=1.0),
            hpo.Constraint("shear_stress", upper=1.0),
            hpo.Constraint("surge_frequency", lower=1.0),
            hpo.Constraint("outer_diameter", upper=1.0),
        ],
        40,
    ),
    _problem(
        "speed_reducer",
        box(
            {
                "face_width": (2.6, 3.6),
                "module": (0.7, 0.8),
                "teeth": (17.0, 28.0),
                "shaft_length_1": (7.3, 8.3),
                "shaft_length_2": (7.8, 8.3),
                "shaft_diameter_1": (2.9, 3.9),
                "shaft_diameter_2": (5.0, 5.5),
            }
        ),
        speed_reducer,
        "weight",
        [
            hpo.Constraint("bending_stress", upper=1.0),
            hpo.Constraint("contact_stress", upper=1.0),
            hpo.Constraint("deflection_1", upper=1.0),
            hpo.Constraint("deflection_2", upper=1.0),
            hpo.Constraint("shaft_stress_1", upper=1100.0),
            hpo.Constraint("shaft_stress_2", upper=850.0),
            hpo.Constraint("gear_size", upper=40.0),
            hpo.Constraint("width_ratio", lower=5.0, upper=12.0),
            hpo.Constraint("shaft_ratio_1", upper=1.0),
            hpo.Constraint("shaft_ratio_2", upper=1.0),
        ],
        60,
    ),
    _problem(
        "welded_beam",
        box({"weld": (0.125, 10.0), "length": (0.1, 10.0), "height": (0.1, 10.0), "width": (0.1, 10.0)}),
        welded_beam,
        "cost",
        [
            hpo.Constraint("shear_stress", upper=13600.0, unit="psi"),
            hpo.Constraint("bending_stress", upper=30000.0, unit="psi"),
            hpo.Constraint("weld_overhang", upper=0.0, unit="in"),
            hpo.Constraint("material_cost", upper=5.0),
            hpo.Constraint("deflection", upper=0.25, unit="in"),
            hpo.Constraint("buckling_load", lower=6000.0, unit="lb"),
        ],
        40,
    ),
    _problem(
        "pressure_vessel",
        box({"shell": (0.0, 10.0), "head": (0.0, 10.0), "radius": (10.0, 50.0), "length": (150.0, 200.0)}),
        pressure_vessel,
        "cost",
        [
            hpo.Constraint("shell_margin", lower=0.0, unit="in"),
            hpo.Constraint("head_margin", lower=0.0, unit="in"),
            hpo.Constraint("volume", lower=1296000.0, unit="in^3"),
            hpo.Constraint("length_limit", upper=240.0, unit="in"),
        ],
        40,
    ),
    _problem("gardner1", box(GARDNER_BOX), gardner1, "f", [hpo.Constraint("c", upper=0.5)], 30),
    _problem("gardner2", box(GARDNER_BOX), gardner2, "f", [hpo.Constraint("c", upper=-0.95)], 30),
    _problem(
        "ackley_ball10",
        cube(10, -5.0, 10.0),
        ackley_ball10,
        "f",
        [hpo.Constraint("total", upper=0.0), hpo.Constraint("radius", upper=5.0)],
        60,
    ),
    hpolib_limited("hpolib_protein_10", "protein_structure"),
    hpolib_limited("hpolib_naval_10", "naval_propulsion"),
    hpolib_limited("hpolib_protein_50", "protein_structure"),
)
