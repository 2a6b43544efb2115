from __future__ import annotations

import os
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Futures, Pool, Task
from hpo.testing.executors import ConcurrencyContract, ExecutorContract, await_that, behave, collect


def processes(slots: int) -> Executor:
    return ProcessPoolExecutor(slots, mp_context=get_context("spawn"))


class TestThreads(ExecutorContract, ConcurrencyContract):
    def start(self, slots: int) -> Pool:
        return Futures(lambda: ThreadPoolExecutor(slots), slots).start(behave)


class TestProcesses(ExecutorContract, ConcurrencyContract):
    def start(self, slots: int) -> Pool:
        return Futures(lambda: processes(slots), slots).start(behave)


class TestLoky(ExecutorContract, ConcurrencyContract):
    """What joblib runs on."""

    def start(self, slots: int) -> Pool:
        return Futures(lambda: get_reusable_executor(slots, reuse=False), slots).start(behave)


def test_a_broken_executor_is_replaced_and_blames_nobody(tmp_path: Path) -> None:
    made: list[Executor] = []

    def make() -> Executor:
        made.append(processes(2))
        return made[-1]

    with Futures(make, 2).start(behave) as pool:
        for name in ("sibling", "dead"):  # both processes are there: concurrent.futures overlooks one made later
            gate, mark = str(tmp_path / f"{name}.gate"), str(tmp_path / name)
            pool.submit(Task(id=name, payload={"do": "hold", "gate": gate, "mark": mark}))
            await_that((tmp_path / name).exists, "it starts")
        (tmp_path / "dead.gate").touch()
        collect(pool, 1)
        pool.submit(Task(id="dead", payload={"do": "exit"}), Task(id="next", payload={"do": "pass", "value": 1}))
        outcomes = {o.id: o for o in collect(pool, 3)}
    assert {id: o.kind for id, o in outcomes.items()} == {"sibling": "infra", "dead": "infra", "next": None}
    assert "broke" in outcomes["dead"].message
    assert len(made) == 2


def test_what_cannot_come_back_is_no_loss_of_the_others() -> None:
    class Odd(ThreadPoolExecutor):
        def submit(self, call: Any, /, *arguments: Any, **named: Any) -> Any:
            def failing() -> Any:
                raise OSError("the line is down")

            return super().submit(failing if arguments[1].id == "odd" else lambda: call(*arguments, **named))

    with Futures(lambda: Odd(1), 1).start(behave) as pool:
        pool.submit(Task(id="odd", payload={"do": "pass"}), Task(id="even", payload={"do": "pass", "value": 1}))
        odd, even = collect(pool, 2)
    assert (odd.kind, odd.message) == ("infra", "the executor failed: OSError: the line is down")
    assert even.value == {"value": 1}


def test_an_executor_that_takes_nothing_fails_each_task_and_hangs_none() -> None:
    shut = ThreadPoolExecutor(1)
    shut.shutdown()
    with Futures(lambda: shut, 1).start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "pass"}), Task(id="b", payload={"do": "pass"}))
        outcomes = collect(pool, 2)
    assert {o.kind for o in outcomes} == {"infra"}
    assert "after shutdown" in outcomes[0].message


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_maker_that_fails_is_reported_to_whoever_waits() -> None:
    made: list[Executor] = []

    def make() -> Executor:
        if made:
            raise OSError("no more processes")
        made.append(processes(1))
        return made[0]

    pool = Futures(make, 1).start(behave)
    pool.submit(Task(id="dead", payload={"do": "exit"}))
    with pytest.raises(ExecutorError, match="no more processes"):
        collect(pool, 1)
    pool.close(CloseMode.KILL)


def test_killing_waits_for_nothing(tmp_path: Path) -> None:
    gate, mark, others = tmp_path / "gate", tmp_path / "mark", set(threading.enumerate())
    pool = Futures(lambda: ThreadPoolExecutor(1), 1).start(behave)
    pool.submit(Task(id="a", payload={"do": "hold", "gate": str(gate), "mark": str(mark)}))
    await_that(mark.exists, "a starts")
    assert [o.kind for o in pool.close(CloseMode.KILL)] == ["cancelled"]
    gate.touch()
    await_that(lambda: set(threading.enumerate()) <= others, "the thread ends")


def test_refusals() -> None:
    with pytest.raises(ExecutorError, match="at least one slot"):
        Futures(lambda: ThreadPoolExecutor(1), 0)
    with Futures(lambda: ThreadPoolExecutor(1), 1).start(behave) as pool, pytest.raises(ExecutorError, match="timeout"):
        pool.submit(Task(id="a", payload={"do": "pass"}, timeout=1.0))
    lock = threading.Lock()
    with pytest.raises(ExecutorError, match="lock"):
        Futures(lambda: processes(1), 1).start(lambda payload: {"held": lock.locked()})
    assert not Futures(os.getpid, 1).isolated  # type: ignore[arg-type]
