"""The program of a supervising process: one per slot, between the driver and the processes of a task.

It forks them, holds them to their limits, ends their whole tree, and says how it ended, whatever the driver is busy
with; and when the driver is gone, it ends the tree and goes too. It runs nothing of the user's itself, so no task can
take it down. It is one class, since it is one state machine: whatever is heard may change the job and the process both.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from hpo.executors.base import Kind, Outcome, Task
from hpo.executors.supervisor import process_tree as tree
from hpo.executors.supervisor.command import Command, read_result, variables
from hpo.executors.supervisor.messages import Broken, Cancel, Ready, Settings, Stop
from hpo.executors.supervisor.output import Output
from hpo.executors.supervisor.worker import execute, fork, serve

MEMORY_SAMPLE = 0.1
"""Seconds between two looks at the memory of a limited task."""


@dataclass
class Process:
    """The process a task runs in."""

    pid: int
    env: Mapping[str, str]
    pipe: Connection | None
    """To a process that runs the function; None for a command, or when the process has closed it."""
    is_ready: bool = False


@dataclass(frozen=True)
class Ending:
    """Why the process tree is being stopped, and when it is killed."""

    kind: Kind
    message: str
    kill_at: float


@dataclass
class Job:
    """The task that runs now."""

    task: Task
    output: Output
    started_at: float
    start: float
    oom_kills: int
    ending: Ending | None = None

    @property
    def deadline(self) -> float:
        """When its time is over, on the monotonic clock."""
        return self.start + self.task.timeout if self.task.timeout else float("inf")


class Supervisor:
    """At most one job and at most one process at a time; a loop that sleeps until something happens."""

    def __init__(self, driver: Connection, settings: Settings, scratch: Path) -> None:
        self._driver: Connection | None = driver
        self._settings = settings
        self._scratch = scratch
        self._process: Process | None = None
        self._job: Job | None = None
        self._is_stopping = False
        self._alarm, self._bell = Pipe(duplex=False)  # rings when a child has died
        os.set_blocking(self._bell.fileno(), False)
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler the bell would not ring

    def run(self) -> None:
        """Serve the driver until it says stop or is gone."""
        if self._settings.function is not None:
            self._launch_function(self._settings.env)
        else:
            self._tell(Ready())
        while not self._is_stopping or self._job is not None:
            pipe = self._process.pipe if self._process else None
            ready = wait([source for source in (self._alarm, self._driver, pipe) if source is not None], self._pause())
            if self._alarm in ready:
                os.read(self._alarm.fileno(), 4096)
            if self._driver is not None and self._driver in ready:
                self._hear_driver(self._driver)
            if pipe is not None and pipe in ready and not pipe.closed:
                self._hear_process(pipe)
            self._reap()
            self._enforce()
        tree.end_all_children()

    def _pause(self) -> float | None:
        """Seconds until something must be looked at though nothing happened."""
        job = self._job
        if job is None:
            return None
        now = time.monotonic()
        if job.ending is not None:
            return max(0.0, job.ending.kill_at - now)
        pause = max(0.0, job.deadline - now)
        if job.task.memory is not None:
            pause = min(pause, MEMORY_SAMPLE)
        return None if pause == float("inf") else pause

    # what others say

    def _hear_driver(self, driver: Connection) -> None:
        try:
            message = driver.recv()
        except (EOFError, OSError):  # the driver is gone, killed perhaps
            self._driver = None
            message = Stop(self._settings.grace)
        match message:
            case Task():
                self._begin(message)
            case Cancel():
                if self._job is not None and self._job.task.id == message.id:
                    self._end_tree("cancelled", "cancelled while it ran", message.grace)
            case Stop():
                self._is_stopping = True
                self._end_tree("cancelled", "cancelled while it ran", message.grace)

    def _hear_process(self, pipe: Connection) -> None:
        assert self._process is not None
        try:
            message = pipe.recv()
        except (EOFError, OSError):  # it died; `_reap` learns how
            self._process.pipe = None
            pipe.close()
            return
        match message:
            case Ready():
                self._process.is_ready = True
                if self._job is not None:
                    self._hand_over(self._job, pipe)
                else:
                    self._tell(message)
            case Broken() if self._job is None:
                self._tell(message)
            case Broken(reason, log_tail) if self._job is not None and self._job.ending is None:
                self._finish(kind="infra", message=f"the function could not be loaded: {reason}", log_tail=log_tail)
            case Outcome() if self._job is not None and self._job.ending is None and message.id == self._job.task.id:
                self._conclude(message)

    # a job's beginning and end

    def _begin(self, task: Task) -> None:
        env = {**self._settings.env, **task.env}
        output = self._output(task.id)
        self._job = Job(task, output, time.time(), time.monotonic(), tree.oom_kills())
        try:
            self._make_scratch()
            output.create()
            if self._settings.command is not None:
                self._launch_command(self._settings.command, task, output, env)
                return
            if self._process is not None and self._process.env != env:  # libraries read theirs once, at import
                self._end_process()
            if self._process is None:
                self._launch_function(env)
            elif self._process.is_ready and self._process.pipe is not None:
                self._hand_over(self._job, self._process.pipe)
        except OSError as error:  # a full disk, no right to write the log, no process to be had
            self._finish(kind="infra", message=f"the task could not be started: {error}")

    def _hand_over(self, job: Job, pipe: Connection) -> None:
        with suppress(OSError):  # it has just died; `_reap` finds out how
            pipe.send((job.task, job.output))

    def _conclude(self, outcome: Outcome) -> None:
        """The function has returned or raised."""
        assert self._process is not None
        job = self._job
        assert job is not None
        if self._settings.is_reused and outcome.kind != "oom":
            strays = [pid for pid in tree.children(os.getpid()) if pid != self._process.pid]
            tree.send([*strays, *(below for pid in strays for below in tree.descendants(pid))], signal.SIGKILL)
            self._report(outcome)
        else:
            self._finish(kind=outcome.kind, value=outcome.value, message=outcome.message, log_tail=outcome.log_tail)

    def _end_tree(self, kind: Kind, message: str, grace: float) -> None:
        """End everything the job has started: ask, then insist after `grace` seconds."""
        job = self._job
        if job is None:
            return
        if job.ending is not None:
            job.ending = replace(job.ending, kill_at=min(job.ending.kill_at, time.monotonic() + grace))
            return
        job.ending = Ending(kind, message, time.monotonic() + grace)
        if grace > 0:
            tree.send(tree.descendants(os.getpid()), signal.SIGTERM)

    def _enforce(self) -> None:
        """Look at the clock and at the memory."""
        job = self._job
        if job is None:
            return
        now = time.monotonic()
        if job.ending is None and now >= job.deadline:
            self._end_tree(
                "timeout", f"still running after its timeout of {job.task.timeout:g} s", self._settings.grace
            )
        elif job.ending is None and job.task.memory is not None:
            used = tree.exceeds(tree.descendants(os.getpid()), job.task.memory)
            if used is not None:
                text = f"its processes held {_mib(used)} MiB, more than its limit of {_mib(job.task.memory)} MiB"
                self._end_tree("oom", text, grace=0.0)
        if job.ending is not None and now >= job.ending.kill_at:
            self._finish_ending(job.ending)

    def _reap(self) -> None:
        """Collect what has died; if it was the job's process, the job is over."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if self._job is not None and self._job.ending is not None:
                    self._finish_ending(self._job.ending)
                return
            if pid == 0:
                return
            if self._process is not None and pid == self._process.pid:
                self._process_died(os.waitstatus_to_exitcode(status))

    def _process_died(self, code: int) -> None:
        process, job = self._process, self._job
        assert process is not None
        while self._process is process and process.pipe is not None and process.pipe.poll():  # what it still sent
            self._hear_process(process.pipe)
        if self._process is not process:
            return
        self._forget_process()
        if self._job is None:
            if not process.is_ready:
                self._tell(Broken(f"the process that loaded the function died: {_how(code)}", self._output("").tail()))
        elif job is None or job.ending is not None:
            return
        elif not process.is_ready and self._settings.function is not None:
            self._finish(kind="infra", message=f"the process died while it loaded the function: {_how(code)}")
        elif self._settings.command is not None and code >= 0:
            self._finish_command(job, code)
        else:
            kind: Kind = "oom" if code == -signal.SIGKILL and tree.oom_kills() > job.oom_kills else "crash"
            reason = "killed by the kernel for want of memory" if kind == "oom" else _how(code)
            self._finish(kind=kind, message=f"the process died before the task was done: {reason}")

    def _finish_command(self, job: Job, code: int) -> None:
        if code != 0:
            self._finish(kind="error", message=f"the command ended with exit code {code}")
            return
        try:
            value, notice = read_result(job.output.out, self._result)
        except (ValueError, OSError) as error:
            self._finish(kind="error", message=str(error))
        else:
            self._finish(value=value, message=notice)

    def _finish_ending(self, ending: Ending) -> None:
        reported = None
        if ending.kind == "timeout" and self._job is not None and self._settings.command is not None:
            with suppress(ValueError, OSError):
                reported, _ = read_result(self._job.output.out, self._result)
        self._finish(kind=ending.kind, message=ending.message, reported=reported)

    def _finish(
        self,
        kind: Kind | None = None,
        value: Mapping[str, Any] | None = None,
        message: str = "",
        log_tail: str = "",
        reported: Mapping[str, Any] | None = None,
    ) -> None:
        """The job is over and so are all its processes: end what is left, report, and get ready for the next."""
        job = self._job
        assert job is not None
        self._end_process()
        if kind is not None and not log_tail:
            log_tail = job.output.tail()
        self._report(
            Outcome(id=job.task.id, kind=kind, value=value, message=message, log_tail=log_tail, reported=reported)
        )
        if self._settings.function is not None and kind != "infra" and not self._is_stopping:
            with suppress(OSError):  # no process to be had: the next task tries again, and says so
                self._launch_function(self._settings.env)

    def _report(self, outcome: Outcome) -> None:
        job = self._job
        assert job is not None
        self._job = None
        logs = (str(job.output.out), str(job.output.err)) if self._settings.logs is not None else ()
        if outcome.kind != "infra":  # those of a supervisor never started
            outcome = replace(outcome, started_at=job.started_at, seconds=time.monotonic() - job.start)
        self._tell(replace(outcome, logs=logs))

    def _tell(self, message: Outcome | Ready | Broken) -> None:
        if self._driver is not None:
            with suppress(OSError):  # the driver is gone; the loop notices
                self._driver.send(message)

    # processes

    def _launch_function(self, env: Mapping[str, str]) -> None:
        assert self._settings.function is not None
        self._make_scratch()
        pickled, (here, there) = self._settings.function, Pipe()
        pid = fork(lambda: serve(there, pickled), self._output(""), env, [*self._held(), here])
        there.close()
        self._process = Process(pid, env, here)

    def _launch_command(self, command: Command, task: Task, output: Output, env: Mapping[str, str]) -> None:
        params = self._scratch / "params.json"
        for path in (params, self._result):
            _remove(path)
        params.write_text(json.dumps(task.payload))
        full = {**env, **variables(task.payload), "HPO_PARAMS": str(params), "HPO_RESULT": str(self._result)}
        arguments = command.render(task.payload)
        self._process = Process(fork(lambda: execute(arguments), output, full, self._held()), full, None)

    def _make_scratch(self) -> None:
        """Create the folder again where somebody has removed it."""
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _end_process(self) -> None:
        tree.end_all_children()
        self._forget_process()

    def _forget_process(self) -> None:
        if self._process is not None and self._process.pipe is not None:
            self._process.pipe.close()
        self._process = None

    def _held(self) -> list[Connection]:
        """What only the supervisor may keep open."""
        return [self._alarm, self._bell, *([self._driver] if self._driver is not None else [])]

    @property
    def _result(self) -> Path:
        return self._scratch / "result.json"

    def _output(self, id: str) -> Output:
        """The files of a task; what is written before the first task goes to the scratch folder."""
        if self._settings.logs is None or not id:
            return Output(self._scratch / "out", self._scratch / "err")
        return Output.of(self._settings.logs, id)


def _how(code: int) -> str:
    """What `os.waitstatus_to_exitcode` says, in words."""
    if code >= 0:
        return f"exit code {code}"
    names = {known.value: known.name for known in signal.Signals}
    return f"signal {names.get(-code, -code)}"  # most real-time signals have no name


def _remove(path: Path) -> None:
    """Whatever a command has left there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _mib(size: int) -> int:
    return round(size / 2**20)


def main(descriptor: int, scratch: str) -> None:
    """Serve the driver on this socket, with `scratch` as the folder for files that nobody keeps."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what Ctrl-C means
    tree.become_subreaper()
    try:
        with Connection(descriptor) as driver:
            Supervisor(driver, driver.recv(), Path(scratch)).run()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
