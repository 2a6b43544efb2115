from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Pool, Processes, Subprocess, Task
from hpo.executors.supervisor import pool as supervised
from hpo.executors.supervisor import process_tree as tree
from hpo.executors.supervisor.pool import deal
from hpo.testing.executors import (
    await_that,
    behave,
    collect,
    is_gone,
)
from tests.executors.started import run, shell, start_endless_task

pytestmark = pytest.mark.usefixtures("scratch_folders_go")

# Functions below stand inside the tests: this module cannot be imported elsewhere, so they travel by value.


@pytest.mark.parametrize(
    ("at_import", "text"),
    [
        ("raise OSError('no such data')", "OSError: no such data"),
        ("os._exit(7)", "the process that loaded the function died: exit code 7"),
        ("os.kill(os.getpid(), 11)", "died: signal SIGSEGV"),
    ],
)
def test_function_that_cannot_be_loaded_is_told_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_import: str, text: str
) -> None:
    name = f"broken_{abs(hash(at_import))}"
    (tmp_path / f"{name}.py").write_text(
        f"import os\nif os.getpid() != {os.getpid()}:\n    {at_import}\ndef train(payload): return {{}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = psutil.Process().children(recursive=True)
    with pytest.raises(ExecutorError) as raised:
        Processes(2).start(__import__(name).train)
    assert "the function cannot be loaded in a worker process" in str(raised.value)
    assert text in str(raised.value)
    assert psutil.Process().children(recursive=True) == before


def test_lost_supervisor_is_infra_and_is_replaced(tmp_path: Path) -> None:
    begun = time.time()
    with Processes(1).start(behave) as pool:
        start_endless_task(pool, tmp_path / "mark").kill()
        outcome = collect(pool, 1)[0]
        assert (outcome.id, outcome.kind) == ("endless", "infra")
        assert outcome.started_at is not None, "it ran: it may be to blame, and is paid for"
        assert 0.0 < outcome.seconds <= time.time() - begun
        await_that(lambda: is_gone(tmp_path / "mark"), "the process dies with its supervisor")
        assert run(pool, do="pass", value=1).value == {"value": 1}


@pytest.mark.parametrize("how", ["fork", "exec"])
def test_lost_supervisor_is_noticed_though_a_process_below_it_lives_on(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a task leaves behind must not hold the line to the driver open; it is ended by its mark."""
    marks: list[str] = []
    monkeypatch.setattr(tree, "end_marked", marks.append)

    def leave(payload: dict[str, Any]) -> dict[str, Any]:
        import os
        import subprocess
        import time

        from hpo.testing.executors import _write

        if payload["how"] == "exec":
            child = subprocess.Popen(["sleep", "600"], close_fds=False).pid
        elif (child := os.fork()) == 0:
            time.sleep(600)
            os._exit(0)
        _write(payload["child"], f"{child} {os.getppid()}")
        time.sleep(600)
        return {}

    with Processes(1).start(leave) as pool:
        pool.submit(Task(id="a", payload={"how": how, "child": str(tmp_path / "child")}))
        await_that((tmp_path / "child").exists, "the child starts")
        child, supervisor = map(int, (tmp_path / "child").read_text().split())
        os.kill(supervisor, signal.SIGKILL)
        try:
            assert collect(pool, 1)[0].kind == "infra"
            assert psutil.pid_exists(child)
            monkeypatch.undo()
            tree.end_marked(*marks)
            (tmp_path / "child").write_text(str(child))
            await_that(lambda: is_gone(tmp_path / "child"), "the child is ended")
        finally:
            tree.send([child], signal.SIGKILL)


def test_tasks_that_wait_for_a_slot_that_cannot_be_made_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> supervised.Slot:
        raise BlockingIOError("no more processes")

    with Processes(1).start(behave) as pool:
        supervisor = start_endless_task(pool, tmp_path / "mark")
        pool.submit(*(Task(id=id, payload={"do": "pass"}) for id in "abc"))
        with monkeypatch.context() as patched:
            patched.setattr(supervised, "Slot", refuse)
            supervisor.kill()
            outcomes = {outcome.id: outcome for outcome in collect(pool, 4)}
        assert {outcome.kind for outcome in outcomes.values()} == {"infra"}
        assert outcomes["c"].message == "no process to run it in: no more processes"
        assert run(pool, do="pass", value=1).value == {"value": 1}


def test_supervisor_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "PATIENCE", 0.1)
    with Processes(1, grace=0.1).start(behave) as pool:
        start_endless_task(pool, tmp_path / "mark").suspend()
        pool.cancel(["endless"])
        outcome = collect(pool, 1)[0]
        assert (outcome.id, outcome.kind) == ("endless", "infra")
        await_that(lambda: is_gone(tmp_path / "mark"), "the process is killed too")
        assert "did not answer" in outcome.message
        assert run(pool, do="pass", value=1).value == {"value": 1}


def test_many_threads_may_use_one_pool() -> None:
    with Processes(2).start(lambda payload: payload) as pool:
        got: list[str] = []

        def use(name: str) -> None:
            for i in range(20):
                pool.submit(Task(id=f"{name}{i}", payload={}))
                got.extend(outcome.id for outcome in pool.wait())

        threads = [threading.Thread(target=use, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        got.extend(outcome.id for outcome in pool.close())
    assert sorted(got) == sorted(f"{name}{i}" for name in "abcd" for i in range(20))


def test_close_lets_go_of_files_threads_and_processes() -> None:
    def held() -> tuple[int, int, int]:
        me = psutil.Process()
        return me.num_fds(), threading.active_count(), len(me.children(recursive=True))

    Processes(1).start(behave).close()  # what is opened once and for all is opened now
    before = held()
    pool = Processes(3).start(behave)
    pool.submit(*(Task(id=str(i), payload={"do": "pass"}) for i in range(9)))
    pool.close(CloseMode.KILL)
    assert held() == before


def test_nothing_below_a_lost_supervisor_lives_on(tmp_path: Path) -> None:
    others = psutil.Process().children()
    with shell(
        f"sleep 600 & echo $! > {tmp_path}/$1.new; mv {tmp_path}/$1.new {tmp_path}/$1; wait", "{name}", slots=3
    ).start() as pool:
        pool.submit(*(Task(id=name, payload={"name": name}) for name in "abc"))
        await_that(lambda: all((tmp_path / name).exists() for name in "abc"), "all have begun")
        for supervisor in set(psutil.Process().children()).difference(others):
            supervisor.kill()
        assert {outcome.kind for outcome in collect(pool, 3)} == {"infra"}
    await_that(lambda: all(is_gone(tmp_path / name) for name in "abc"), "all are ended")


SHOW = 'import json, os; print(json.dumps({"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}))'


def show(_: Mapping[str, Any]) -> dict[str, Any]:
    """The devices a task sees."""
    return {"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}


@pytest.mark.parametrize(
    ("gpus", "slots", "dealt"),
    [
        ("0123", 4, ["0", "1", "2", "3"]),
        ("0123", 2, ["01", "23"]),
        ("0123", 3, ["0", "1", "2"]),
        ("01", 4, ["0", "1", "0", "1"]),
        ("", 2, ["", ""]),
    ],
)
def test_devices_are_dealt_out_evenly(gpus: str, slots: int, dealt: list[str]) -> None:
    assert ["".join(devices) for devices in deal(gpus, slots)] == dealt


def started(executor: str) -> Pool:
    """Two slots with two devices each."""
    if executor == "Processes":
        return Processes(2, devices=[4, 5, 6, 7], env={"CUDA_VISIBLE_DEVICES": "0"}).start(show)
    return Subprocess(
        [sys.executable, "-c", SHOW.replace("{", "{{").replace("}", "}}")], 2, devices=[4, 5, 6, 7]
    ).start()


@pytest.mark.parametrize("executor", ["Processes", "Subprocess"])
def test_each_task_sees_the_devices_of_its_slot(executor: str) -> None:
    with started(executor) as pool:
        pool.submit(*(Task(id=str(i), payload={}, gpus=2) for i in range(8)))
        seen = [outcome.value for outcome in collect(pool, 8)]
        assert {str(value and value["gpus"]) for value in seen} == {"4,5", "6,7"}
        with pytest.raises(ExecutorError, match=r"task 'big' asks for 3 gpus, and a slot has 2"):
            pool.submit(Task(id="big", payload={}, gpus=3))


def test_a_cancelled_task_has_its_grace_whatever_the_other_slots_do(tmp_path: Path) -> None:
    with Processes(2).start(behave) as pool:
        gate = tmp_path / "gate"
        pool.submit(Task(id="a", payload={"do": "hold", "gate": str(gate), "mark": str(tmp_path / "a")}, timeout=600.0))
        await_that((tmp_path / "a").exists, "the task in the first slot starts")
        start_endless_task(pool, tmp_path / "mark")
        gate.touch()
        assert [(o.id, o.kind) for o in collect(pool, 1)] == [("a", None)], "it had the time that it was given"
        pool.cancel(["endless", "a", "unknown"])
        assert [(o.id, o.kind, o.message) for o in collect(pool, 1)] == [
            ("endless", "cancelled", "cancelled while it ran")
        ]


def test_a_pool_is_what_its_executor_says(tmp_path: Path) -> None:
    with Processes(2, grace=0.25).start(behave) as pool:
        assert (pool.capacity, pool.grace, pool.survives) == (2, 0.25, False)
        with pytest.raises(ExecutorError, match="tasks of this machine end with their driver and cannot be left"):
            pool.close(CloseMode.DETACH)
        assert run(pool, do="pass").kind is None, "it is open as before"


def test_a_task_that_lacks_a_param_is_refused_with_all_that_came_with_it() -> None:
    with shell("echo '{{\"y\": 1}}'", "{lr}").start() as pool:
        with pytest.raises(ExecutorError, match=r"asks for \{lr\}"):
            pool.submit(Task(id="a", payload={"lr": 1}), Task(id="b", payload={}))
        assert pool.wait(0.0) == []
