from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Pool, Processes, Task
from hpo.executors.supervisor import pool as supervised
from hpo.executors.supervisor import process_tree as tree
from hpo.testing.executors import (
    ConcurrencyContract,
    ExecutorContract,
    IsolationContract,
    await_that,
    behave,
    collect,
    is_gone,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _scratch_folders_go(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is killed, the temporary files go too."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    await_that(lambda: not list(folder.iterdir()), "the temporary folder is empty")


class TestContract(ExecutorContract, ConcurrencyContract, IsolationContract):
    def start(self, slots: int) -> Pool:
        return Processes(slots, grace=0.3).start(behave)


class TestContractWithoutReuse(ExecutorContract, ConcurrencyContract, IsolationContract):
    def start(self, slots: int) -> Pool:
        return Processes(slots, reuse=False, grace=0.3).start(behave)


def run(pool: Pool, id: str = "a", **payload: Any) -> Any:
    pool.submit(Task(id=id, payload=payload))
    return collect(pool, 1)[0]


# Functions below stand inside the tests: this module cannot be imported elsewhere, so they travel by value.


@pytest.mark.parametrize("reuse", [True, False])
def test_reuse_of_processes(reuse: bool) -> None:
    def who(payload: dict[str, Any]) -> dict[str, Any]:
        import os

        return {"pid": os.getpid()}

    with Processes(1, reuse=reuse).start(who) as pool:
        pids = [run(pool).value["pid"] for _ in range(3)]
    assert len(set(pids)) == (1 if reuse else 3)
    assert os.getpid() not in pids


def test_out_of_memory_exceptions_are_oom_and_the_process_is_replaced() -> None:
    def fill(payload: dict[str, Any]) -> dict[str, Any]:
        import os

        if payload["fill"]:
            bytearray(1 << 60)
        return {"pid": os.getpid()}

    with Processes(1).start(fill) as pool:
        before = run(pool, fill=False)
        full = run(pool, fill=True)
        after = run(pool, fill=False)
    assert (full.kind, full.message) == ("oom", "MemoryError")
    assert before.value != after.value


def test_large_payloads_and_values_and_odd_numbers() -> None:
    with Processes(1).start(lambda payload: payload) as pool:
        text = "x" * (5 << 20)
        assert run(pool, text=text).value == {"text": text}
        assert run(pool, x=float("inf")).value == {"x": float("inf")}


def test_standard_input_is_empty() -> None:
    def read(payload: dict[str, Any]) -> dict[str, Any]:
        import sys

        return {"read": sys.stdin.read()}

    with Processes(1).start(read) as pool:
        assert run(pool).value == {"read": ""}


def test_environment_is_set_before_the_function_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reads_at_import.py").write_text(
        "import os\nHAD = os.environ.get('HPO_AT_IMPORT')\ndef train(payload): return {'had': HAD}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import reads_at_import  # type: ignore[import-not-found]

    with Processes(1, env={"HPO_AT_IMPORT": "all"}).start(reads_at_import.train) as pool:
        assert run(pool).value == {"had": "all"}
        pool.submit(Task(id="b", payload={}, env={"HPO_AT_IMPORT": "one"}))
        assert collect(pool, 1)[0].value == {"had": "one"}
        assert run(pool).value == {"had": "all"}
    assert reads_at_import.HAD is None


def test_what_is_printed_stays_in_the_logs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def talk(payload: dict[str, Any]) -> dict[str, Any]:
        import os
        import sys

        sys.stdout.write(f"to output {payload['n']}\n")
        sys.stderr.write(f"to error {payload['n']}\n")
        os.system("echo from a child")
        if payload["n"] == 2:
            os._exit(1)
        if payload["n"] == 3:
            raise ValueError("a typo")
        return {}

    with Processes(1, logs=tmp_path / "new" / "logs").start(talk) as pool:
        first = run(pool, "a/1", n=1)
        second = run(pool, "2", n=2)
        third = run(pool, "3", n=3)
    out, err = map(Path, first.logs)
    assert sorted(out.read_text().splitlines()) == ["from a child", "to output 1"]
    assert err.read_text() == "to error 1\n"
    assert out.parent == tmp_path / "new" / "logs"
    assert first.log_tail == ""
    assert second.log_tail == "to error 2"
    shown = Path(third.logs[1]).read_text()
    assert "in talk\n" in shown, "the traceback says where"
    assert shown.endswith("ValueError: a typo\n")
    assert capfd.readouterr() == ("", "")


def test_log_folder_that_vanishes_is_no_fault_of_the_task(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with Processes(1, logs=logs).start(behave) as pool:
        assert run(pool, do="pass").kind is None
        for file in logs.iterdir():
            file.unlink()
        logs.rmdir()
        lost = run(pool, do="pass")
        assert lost.kind == "infra"
        assert "No such file" in lost.message
        logs.mkdir()
        assert run(pool, do="pass").kind is None


@pytest.mark.parametrize("reuse", [True, False])
def test_a_scratch_folder_that_was_tidied_away_is_made_again(reuse: bool) -> None:
    def tidy(payload: dict[str, Any]) -> dict[str, Any]:
        import shutil
        import tempfile
        from pathlib import Path

        if payload["tidy"]:
            for folder in Path(tempfile.gettempdir()).glob("hpo-*"):
                shutil.rmtree(folder)
        return {}

    with Processes(1, reuse=reuse).start(tidy) as pool:
        for _ in range(3):
            assert run(pool, tidy=True).kind is None
            outcome = run(pool, tidy=False)
            assert outcome.kind is None, outcome


def test_function_that_cannot_be_pickled() -> None:
    lock = threading.Lock()

    def train(payload: dict[str, Any]) -> dict[str, Any]:
        return {"locked": lock.locked()}

    with pytest.raises(ExecutorError, match=r"train\.lock is a lock \(cannot pickle"):
        Processes(1).start(train)


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


def test_module_that_breaks_later_is_infra_not_the_tasks_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = tmp_path / "flag"
    (tmp_path / "breaks_later.py").write_text(
        "import os, pathlib\n"
        f"if pathlib.Path({str(flag)!r}).exists(): raise OSError('data set unmounted')\n"
        "def train(payload): return {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import breaks_later  # type: ignore[import-not-found]

    with Processes(1, reuse=False).start(breaks_later.train) as pool:
        assert run(pool).kind is None
        flag.touch()
        outcomes = [run(pool) for _ in range(3)]  # the first may still have a process that was loaded in time
        assert outcomes[-1].kind == "infra"
        assert "OSError: data set unmounted" in outcomes[-1].message
        flag.unlink()
        assert run(pool).kind is None


def supervisor_of(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    assert parent is not None
    return parent


def start_endless_task(pool: Pool, mark: Path) -> psutil.Process:
    """Its supervisor, once the task `endless` runs."""
    pool.submit(Task(id="endless", payload={"do": "hang", "mark": str(mark)}))
    await_that(mark.exists, "the task starts")
    return supervisor_of(int(mark.read_text()))


def test_lost_supervisor_is_infra_and_is_replaced(tmp_path: Path) -> None:
    with Processes(1).start(behave) as pool:
        start_endless_task(pool, tmp_path / "mark").kill()
        outcome = collect(pool, 1)[0]
        assert (outcome.id, outcome.kind) == ("endless", "infra")
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


def test_an_executor_is_a_value() -> None:
    executor = Processes(2, reuse=False, grace=1.0)
    assert executor == eval(repr(executor))
    for _ in range(2):
        with executor.start(behave) as pool:
            assert run(pool, do="pass").kind is None


@pytest.mark.parametrize(
    ("fields", "text"), [({"slots": 0}, "at least one slot, got 0"), ({"grace": -1.0}, "0 or more, got -1.0")]
)
def test_settings_are_checked_at_birth(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ExecutorError, match=text):
        Processes(**fields)


SCRIPT = """
import signal, sys, pathlib
from hpo.executors import Processes, Task
from hpo.testing.executors import PATIENCE

folder = pathlib.Path(sys.argv[1])

class Train:
    def __call__(self, payload):       # lives in __main__, and no `if __name__` guards this script
        from hpo.testing.executors import behave
        return behave(payload)

signal.signal(signal.SIGINT, lambda *_: (folder / "interrupted").touch())
pool = Processes(2, grace=0.5).start(Train())
payload = {"do": "hold", "mark": str(folder / "mark"), "gate": str(folder / "gate"), "value": 17}
pool.submit(Task(id="a", payload=payload))
pool.submit(Task(id="b", payload={"do": "leave_grandchild", "grandchild": str(folder / "child"), "then": "hang"}))
print(pool.wait(PATIENCE)[0].value, flush=True)
pool.cancel(["b"])
pool.close()
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program of its own, leader of its process group as in a terminal, with two tasks in flight."""
    (tmp_path / "driver.py").write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0, env=env) as process:
        try:
            await_that((tmp_path / "mark").exists, "a starts")
            await_that((tmp_path / "child").exists, "b's grandchild starts")
            yield process
        finally:
            process.kill()


def test_killed_driver_leaves_no_process(driver: subprocess.Popen[str], tmp_path: Path) -> None:
    supervisor = supervisor_of(int((tmp_path / "mark").read_text()))
    driver.kill()
    await_that(lambda: not supervisor.is_running(), "the supervisor goes")
    await_that(lambda: is_gone(tmp_path / "mark"), "the task ends")
    await_that(lambda: is_gone(tmp_path / "child"), "the grandchild ends")


def test_ctrl_c_reaches_only_the_driver(driver: subprocess.Popen[str], tmp_path: Path) -> None:
    supervisor = supervisor_of(int((tmp_path / "mark").read_text()))
    assert len({os.getsid(pid) for pid in (driver.pid, supervisor.pid, int((tmp_path / "mark").read_text()))}) == 3
    os.killpg(driver.pid, signal.SIGINT)
    await_that((tmp_path / "interrupted").exists, "the driver is interrupted")
    (tmp_path / "gate").touch()
    assert driver.communicate(timeout=60)[0] == "{'value': 17}\n"
    assert driver.returncode == 0
    assert is_gone(tmp_path / "child")


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A memory cgroup of 100 MiB; its member list is the file `cgroup.procs`."""
    own = dict(line.split(":")[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    parent, limit = (
        (Path("/sys/fs/cgroup/memory" + own["memory"]), "memory.limit_in_bytes")
        if "memory" in own
        else (Path("/sys/fs/cgroup" + own.get("", "/none")), "memory.max")
    )
    group = parent / f"hpo-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"only where one may make memory cgroups: {error}")
    try:
        try:
            (group / limit).write_text(str(100 << 20))
        except OSError as error:
            pytest.skip(f"only where one may limit memory cgroups: {error}")
        yield group
    finally:
        await_that(lambda: not (group / "cgroup.procs").read_text(), "the group is empty")
        group.rmdir()


def test_kill_by_the_kernel_for_want_of_memory_is_oom(small_cgroup: Path, tmp_path: Path) -> None:
    def eat(payload: dict[str, Any]) -> dict[str, Any]:
        import os
        import pathlib

        if payload["group"]:
            pathlib.Path(payload["group"], "cgroup.procs").write_text(str(os.getpid()))
        return {"eaten": len(b"x" * (300 << 20))}

    with Processes(2).start(eat) as pool:
        victim = run(pool, group=str(small_cgroup))
        assert (victim.kind, victim.value) == ("oom", None)
        assert "for want of memory" in victim.message
        assert run(pool, group="").value == {"eaten": 300 << 20}


def test_kill_by_somebody_is_a_crash(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Processes(1).start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "hang", "mark": str(mark)}))
        await_that(mark.exists, "the task starts")
        os.kill(int(mark.read_text()), signal.SIGKILL)
        outcome = collect(pool, 1)[0]
    assert outcome.kind == "crash"
    assert outcome.message == "the process died before the task was done: signal SIGKILL"


def test_no_process_answers_for_another_task() -> None:
    def forge(payload: dict[str, Any]) -> dict[str, Any]:
        import gc
        from multiprocessing.connection import Connection

        from hpo.executors.base import Outcome

        for pipe in gc.get_objects():
            if isinstance(pipe, Connection) and not pipe.closed:
                pipe.send(Outcome(id="another", value={"y": -1}))
        return {"y": payload["y"]}

    with Processes(1).start(forge) as pool:
        for y in range(3):
            assert run(pool, f"task-{y}", y=y).value == {"y": y}


def test_a_function_may_use_processes_of_its_own() -> None:
    def spread(payload: dict[str, Any]) -> dict[str, Any]:
        import concurrent.futures
        import multiprocessing
        import subprocess

        fork = multiprocessing.get_context("fork")
        with fork.Pool(2) as pool:
            total = sum(pool.map(abs, [-1, -2, -3]))
        with concurrent.futures.ProcessPoolExecutor(2, fork) as executor:
            total += executor.submit(abs, -10).result()
        child = fork.Process(target=abs, args=(-1,))
        child.start()
        child.join()
        return {"y": total, "codes": [child.exitcode, subprocess.run(["true"], check=False).returncode]}

    with Processes(1).start(spread) as pool:
        for _ in range(2):
            assert run(pool).value == {"y": 16, "codes": [0, 0]}
