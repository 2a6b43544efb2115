from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from hpo.executors import Outcome, Processes, Task
from hpo.executors.supervisor import pool as supervised
from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.messages import Broken, Cancel, Ready, Settings, Stop
from hpo.executors.supervisor.pickling import pickle_function
from hpo.executors.supervisor.program import _how, _remove
from hpo.testing.executors import (
    await_that,
    behave,
    collect,
    is_gone,
)
from tests.executors.started import run, supervisor_of

pytestmark = pytest.mark.usefixtures("scratch_folders_go")

# Functions below stand inside the tests: this module cannot be imported elsewhere, so they travel by value.


ROOT = Path(__file__).parents[3]


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


class Program:
    """A supervising process, and the line to it."""

    def __init__(self, scratch: Path, settings: Settings) -> None:
        self.line, there = Pipe()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-c", supervised.PROGRAM, str(there.fileno()), str(scratch), *sys.path],
                pass_fds=[there.fileno()],
            )
        self.line.send(settings)

    def hear(self) -> Any:
        """Its next word."""
        assert self.line.poll(60.0), "it says nothing"
        return self.line.recv()

    def ended(self, task: Task, *then: object) -> Outcome:
        """How the task ended, after these words."""
        for word in (task, *then):
            self.line.send(word)
        outcome = self.hear()
        assert isinstance(outcome, Outcome)
        return outcome


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts one that has said it is ready; in the end it is told to stop, and leaves nothing."""
    started: list[Program] = []

    def start(script: str | None = None, **settings: Any) -> Program:
        if script is None:
            told = Settings(function=pickle_function(behave), **settings)
        else:
            told = Settings(command=Command.of(["sh", "-c", re.sub("[{}]", r"\g<0>\g<0>", script)]), **settings)
        started.append(Program(tmp_path / "scratch", told))
        assert started[-1].hear() == Ready()
        return started[-1]

    yield start
    for running in started:
        with suppress(OSError):
            running.line.send(Stop(0.0))
        assert running.process.wait(60) == 0
        running.line.close()
    assert not (tmp_path / "scratch").exists()


def test_a_function_that_cannot_be_loaded_is_the_first_word(tmp_path: Path) -> None:
    alone = Program(tmp_path / "scratch", Settings(function=b""))
    broken = alone.hear()
    assert isinstance(broken, Broken)
    assert broken.message == "EOFError: Ran out of input"
    assert broken.log_tail.startswith("Traceback ")
    alone.line.close()
    assert alone.process.wait(60) == 0, "without its driver it goes"


def test_a_task_is_told_with_its_times_and_its_seconds(program: Callable[..., Program], tmp_path: Path) -> None:
    before = time.time()
    outcome = program("sleep 0.2; echo '{\"y\": 1}'", logs=tmp_path).ended(Task(id="a", payload={}))
    assert (outcome.id, outcome.kind, outcome.value, outcome.message, outcome.reported) == (
        "a",
        None,
        {"y": 1},
        "",
        None,
    )
    assert outcome.started_at is not None
    assert before <= outcome.started_at <= outcome.started_at + outcome.seconds <= time.time()
    assert outcome.seconds >= 0.2
    assert outcome.logs == (str(tmp_path / "a.out"), str(tmp_path / "a.err"))


def test_a_word_to_end_another_task_ends_nothing(program: Callable[..., Program]) -> None:
    alone = program("echo '{\"y\": 1}'")
    alone.line.send(Cancel("a", 0.0))
    assert alone.ended(Task(id="a", payload={}), Cancel("b", 0.0)).value == {"y": 1}


def test_a_second_word_with_less_grace_cuts_the_first_short(program: Callable[..., Program]) -> None:
    alone = program("trap '' TERM; while :; do sleep 0.05; done")
    outcome = alone.ended(Task(id="a", payload={}), Cancel("a", 500.0), Cancel("a", 900.0), Cancel("a", 0.0))
    assert (outcome.kind, outcome.message, outcome.log_tail) == ("cancelled", "cancelled while it ran", "")


def test_one_that_goes_at_the_first_signal_is_not_waited_for(program: Callable[..., Program]) -> None:
    assert program("sleep 600").ended(Task(id="a", payload={}), Cancel("a", 500.0)).kind == "cancelled"


@pytest.mark.parametrize("script", ["sleep 600", None])
def test_a_stop_ends_the_task_and_the_program(program: Callable[..., Program], script: str | None) -> None:
    alone = program(script)
    outcome = alone.ended(Task(id="a", payload={"do": "hang"}), Stop(500.0))
    assert (outcome.kind, outcome.message) == ("cancelled", "cancelled while it ran")
    assert alone.process.wait(60) == 0


def test_a_timeout_has_the_grace_of_the_settings_and_says_how_long_it_was(program: Callable[..., Program]) -> None:
    script = 'trap \'echo "{\\"y\\": 3}"; echo gone >&2; exit 0\' TERM; sleep 600 & wait'
    outcome = program(script, grace=500.0).ended(Task(id="a", payload={}, timeout=0.3))
    assert (outcome.kind, outcome.message) == ("timeout", "still running after its timeout of 0.3 s")
    assert (outcome.value, outcome.reported, outcome.log_tail) == (None, {"y": 3}, "gone")
    assert outcome.seconds >= 0.3


def test_more_memory_than_the_limit_is_told_in_mib_and_ends_at_once(program: Callable[..., Program]) -> None:
    outcome = program(grace=500.0).ended(Task(id="a", payload={"do": "eat_memory"}, memory=100 << 20))
    assert outcome.kind == "oom"
    told = re.fullmatch(r"its processes held (\d+) MiB, more than its limit of 100 MiB", outcome.message)
    assert told
    assert int(told[1]) > 100


def test_strays_of_a_task_do_not_outlive_it_though_its_process_does(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    alone, child = program(), tmp_path / "child"
    payload = {"do": "leave_grandchild", "grandchild": str(child), "then": "pass"}
    assert alone.ended(Task(id="a", payload=payload)).kind is None
    await_that(lambda: is_gone(child), "the grandchild ends")
    assert alone.ended(Task(id="b", payload={"do": "pass", "value": 1})).value == {"value": 1}


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "signal SIGKILL"), (-15, "signal SIGTERM"), (-40, "signal 40")],
)
def test_how_a_process_ended_in_words(code: int, words: str) -> None:
    assert _how(code) == words


def test_what_a_command_left_is_removed_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("folder", "file", "link", "nothing"):
        _remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
