from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.errors import ExecutorError
from hpo.executors import Pool, Processes, Subprocess, Task, Threads
from hpo.testing.executors import ConcurrencyContract, ExecutorContract, await_that, behave, collect


class TestContract(ExecutorContract, ConcurrencyContract):
    def start(self, slots: int) -> Pool:
        return Threads(slots).start(behave)


def test_refuses_limits_it_cannot_hold() -> None:
    with Threads(1).start(behave) as pool, pytest.raises(ExecutorError, match="timeout and memory, but Threads"):
        pool.submit(Task(id="a", payload={"do": "pass"}, timeout=1.0, memory=1))


def test_cancel_leaves_running_task_alone(tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", tmp_path / "mark"
    with Threads(1).start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "hold", "gate": str(gate), "mark": str(mark), "value": 1}))
        await_that(mark.exists, "a starts")
        pool.cancel(["a"])
        assert pool.wait(timeout=0) == []
        gate.touch()
        assert collect(pool, 1)[0].value == {"value": 1}


def test_close_leaves_no_thread() -> None:
    before = threading.active_count()
    with Threads(3).start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "pass"}))
    assert threading.active_count() == before


def test_whatever_is_raised_the_thread_lives_on() -> None:
    def leave(payload: dict[str, Any]) -> dict[str, Any]:
        raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "generator": GeneratorExit}[payload["raise"]]

    with Threads(1).start(leave) as pool:
        pool.submit(*(Task(id=name, payload={"raise": name}) for name in ("exit", "interrupt", "generator")))
        assert [o.kind for o in collect(pool, 3)] == ["error", "cancelled", "error"]


@pytest.mark.parametrize("slots", [0, -1, True, 2.0, "2", None, np.array([2, 2])])
def test_needs_a_slot(slots: Any) -> None:
    with pytest.raises(ExecutorError, match="at least one slot"):
        Threads(slots)


@pytest.mark.parametrize("two", [np.int8(2), np.array(2), np.array([2])])
def test_slots_may_be_of_another_library(two: Any) -> None:
    for executor in (Threads(two), Processes(two), Subprocess(["echo"], two)):
        assert (executor.slots, type(executor.slots)) == (2, int)
