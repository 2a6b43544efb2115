"""Errors say everything, travel between processes, and name the word that was probably meant. Their tree: tests/house."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo import errors
from hpo.errors import (
    ConnectionLost,
    DefinitionChanged,
    DefinitionError,
    HpoError,
    SpaceError,
    TrialFailed,
    did_you_mean,
    listing,
    misspelt,
)

EVERY = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, HpoError)]
NAMES = st.lists(st.text("abcXYZ_", min_size=1, max_size=6), max_size=12)


def test_one_problem_is_the_message_and_several_are_a_list() -> None:
    assert str(SpaceError("low is above high")) == "low is above high"
    assert str(SpaceError("low is above high", "step is 0")) == "- low is above high\n- step is 0"
    assert SpaceError("a", "b").problems == ("a", "b")
    assert DefinitionError().problems == ()


def test_a_changed_definition_says_what_differs_and_what_to_do() -> None:
    error = DefinitionChanged(
        "tune", ["x.low: stored 0, given 1", "y.goal: stored maximize, given minimize"], "Rename it"
    )
    assert str(error) == (
        "study 'tune' is stored with another definition: x.low: stored 0, given 1; "
        "y.goal: stored maximize, given minimize. Rename it"
    )
    assert (
        error.differences == error.problems == ("x.low: stored 0, given 1", "y.goal: stored maximize, given minimize")
    )


def test_a_failure_without_a_message_says_its_kind() -> None:
    assert (str(TrialFailed("oom")), TrialFailed("oom").kind) == ("oom", "oom")
    assert (str(TrialFailed("oom", "42 GB of 40")), TrialFailed("oom", "42 GB of 40").kind) == ("42 GB of 40", "oom")


def made(cls: type[HpoError]) -> HpoError:
    if issubclass(cls, DefinitionChanged):
        return cls("tune", ["a", "b"], "Rename it")
    return cls("oom", "too big") if issubclass(cls, TrialFailed) else cls("first", "second")


@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("cls", EVERY)
def test_an_error_arrives_whole_in_another_process(
    cls: type[HpoError], through: Callable[[HpoError], HpoError]
) -> None:
    sent = made(cls)
    sent.add_note("while asking")
    arrived = through(sent)
    assert type(arrived) is cls
    assert str(arrived) == str(sent)
    assert vars(arrived) == vars(sent)


def test_a_lost_connection_is_taken_for_one_that_may_come_back() -> None:
    assert ConnectionLost("away").is_unanswered is False


@pytest.mark.parametrize(
    ("given", "known", "meant"),
    [
        ("lerning_rate", ["learning_rate", "momentum"], "learning_rate"),
        ("LR", ["lr"], "lr"),
        ("Sobl", ["sobol", "grid"], "sobol"),
        ("sobl", ["SOBOL"], "SOBOL"),
        ("grd", ["grad", "grids", "grid"], "grid"),
        ("depth", ["wide", "Dropout"], None),
        ("x", [], None),
    ],
)
def test_the_closest_name_is_offered(given: str, known: list[str], meant: str | None) -> None:
    assert did_you_mean(given, known) == (f" Did you mean {meant!r}?" if meant else "")
    assert misspelt(given, known) == (f" Is {meant!r} a misspelling of it?" if meant else "")


@given(st.text("abcXYZ_", min_size=1), NAMES)
def test_what_is_offered_is_known_and_the_name_itself_where_it_is(name: str, known: list[str]) -> None:
    offered = did_you_mean(name, known)
    assert not offered or offered in {f" Did you mean {other!r}?" for other in known}
    if [other for other in known if other.lower() == name.lower()]:
        assert offered.lower() == f" did you mean {name.lower()!r}?"


@given(NAMES, st.integers(0, 10))
def test_a_listing_shows_the_first_names_and_counts_the_rest(names: list[str], most: int) -> None:
    text = listing(iter(names), most)
    head, *tail = text.split(", and ")
    assert head.split(", ") == (names[:most] or [""])
    assert tail == ([f"{len(names) - most} more"] if len(names) > most else [])


def test_eight_names_are_listed_by_default() -> None:
    assert listing("abcdefgh") == "a, b, c, d, e, f, g, h"
    assert listing("abcdefghij") == "a, b, c, d, e, f, g, h, and 2 more"
