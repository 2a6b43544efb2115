"""Threads: tasks run in threads of this process. For functions that wait for something or release the GIL."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.boundary.public import public_class
from hpo.executors.base import (
    CloseMode,
    Function,
    Outcome,
    Pool,
    Task,
    at_least_one_slot,
    only_function,
    refuse_detach,
    refuse_limits,
)
from hpo.executors.call import call
from hpo.executors.task_queue import TaskQueue


@public_class
@dataclass(frozen=True)
class Threads:
    """Run tasks in threads: for functions that wait for something, or release the GIL.

    Python cannot stop a thread. So `timeout`, `memory` and `env` are refused with ExecutorError, `cancel` reaches only
    queued tasks, and a function that segfaults ends the whole program. Where that matters, use `Processes`.

    Args:
        slots: How many tasks run at once.

    Example:
        >>> import hpo
        >>> hpo.executors.Threads(4).slots
        4
    """

    slots: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", at_least_one_slot("Threads", self.slots))

    @property
    def isolated(self) -> bool:
        """Always False: the task runs in this process."""
        return False

    def start(self, function: Function | None = None) -> Pool:
        """Open a pool that calls `function`."""
        return ThreadPool(only_function(function, self), self.slots)


class ThreadPool(Pool):
    """The threads are daemons: a function that never returns does not keep the program alive."""

    def __init__(self, function: Function, slots: int) -> None:
        self._function = function
        self._queue = TaskQueue()
        self._slots = slots
        self._threads = [threading.Thread(target=self._serve, name=f"hpo-{i}", daemon=True) for i in range(slots)]
        for thread in self._threads:
            thread.start()

    @property
    def capacity(self) -> int:
        """The number of threads."""
        return self._slots

    def submit(self, *tasks: Task) -> None:
        """Queue `tasks`; idle threads take them at once."""
        refuse_limits(tasks, "Threads")
        self._queue.add(tasks)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Outcomes not delivered yet, as soon as there is one."""
        return self._queue.wait(timeout)

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End queued tasks as cancelled; running ones run on and end as they end."""
        self._queue.cancel_waiting(ids)

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Drain, or give up what runs: its outcome is "cancelled" at once, though its thread goes on until the function
        returns or the program ends."""
        refuse_detach(mode, "Threads")
        self._queue.close()
        if mode is CloseMode.KILL:
            for id in self._queue.cancel_waiting(self._queue.in_flight()):
                self._queue.end(
                    Outcome(id=id, kind="cancelled", message="given up; a thread cannot be stopped, it may still run")
                )
            self._threads.clear()
        self._queue.join()
        for thread in self._threads:
            thread.join()
        return self._queue.deliver()

    def _serve(self) -> None:
        while (task := self._queue.take_or_sleep()) is not None:
            self._queue.end(call(self._function, task))
