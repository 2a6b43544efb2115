"""One objective that is measured with noise; no standard error is told. Scored by the truth of what is recommended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem, Outcome
from benchmarks.problems.formula import Report, cube, from_formula, minimized, of_f
from benchmarks.problems.functions import branin, hartmann6, levy, rosenbrock
from benchmarks.problems.mixed import HARTMANN6_MIXED_SPACE, hartmann6_mixed
from benchmarks.problems.single import BRANIN_SPACE, HARTMANN6_SPACE, optimum, shifted
from benchmarks.problems.tables import one_repeat, tabular


def normal(sd: float) -> Report:
    """A report with a normal error of standard deviation `sd`, the same everywhere."""

    def report(_params: Mapping[str, Any], values: dict[str, float], rng: np.random.Generator) -> Outcome:
        return Outcome({name: value + float(rng.normal(scale=sd)) for name, value in values.items()})

    return report


def log_normal(sd: float) -> Report:
    """A report multiplied by exp(sd z - sd^2 / 2), z standard normal: right on average, noisiest where it is worst."""

    def report(_params: Mapping[str, Any], values: dict[str, float], rng: np.random.Generator) -> Outcome:
        factor = float(np.exp(sd * rng.normal() - sd**2 / 2))
        return Outcome({name: value * factor for name, value in values.items()})

    return report


def _noisy(
    name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int, report: Report
) -> BenchProblem:
    return from_formula(name, "noisy", minimized(space), of_f(function), budget, report)


_LEVY4 = cube(4, -10.0, 10.0)

NOISY = (
    # Hartmann6 reaches from -3.3 to 0 with a standard deviation of 0.4 over the cube.
    _noisy("hartmann6_noisy", HARTMANN6_SPACE, hartmann6, 60, normal(0.15)),
    _noisy("hartmann6_very_noisy", HARTMANN6_SPACE, hartmann6, 60, normal(0.5)),
    _noisy("levy4_noisy", _LEVY4, shifted(lambda z: levy(z + 1), optimum("levy4_noisy", _LEVY4)), 40, normal(2.0)),
    _noisy("rosenbrock4_heteroscedastic", cube(4, -5.0, 10.0), rosenbrock, 40, log_normal(0.3)),
    _noisy("branin_noisy", BRANIN_SPACE, branin, 30, normal(2.0)),
    _noisy("hartmann6_mixed_noisy", HARTMANN6_MIXED_SPACE, hartmann6_mixed, 60, normal(0.15)),
    tabular(
        "hpobench_credit_g_noisy",
        "noisy",
        "hpobench",
        "credit_g",
        repeat="mean",
        report=one_repeat("hpobench", "credit_g"),
    ),
    tabular(
        "hpobench_australian_noisy",
        "noisy",
        "hpobench",
        "australian",
        repeat="mean",
        report=one_repeat("hpobench", "australian"),
    ),
)
