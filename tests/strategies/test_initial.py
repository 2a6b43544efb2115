"""The first configurations: the one in production, then one sequence per study that fills the space."""

from __future__ import annotations

import numpy as np
import pytest

import hpo
from hpo.bayes.optimize.halton import halton
from hpo.common.randomness import generator
from hpo.problem.space import key
from hpo.strategies import Bayesian
from hpo.strategies.initial import initial_design
from hpo.trials.history import History

SQUARE = hpo.Space({"a": hpo.Float(0, 1), "b": hpo.Float(0, 1)})
EVENLY = {"role": "initial", "how": "fills the space evenly"}


def history(space: hpo.Space, seed: int = 5) -> History:
    return History(hpo.Problem(space, [hpo.Objective("y")]), seed)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_middle_is_named_as_what_it_is() -> None:
    first, second = initial_design(history(SQUARE), 2, rng())
    assert first.params == {"a": 0.5, "b": 0.5}
    assert first.why == {"role": "initial", "how": "the middle of the space"}
    assert second.why == EVENLY


def test_the_rest_are_the_scrambled_halton_points_of_the_study_s_seed() -> None:
    designed = initial_design(history(SQUARE, seed=5), 9, rng())[1:]
    wanted = [SQUARE.at(u) for u in halton(8, 2, generator(5, "initial design"))]
    assert [s.params for s in designed] == wanted
    assert [s.params for s in initial_design(history(SQUARE, seed=6), 9, rng())[1:]] != wanted


def test_they_fill_the_space_more_evenly_than_chance() -> None:
    """Of 16 points in 16 equal squares, chance leaves 16 (15/16)^16 = 5.7 empty."""
    empty = []
    for seed in range(20):
        points = [s.params for s in initial_design(history(SQUARE, seed), 17, rng())[1:]]
        empty.append(16 - len({(int(4 * p["a"]), int(4 * p["b"])) for p in points}))
    assert np.mean(empty) < 4.0


def test_the_sequence_goes_on_after_what_is_taken() -> None:
    whole = initial_design(history(SQUARE), 6, rng())
    rest = initial_design(history(SQUARE), 4, rng(), taken={key(s.params) for s in whole[:2]})
    assert [s.params for s in rest] == [s.params for s in whole[2:]]


def test_by_default_what_the_history_has_is_taken() -> None:
    problem = hpo.Problem(SQUARE, [hpo.Objective("y")])
    study = hpo.open_study("i", problem, storage=":memory:", seed=5, strategy=Bayesian())
    first = study.ask(3)
    (fourth,) = initial_design(study.history, 1, rng())
    assert fourth.params == initial_design(history(SQUARE), 4, rng())[3].params
    assert fourth.params not in [t.params for t in first]


def test_points_that_a_constraint_forbids_are_passed_over() -> None:
    space = hpo.Space(dict(SQUARE.parameters), constraints=["a + b <= 1"])
    points = [space.at(u) for u in halton(40, 2, generator(5, "initial design"))]
    wanted = [p for p in points if p["a"] + p["b"] <= 1.0][:7]
    assert [s.params for s in initial_design(history(space), 8, rng())[1:]] == wanted


def test_where_everything_is_taken_it_says_so() -> None:
    space = hpo.Space({"i": hpo.Int(1, 3)})
    everything = {key(params) for params in space.enumerate()}
    with pytest.raises(hpo.SpaceExhausted, match=r"^all 3 configurations of the space have been tried"):
        initial_design(history(space), 1, rng(), taken=everything)


def test_the_production_configuration_comes_first() -> None:
    space = hpo.Space({"a": hpo.Float(0, 1, default=0.9), "b": hpo.Int(1, 9, default=2)})
    s = hpo.open_study("d", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=1)
    first, second = s.ask(2)
    assert first.params == {"a": 0.9, "b": 2}
    assert first.why == {"role": "initial", "how": "the configuration in production"}
    assert second.params != first.params


def test_where_little_is_allowed_the_initial_design_is_filled_up_by_chance() -> None:
    space = hpo.Space({name: hpo.Float(0, 1) for name in "abcdef"}, ["a + b + c + d <= 0.02"])
    s = hpo.open_study("narrow", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=1)
    batch = s.ask(8)
    assert len({t.key for t in batch}) == 8
    assert all(space.contains(t.params) and t.why["role"] == "initial" for t in batch)
    assert s.replay().is_identical


def test_a_batch_of_initial_configurations_takes_what_is_left() -> None:
    space = hpo.Space({"i": hpo.Int(1, 5)})
    s = hpo.open_study("few", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=1)
    assert sorted(t.params["i"] for t in s.ask(8)) == [1, 2, 3, 4, 5]
    with pytest.raises(hpo.SpaceExhausted):
        s.ask(8)
