"""The problems against BoTorch's own copies, their published optima, and brute force."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmarks.first_feasible import feasible
from benchmarks.problems import BY_NAME, COST, SINGLE, TINY_FEASIBLE, BenchProblem
from benchmarks.problems.mixed import HARTMANN6_MIXED, LEVELS, MODES, hartmann6_mixed
from benchmarks.problems.synthetic import ACKLEY10, BRANIN, HARTMANN6, ackley
from benchmarks.score import is_feasible

BEST: dict[str, dict[str, Any]] = {
    "branin": {"x1": np.pi, "x2": 2.275},
    "hartmann6": dict(
        zip(
            HARTMANN6.problem.space.names,
            (0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730053),
            strict=True,
        )
    ),
    "ackley10": dict.fromkeys(ACKLEY10.problem.space.names, 0.0),
    "hartmann6_mixed": {
        "x1": 0.19687754555201883,
        "k2": 1,
        "x3": 0.49219542592160614,
        "k4": 1,
        "x5": 0.31280953282903956,
        "k6": 7,
        "mode": "plain",
    },
    "tension_spring": {"wire": 0.051689061, "coil": 0.356717738, "coils": 11.288965854},
    "speed_reducer": dict(
        zip(
            BY_NAME["speed_reducer"].problem.space.names,
            (3.5, 0.7, 17.0, 7.3, 7.8, 3.3502146657, 5.2866832292),
            strict=True,
        )
    ),
    "welded_beam": {"weld": 0.20572964, "length": 3.47048867, "height": 9.03662391, "width": 0.20572964},
}


def oracle(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from botorch.test_functions import synthetic
    return getattr(synthetic, name)


def points(bench: BenchProblem) -> tuple[np.ndarray, Any]:
    import torch

    x = bench.uniform(np.random.default_rng(1), 500)
    return x, torch.tensor(x, dtype=torch.float64)


@pytest.mark.parametrize(
    ("bench", "name", "arguments"),
    [
        (BRANIN, "Branin", {}),
        (HARTMANN6, "Hartmann", {"dim": 6}),
        (ACKLEY10, "Ackley", {"dim": 10, "bounds": [(-5.0, 10.0)] * 10}),
    ],
)
def test_functions_agree_with_botorch(bench: BenchProblem, name: str, arguments: dict[str, Any]) -> None:
    x, tensor = points(bench)
    theirs = oracle(name)(**arguments)
    np.testing.assert_allclose(bench.formula(x)["f"], theirs.evaluate_true(tensor).numpy(), rtol=1e-6)
    space = bench.problem.space.parameters.values()
    assert [(p.low, p.high) for p in space] == [tuple(b) for b in theirs.bounds.T.tolist()]  # type: ignore[union-attr]


CONSTRAINED = [
    ("tension_spring", "TensionCompressionString", {}),
    ("speed_reducer", "SpeedReducer", {}),
    # BoTorch 0.18 multiplies by 6 where the published buckling load divides by it.
    ("welded_beam", "WeldedBeamSO", {"buckling_load": 36.0}),
]


@pytest.mark.parametrize(("ours", "name", "factor"), CONSTRAINED)
def test_designs_agree_with_botorch(ours: str, name: str, factor: dict[str, float]) -> None:
    bench = BY_NAME[ours]
    x, tensor = points(bench)
    theirs = oracle(name)()
    values = bench.formula(x)
    objective = bench.problem.objectives[0].name
    np.testing.assert_allclose(values[objective], theirs.evaluate_true(tensor).numpy(), rtol=1e-9)
    slacks = []
    for constraint in bench.problem.constraints:
        value = values[constraint.name] * factor.get(constraint.name, 1.0)
        slacks += [constraint.upper - value] if constraint.upper is not None else []
        slacks += [value - constraint.lower] if constraint.lower is not None else []
    expected = list(theirs.evaluate_slack_true(tensor).numpy().T)
    assert len(slacks) == len(expected)
    for slack in slacks:
        gap = [np.max(np.abs(slack - other) / (1 + np.abs(other))) for other in expected]
        match = int(np.argmin(gap))
        assert gap[match] < 1e-6
        del expected[match]


@pytest.mark.parametrize("name", list(BEST))
def test_the_best_known_design_has_the_optimum(name: str) -> None:
    bench = BY_NAME[name]
    values = bench.evaluate(BEST[name], np.random.default_rng(0))
    objective = bench.problem.objectives[0].name
    assert values[objective] == pytest.approx(bench.optimum, rel=1e-6, abs=1e-9)
    for metric in bench.problem.constraints:
        lower, upper = metric.limits
        scale = max(abs(limit) for limit in (lower, upper, 1.0) if limit is not None)
        assert lower is None or values[metric.name] >= lower - 1e-6 * scale
        assert upper is None or values[metric.name] <= upper + 1e-6 * scale


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
    assert best == pytest.approx(HARTMANN6_MIXED.optimum, abs=1e-8)


@pytest.mark.parametrize("bench", SINGLE, ids=lambda b: b.name)
def test_no_random_point_beats_the_optimum(bench: BenchProblem) -> None:
    rng = np.random.default_rng(2)
    x = np.array([bench.array(params) for params in bench.problem.space.sample(rng, 2000)])
    assert bench.formula(x)["f"].min() > bench.optimum


@pytest.mark.parametrize("bench", TINY_FEASIBLE, ids=lambda b: b.name)
def test_feasible_shares_are_as_documented(bench: BenchProblem) -> None:
    documented = {"tension_spring": 0.0091, "speed_reducer": 0.0018, "welded_beam": 0.0010}[bench.name]
    n = 200_000
    x = bench.uniform(np.random.default_rng(3), n)
    met = feasible(bench, x)
    assert met.mean() < 0.01
    assert met.mean() == pytest.approx(documented, abs=5 * np.sqrt(documented / n) + 1e-4)
    assert (bench.formula(x[met])[bench.problem.objectives[0].name] > bench.optimum).all()
    names = bench.problem.space.names
    some = [*np.flatnonzero(met)[:5], *np.flatnonzero(~met)[:5]]
    for row in some:
        values = bench.evaluate(dict(zip(names, x[row].tolist(), strict=True)), np.random.default_rng(0))
        assert is_feasible(bench.problem, values) == met[row]


def test_the_spring_has_a_value_where_its_formula_has_a_pole() -> None:
    bench = BY_NAME["tension_spring"]
    middle = bench.problem.space.start()
    assert middle["wire"] == middle["coil"]
    assert all(np.isfinite(v) for v in bench.evaluate(middle, np.random.default_rng(0)).values())


def test_noise_comes_from_the_generator_given() -> None:
    import dataclasses

    bench = dataclasses.replace(BRANIN, noise=0.5)
    params = BRANIN.problem.space.start()
    exact = BRANIN.evaluate(params, np.random.default_rng(0))["f"]
    drawn = [bench.evaluate(params, np.random.default_rng(seed))["f"] - exact for seed in range(400)]
    assert bench.evaluate(params, np.random.default_rng(7))["f"] == exact + drawn[7]
    assert np.std(drawn) == pytest.approx(0.5, rel=0.2)  # five standard errors


def test_idle_dimensions_do_nothing() -> None:
    six, twenty = COST
    x = np.random.default_rng(4).random((50, 20))
    np.testing.assert_array_equal(six.formula(x[:, :6])["f"], twenty.formula(x)["f"])


def test_a_mixed_space_is_no_box() -> None:
    with pytest.raises(ValueError, match="k2"):
        HARTMANN6_MIXED.uniform(np.random.default_rng(0), 3)


def test_ackley_is_even_in_the_middle_of_its_wells() -> None:
    x = np.eye(10)
    np.testing.assert_allclose(ackley(x), ackley(-x), rtol=1e-12)
