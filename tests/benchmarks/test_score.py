"""The score of a run, on cases that can be worked out by hand or by counting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import hpo
from benchmarks.problems.base import BenchProblem
from benchmarks.records import steps
from benchmarks.score import first_feasible, is_feasible, loss, losses, recommended_losses, unrolled

SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0)})
CHEAP = hpo.Problem(SPACE, [hpo.Objective("cost", goal="minimize"), hpo.Constraint("size", upper=2.0)])
GOOD = hpo.Problem(SPACE, [hpo.Objective("accuracy", goal="maximize")])
BOTH = hpo.Problem(
    SPACE,
    [hpo.Objective("cost", goal="minimize"), hpo.Objective("gain", goal="maximize"), hpo.Constraint("size", upper=2.0)],
)


def bench(problem: hpo.Problem, best: float, typical: float, **fields: Any) -> BenchProblem:
    def truth(params: Mapping[str, Any]) -> dict[str, float]:
        raise AssertionError("scores need no evaluation")

    return BenchProblem("p", "single", problem, truth, best, typical, 10, **fields)


MINIMIZED = bench(CHEAP, best=4.0, typical=8.0)


def test_the_loss_is_of_the_best_feasible_so_far() -> None:
    results = [
        {"cost": 1.0, "size": 2.5},
        {"cost": 7.0, "size": 2.0},
        None,
        {"cost": 3.0, "size": 2.1},
        {"cost": 5.0, "size": 1.0},
        {"cost": 6.0, "size": 1.0},
    ]
    assert losses(MINIMIZED, results) == [1.0, 0.75, 0.75, 0.75, 0.25, 0.25]
    assert first_feasible(CHEAP, results) == 2
    assert first_feasible(CHEAP, results[:1]) is None


def test_what_is_maximized_has_its_best_above() -> None:
    assert loss(bench(GOOD, best=1.0, typical=0.6), {"accuracy": 0.9}) == pytest.approx(0.25)


@pytest.mark.parametrize(("cost", "expected"), [(3.0, 0.0), (4.0, 0.0), (8.0, 1.0), (1e9, 1.0)])
def test_the_loss_stays_between_zero_and_one(cost: float, expected: float) -> None:
    assert loss(MINIMIZED, {"cost": cost, "size": 0.0}) == expected


def test_limits_are_inclusive() -> None:
    assert is_feasible(CHEAP, {"cost": 0.0, "size": 2.0})
    assert not is_feasible(CHEAP, {"cost": 0.0, "size": np.nextafter(2.0, 3.0)})


def test_several_objectives_leave_the_uncovered_share() -> None:
    """Rectangles above the reference point (cost 4, gain 0), added by hand; the front known best covers 12."""
    several = bench(BOTH, best=12.0, typical=0.0, reference=(4.0, 0.0))
    results = [
        {"cost": 2.0, "gain": 2.0, "size": 0.0},  # 2 x 2 = 4
        {"cost": 1.0, "gain": 9.0, "size": 3.0},  # not feasible
        None,
        {"cost": 3.0, "gain": 3.0, "size": 0.0},  # 1 x 1 more
        {"cost": 3.5, "gain": 2.5, "size": 0.0},  # dominated
        {"cost": 5.0, "gain": 9.0, "size": 0.0},  # beyond the reference point
        {"cost": 1.0, "gain": 4.0, "size": 0.0},  # dominates all: 3 x 4 = 12
    ]
    expected = [1 - 4 / 12, 1 - 4 / 12, 1 - 4 / 12, 1 - 5 / 12, 1 - 5 / 12, 1 - 5 / 12, 0.0]
    assert losses(several, results) == pytest.approx(expected)


def test_the_uncovered_share_by_counting_random_points() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((30, 2))
    results = [{"cost": a, "gain": b, "size": 0.0} for a, b in points]
    got = losses(bench(BOTH, best=1.0, typical=0.0, reference=(1.0, 0.0)), results)
    probe = rng.random((100_000, 2))
    for n in (1, 10, 30):
        covered = np.zeros(len(probe), dtype=bool)
        for a, b in points[:n]:
            covered |= (probe[:, 0] >= a) & (probe[:, 1] <= b)
        assert got[n - 1] == pytest.approx(1 - covered.mean(), abs=0.008)  # five standard errors


def test_the_uncovered_share_of_three_objectives_is_that_of_the_whole_front() -> None:
    from hpo.trials.pareto import hypervolume

    problem = hpo.Problem(SPACE, [hpo.Objective(name) for name in "abc"])
    points = np.random.default_rng(1).normal(size=(40, 3))
    got = losses(
        bench(problem, best=30.0, typical=0.0, reference=(-1.0, -1.0, -1.0)),
        [dict(zip("abc", row.tolist(), strict=True)) for row in points],
    )
    expected = [1 - hypervolume(points[:n], -np.ones(3)) / 30.0 for n in range(1, 41)]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_recommendations_are_carried_forward_and_may_become_worse() -> None:
    answers = [(2, {"cost": 5.0, "size": 0.0}), (4, {"cost": 6.0, "size": 0.0}), (5, None)]
    assert recommended_losses(MINIMIZED, answers, 6) == [1.0, 0.25, 0.25, 0.5, 1.0, 1.0]


def test_unrolling_undoes_the_steps() -> None:
    curve = [1.0, 1.0, 0.5, 0.5, 0.125, 0.25, 0.25]
    assert steps(curve) == ((3, 0.5), (5, 0.125), (6, 0.25))
    assert unrolled(steps(curve), 7).tolist() == curve
    assert unrolled((), 3).tolist() == [1.0, 1.0, 1.0]
