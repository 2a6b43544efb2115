"""Inline: tasks run one after another in the thread that waits for them. For debugging, tests and cheap functions."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.executors.base import CloseMode, Function, Outcome, Pool, Task, only_function, refuse_detach, refuse_limits
from hpo.executors.call import call
from hpo.executors.task_queue import TaskQueue


@dataclass(frozen=True)
class Inline:
    """Run tasks one after another in the caller's thread: breakpoints and print work as usual.

    A running function can be neither stopped nor limited: `timeout`, `memory` and `env` are refused with ExecutorError.

    Example:
        >>> import hpo
        >>> with hpo.executors.Inline().start(lambda payload: {"y": 2 * payload["x"]}) as pool:
        ...     pool.submit(hpo.executors.Task(id="17", payload={"x": 0.5}))
        ...     pool.wait()[0].value
        {'y': 1.0}
    """

    @property
    def isolated(self) -> bool:
        """Always False: the task runs in this process."""
        return False

    def start(self, function: Function | None = None) -> Pool:
        """Open a pool that calls `function`."""
        return InlinePool(only_function(function, self))


class InlinePool(Pool):
    """Runs the next task when somebody waits; the timeout of `wait` cannot interrupt it."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._queue = TaskQueue()
        self._turn = threading.Lock()

    @property
    def capacity(self) -> int:
        """One."""
        return 1

    def submit(self, *tasks: Task) -> None:
        """Queue `tasks` for the next `wait`."""
        refuse_limits(tasks, "Inline")
        self._queue.add(tasks)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Run one task, unless outcomes are there already; [] if nothing is in flight."""
        outcomes = self._queue.deliver()
        if outcomes or not self._turn.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            return outcomes
        try:
            self._run_next()
        finally:
            self._turn.release()
        return self._queue.deliver()

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End queued tasks as cancelled."""
        self._queue.cancel_waiting(ids)

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Run what is queued, or cancel it."""
        refuse_detach(mode, "Inline")
        self._queue.close()
        if mode is CloseMode.KILL:
            self.cancel(self._queue.in_flight())
        with self._turn:
            while self._run_next():
                pass
        return self._queue.deliver()

    def _run_next(self) -> bool:
        task = self._queue.take()
        if task is None:
            return False
        outcome = call(self._function, task)
        self._queue.end(outcome)
        if outcome.kind == "cancelled":  # Ctrl-C fell into the function: it is meant for the caller too
            raise KeyboardInterrupt
        return True
