from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import ExecutorError, HpoError
from hpo.executors import Inline
from hpo.executors.base import Outcome, Task, answer_to, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_plain_json_stays_what_it_is(value: dict[str, Any]) -> None:
    assert plain(value) == value
    assert plain(plain(value)) == plain(value)


def test_plain_copies_deeply_and_turns_tuples_into_lists() -> None:
    inner = [1]
    copy = plain({"a": inner, "b": (1, 2)})
    inner.append(2)
    assert copy == {"a": [1], "b": [1, 2]}


def test_infinities_and_nan_pass() -> None:
    copy = plain({"a": float("inf"), "b": float("nan")})
    assert copy["a"] == float("inf")
    assert copy["b"] != copy["b"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "is a float, not a mapping: 3.0"),
        ({"a": object}, "is not plain JSON (Object of type type is not JSON serializable): {'a': <class 'object'>}"),
        ({"a": "x" * 100, "b": {1}}, "is not plain JSON (Object of type set is not JSON serializable): {'a': 'xxxx"),
    ],
)
def test_what_is_not_plain_is_named(value: object, text: str) -> None:
    with pytest.raises(TypeError) as raised:
        plain(value)
    assert str(raised.value).startswith(text)
    assert len(str(raised.value)) < 160


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"id": ""}, "a task needs an id; '' was given"),
        ({"timeout": 0}, "task 'a': timeout must be above 0 or None, got 0"),
        ({"timeout": float("nan")}, "task 'a': timeout must be above 0 or None, got nan"),
        ({"memory": -1}, "task 'a': memory must be above 0 or None, got -1"),
        ({"payload": [1]}, "task 'a': the payload is a list, not a mapping: [1]"),
    ],
)
def test_task_is_checked_at_birth(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ExecutorError) as raised:
        Task(**{"id": "a", "payload": {}, **fields})
    assert str(raised.value) == text
    assert isinstance(raised.value, HpoError)
    assert isinstance(raised.value, RuntimeError)


def test_task_is_frozen_and_its_own() -> None:
    payload, env = {"x": [1]}, {"A": "1"}
    task = Task(id="a", payload=payload, env=env)
    payload["x"].append(2)
    env["A"] = "2"
    assert (task.payload, task.env) == ({"x": [1]}, {"A": "1"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.id = "b"  # type: ignore[misc]


@pytest.mark.parametrize("fields", [{}, {"value": {}, "kind": "error"}])
def test_an_outcome_is_a_value_or_a_failure(fields: dict[str, Any]) -> None:
    with pytest.raises(ExecutorError, match="either a value or a kind"):
        Outcome(id="a", **fields)


def test_an_outcome_is_plain_json_too() -> None:
    outcome = Outcome(id="a", value={"y": 1.5}, started_at=1.0, seconds=2.0)
    assert Outcome(**{**json.loads(json.dumps(dataclasses.asdict(outcome))), "logs": ()}) == outcome


def test_the_clock_of_a_pool_is_the_monotonic_one_unless_it_has_its_own() -> None:
    with Inline().start(lambda payload: payload) as pool:
        before = time.monotonic()
        assert before <= pool.clock() <= time.monotonic()


def test_the_outcome_of_another_task_is_none() -> None:
    task, right, wrong = Task(id="a", payload={}), Outcome(id="a", value={}), Outcome(id="b", value={"y": 1})
    assert answer_to(task, right) is right
    lost = answer_to(task, wrong)
    assert (lost.id, lost.kind, lost.value) == ("a", "infra", None)
    assert "the outcome of another task, 'b'" in lost.message
