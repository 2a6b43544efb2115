"""Problems: what cannot be one, and when two are the same."""

from __future__ import annotations

from typing import Any

import pytest

import hpo
from hpo.errors import DefinitionChanged, SpaceError

Y = [hpo.Objective("y")]


def of(choices: list[Any], **more: Any) -> hpo.Problem:
    return hpo.Problem(hpo.Space({"c": hpo.Categorical(choices, **more)}), Y)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"x": hpo.Categorical(["a"])},
            "a problem needs a Space, got {'x': Categorical(['a'])}; put its parameters into one: Space({...})",
        ),
        (None, "a problem needs a Space, got None"),
        (["x"], "a problem needs a Space, got ['x']"),
    ],
)
def test_a_problem_needs_a_space(space: Any, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        hpo.Problem(space, Y)
    assert str(caught.value) == message
    with pytest.raises(SpaceError, match="a problem needs a Space"):
        hpo.Problem(Y, hpo.Space({"x": hpo.Float(0, 1)}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "given", "difference"),
    [
        ([0, 1], [False, True], "c.choices: stored 0, 1, given False, True"),
        ([1, 2], [1.0, 2.0], "c.choices: stored 1, 2, given 1.0, 2.0"),
        ([1, 2], ["1", "2"], 'c.choices: stored [1, 2], given ["1", "2"]'),
        ([None], ["None"], 'c.choices: stored [null], given ["None"]'),
    ],
)
def test_values_of_another_type_are_another_definition(stored: list[Any], given: list[Any], difference: str) -> None:
    assert of(stored).differences(of(given)) == [difference]
    assert of(stored).differences(of(stored)) == []
    study = hpo.open_study("s", of(stored), storage=":memory:", seed=1)
    with pytest.raises(DefinitionChanged) as caught:
        hpo.open_study("s", of(given), storage=study.storage)
    assert caught.value.differences == (difference,)
    hpo.open_study("s", of(stored), storage=study.storage)


def test_types_count_in_conditions_too() -> None:
    def space(value: Any) -> hpo.Space:
        return hpo.Space({"c": hpo.Categorical([True, "a"]), "x": hpo.Int(1, 2, active_if={"c": [value]})})

    same, other = hpo.Problem(space(True), Y), hpo.Problem(space("a"), Y)
    assert same.differences(same) == []
    assert same.differences(other) == ["x.active_if: stored {'c': [True]}, given {'c': ['a']}"]
