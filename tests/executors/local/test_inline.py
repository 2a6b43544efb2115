from __future__ import annotations

import threading
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Inline, Pool, Task
from hpo.testing.executors import ExecutorContract, behave


class TestContract(ExecutorContract):
    def start(self, slots: int) -> Pool:
        return Inline().start(behave)


def test_runs_in_the_thread_that_waits_when_it_waits() -> None:
    seen: list[int] = []

    def note(payload: dict[str, Any]) -> dict[str, Any]:
        seen.append(threading.get_ident())
        return {}

    with Inline().start(note) as pool:
        pool.submit(Task(id="a", payload={}), Task(id="b", payload={}))
        assert seen == []
        assert [o.id for o in pool.wait()] == ["a"]
        assert seen == [threading.get_ident()]


def test_the_function_gets_a_copy_of_the_payload() -> None:
    def spoil(payload: dict[str, Any]) -> dict[str, Any]:
        payload["list"].append(1)
        return {}

    task = Task(id="a", payload={"list": []})
    with Inline().start(spoil) as pool:
        pool.submit(task)
        pool.wait()
    assert task.payload == {"list": []}


def test_ctrl_c_in_the_function_reaches_the_caller_and_the_task_is_cancelled() -> None:
    def interrupted(payload: dict[str, Any]) -> dict[str, Any]:
        raise KeyboardInterrupt

    pool = Inline().start(interrupted)
    pool.submit(Task(id="a", payload={}), Task(id="b", payload={}))
    with pytest.raises(KeyboardInterrupt):
        pool.wait()
    assert [(o.id, o.kind) for o in pool.close(CloseMode.KILL)] == [("a", "cancelled"), ("b", "cancelled")]


def test_sys_exit_in_the_function_is_an_error() -> None:
    def leave(payload: dict[str, Any]) -> dict[str, Any]:
        raise SystemExit(3)

    with Inline().start(leave) as pool:
        pool.submit(Task(id="a", payload={}))
        assert [(o.kind, o.message) for o in pool.wait()] == [("error", "SystemExit: 3")]


@pytest.mark.parametrize("limit", [{"timeout": 1.0}, {"memory": 1 << 30}, {"env": {"A": "1"}}])
def test_refuses_limits_it_cannot_hold(limit: dict[str, Any]) -> None:
    with Inline().start(behave) as pool:
        with pytest.raises(
            ExecutorError, match=f"asks for {next(iter(limit))}, but Inline runs it inside this process"
        ):
            pool.submit(Task(id="a", payload={"do": "pass"}, **limit))
        assert pool.wait() == []


def test_needs_a_function() -> None:
    with pytest.raises(ExecutorError, match=r"Inline\(\) runs a function: start\(function\), got None"):
        Inline().start()
