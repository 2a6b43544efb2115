"""Sobol keeps the contract, and gives the points of one scrambled sequence per study."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

import hpo
from hpo.problem.space import key
from hpo.strategies import Sobol, Strategy
from hpo.testing.strategies import StrategyContract

SQUARE = {"a": hpo.Float(0.0, 1.0), "b": hpo.Float(0.0, 1.0)}


class TestSobol(StrategyContract):
    def make(self) -> Strategy:
        return Sobol()


def opened(space: hpo.Space, seed: int = 0) -> hpo.Study:
    return hpo.open_study(
        "s", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=seed, strategy=Sobol()
    )


# Parameters keep nine digits of their range.


def test_points_are_those_of_the_sequence_of_the_study_s_seed() -> None:
    trials = opened(hpo.Space(SQUARE), seed=7).ask(16)
    wanted = qmc.Sobol(2, scramble=True, rng=np.random.default_rng(7)).random(16)
    np.testing.assert_allclose([[t.params["a"], t.params["b"]] for t in trials], wanted, atol=1e-9)
    assert {t.why["how"] for t in trials} == {"next point of the Sobol sequence"}


def test_the_sequence_goes_on_from_ask_to_ask() -> None:
    study = opened(hpo.Space(SQUARE))
    one_by_one = [study.ask().params for _ in range(8)]
    assert one_by_one == [t.params for t in opened(hpo.Space(SQUARE)).ask(8)]


def test_every_eighth_of_a_side_has_one_of_eight_points() -> None:
    """A net in base 2, as far as one side sees."""
    trials = opened(hpo.Space(SQUARE), seed=3).ask(8)
    for name in SQUARE:
        assert sorted(int(8 * t.params[name]) for t in trials) == list(range(8))


def test_points_that_a_constraint_forbids_are_passed_over() -> None:
    study = opened(hpo.Space(SQUARE, constraints=["a + b <= 1"]))
    points = qmc.Sobol(2, scramble=True, rng=np.random.default_rng(0)).random(64)
    wanted = [tuple(point) for point in points if point.sum() <= 1.0][:8]
    np.testing.assert_allclose([(t.params["a"], t.params["b"]) for t in study.ask(8)], wanted, atol=1e-9)


def test_sobol_fills_a_batch_where_constraints_are_narrow() -> None:
    """A thousandth of the square: the sequence gives little of it, chance the rest."""
    sides = {"a": hpo.Float(0.0, 1.0), "b": hpo.Float(0.0, 1.0)}
    space = hpo.Space(sides, constraints=["a - b <= 0.0005", "a - b >= -0.0005"])
    study = hpo.open_study("s", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=0, strategy=Sobol())
    trials = study.ask(8)
    assert len({key(t.params) for t in trials}) == 8
    assert {t.why["role"] for t in trials} == {"explore", "fallback"}
