"""The driver's side of supervised processes: a pool that hands tasks to one supervisor per slot."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing.connection import Pipe, wait

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Pool, Task, refuse_detach
from hpo.executors.supervisor import process_tree as tree
from hpo.executors.supervisor.messages import Broken, Cancel, Settings, Stop
from hpo.executors.task_queue import TaskQueue

PATIENCE = 10.0
"""Seconds beyond every limit after which a supervisor that does not answer is itself killed."""

PROGRAM = """
import sys
descriptor, scratch, *sys.path[:] = sys.argv[1:]
from hpo.executors.supervisor.program import main
main(int(descriptor), scratch)
"""


SLOT = "HPO_SLOT"
"""The variable by which processes are known as those of a slot: its mark, after those of the slots it runs in."""


class Slot:
    """A supervisor and the task that it runs."""

    def __init__(self, settings: Settings) -> None:
        self._mark = secrets.token_hex(16)
        self._scratch = tempfile.mkdtemp(prefix="hpo-")
        self.connection, there = Pipe()
        self.task: Task | None = None
        self.handed = 0.0
        """When it was given the task, Unix time."""
        self.due = float("inf")
        """When an answer is overdue, on the monotonic clock."""
        try:
            with there:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, str(there.fileno()), self._scratch, *sys.path],
                    pass_fds=[there.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, SLOT: f"{os.environ.get(SLOT, '')}/{self._mark}"},
                    start_new_session=True,  # Ctrl-C in the terminal reaches the driver only
                )
            self.connection.send(settings)
        except BaseException:
            self.connection.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise

    def stop(self, grace: float) -> None:
        """Ask it to end everything and go."""
        try:
            self.connection.send(Stop(grace))
        except OSError:
            return  # it is gone already

    def close(self, patience: float) -> None:
        """Wait until it has gone; kill it when patience ends. Unless it went by itself, kill what was below it too."""
        self.connection.close()
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            tree.send([*tree.descendants(self._process.pid), self._process.pid], signal.SIGKILL)
            code = self._process.wait()
        if code != 0:
            tree.end_marked(self._mark)
        shutil.rmtree(self._scratch, ignore_errors=True)  # it does so itself, unless it was killed


class SupervisedPool(Pool):
    """A separate thread owns the slots: it feeds them, listens to them, and replaces those that are lost.

    The other methods only write into the queue, and into a list of cancellations, and ring the bell.
    """

    def __init__(self, settings: Settings, slots: int, devices: Sequence[str] = ()) -> None:
        """`devices`: GPUs of this machine, dealt out over the slots (see `deal`)."""
        self._settings = settings
        self._devices = deal(devices, slots)
        self._queue = TaskQueue()
        self._cancels: deque[Cancel] = deque()
        self._is_closing = False
        self._slots: list[Slot | None] = []
        try:
            for dealt in self._devices:
                self._slots.append(Slot(_with_devices(settings, dealt)))
            for slot in self._slots:
                _await_ready(slot)
        except BaseException:
            self._let_go(grace=0.0)
            raise
        self._alarm, self._bell = Pipe(duplex=False)
        self._ringing = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="hpo-supervised", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """The number of slots."""
        return len(self._slots)

    @property
    def grace(self) -> float:
        """As the executor was given it."""
        return self._settings.grace

    def submit(self, *tasks: Task) -> None:
        """Queue `tasks`; idle slots take them at once."""
        if self._settings.command is not None:
            for task in tasks:
                self._settings.command.check(task.payload)
        least = min(map(len, self._devices))
        for task in tasks:
            if task.gpus > least:
                raise ExecutorError(
                    f"task {task.id!r} asks for {task.gpus} gpus, and a slot has {least}; give the executor more devices, "
                    "or fewer slots"
                )
        self._queue.add(tasks)
        self._ring()

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Outcomes not delivered yet, as soon as there is one."""
        return self._queue.wait(timeout)

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End queued tasks as cancelled; ask the supervisors to end the running ones."""
        running = self._queue.cancel_waiting(ids)
        self._cancels.extend(Cancel(id, self._settings.grace if grace is None else grace) for id in running)
        self._ring()

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Drain or cancel, then end the supervisors."""
        refuse_detach(mode, "this machine")
        self._queue.close()
        if mode is CloseMode.KILL:
            self.cancel(self._queue.in_flight())
        self._queue.join()
        self._is_closing = True
        self._ring()
        self._thread.join()
        return self._queue.deliver()

    def _ring(self) -> None:
        with self._ringing:
            if not self._bell.closed:
                self._bell.send_bytes(b"!")

    # what follows runs in the pool's thread

    def _serve(self) -> None:
        try:
            while not self._is_closing:
                self._feed()
                self._pass_on_cancels()
                slots = [slot for slot in self._slots if slot is not None]
                due = min((slot.due for slot in slots), default=float("inf"))
                pause = None if due == float("inf") else max(0.0, due - time.monotonic())
                ready = set(wait([self._alarm, *(slot.connection for slot in slots)], pause))
                if self._alarm in ready:
                    self._alarm.recv_bytes()
                for slot in slots:
                    if slot.connection in ready:
                        self._listen(slot)
                self._drop_overdue()
        except BaseException as fault:
            self._queue.break_off(fault)
            raise
        finally:
            self._let_go(self._settings.grace)
            with self._ringing:
                self._alarm.close()
                self._bell.close()

    def _feed(self) -> None:
        for index in range(len(self._slots)):
            while (slot := self._slots[index]) is None or slot.task is None:
                task = self._queue.take()
                if task is None:
                    return
                self._place(task, index)

    def _place(self, task: Task, index: int) -> None:
        """Hand it to the slot, which is made if need be; where that cannot be, the task has ended."""
        slot = self._slots[index]
        try:
            if slot is None:
                slot = self._slots[index] = Slot(_with_devices(self._settings, self._devices[index]))
            slot.connection.send(task)
        except OSError as error:
            if slot is not None:
                self._lose(slot, "")
            self._queue.end(Outcome(id=task.id, kind="infra", message=f"no process to run it in: {error}"))
            return
        slot.task, slot.handed = task, time.time()
        if task.timeout is not None:
            slot.due = time.monotonic() + task.timeout + self._settings.grace + PATIENCE

    def _pass_on_cancels(self) -> None:
        while self._cancels:
            cancel = self._cancels.popleft()
            for slot in self._slots:
                if slot is not None and slot.task is not None and slot.task.id == cancel.id:
                    slot.due = min(slot.due, time.monotonic() + cancel.grace + PATIENCE)
                    try:
                        slot.connection.send(cancel)
                    except OSError:
                        self._lose(slot, "the process that watched the task was lost")

    def _listen(self, slot: Slot) -> None:
        try:
            message = slot.connection.recv()
        except (EOFError, OSError):
            self._lose(slot, "the process that watched the task was lost")
            return
        if isinstance(message, Outcome) and slot.task is not None and message.id == slot.task.id:
            slot.task, slot.due = None, float("inf")
            self._queue.end(message)

    def _drop_overdue(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot is not None and now >= slot.due:
                self._lose(slot, f"the process that watched the task did not answer for {PATIENCE:g} s")

    def _lose(self, slot: Slot, why: str) -> None:
        """Give up a supervisor, and its task if it has one; a new one takes its place with the next task."""
        self._slots[self._slots.index(slot)] = None
        slot.close(patience=0.0)
        if slot.task is not None:
            seconds = max(time.time() - slot.handed, 0.0)
            lost = Outcome(id=slot.task.id, kind="infra", message=why, started_at=slot.handed, seconds=seconds)
            self._queue.end(lost)

    def _let_go(self, grace: float) -> None:
        slots = [slot for slot in self._slots if slot is not None]
        for slot in slots:
            slot.stop(grace)
        for slot in slots:
            slot.close(grace + PATIENCE)
        self._slots = [None] * len(self._slots)


def deal(devices: Sequence[str], slots: int) -> list[tuple[str, ...]]:
    """Devices for each slot: the same number each, none shared, where there are enough; else one each, shared in turn."""
    each = len(devices) // slots
    if devices and not each:
        return [(devices[slot % len(devices)],) for slot in range(slots)]
    return [tuple(devices[slot * each : (slot + 1) * each]) for slot in range(slots)]


def _with_devices(settings: Settings, devices: Sequence[str]) -> Settings:
    return replace(settings, env={**settings.env, "CUDA_VISIBLE_DEVICES": ",".join(devices)}) if devices else settings


def _await_ready(slot: Slot | None) -> None:
    """Sleep until the supervisor's first word; raises ExecutorError if the function cannot be loaded there."""
    assert slot is not None
    try:
        message = slot.connection.recv()
    except EOFError as error:
        raise ExecutorError(
            "a process to run tasks in could not be started; the reason stands on standard error above"
        ) from error
    if isinstance(message, Broken):
        raise ExecutorError(
            f"the function cannot be loaded in a worker process: {message.message}. Its module must be importable from"
            f" the present sys.path, and importable without side effects.\n{message.log_tail}"
        )
