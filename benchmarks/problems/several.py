"""Several objectives, all minimized: the hypervolume between the front found and a reference point.

The reference point is also the threshold of each objective, so that every contender is told what is of interest. Those of
the formulas are the ones of `botorch.test_functions.multi_objective` 0.18; `scales.json` says how each `best` was found.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import hpo
from benchmarks.problems.base import BenchProblem, Formula
from benchmarks.problems.formula import box, cube, from_formula, placed
from benchmarks.problems.several_functions import (
    branin_currin,
    car_side_impact,
    constr,
    dtlz2,
    osy,
    vehicle_safety,
    zdt1,
)
from benchmarks.problems.tables import tabular


def _several(
    name: str,
    space: hpo.Space,
    formula: Formula,
    reference: dict[str, float],
    budget: int,
    constraints: tuple[str, ...] = (),
) -> BenchProblem:
    objectives = [hpo.Objective(metric, goal="minimize", threshold=value) for metric, value in reference.items()]
    problem = hpo.Problem(space, [*objectives, *(hpo.Constraint(c, lower=0.0) for c in constraints)])
    bench = from_formula(name, "several", problem, formula, budget)
    return dataclasses.replace(bench, reference=tuple(reference.values()))


def _dtlz2(name: str, d: int, m: int) -> BenchProblem:
    """DTLZ2 with its front at a place that belongs to the name: as published it crosses the middle of the space, where
    some contenders begin."""
    formula = partial(dtlz2, m=m, center=placed(name, d - m + 1))
    return dataclasses.replace(_several(name, cube(d, 0.0, 1.0), formula, _same(m, 1.1), 60), edition=2)


def _same(m: int, value: float) -> dict[str, float]:
    return {f"f{i}": value for i in range(1, m + 1)}


CAR_SIDES = ((0.5, 1.5), (0.45, 1.35), (0.5, 1.5), (0.5, 1.5), (0.875, 2.625), (0.4, 1.2), (0.4, 1.2))
OSY_SIDES = ((0.0, 10.0), (0.0, 10.0), (1.0, 5.0), (0.0, 6.0), (1.0, 5.0), (0.0, 10.0))


def _sides(sides: tuple[tuple[float, float], ...]) -> hpo.Space:
    return box({f"x{j}": side for j, side in enumerate(sides, 1)})


FRONT_REFERENCE = {"val_loss": 0.35, "model_size": 290_000.0}
"""hpolib_protein_front: a tenth beyond the worst of the exact front, (0.317, 268,289); a quarter of the table is better."""

SEVERAL = (
    _several("branin_currin", cube(2, 0.0, 1.0), branin_currin, {"branin": 18.0, "currin": 6.0}, 30),
    _several("zdt1_6", cube(6, 0.0, 1.0), zdt1, _same(2, 11.0), 60),
    _dtlz2("dtlz2_6", d=6, m=3),
    _several(
        "vehicle_safety",
        cube(5, 1.0, 3.0),
        vehicle_safety,
        {"mass": 1864.72022, "acceleration": 11.81993945, "intrusion": 0.2903999384},
        60,
    ),
    _several(
        "car_side_impact",
        _sides(CAR_SIDES),
        car_side_impact,
        {"weight": 45.4872, "force": 4.5114, "velocity": 13.3394, "missed": 10.3942},
        60,
    ),
    _dtlz2("dtlz2_8_5", d=8, m=5),
    _several("osy", _sides(OSY_SIDES), osy, {"f1": -75.0, "f2": 75.0}, 60, ("c1", "c2", "c3", "c4", "c5", "c6")),
    _several("constr", box({"x1": (0.1, 10.0), "x2": (0.0, 5.0)}), constr, _same(2, 10.0), 30, ("c1", "c2")),
    tabular(
        "hpolib_protein_front",
        "several",
        "hpolib",
        "protein_structure",
        tuple(hpo.Objective(m, goal="minimize", threshold=v) for m, v in FRONT_REFERENCE.items()),
        reference=tuple(FRONT_REFERENCE.values()),
    ),
)
