"""Definitions as JSON: what is written is read again, what is left out is the default, and faults name their key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import SettingsError, StorageError
from hpo.problem.json_format import (
    measurements_from_json,
    measurements_to_json,
    metric_from_json,
    metric_to_json,
    parameter_from_json,
    parameter_to_json,
    problem_from_json,
    problem_to_json,
)
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Constraint, Metric, Objective, Tracked
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from tests.random_spaces import spaces

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.sampled_from(["", "ms", "what it costs"])
GOALS: st.SearchStrategy[Any] = st.sampled_from(["maximize", "minimize"])


@st.composite
def metrics(draw: st.DrawFn) -> list[Metric]:
    words: dict[str, Any] = {"unit": draw(TEXT), "description": draw(TEXT), "owner": draw(TEXT)}
    low = draw(FINITE)
    made: list[Metric] = [
        Objective("y", draw(GOALS), threshold=draw(FINITE | st.none()), **words),
        Constraint("c", lower=low, **words) if draw(st.booleans()) else Constraint("c", upper=low),
        Tracked("z", draw(GOALS), business=draw(st.booleans()), range=draw(st.none() | st.just((0, None))), **words),
    ]
    return draw(st.permutations(made))


@settings(deadline=None)
@given(spaces(), metrics())
def test_a_problem_is_read_again_as_it_was(space: Space, given: list[Metric]) -> None:
    problem = Problem(space, given)
    data = json.loads(json.dumps(problem_to_json(problem)))
    read = problem_from_json(data)
    assert read == problem
    assert read.hash == problem.hash
    assert problem.differences(read) == []
    assert list(read.space.names) == list(space.names)
    assert json.dumps(problem_to_json(read)) == json.dumps(data)


def test_the_format_as_it_is_stored() -> None:
    """Studies and study files of earlier versions hold it: what is here is read for good."""
    space: dict[str, Parameter] = {
        "lr": Float(1e-5, 0.1, log=True, default=1e-3),
        "n": Int(1, 9, step=2, unit="trees"),
        "kind": Categorical([1, True, None, "1"], ordered=True, default=None),
        "m": Float(0, 1, active_if={"kind": ["1", None]}),
    }
    metrics: list[Metric] = [
        Objective("y", threshold=0.5),
        Constraint("c", upper=15, unit="ms", range=(0, None)),
        Tracked("z", goal="minimize", business=True),
    ]
    stored = {
        "format": 1,
        "space": {
            "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True, "default": 1e-3},
            "n": {"type": "int", "low": 1, "high": 9, "step": 2, "unit": "trees"},
            "kind": {"type": "categorical", "choices": [1, True, None, "1"], "ordered": True, "default": None},
            "m": {"type": "float", "low": 0.0, "high": 1.0, "active_if": {"kind": ["1", None]}},
        },
        "constraints": ["lr + m <= 1"],
        "metrics": [
            {"role": "objective", "name": "y", "goal": "maximize", "threshold": 0.5},
            {"role": "constraint", "name": "c", "upper": 15.0, "range": (0.0, None), "unit": "ms"},
            {"role": "tracked", "name": "z", "goal": "minimize", "business": True},
        ],
    }
    problem = Problem(Space(space, ["lr + m <= 1"]), metrics)
    assert json.dumps(problem_to_json(problem)) == json.dumps(stored)
    assert problem_from_json(stored) == problem


@pytest.mark.parametrize("parameter", [Float(0, 1), Int(0, 1), Categorical(["a"])])
def test_of_a_parameter_only_what_was_said_is_written(parameter: Parameter) -> None:
    data = parameter_to_json(parameter)
    assert set(data) <= {"type", "low", "high", "choices"}
    assert parameter_from_json(data) == parameter


def test_a_goal_is_written_even_where_it_is_the_default() -> None:
    assert metric_to_json(Tracked("z")) == {"role": "tracked", "name": "z", "goal": "maximize"}
    assert metric_to_json(Constraint("c", lower=0)) == {"role": "constraint", "name": "c", "lower": 0.0}


@pytest.mark.parametrize("change", [{"format": 1}, {"format": 0}, {}])
def test_formats_up_to_this_one_are_read(change: dict[str, Any]) -> None:
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("y")])
    data = problem_to_json(problem)
    del data["format"]
    assert problem_from_json({**data, **change}) == problem


def test_a_later_format_is_refused() -> None:
    data = problem_to_json(Problem(Space({"x": Float(0, 1)}), [Objective("y")]))
    with pytest.raises(StorageError) as caught:
        problem_from_json({**data, "format": 2})
    assert str(caught.value) == "the definition has format 2; this version reads up to 1"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"low": 0}, "space.x.type: 'None' is not one of 'float', 'int', 'categorical'."),
        ({"type": "flaot"}, "space.x.type: 'flaot' is not one of 'float', 'int', 'categorical'. Did you mean 'float'?"),
        (
            {"type": "float", "low": 0, "high": 1, "lo": 2},
            "space.x.lo: no such key for type 'float' (have: low, high, log, step, default, active_if, unit, description). "
            "Did you mean 'low'?",
        ),
        (
            {"type": "int", "low": 0, "high": 1, "type2": 2},
            "space.x.type2: no such key for type 'int' (have: low, high, log, step, default, active_if, unit, "
            "description).",
        ),
        ({"type": "int", "low": 0}, "space.x: type 'int' needs 'high'"),
        ({"type": "categorical"}, "space.x: type 'categorical' needs 'choices'"),
        (
            {"type": "float", "low": 1, "high": 0.5},
            "space.x: low=1 is above high=0.5; did you swap them? Float(0.5, 1)",
        ),
        ("float", "space.x: expected a table with a 'type', got 'float'"),
        (None, "space.x: expected a table with a 'type', got None"),
    ],
)
def test_a_parameter_that_cannot_be_names_the_key_at_fault(data: Any, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parameter_from_json(data, "space.x")
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"role": "objektive", "name": "y"},
            "metric.role: 'objektive' is not one of 'objective', 'constraint', 'tracked'. Did you mean 'objective'?",
        ),
        ({"role": "objective"}, "metric: role 'objective' needs 'name'"),
        ({"role": "constraint", "name": "c"}, "metric: constraint 'c' has no limit. Give lower=, upper= or both"),
        (["y"], "metric: expected a table with a 'role', got ['y']"),
    ],
)
def test_a_metric_that_cannot_be_names_the_key_at_fault(data: Any, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        metric_from_json(data)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"space": {"x": {"type": "float", "low": 0}}}, "space.x: type 'float' needs 'high'"),
        ({"metrics": [{"role": "tracked"}]}, "metric: role 'tracked' needs 'name'"),
    ],
)
def test_a_problem_that_cannot_be_says_where(change: Mapping[str, Any], where: str) -> None:
    data = problem_to_json(Problem(Space({"x": Float(0, 1)}), [Objective("y")]))
    with pytest.raises(SettingsError) as caught:
        problem_from_json({**data, **change})
    assert str(caught.value) == where


@given(st.dictionaries(st.text(), st.builds(Measurement, FINITE, st.none() | st.floats(0, 1e300)), max_size=4))
def test_measurements_are_read_again_as_they_were(values: dict[str, Measurement]) -> None:
    assert measurements_from_json(json.loads(json.dumps(measurements_to_json(values)))) == values


def test_measurements_are_pairs_of_value_and_standard_error() -> None:
    assert measurements_to_json({"y": Measurement(1.5, 0.25), "z": Measurement(2.0)}) == {
        "y": [1.5, 0.25],
        "z": [2.0, None],
    }
