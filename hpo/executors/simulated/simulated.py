"""Simulated: tasks take simulated seconds, on thousands of workers if need be, and nobody waits for anything."""

from __future__ import annotations

import hashlib
import heapq
import math
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError
from hpo.executors.base import (
    CloseMode,
    Function,
    Kind,
    Outcome,
    Pool,
    Task,
    at_least_one_slot,
    only_function,
    refuse_detach,
)
from hpo.executors.call import call
from hpo.executors.simulated.durations import Duration
from hpo.executors.simulated.failures import Failures
from hpo.executors.simulated.workers import Workers, place_of
from hpo.executors.task_queue import TaskQueue

NONE = Failures()
_DEATH = "its worker died"


@public_class
@dataclass(frozen=True)
class Simulated:
    """Run tasks on a clock that jumps from one end to the next, so that nobody waits.

    The function is really called, in the waiting thread, when its task ends well; it should be quick. All else is drawn
    from `seed` and the task's id, so a task has the same luck on 1 worker and on 1000; give each attempt its own id, as
    `hpo.run` does. `timeout` is in simulated seconds; `memory` and `env` are refused with ExecutorError.

    Raises:
        ExecutorError: A number is invalid.

    Example:
        >>> import hpo
        >>> executor = hpo.executors.Simulated(2, duration=600.0)
        >>> with executor.start(lambda payload: payload) as pool:
        ...     pool.submit(*(hpo.executors.Task(id=str(i), payload={}) for i in range(4)))
        ...     outcomes = [pool.wait() for _ in range(2)]
        ...     pool.clock()
        1200.0
    """

    slots: int
    """Workers at the start."""
    duration: Duration | float
    """Seconds that tasks take: a number, `Lognormal`, `Recorded`, or your own function of a task's payload and a
    generator."""
    failures: Failures = NONE
    """What goes wrong with workers."""
    seed: int = 0
    """Where the luck of tasks comes from."""
    joins: Sequence[tuple[float, int]] = ()
    """Workers that join later: (seconds after the start, how many)."""
    grace: float = 0.0
    """Simulated seconds that a task which is cancelled takes to end, at most."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "joins", tuple((float(at), int(n)) for at, n in self.joins))
        object.__setattr__(self, "slots", at_least_one_slot("Simulated", self.slots))
        if not callable(self.duration) and not 0 <= self.duration < math.inf:
            raise ExecutorError(f"Simulated: duration is seconds, 0 or more, or a function, got {self.duration}")
        if self.grace < 0:
            raise ExecutorError(f"Simulated: grace is seconds, 0 or more, got {self.grace}")
        for at, n in self.joins:
            if not (0 <= at < math.inf and n >= 1):
                raise ExecutorError(f"Simulated: joins are (seconds, workers), got ({at:g}, {n})")

    @property
    def isolated(self) -> bool:
        """Always False: the function is called in this process."""
        return False

    def start(self, function: Function | None = None) -> Pool:
        """Open a pool that calls `function`, its clock at 0."""
        return SimulatedPool(only_function(function, self), self)


@dataclass(frozen=True)
class _Fate:
    """How a task will end, and how long after its start; with a result where `kind` is None."""

    task: Task
    seconds: float
    kind: Kind | None = None
    message: str = ""
    starts: bool = True


@dataclass(frozen=True)
class _Running:
    fate: _Fate
    began: float
    turn: int
    """Tells the end it is to have from one that was due before it was cancelled."""
    worker: int


@dataclass(frozen=True)
class _Arrival:
    """So many new workers come, or one is back after a death."""

    n: int = 0
    back: int | None = None


class SimulatedPool(Pool):
    """A heap of what will happen next. The timeout of `wait` does not count: no real time passes."""

    def __init__(self, function: Function, settings: Simulated) -> None:
        self._function = function
        self._settings = settings
        self._queue = TaskQueue()
        self._lock = threading.RLock()
        self._turn = threading.Lock()
        self._opened_at = time.time()
        self._now = 0.0
        self._workers = Workers(settings.slots)
        self._alarm = math.inf
        self._fates: dict[str, _Fate] = {}
        self._running: dict[str, _Running] = {}
        self._submissions: Counter[str] = Counter()
        self._n_planned = 0
        self._plan: list[tuple[float, int, str | _Arrival]] = []
        """(time, turn, the task that ends then or who comes then): those of one time in order of turn."""
        for at, n in settings.joins:
            self._schedule(at, _Arrival(n))

    @property
    def capacity(self) -> int:
        """The workers that have joined, those that died and will be back among them, without idle ones that are avoided."""
        return self._workers.capacity

    @property
    def grace(self) -> float:
        """Simulated seconds."""
        return self._settings.grace

    def clock(self) -> float:
        """Simulated seconds since the start."""
        return self._now

    def alarm(self, at: float) -> None:
        """Have `wait` return then at the latest, though nothing is in flight: the clock goes on until then."""
        self._alarm = at

    def avoid(self, places: Collection[str]) -> None:
        """Give these workers nothing."""
        with self._lock:
            self._workers.avoid(places)
            self._feed()

    def submit(self, *tasks: Task) -> None:
        """Queue `tasks`; free workers begin at once."""
        self._check(tasks)
        with self._lock:
            fates = [self._drawn(task) for task in tasks]
            self._queue.add(tasks)
            self._submissions.update(task.id for task in tasks)
            self._fates.update((fate.task.id, fate) for fate in fates)
            self._feed()

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Let the clock go on to the next end; all outcomes of that time.

        With a timeout, however long, [] also when workers have joined, so that the caller can make use of them, and at the
        time of an alarm.
        """
        outcomes = self._queue.deliver()
        if outcomes or not self._turn.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            return outcomes
        try:
            n_workers = self.capacity
            while not (timeout is not None and self._rings()) and self._step():
                if self._queue.has_ended and not self._is_due():
                    break
                if timeout is not None and self.capacity > n_workers:
                    break
        finally:
            self._turn.release()
        return self._queue.deliver()

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End queued tasks as cancelled, running ones `grace` simulated seconds from now, or when they would have ended
        if that is sooner."""
        ids = set(ids)
        with self._lock:
            begun = self._queue.cancel_waiting(ids)
            for id in ids - begun:
                self._fates.pop(id, None)
            for id in sorted(begun & self._running.keys(), key=lambda id: self._running[id].turn):
                due, own = self._running[id], self._settings.grace if grace is None else grace
                left = due.began + due.fate.seconds - self._now
                seconds = self._now + min(left, own) - due.began
                fate = _Fate(due.fate.task, seconds, "cancelled", f"cancelled after {seconds:g} s")
                turn = self._schedule(due.began + seconds, id)
                self._running[id] = replace(due, fate=fate, turn=turn)

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Let the clock run until all has ended, or has been cancelled."""
        refuse_detach(mode, "Simulated")
        self._queue.close()
        if mode is CloseMode.KILL:
            self.cancel(self._queue.in_flight())
        with self._turn:
            while self._step():
                pass
        return self._queue.deliver()

    # -- what will happen -----------------------------------------------------------------------------------------

    def _check(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            asked = [name for name in ("memory", "env") if getattr(task, name)]
            if asked:
                raise ExecutorError(
                    f"task {task.id!r} asks for {' and '.join(asked)}, which Simulated does not simulate. Leave it out"
                )
            if self._settings.failures.hangs and task.timeout is None:
                raise ExecutorError(
                    f"task {task.id!r} has no timeout, and with Failures(hangs=...) it may never end. Give it one"
                )

    def _drawn(self, task: Task) -> _Fate:
        """What will become of `task`, whenever and wherever it starts."""
        text = repr((self._settings.seed, task.id, self._submissions[task.id])).encode()
        rng = np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(text).digest()[:16], "big")))
        failures, duration = self._settings.failures, self._settings.duration
        share_hang, share_straggler, lifetime = rng.random(), rng.random(), rng.standard_exponential()
        seconds = float(duration(task.payload, rng)) if callable(duration) else float(duration)
        if not 0 <= seconds < math.inf:
            raise ExecutorError(f"task {task.id!r}: the duration {duration!r} gave {seconds} s; it must be 0 or more")
        if share_straggler < failures.stragglers:
            seconds *= failures.slowdown
        if share_hang < failures.hangs:
            seconds = math.inf
        fate = _Fate(task, seconds)
        if task.timeout is not None and seconds > task.timeout:
            fate = _Fate(task, task.timeout, "timeout", f"ended after its timeout of {task.timeout:g} s")
        dies_after = 3600.0 * lifetime / failures.deaths if failures.deaths else math.inf
        if dies_after < fate.seconds:
            fate = _Fate(task, dies_after, "infra", _DEATH)
        return fate

    def _schedule(self, at: float, what: str | _Arrival) -> int:
        self._n_planned += 1
        heapq.heappush(self._plan, (at, self._n_planned, what))
        return self._n_planned

    def _feed(self) -> None:
        """Give waiting tasks to free workers."""
        while (worker := self._workers.take()) is not None:
            if (task := self._queue.take()) is None:
                self._workers.be_idle(worker)
                return
            fate = self._fates.pop(task.id)
            if (sick := self._settings.failures.sickness(worker, self._now)) is not None:
                fate = _Fate(task, sick.after, "infra", sick.message, sick.starts)
            turn = self._schedule(self._now + fate.seconds, task.id)
            self._running[task.id] = _Running(fate, self._now, turn, worker)

    # -- what happens ---------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        """Whether more happens at this very time."""
        with self._lock:
            self._forget_stale()
            return bool(self._plan) and self._plan[0][0] <= self._now

    def _rings(self) -> bool:
        """Whether the alarm is the next thing that happens; the clock goes on to it."""
        with self._lock:
            self._forget_stale()
            if self._alarm == math.inf or (self._plan and self._plan[0][0] <= self._alarm):
                return False
            self._now, self._alarm = max(self._now, self._alarm), math.inf
            return True

    def _step(self) -> bool:
        """Go on to the next thing that happens; False where nothing does: nothing is in flight, and no alarm is set."""
        with self._lock:
            self._forget_stale()
            if not self._plan or (self._queue.is_idle and self._alarm == math.inf):
                return False
            at, _, what = heapq.heappop(self._plan)
            self._now = max(self._now, at)
            if isinstance(what, _Arrival):
                self._workers.join(what.n)
                if what.back is not None:
                    self._workers.be_idle(what.back)
                self._feed()
                return True
            ended = self._running.pop(what)
        outcome = self._outcome(ended)
        with self._lock:
            self._queue.end(outcome)
            if ended.fate.message == _DEATH:
                self._workers.rest(ended.worker)
                self._schedule(self._now + self._settings.failures.recovery, _Arrival(back=ended.worker))
            else:
                self._workers.be_idle(ended.worker)
            self._feed()
        if outcome.kind == "cancelled" and ended.fate.kind is None:  # Ctrl-C fell into the function
            raise KeyboardInterrupt
        return True

    def _forget_stale(self) -> None:
        """Drop the ends that tasks had before they were cancelled."""
        while self._plan and isinstance(id := self._plan[0][2], str):
            if id in self._running and self._running[id].turn == self._plan[0][1]:
                return
            heapq.heappop(self._plan)

    def _outcome(self, ended: _Running) -> Outcome:
        fate, started_at, place = ended.fate, self._opened_at + ended.began, place_of(ended.worker)
        if not fate.starts:
            return Outcome(id=fate.task.id, kind=fate.kind, message=fate.message)
        if fate.kind is None:
            return replace(call(self._function, fate.task), started_at=started_at, seconds=fate.seconds, place=place)
        return Outcome(
            id=fate.task.id,
            kind=fate.kind,
            message=fate.message,
            started_at=started_at,
            seconds=fate.seconds,
            place=place,
        )
