"""Random keeps the contract, and draws as the space says."""

from __future__ import annotations

import numpy as np
import pytest

import hpo
from hpo.strategies import Random, Strategy
from hpo.testing.strategies import StrategyContract
from hpo.trials.history import History


class TestRandom(StrategyContract):
    def make(self) -> Strategy:
        return Random()


def test_a_log_scale_is_drawn_from_uniformly_in_the_logarithm() -> None:
    """As many in each decade: a deviation of 0.05 has a chance of 2 exp(-2 * 2000 * 0.05**2) < 1e-4 (DKW)."""
    problem = hpo.Problem(hpo.Space({"lr": hpo.Float(1e-5, 1.0, log=True)}), [hpo.Objective("y")])
    drawn = Random().suggest(History(problem, 0), 2000, np.random.default_rng(0))
    u = np.sort([1.0 + np.log10(s.params["lr"]) / 5.0 for s in drawn])
    assert np.abs(u - np.arange(2000) / 2000).max() < 0.05


def test_what_is_left_of_a_finite_space_is_drawn_without_repeats() -> None:
    problem = hpo.Problem(hpo.Space({"n": hpo.Int(1, 20)}), [hpo.Objective("y")])
    drawn = Random().suggest(History(problem, 0), 50, np.random.default_rng(3))
    assert sorted(s.params["n"] for s in drawn) == list(range(1, 21))
    assert [s.params["n"] for s in drawn] != list(range(1, 21)), "in random order"


def test_it_says_that_chance_chose() -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    (suggestion,) = Random().suggest(History(problem, 0), 1, np.random.default_rng(0))
    assert (suggestion.why, suggestion.fitted) == ({"role": "explore", "how": "drawn at random"}, {})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_randomness_is_the_one_given(seed: int) -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    history = History(problem, seed=99)
    one, same, other = (Random().suggest(history, 3, np.random.default_rng(s)) for s in (seed, seed, seed + 1))
    assert one == same
    assert one != other
