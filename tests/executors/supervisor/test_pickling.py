from __future__ import annotations

import functools
import pickle
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors.supervisor.pickling import pickle_function

LOCK = threading.Lock()


@dataclass
class Model:
    name: str = "m"
    lock: Any = field(default_factory=threading.Lock)


@dataclass
class Objective:
    """As a runner wraps what the user gives."""

    model: Any

    def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {}

    def method(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {}


def closure(held: Any) -> Any:
    def train(payload: dict[str, Any]) -> dict[str, Any]:
        return {"held": repr(held)}

    return train


def default(payload: dict[str, Any], held: Any = LOCK) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("function", "path"),
    [
        (Objective(Model()), "Objective.model.lock"),
        (Objective(Model()).method, "Objective.method.__self__.model.lock"),
        (Objective([1, {"a": LOCK}]), "Objective.model[1]['a']"),
        (closure(Model()), "closure.<locals>.train.held.lock"),
        (functools.partial(default, held=LOCK), "partial.keywords['held']"),
        (lambda payload, held=LOCK: {}, "<lambda>.__defaults__[0]"),
        (lambda payload: {"y": LOCK}, "<lambda>.LOCK"),
    ],
)
def test_names_the_attribute_that_cannot_be_pickled(function: Any, path: str) -> None:
    with pytest.raises(ExecutorError) as raised:
        pickle_function(function)
    assert f"worker process: {path} is a lock (cannot pickle" in str(raised.value)
    assert "Create it inside the function" in str(raised.value)


def test_a_circle_of_references_ends() -> None:
    model = Model()
    objective = Objective({"model": model})
    objective.model["self"] = objective
    with pytest.raises(ExecutorError, match=r"\.lock is a lock"):
        pickle_function(objective)


def test_closures_and_lambdas_go_by_value() -> None:
    assert pickle.loads(pickle_function(closure(3)))({}) == {"held": "3"}
    assert pickle.loads(pickle_function(lambda payload: {"y": payload["x"]}))({"x": 1}) == {"y": 1}
