"""What the pools on Dask and Ray share: the queue, one thread for all calls to the cluster, and time limits.

Reports from the cluster are treated as hints. A task is delivered when the pool's thread first hears of its end, or of
the loss of what ran it; whatever the cluster reports about it later finds its token gone and changes nothing.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from hpo.executors.base import (
    CloseMode,
    Kind,
    Outcome,
    Pool,
    Task,
    answer_to,
    refuse_detach,
)
from hpo.executors.call import describe
from hpo.executors.supervisor.messages import Settings
from hpo.executors.task_queue import TaskQueue

TICK = 1.0
"""Seconds between two looks at what does not announce itself: the cluster's size, cancelled tasks that have not ended."""

PATIENCE = 20.0
"""Seconds beyond its grace after which a cancelled task is given up."""

QUIET = 10.0
"""Seconds for which tasks may wait for a place before a person is told."""


@dataclass
class Handed:
    """A task that the cluster has."""

    token: str
    """Its name in the cluster, never used twice."""
    task: Task
    grace: float | None = None
    """Once it is cancelled: seconds from SIGTERM to SIGKILL."""
    due: float = float("inf")
    """When patience with a cancelled task ends, on the monotonic clock."""
    place: str = ""
    """The machine that has it, once that is known."""
    begun_at: float | None = None
    """Unix time of its start, once that is known."""
    since: float = field(default_factory=time.monotonic)
    """When the cluster got it, on the monotonic clock."""

    def unended(self, kind: Kind, message: str) -> Outcome:
        """The outcome of a task whose end nobody saw."""
        seconds = 0.0 if self.begun_at is None else max(0.0, time.time() - self.begun_at)
        return Outcome(id=self.task.id, kind=kind, message=message, started_at=self.begun_at, seconds=seconds)


class ClusterPool(Pool):
    """Hands tasks over as the cluster has places. Methods below `the cluster` are called in the pool's thread only."""

    cluster: str
    """Its name in messages."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"hpo-{uuid.uuid4().hex}"
        """Of this pool, for the cluster and its workers."""
        self._settings = settings
        self._queue = TaskQueue()
        self._handed: dict[str, Handed] = {}
        self._n_handed = 0
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._avoided: frozenset[str] = frozenset()
        self._notices: deque[str] = deque()
        self._is_over = False
        self._thread = threading.Thread(target=self._serve, name=f"hpo-{self.cluster.lower()}", daemon=True)

    @property
    def grace(self) -> float:
        """As the executor was given it."""
        return self._settings.grace

    def submit(self, *tasks: Task) -> None:
        """Queue `tasks`; free places take them at once."""
        for task in tasks:
            if self._settings.command is not None:
                self._settings.command.check(task.payload)
            self._check(task)
        self._queue.add(tasks)
        self._calls.put(_nothing)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Outcomes not delivered yet, as soon as there is one. Raises ExecutorError when the cluster is lost for good."""
        return self._queue.wait(timeout)

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End queued tasks as cancelled; tell the workers of the others."""
        running = self._queue.cancel_waiting(ids)
        if running:
            self._calls.put(lambda: self._cancel(running, self._settings.grace if grace is None else grace))

    def avoid(self, places: Collection[str]) -> None:
        """Start nothing there; what was handed over and has not begun moves too."""
        avoided = frozenset(places)
        if avoided != self._avoided:
            self._avoided = avoided
            self._calls.put(self._move)

    def notices(self) -> list[str]:
        """What the cluster lacks."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Drain or cancel, then let go of the cluster."""
        refuse_detach(mode, self.cluster)
        self._queue.close()
        if mode is CloseMode.KILL:
            self.cancel(self._queue.in_flight())
        self._queue.join()
        self._calls.put(self._finish)
        self._thread.join()
        return self._queue.deliver()

    # the pool's thread

    def _serve(self) -> None:
        look = time.monotonic()
        try:
            while not self._is_over:
                if time.monotonic() >= look:
                    self._tend()
                    self._repeat_cancellations()
                    look = time.monotonic() + TICK
                self._feed()
                self._obey(look - time.monotonic())
        except BaseException as fault:
            self._queue.give_up(fault, f"{self.cluster} was lost: {describe(fault)}")
        finally:
            self._let_go()

    def _obey(self, patience: float) -> None:
        """Do what was asked of this thread, after a sleep until there is something."""
        try:
            call = self._calls.get(timeout=max(0.0, patience))
            while True:
                call()
                call = self._calls.get_nowait()
        except queue.Empty:
            return

    def _feed(self) -> None:
        free = self._places() - len(self._handed)
        while free > 0 and (task := self._queue.take()) is not None:
            free -= 1
            self._give(task)

    def _give(self, task: Task) -> None:
        self._n_handed += 1
        handed = Handed(f"{self.name}-{self._n_handed}", task)
        self._handed[handed.token] = handed
        try:
            self._hand_over(handed)
        except Exception as error:
            self._lose([handed.token], f"{self.cluster} did not take the task: {describe(error)}")

    def _give_again(self, tokens: Iterable[str]) -> None:
        """Take back tasks that have not begun, and hand them over again."""
        for token in tokens:
            task = self._handed.pop(token).task
            self._forget(token)
            self._give(task)

    def _cancel(self, ids: set[str], grace: float) -> None:
        cancelled = [handed for handed in self._handed.values() if handed.task.id in ids]
        for handed in cancelled:
            handed.grace = grace if handed.grace is None else min(handed.grace, grace)
            handed.due = min(handed.due, time.monotonic() + grace + PATIENCE)
        if cancelled:
            self._end_there(cancelled)

    def _repeat_cancellations(self) -> None:
        """Send pending cancellations again: the worker may have started, or moved. Give up on tasks that are past due."""
        for handed in [handed for handed in self._handed.values() if time.monotonic() >= handed.due]:
            message = f"cancelled, and given up: its worker did not answer for {PATIENCE:g} s, it may still run"
            self._end(handed.token, handed.unended("cancelled", message))
            self._forget(handed.token)
        if cancelled := [handed for handed in self._handed.values() if handed.grace is not None]:
            self._end_there(cancelled)

    def _end(self, token: str, outcome: Outcome) -> None:
        """Deliver, unless the task was delivered or given up before."""
        handed = self._handed.pop(token, None)
        if handed is not None:
            answer = answer_to(handed.task, outcome)
            self._queue.end(replace(answer, place=answer.place or handed.place))

    def _lose(self, tokens: Iterable[str], why: str, place: str = "") -> None:
        """Give tasks up: they end as infra, and what still runs of them is stopped and ignored."""
        for token in list(tokens):
            handed = self._handed.get(token)
            if handed is not None:
                handed.place = place or handed.place
                self._end(token, handed.unended("infra", why))
                self._forget(token)

    def _waiting(self) -> str:
        """What a notice says of the tasks in flight that nothing can run now; empty where there are none."""
        n = len(self._queue.in_flight())
        return "" if not n else "1 trial waits" if n == 1 else f"{n} trials wait"

    def _n_begun(self, places: Collection[str]) -> int:
        """Tasks that run at these."""
        return sum(handed.begun_at is not None and handed.place in places for handed in [*self._handed.values()])

    def _finish(self) -> None:
        self._is_over = True

    # the cluster

    def _check(self, task: Task) -> None:
        """Raise ExecutorError if the cluster cannot run such a task. In the caller's thread."""

    @abstractmethod
    def _places(self) -> int:
        """How many tasks the cluster may have now."""

    @abstractmethod
    def _hand_over(self, handed: Handed) -> None:
        """Give the cluster a task. When it ends, `_end(token, outcome)` is put into `_calls`."""

    @abstractmethod
    def _end_there(self, cancelled: list[Handed]) -> None:
        """Tell the workers; called again each TICK while they run on. What did not start is ended here."""

    @abstractmethod
    def _forget(self, token: str) -> None:
        """Let the cluster drop what it has of a task that was given up; the task may be over or unknown."""

    @abstractmethod
    def _move(self) -> None:
        """What has not begun at a place that is to be avoided now goes to another one."""

    @abstractmethod
    def _tend(self) -> None:
        """Look after the cluster, each TICK. An error breaks the pool."""

    @abstractmethod
    def _let_go(self) -> None:
        """Leave nothing of this pool on the cluster."""


def _nothing() -> None:
    """Wakes the pool's thread."""
