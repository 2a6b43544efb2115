"""Proposals that differ from all that is known: first come, none twice, and what is left of a finite space."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import SpaceExhausted
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.space import Params, Space, key
from hpo.trials.suggestion import Suggestion, distinct, exhausted, missing, random_distinct

TEN = Space({"n": Int(0, 9)})
SMALL = st.integers(0, 9).map(lambda n: {"n": n})


def keys(points: list[Params]) -> list[str]:
    return [key(p) for p in points]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.lists(SMALL), st.sets(SMALL.map(key)), st.integers(0, 6))
def test_the_first_that_are_neither_taken_nor_repeated(proposals: list[Params], taken: set[str], n: int) -> None:
    fresh = [p for i, p in enumerate(proposals) if key(p) not in taken and p not in proposals[:i]]
    assert distinct(iter(proposals), taken, n) == fresh[:n]


def test_no_more_are_looked_at_than_needed() -> None:
    endless = ({"n": i} for i in itertools.count())
    assert distinct(endless, {key({"n": 1})}, 3) == [{"n": 0}, {"n": 2}, {"n": 3}]
    assert next(endless) in ({"n": 4}, {"n": 5})


@given(st.sets(st.integers(0, 9), max_size=9), st.integers(1, 12), st.integers(0, 99))
def test_of_a_finite_space_all_that_is_left_can_be_had(used: set[int], n: int, seed: int) -> None:
    taken = {key({"n": i}) for i in used}
    got = [p["n"] for p in random_distinct(TEN, taken, n, rng(seed))]
    assert len(got) == len(set(got)) == min(n, 10 - len(used))
    assert not set(got) & used


def test_what_is_left_of_a_finite_space_is_drawn_uniformly() -> None:
    taken = {key({"n": i}) for i in (0, 3, 4)}
    got = [random_distinct(TEN, taken, 1, rng(seed))[0]["n"] for seed in range(700)]
    counts = np.bincount(got, minlength=10)
    assert counts[[0, 3, 4]].tolist() == [0, 0, 0]
    assert np.abs(np.delete(counts, [0, 3, 4]) - 100).max() < 40  # 4.3 standard deviations


def test_where_draws_keep_hitting_what_is_taken_the_space_is_listed() -> None:
    """Twelve switches, each there while the one before is on: one draw in 4096 comes to the many values behind them."""
    names = [f"s{i}" for i in range(12)]
    conditions = [{}, *({name: [1]} for name in names)]
    switches = {n: Categorical([0, 1], active_if=when) for n, when in zip(names, conditions, strict=False)}
    space = Space({**switches, "n": Int(0, 9999, active_if=conditions[-1])})
    taken = {key({n: int(n != names[i]) for n in names[: i + 1]}) for i in range(12)}
    assert [p["n"] for p in random_distinct(space, taken, 3, rng())] == [0, 1, 2]


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(0, 99))
def test_of_a_continuous_space_as_many_as_wanted_are_drawn(n: int, seed: int) -> None:
    space = Space({"x": Float(0, 1), "k": Categorical(["a", "b"])})
    got = random_distinct(space, set(), n, rng(seed))
    assert len(set(keys(got))) == n
    assert all(map(space.contains, got))
    again = random_distinct(space, set(keys(got[:1])), n, rng(seed))
    assert got[0] not in again
    assert len(again) == n


def test_nothing_left_is_said_with_what_to_do() -> None:
    taken = {key({"n": i}) for i in range(10)}
    with pytest.raises(SpaceExhausted) as caught:
        random_distinct(TEN, taken, 1, rng())
    assert str(caught.value) == (
        "all 10 configurations of the space have been tried or are in flight. "
        "Widen the space, or enqueue a configuration again to measure its noise"
    )
    assert str(exhausted(10)) == str(caught.value)


def test_enough_points_need_no_more() -> None:
    assert missing([{"n": 1}], TEN, set(), 1, rng()) == []


def test_missing_points_are_made_up_and_repeat_none() -> None:
    given_, taken = [{"n": 1}, {"n": 2}], {key({"n": i}) for i in range(3, 7)}
    got = missing(given_, TEN, taken, 4, rng())
    assert len(got) == 2
    assert {p["n"] for p in got} <= {0, 7, 8, 9}


def test_where_fewer_are_left_they_are_all_there_is() -> None:
    taken = {key({"n": i}) for i in range(2, 10)}
    assert missing([{"n": 1}], TEN, taken, 4, rng()) == [{"n": 0}]
    assert missing([{"n": 0}, {"n": 1}], TEN, taken, 4, rng()) == []
    with pytest.raises(SpaceExhausted, match="all 10 configurations"):
        missing([], TEN, taken | {key({"n": 0}), key({"n": 1})}, 4, rng())


def test_a_suggestion_without_a_fit_holds_none() -> None:
    assert Suggestion({"n": 1}, {"role": "explore"}).fitted == {}
