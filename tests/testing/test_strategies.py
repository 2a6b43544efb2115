"""Each way of breaking the contract of strategies fails the test that forbids it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from hpo.errors import SpaceExhausted
from hpo.strategies import Random, Strategy, Suggestion
from hpo.testing.strategies import ENDINGS, SPACES, StrategyContract
from hpo.trials.deadline import TimeLimit
from hpo.trials.history import History

GENERATOR = np.random.default_rng()


def pick(history: History, u: float) -> list[Suggestion]:
    """The configuration at this place of each side."""
    space = history.problem.space
    return [Suggestion(space.at([u] * len(space)), {"role": "explore"})]


def endless(history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
    """What was tried already, where nothing else is left."""
    try:
        return Random().suggest(history, n, rng)
    except SpaceExhausted:
        return pick(history, 0.5)


def gives_up(history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
    """After three."""
    if len(history.trials) >= 3:
        raise SpaceExhausted("enough")
    return Random().suggest(history, n, rng)


def drawn(history: History, n: int, rng: np.random.Generator, draw: Callable[[], object]) -> list[Suggestion]:
    """As Random, and something else is drawn beside."""
    draw()
    return Random().suggest(history, n, rng)


WAYS: dict[str, Callable[[History, int, np.random.Generator], list[Suggestion]]] = {
    "outside": lambda h, n, rng: [Suggestion({"x": 1.5}, {"role": "explore"})],
    "repeated": lambda h, n, rng: pick(h, 0.5),
    "not of this history": lambda h, n, rng: Random().suggest(replace(h, trials=()), n, GENERATOR),
    "more than asked for": lambda h, n, rng: Random().suggest(h, n + 1, rng),
    "by the hash of a text": lambda h, n, rng: Random().suggest(h, n, np.random.default_rng(hash("text") % 2**31)),
    "by numpy's randomness": lambda h, n, rng: drawn(h, n, rng, np.random.rand),
    "by Python's randomness": lambda h, n, rng: drawn(h, n, rng, random.random),
    "in no known role": lambda h, n, rng: [replace(s, why={"role": "hunch"}) for s in Random().suggest(h, n, rng)],
    "endless": endless,
    "gives up": gives_up,
}


@dataclass(frozen=True)
class Bad:
    """Suggests in one of these ways."""

    way: str

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """As the way is."""
        return WAYS[self.way](history, n, rng)


@dataclass(frozen=True)
class Hasty(Random):
    """Good only where it has time."""

    def suggest_within(self, history: History, n: int, rng: np.random.Generator, limit: TimeLimit) -> list[Suggestion]:
        """Does not look what is taken."""
        return self.suggest(history, n, rng) if limit.model(0.1) else [Suggestion({}, {"role": "fallback"})]


@dataclass
class Mutable:
    """Can be changed."""

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """As Random."""
        return Random().suggest(history, n, rng)


@dataclass(frozen=True)
class Doubled(Random):
    """Not the same once it is stored and read."""

    values: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", 2 * self.values)


def contract(strategy: Strategy) -> StrategyContract:
    """As of somebody who wrote this strategy."""

    class Contract(StrategyContract):
        def make(self) -> Strategy:
            return strategy

    return Contract()


BROKEN: Sequence[tuple[Strategy, str, dict[str, Any]]] = [
    (Mutable(), "it_is_a_frozen_value", {}),
    (Doubled(), "its_settings_are_stored_and_read_again", {}),
    (
        Bad("outside"),
        "suggestions_are_inside_and_distinct_and_derived_again",
        {"space": SPACES["one side"], "seed": 0},
    ),
    (
        Bad("repeated"),
        "suggestions_are_inside_and_distinct_and_derived_again",
        {"space": SPACES["one side"], "seed": 0},
    ),
    (
        Bad("not of this history"),
        "suggestions_are_inside_and_distinct_and_derived_again",
        {"space": SPACES["one side"], "seed": 0},
    ),
    (Bad("gives up"), "it_goes_on_where_little_can_be_learned", {"ending": ENDINGS["all fail"]}),
    (Bad("in no known role"), "each_suggestion_says_why", {}),
    (Hasty(), "it_answers_where_there_is_no_time", {}),
    (Bad("not of this history"), "the_same_history_and_randomness_give_the_same_suggestions", {}),
    (Bad("more than asked for"), "the_same_history_and_randomness_give_the_same_suggestions", {}),
    (Bad("by the hash of a text"), "another_process_suggests_the_same", {}),
    (Bad("by numpy's randomness"), "it_moves_no_global_randomness", {}),
    (Bad("by Python's randomness"), "it_moves_no_global_randomness", {}),
    (Bad("endless"), "a_finite_space_is_given_out_until_nothing_is_left", {}),
    (Bad("gives up"), "a_finite_space_is_given_out_until_nothing_is_left", {}),
    (Bad("endless"), "where_all_was_tried_by_others_it_says_so", {}),
]


@pytest.mark.parametrize(
    ("strategy", "law", "given"), BROKEN, ids=[f"{strategy!r}-{law}" for strategy, law, _ in BROKEN]
)
def test_who_breaks_it_is_told(strategy: Strategy, law: str, given: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(contract(strategy), f"test_{law}")(**given)


def test_every_law_can_be_broken() -> None:
    laws = {name.removeprefix("test_") for name in vars(StrategyContract) if name.startswith("test_")}
    assert {law for _, law, _ in BROKEN} == laws
