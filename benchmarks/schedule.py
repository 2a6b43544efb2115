"""Many runs: who is next, which process does it, and what has been done.

Every contender has its own queue. A free slot takes the next run of the contender that has had the least time so far,
so that cheap contenders are not held up by expensive ones, and all advance from seed to seed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from benchmarks.problems.base import BenchProblem
from benchmarks.records import Run
from benchmarks.run import CPU_LIMIT, Driven, run
from benchmarks.suites import MODES, Task


class Process(Driven, Protocol):
    """A contender that can say what it runs on."""

    def versions(self) -> dict[str, str]: ...


_BY_OTHERS = tuple(f"ended with code -{number:d}" for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
WALL_FACTOR = 2.0
"""A process that takes this many times the CPU limit by the wall clock is ended: it hangs."""

Start = Callable[[str], AbstractContextManager[Process]]
"""The name of a contender -> its process, a context manager that ends it. May raise where it cannot start."""
Save = Callable[[Run, Mapping[str, str]], None]
"""Called with a run and the versions that it ran with; one call at a time."""


@dataclass
class Queues:
    """The runs not yet begun, and the time each contender has had. All methods may be called from any thread."""

    waiting: dict[str, deque[Task]]
    seconds: dict[str, float] = field(default_factory=dict)
    n_done: dict[str, int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    given_up: dict[str, str] = field(default_factory=dict)
    """Contenders whose process does not start, and why."""
    faults: dict[str, str] = field(default_factory=dict)
    """Problems that could not be evaluated here, and why; they are left out from then on."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    stopped: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> Queues:
        """One queue per contender, each in the order of `tasks`."""
        waiting: dict[str, deque[Task]] = {}
        for task in tasks:
            waiting.setdefault(task.contender, deque()).append(task)
        return cls(waiting)

    def take(self) -> Task | None:
        """The next run; None when there is nothing left to begin."""
        with self.lock:
            for queue in self.waiting.values():
                while queue and queue[0].problem in self.faults:
                    queue.popleft()
            ready = [name for name, queue in self.waiting.items() if queue]
            if not ready or self.stopped.is_set():
                return None
            name = min(ready, key=self._claimed)
            self.running[name] = self.running.get(name, 0) + 1
            return self.waiting[name].popleft()

    def done(self, task: Task, seconds: float) -> None:
        """A run has ended, whichever way."""
        with self.lock:
            self.running[task.contender] -= 1
            self.seconds[task.contender] = self.seconds.get(task.contender, 0.0) + seconds
            self.n_done[task.contender] = self.n_done.get(task.contender, 0) + 1

    def give_up(self, task: Task, reason: str) -> None:
        """Begin no more runs of this contender."""
        with self.lock:
            self.running[task.contender] -= 1
            self.waiting[task.contender].clear()
            self.given_up[task.contender] = reason

    def mean_seconds(self, contender: str) -> float | None:
        """Of its runs so far; None before the first."""
        n = self.n_done.get(contender, 0)
        return self.seconds[contender] / n if n else None

    def seconds_left(self, jobs: int) -> float | None:
        """An estimate of the time to the end, None as long as a contender with runs to do has done none."""
        with self.lock:
            total = 0.0
            for name, queue in self.waiting.items():
                mean, n = self.mean_seconds(name), len(queue) + self.running.get(name, 0)
                if n and mean is None:
                    return None
                total += n * (mean or 0.0)
            return total / jobs

    def _claimed(self, contender: str) -> float:
        """Time had, with what its runs in progress will probably take."""
        expected = self.mean_seconds(contender) or 0.001
        return self.seconds.get(contender, 0.0) + self.running.get(contender, 0) * expected


_NOTICE = 2.0
"""Seconds within which a thread hears of an interrupt, or ends after it."""


def work(
    queues: Queues, problems: Mapping[str, BenchProblem], jobs: int, start: Start, save: Save, limit: float = CPU_LIMIT
) -> None:
    """Do all runs, `jobs` at a time. KeyboardInterrupt leaves out what has not ended."""
    threads = [
        threading.Thread(target=_slot, args=(queues, problems, start, save, limit), daemon=True) for _ in range(jobs)
    ]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(timeout=0.2)
    except KeyboardInterrupt:
        queues.stopped.set()
        for thread in threads:
            if thread.ident is not None:  # it has started
                thread.join(timeout=_NOTICE)
        raise


def _slot(queues: Queues, problems: Mapping[str, BenchProblem], start: Start, save: Save, limit: float) -> None:
    """Take runs until there are none; one process per contender, kept from run to run and replaced when it dies."""
    processes: dict[str, tuple[AbstractContextManager[Process], Process]] = {}
    try:
        while (task := queues.take()) is not None:
            started = time.perf_counter()
            if task.contender not in processes:
                try:
                    manager = start(task.contender)
                    processes[task.contender] = manager, manager.__enter__()
                except (OSError, RuntimeError, ValueError) as error:
                    queues.give_up(task, str(error))
                    continue
            manager, process = processes[task.contender]
            fault = _do(task, queues, problems, manager, process, save, limit)
            if fault is not None:
                del processes[task.contender]
                manager.__exit__(type(fault), fault, None)
            queues.done(task, time.perf_counter() - started)
    finally:
        for manager, _ in processes.values():
            manager.__exit__(None, None, None)


def _do(
    task: Task,
    queues: Queues,
    problems: Mapping[str, BenchProblem],
    manager: AbstractContextManager[Process],
    process: Process,
    save: Save,
    limit: float,
) -> Exception | None:
    """One run; what makes its process unfit for the next one, if anything."""
    hung = threading.Event()

    def end() -> None:
        hung.set()
        manager.__exit__(TimeoutError, TimeoutError(), None)

    watch = threading.Timer(WALL_FACTOR * limit, end)
    watch.start()
    try:
        result = run(task.contender, process, problems[task.problem], MODES[task.mode], task.seed, limit)
        versions = {} if result.died else process.versions()
        if hung.is_set():
            result = replace(result, died=f"no answer within {WALL_FACTOR * limit:.0f} seconds of the run's begin")
    except Exception as error:  # a problem that cannot be evaluated here must not stop the others
        with queues.lock:
            queues.faults[task.problem] = repr(error)
        return error
    finally:
        watch.cancel()
    # An interrupt ends the processes first, and somebody may end one by hand: such runs have not died, they are not over.
    if not (result.died and (result.died.endswith(_BY_OTHERS) or queues.stopped.wait(_NOTICE))):
        with queues.lock:
            save(result, versions)
    return RuntimeError(result.died) if result.died else None
