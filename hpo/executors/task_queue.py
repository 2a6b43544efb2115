"""The queue of a pool: what waits, what runs, what has ended. Thread-safe; independent of how tasks are run."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable

from hpo.errors import ExecutorError
from hpo.executors.base import Outcome, Task


class TaskQueue:
    """Each task goes waiting -> running -> ended -> delivered, or from waiting to ended when cancelled in time.

    `add`, `cancel_waiting`, `wait`, `join` and `close` serve the pool's callers; `take` and `end` serve what runs it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, Task] = OrderedDict()  # in order of submission
        self._running: set[str] = set()
        self._ended: deque[Outcome] = deque()
        self._is_closed = False
        self._fault: BaseException | None = None

    def add(self, tasks: Iterable[Task]) -> None:
        """Let all of `tasks` wait for their turn, or raise ExecutorError and let none."""
        tasks = list(tasks)
        with self._changed:
            if self._fault is not None:
                raise ExecutorError(f"this pool is closed, for it broke: {self._fault}") from self._fault
            if self._is_closed:
                raise ExecutorError("this pool is closed; start the executor again for more tasks")
            seen: set[str] = set()
            for task in tasks:
                if task.id in seen or task.id in self._waiting or task.id in self._running:
                    raise ExecutorError(f"task {task.id!r} is already in flight; give each task its own id")
                seen.add(task.id)
            self._waiting.update((task.id, task) for task in tasks)
            self._changed.notify_all()

    def take(self) -> Task | None:
        """The next waiting task, running from now on; None if none waits."""
        with self._changed:
            return self._take()

    def take_or_sleep(self) -> Task | None:
        """The next waiting task, as soon as there is one; None once the queue is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            return self._take()

    def end(self, outcome: Outcome) -> None:
        """Write down how a running task ended. A second outcome of a task is dropped."""
        with self._changed:
            if outcome.id in self._running:
                self._running.remove(outcome.id)
                self._ended.append(outcome)
                self._changed.notify_all()

    def cancel_waiting(self, ids: Iterable[str]) -> set[str]:
        """End those of `ids` that still wait; returns those that run."""
        ids = set(ids)
        with self._changed:
            for id in [id for id in self._waiting if id in ids]:
                del self._waiting[id]
                self._ended.append(Outcome(id=id, kind="cancelled", message="cancelled before it started"))
            self._changed.notify_all()
            return ids & self._running

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or runs."""
        with self._changed:
            return self._is_idle()

    @property
    def has_ended(self) -> bool:
        """Whether there is an outcome to deliver."""
        with self._changed:
            return bool(self._ended)

    def in_flight(self) -> set[str]:
        """Ids that wait or run."""
        with self._changed:
            return {*self._waiting, *self._running}

    def wait(self, timeout: float | None) -> list[Outcome]:
        """All undelivered outcomes, as soon as there is one; [] after `timeout` or if nothing is in flight."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._is_idle() or self._fault, timeout)
            if not self._ended and self._fault is not None:
                what = self._fault if isinstance(self._fault, ExecutorError) else f"the pool broke: {self._fault!r}"
                raise ExecutorError(str(what)) from self._fault
            return self._deliver()

    def close(self) -> None:
        """Refuse new tasks from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Sleep until nothing is in flight, or nothing will ever end any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_idle() or self._fault)

    def deliver(self) -> list[Outcome]:
        """All undelivered outcomes, now."""
        with self._changed:
            return self._deliver()

    def break_off(self, fault: BaseException) -> None:
        """Nothing will run any more: everybody who waits is told why, instead of waiting for ever."""
        with self._changed:
            self._is_closed = True
            self._fault = fault
            self._changed.notify_all()

    def give_up(self, fault: BaseException, message: str) -> None:
        """Break off, after all that is in flight has ended as infra."""
        with self._changed:
            for id in (*self._waiting, *self._running):
                self._ended.append(Outcome(id=id, kind="infra", message=message))
            self._waiting.clear()
            self._running.clear()
            self.break_off(fault)

    def _is_idle(self) -> bool:
        return not self._waiting and not self._running

    def _take(self) -> Task | None:
        if not self._waiting:
            return None
        _, task = self._waiting.popitem(last=False)
        self._running.add(task.id)
        return task

    def _deliver(self) -> list[Outcome]:
        outcomes = list(self._ended)
        self._ended.clear()
        return outcomes
