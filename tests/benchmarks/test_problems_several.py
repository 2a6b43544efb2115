"""Several objectives: formulas against BoTorch's copies, hypervolumes against analytic and published ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from benchmarks.problems import BY_NAME, FAMILIES
from benchmarks.problems.base import Array
from benchmarks.problems.formula import limits, placed, uniform
from benchmarks.problems.front import crowding, non_dominated, sampled_hypervolume, search, survivors
from benchmarks.problems.scales import ANALYTIC
from benchmarks.problems.several_functions import (
    branin_currin,
    car_side_impact,
    constr,
    dtlz2,
    osy,
    vehicle_safety,
    zdt1,
)
from benchmarks.problems.table import is_installed, table
from hpo.trials.pareto import hypervolume, is_non_dominated


def oracle(name: str, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from botorch.test_functions import multi_objective
    return getattr(multi_objective, name)(**arguments)


CASES = [
    ("branin_currin", branin_currin, "BraninCurrin", {}),
    ("zdt1_6", zdt1, "ZDT1", {"dim": 6}),
    ("dtlz2_6", partial(dtlz2, m=3), "DTLZ2", {"dim": 6, "num_objectives": 3}),
    ("dtlz2_8_5", partial(dtlz2, m=5), "DTLZ2", {"dim": 8, "num_objectives": 5}),
    ("vehicle_safety", vehicle_safety, "VehicleSafety", {}),
    ("car_side_impact", car_side_impact, "CarSideImpact", {}),
    ("osy", osy, "OSY", {}),
    ("constr", constr, "CONSTR", {}),
]


@pytest.mark.parametrize(("name", "formula", "theirs", "arguments"), CASES)
def test_functions_agree_with_botorch(name: str, formula: Any, theirs: str, arguments: Mapping[str, int]) -> None:
    import torch

    bench, other = BY_NAME[name], oracle(theirs, **arguments)
    x = uniform(bench.problem.space, np.random.default_rng(1), 300)
    tensor = torch.tensor(x, dtype=torch.float64)
    values = formula(x)
    Y = np.stack([values[o.name] for o in bench.problem.objectives], axis=1)
    np.testing.assert_allclose(Y, other.evaluate_true(tensor).numpy(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(np.stack(limits(bench.problem.space)), other.bounds.numpy())
    assert bench.reference == pytest.approx(other._ref_point)
    if bench.problem.constraints:
        C = np.stack([values[c.name] for c in bench.problem.constraints], axis=1)
        np.testing.assert_allclose(C, other.evaluate_slack_true(tensor).numpy(), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("branin_currin", "BraninCurrin"), ("vehicle_safety", "VehicleSafety"), ("car_side_impact", "CarSideImpact")],
)
def test_the_fronts_reach_the_published_hypervolume(name: str, theirs: str) -> None:
    """BoTorch's are of approximate fronts too, so ours may be a little larger."""
    published = oracle(theirs)._max_hv
    assert 0.995 * published < BY_NAME[name].best < 1.03 * published


def test_analytic_hypervolumes() -> None:
    """A dense front of each, by slicing in two and three dimensions and by sampling in five."""
    f1 = np.linspace(0, 1, 4000)
    zdt = np.stack([f1, 1 - np.sqrt(f1)], axis=1)
    assert hypervolume(-zdt, np.array([-11.0, -11.0])) == pytest.approx(ANALYTIC["zdt1_6"], rel=1e-4)
    rng = np.random.default_rng(2)
    for name, m in (("dtlz2_6", 3), ("dtlz2_8_5", 5)):
        points = rng.random((400_000, m)) * 1.1
        share = np.mean(np.sum(points**2, axis=1) >= 1)
        error = 1.1**m * np.sqrt(share * (1 - share) / len(points))
        assert 1.1**m * share == pytest.approx(ANALYTIC[name], abs=4 * error)
        assert BY_NAME[name].best == ANALYTIC[name]


@pytest.mark.parametrize(("name", "m"), [("dtlz2_6", 3), ("dtlz2_8_5", 5)])
def test_the_front_of_dtlz2_lies_away_from_the_middle(name: str, m: int) -> None:
    truth = BY_NAME[name].truth
    d = len(BY_NAME[name].problem.space)
    middle = dict.fromkeys([f"x{j}" for j in range(1, d + 1)], 0.5)
    place = {f"x{j}": float(u) for j, u in enumerate(placed(name, d - m + 1), m)}

    def radius(params: Mapping[str, float]) -> float:
        return float(np.linalg.norm(list(truth(params).values())))

    assert radius({**middle, **place}) == pytest.approx(1.0)
    assert radius(middle) > 1.04
    assert radius({**middle, **place, "x1": 0.9}) == pytest.approx(1.0)


def test_the_front_of_constr_is_known() -> None:
    """x2 as small as the limits allow, on a grid of x1."""
    grid = np.concatenate([np.linspace(7 / 18, 1, 1000), np.geomspace(1, 10, 500)])
    params = np.stack([grid, np.clip(6 - 9 * grid, 0, None)], axis=1)
    values = constr(params)
    assert min(values["c1"].min(), values["c2"].min()) > -1e-9
    covered = hypervolume(-np.stack([values["f1"], values["f2"]], axis=1), np.array([-10.0, -10.0]))
    assert covered < BY_NAME["constr"].best == pytest.approx(covered, rel=1e-3)


def test_the_front_of_osy_is_the_published_one() -> None:
    """Its five pieces: K. Deb, "Multi-Objective Optimization using Evolutionary Algorithms" (2001), section 8.3."""
    t = np.linspace(0, 1, 300)
    zero, one, five = np.zeros(300), np.ones(300), np.full(300, 5.0)
    x1 = 4.056 + 0.944 * t
    pieces = [
        [five, one, 1 + 4 * t, zero, five, zero],
        [five, one, 1 + 4 * t, zero, one, zero],
        [x1, (x1 - 2) / 3, one, zero, one, zero],
        [zero, 2 * one, 1 + 2.732 * t, zero, one, zero],
        [t, 2 - t, one, zero, one, zero],
    ]
    values = osy(np.concatenate([np.stack(piece, axis=1) for piece in pieces]))
    bench = BY_NAME["osy"]
    assert min(values[c.name].min() for c in bench.problem.constraints) > -1e-9
    published = hypervolume(-np.stack([values["f1"], values["f2"]], axis=1), -np.array(bench.reference))
    assert bench.best == pytest.approx(published, rel=1e-3)


@pytest.mark.skipif(not is_installed(), reason="needs the extra `bench`")
def test_the_front_of_the_table_by_sorting() -> None:
    """Walk the table by loss: each new least size is a step of the front, and adds its rectangle."""
    bench = BY_NAME["hpolib_protein_front"]
    loss, size = (table("hpolib", "protein_structure").values[o.name][:, 0] for o in bench.problem.objectives)
    worst_loss, least = bench.reference
    volume = 0.0
    for i in np.lexsort((size, loss)):
        if size[i] < least and loss[i] < worst_loss:
            volume += (worst_loss - loss[i]) * (least - size[i])
            least = size[i]
    assert bench.best == pytest.approx(volume)


@pytest.mark.parametrize("name", [n for n in FAMILIES["several"] if n != "hpolib_protein_front"])
def test_random_points_cover_less_than_the_best(name: str) -> None:
    bench = BY_NAME[name]
    found = []
    for params in bench.problem.space.sample(np.random.default_rng(4), 60):
        values = bench.truth(params)
        if all(values[c.name] >= 0 for c in bench.problem.constraints):
            found.append([-values[o.name] for o in bench.problem.objectives])
    assert hypervolume(np.array(found).reshape(-1, len(bench.reference)), -np.array(bench.reference)) < bench.best


# -- the search ------------------------------------------------------------------------------------------------------


def test_the_search_finds_a_known_front() -> None:
    def evaluate(X: Array) -> tuple[Array, Array]:
        return np.stack(list(zdt1(X).values()), axis=1), np.zeros(len(X))

    front = search(evaluate, 6, size=60, generations=120)
    assert hypervolume(-front, np.array([-11.0, -11.0])) == pytest.approx(ANALYTIC["zdt1_6"], rel=1e-3)


def test_the_search_keeps_to_the_limits() -> None:
    def evaluate(X: Array) -> tuple[Array, Array]:
        return X, np.maximum(0, 0.5 - X.sum(axis=1))

    front = search(evaluate, 2, size=40, generations=60)
    assert front.sum(axis=1).min() >= 0.5
    assert front.sum(axis=1).max() < 0.52


def test_survivors_are_the_best_ranks_and_the_least_crowded() -> None:
    Y = np.array([[0.0, 3.0], [1.0, 1.0], [1.1, 0.95], [3.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    violation = np.array([0, 0, 0, 0, 0, 1.0])
    assert set(survivors(Y, violation, 4)) == {0, 1, 2, 3}
    assert {0, 3} <= set(survivors(Y, violation, 3))
    assert 5 not in survivors(Y, violation, 5)
    assert np.isinf(crowding(Y[:4])[[0, 3]]).all()


def test_domination_and_sampled_volumes_agree_with_the_library() -> None:
    Y = np.random.default_rng(5).random((60, 3))
    assert non_dominated(Y, chunk=7).tolist() == is_non_dominated(-Y).tolist()
    volume, error = sampled_hypervolume(Y, np.ones(3), 100_000)
    assert volume == pytest.approx(hypervolume(-Y, -np.ones(3)), abs=4 * error)
