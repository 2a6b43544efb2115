"""Futures: tasks run on any executor of `concurrent.futures`, or of a library with the same interface (loky, mpi4py)."""

from __future__ import annotations

import concurrent.futures
import functools
import pickle
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hpo.boundary.public import public_class
from hpo.executors.base import (
    CloseMode,
    Function,
    Outcome,
    Pool,
    Task,
    answer_to,
    at_least_one_slot,
    only_function,
    refuse_detach,
    refuse_limits,
)
from hpo.executors.call import call, describe
from hpo.executors.supervisor.pickling import pickle_function
from hpo.executors.task_queue import TaskQueue


@public_class
@dataclass(frozen=True)
class Futures:
    """Run tasks on any executor of `concurrent.futures`, or on one with the same methods (loky, mpi4py).

    Such executors cannot stop what runs: `timeout`, `memory` and `env` are refused with ExecutorError, and `cancel`
    reaches only queued tasks. When one of their processes dies, all that ran ends as "infra", so that trials are run
    again, and `make` is called for a new executor. Where that matters, use `Processes`.

    Args:
        make: Called for an executor.
        slots: How many tasks run at once.

    Example:
        >>> import concurrent.futures, hpo
        >>> executor = hpo.executors.Futures(lambda: concurrent.futures.ThreadPoolExecutor(4), slots=4)
        >>> with executor.start(lambda payload: {"y": 2 * payload["x"]}) as pool:
        ...     pool.submit(hpo.executors.Task(id="17", payload={"x": 0.5}))
        ...     pool.wait()[0].value
        {'y': 1.0}
    """

    make: Callable[[], concurrent.futures.Executor]
    slots: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", at_least_one_slot("Futures", self.slots))

    @property
    def isolated(self) -> bool:
        """Always False: how tasks run is decided by the executor given."""
        return False

    def start(self, function: Function | None = None) -> Pool:
        """Open a pool that calls `function`. Raises ExecutorError if it cannot be pickled."""
        return FuturesPool(pickle_function(only_function(function, self)), self.make, self.slots)


@dataclass(frozen=True)
class _Ended:
    """A future that is done, of which task, on which executor."""

    task: Task
    executor: concurrent.futures.Executor
    future: concurrent.futures.Future[Outcome]


class FuturesPool(Pool):
    """Hands over no more tasks than there are slots, so that the others can still be cancelled.

    A separate thread takes what has ended: executors call back while they hold their own locks, where neither their
    `submit` nor their `shutdown` may be called.
    """

    def __init__(self, pickled: bytes, make: Callable[[], concurrent.futures.Executor], slots: int) -> None:
        self._pickled = pickled
        self._make = make
        self._slots = slots
        self._queue = TaskQueue()
        self._lock = threading.RLock()
        self._free = slots
        self._executor = make()
        self._ended: queue.SimpleQueue[_Ended | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="hpo-futures", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """The number of slots."""
        return self._slots

    def submit(self, *tasks: Task) -> None:
        """Queue `tasks`; free slots take them at once."""
        refuse_limits(tasks, "Futures")
        self._queue.add(tasks)
        self._feed()

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Outcomes not delivered yet, as soon as there is one."""
        return self._queue.wait(timeout)

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End queued tasks as cancelled; running ones run on and end as they end."""
        self._queue.cancel_waiting(ids)

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Drain, or give up what runs: its outcome is "cancelled" at once, though it may run on."""
        refuse_detach(mode, "Futures")
        self._queue.close()
        if mode is CloseMode.KILL:
            for id in self._queue.cancel_waiting(self._queue.in_flight()):
                message = "given up; this executor cannot stop it, it may still run"
                self._queue.end(Outcome(id=id, kind="cancelled", message=message))
        self._queue.join()
        self._ended.put(None)
        self._thread.join()
        self._executor.shutdown(wait=mode is CloseMode.DRAIN)
        return self._queue.deliver()

    def _feed(self) -> None:
        with self._lock:
            while self._free and (task := self._queue.take()) is not None:
                self._free -= 1
                self._hand_over(task)

    def _hand_over(self, task: Task) -> None:
        executor = self._executor
        try:
            try:
                future = executor.submit(call_pickled, self._pickled, task)
            except concurrent.futures.BrokenExecutor:
                executor = self._renewed(executor)
                future = executor.submit(call_pickled, self._pickled, task)
        except Exception as error:  # shut down by its owner, no process to be had
            future = concurrent.futures.Future()
            future.set_exception(error)
        future.add_done_callback(lambda done: self._ended.put(_Ended(task, executor, done)))

    def _serve(self) -> None:
        try:
            while (ended := self._ended.get()) is not None:
                with self._lock:
                    self._free += 1
                self._queue.end(self._outcome(ended))
                self._feed()
        except BaseException as fault:  # `make` has failed: nothing will run any more
            self._queue.break_off(fault)
            raise

    def _outcome(self, ended: _Ended) -> Outcome:
        try:
            return answer_to(ended.task, ended.future.result())
        except concurrent.futures.BrokenExecutor as error:
            self._renewed(ended.executor)
            return Outcome(id=ended.task.id, kind="infra", message=f"the executor broke: {describe(error)}")
        except BaseException as error:  # the function could not be loaded there, or its result not be brought back
            return Outcome(id=ended.task.id, kind="infra", message=f"the executor failed: {describe(error)}")

    def _renewed(self, broken: concurrent.futures.Executor) -> concurrent.futures.Executor:
        """A new executor in place of a broken one; of all that notice, the first makes it."""
        with self._lock:
            if self._executor is broken:
                broken.shutdown(wait=False)
                self._executor = self._make()
            return self._executor


def call_pickled(pickled: bytes, task: Task) -> Outcome:
    """In the worker: call the function."""
    return call(_loaded(pickled), task)


@functools.lru_cache(maxsize=4)
def _loaded(pickled: bytes) -> Function:
    function: Function = pickle.loads(pickled)  # noqa: S301 - written by the driver of this very program
    return function
