"""Defaults and conditions of parameters, and how parameters are written down."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

import hpo
from hpo.errors import SpaceError
from hpo.problem.fields import is_active, is_set, same_value
from hpo.problem.json_format import parameter_from_json, parameter_to_json, problem_from_json, problem_to_json
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.space import Space

Y = [hpo.Objective("y")]


def test_conditions_hold_values_as_the_parent_does() -> None:
    given = Space({"n": Int(1, 3), "c": Categorical([1, 2]), "x": Float(0, 1, active_if={"n": [2.0, 3.0], "c": [1.0]})})
    exact = Space({"n": Int(1, 3), "c": Categorical([1, 2]), "x": Float(0, 1, active_if={"n": [2, 3], "c": [1]})})
    assert repr(given) == repr(exact)
    assert hpo.Problem(given, Y).hash == hpo.Problem(exact, Y).hash
    assert given.canonical({"n": 2.0, "c": 1, "x": 0.5}) == {"n": 2, "c": 1, "x": 0.5}


@pytest.mark.parametrize("choices", [[None, 5, 10], [5, None]])
def test_none_is_a_default_where_it_is_a_choice(choices: list[Any]) -> None:
    unset, none = Categorical(choices), Categorical(choices, default=None)
    assert is_set(none)
    assert not is_set(unset)
    assert not is_set(Categorical(["a"], default=None))
    assert parameter_to_json(none)["default"] is None
    assert "default" not in parameter_to_json(unset)
    for p in (unset, none):
        assert parameter_from_json(parameter_to_json(p)) == p
        assert eval(repr(p), {"Categorical": Categorical}) == p
        for other in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p), dataclasses.replace(p, unit="ms")):
            assert is_set(other) is is_set(p)
    assert Space({"c": none}).start() == {"c": None}
    assert Space({"c": none}).has_defaults
    assert not Space({"c": unset}).has_defaults
    study = hpo.open_study("s", hpo.Problem(Space({"c": none}), Y), storage=":memory:", seed=1)
    trial = study.ask()
    assert trial.params == {"c": None}
    assert trial.why["how"] == "the configuration in production"


def test_a_definition_stored_without_a_default_is_the_one_that_says_none() -> None:
    """As before None counted as a default: the code that gave default=None goes on with its study."""
    stored = problem_from_json(problem_to_json(hpo.Problem(Space({"c": Categorical([None, 5])}), Y)))
    assert stored.differences(hpo.Problem(Space({"c": Categorical([None, 5], default=None)}), Y)) == []


@pytest.mark.parametrize(
    "p", [Categorical([True, False], default=False), Int(0, 9, default=0), Categorical(["x", ""], default="")]
)
def test_false_zero_and_the_empty_text_are_defaults(p: Parameter) -> None:
    assert is_set(p)
    assert parameter_from_json(parameter_to_json(p)) == p
    assert Space({"p": p}).start() == {"p": p.default}


@pytest.mark.parametrize(
    "written",
    [
        "Float(0.001, 1.0, log=True)",
        "Float(0.0, 1.0, step=0.1, default=0.3, unit='s')",
        "Int(1, 8)",
        "Categorical(['sgd', 'adam'], active_if={'lr': [0.1]})",
        "Categorical([None, 3], default=None)",
    ],
)
def test_a_parameter_is_shown_as_the_call_that_makes_it(written: str) -> None:
    assert repr(eval(written)) == written


def test_a_parameter_is_active_while_each_parent_holds_a_listed_value() -> None:
    p = Float(0, 1, active_if={"a": [1, 2], "b": ["x"]})
    assert is_active(p, {"a": 2, "b": "x"})
    for params in ({"a": 3, "b": "x"}, {"a": 2, "b": "y"}, {"a": 2}, {"a": True, "b": "x"}, {}):
        assert not is_active(p, params)
    assert is_active(Float(0, 1), {})


def test_true_is_not_1_and_1_is_not_text() -> None:
    assert same_value(1, 1.0)
    assert same_value(True, True)
    assert not same_value(True, 1)
    assert not same_value("1", 1)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"a": "sgd"}, "active_if['a'] is a list of values, got 'sgd'. Try ['sgd']"),
        ({"a": 5}, "active_if['a'] is a list of values, got 5. Try [5]"),
        ({"a": []}, "active_if['a'] lists no value: the parameter could never be active"),
    ],
)
def test_a_condition_lists_values(condition: Any, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Float(0, 1, active_if=condition)
    assert str(caught.value) == message
