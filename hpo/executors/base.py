"""What an executor is: it runs tasks somewhere and says how each piece ended.

An `Executor` is a value that says where and how many (`Processes(4)`). `start(function)` opens a `Pool`, which lives:

    with Processes(4).start(function) as pool:
        pool.submit(Task(id="17", payload={"x": 0.5}, timeout=60))
        for outcome in pool.wait():
            ...

Executors know functions, commands and their outcomes, and nothing else: what a payload means is the caller's business.
Payloads and values are plain JSON, on every executor alike, because they cross machines on some.
"""

from __future__ import annotations

import json
import operator
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from hpo.errors import ExecutorError

Function = Callable[[dict[str, Any]], Mapping[str, Any]]
"""What function executors run: a payload in, a plain JSON mapping out."""

Kind = Literal["error", "timeout", "oom", "crash", "cancelled", "infra"]
"""How a task failed: error (the function raised, the command returned another code than 0), timeout, oom (beyond its
memory limit, MemoryError, or ended by the kernel for want of memory), crash (the process died: a signal, os._exit),
cancelled (by `cancel` or `close`), infra (not its own fault: the machine or the process that watched it was lost)."""


class CloseMode(StrEnum):
    """What `Pool.close` does with tasks that have not ended.

    Example:
        >>> import hpo
        >>> [mode.name for mode in hpo.executors.CloseMode]
        ['DRAIN', 'KILL', 'DETACH']
    """

    DRAIN = "drain"
    """Let all of it end."""
    KILL = "kill"
    """Cancel all of it."""
    DETACH = "detach"
    """Leave what was handed over as it is, for a later pool to `reattach`; only where tasks outlive their driver."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One call of the function, or one run of the command.

    Raises:
        ExecutorError: The id is empty, a limit is not above 0, or the payload is not plain JSON.

    Example:
        >>> import hpo
        >>> hpo.executors.Task(id="17", payload={"x": 0.5}, timeout=60).payload
        {'x': 0.5}
    """

    id: str
    """Unique among the tasks in flight; also the name of its log files."""
    payload: Mapping[str, Any]
    """Plain JSON; copied, so that later changes of the original do not matter."""
    timeout: float | None = None
    """Seconds it may take, from its start (not from its submission)."""
    memory: int | None = None
    """Bytes that all its processes together may hold resident."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of its process, beside the inherited ones."""
    cpus: float | None = None
    """What a cluster's scheduler sets aside for it; on this machine the number of slots decides."""
    gpus: int = 0
    """Devices it needs; it finds them in CUDA_VISIBLE_DEVICES."""

    def __post_init__(self) -> None:
        if not self.id:
            raise ExecutorError("a task needs an id; '' was given")
        if self.gpus < 0:
            raise ExecutorError(f"task {self.id!r}: gpus must be 0 or more, got {self.gpus}")
        for name, limit in (("timeout", self.timeout), ("memory", self.memory), ("cpus", self.cpus)):
            if limit is not None and not limit > 0:
                raise ExecutorError(f"task {self.id!r}: {name} must be above 0 or None, got {limit}")
        try:
            payload = plain(self.payload)
        except TypeError as error:
            raise ExecutorError(f"task {self.id!r}: the payload {error}") from error
        object.__setattr__(self, "payload", payload)
        object.__setattr__(self, "env", dict(self.env))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one task ended: with a `value`, or with a `kind` of failure and a message.

    Example:
        >>> import hpo
        >>> with hpo.executors.Inline().start(lambda payload: {"y": 1 / payload["x"]}) as pool:
        ...     pool.submit(hpo.executors.Task(id="17", payload={"x": 0}))
        ...     outcome = pool.wait()[0]
        >>> outcome.kind, outcome.message
        ('error', 'ZeroDivisionError: division by zero')
    """

    id: str
    """That of the task."""
    value: Mapping[str, Any] | None = None
    """What the function returned, or the command reported. None: the task failed."""
    kind: Kind | None = None
    """Kind of the failure. None: there is a value."""
    message: str = ""
    """What happened, of a failure."""
    log_tail: str = ""
    """After a failure: the last lines of the traceback, or of what the process wrote."""
    logs: tuple[str, ...] = ()
    """Files that keep all the task wrote, where a log folder was given."""
    started_at: float | None = None
    """Unix time of its start; None if it never started."""
    seconds: float = 0.0
    """From its start until it, and every process it started, was gone."""
    place: str = ""
    """The machine that had it, as its executor calls it; empty where all tasks share one, or none had it."""
    reported: Mapping[str, Any] | None = None
    """After a timeout of a command: what it had reported by then, if anything."""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.kind is None):
            raise ExecutorError(f"outcome of {self.id!r}: give either a value or a kind of failure")


class Pool(ABC):
    """A started executor. Safe to use from many threads at once.

    Each submitted task is delivered exactly once, by `wait` or by `close`, in the order in which tasks end.

    Example:
        >>> import hpo
        >>> with hpo.executors.Threads(2).start(lambda payload: {"y": 2 * payload["x"]}) as pool:
        ...     pool.submit(*(hpo.executors.Task(id=str(x), payload={"x": x}) for x in range(3)))
        ...     outcomes = pool.close()
        >>> sorted(outcome.value["y"] for outcome in outcomes)
        [0, 2, 4]
    """

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many tasks run at once; more may be submitted, and wait their turn."""

    @abstractmethod
    def submit(self, *tasks: Task) -> None:
        """Take all of `tasks`, or none. Returns at once.

        Raises ExecutorError if the pool is closed, an id is already in flight, or a task asks for what this executor
        cannot do.
        """

    @abstractmethod
    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Outcomes not delivered yet: as soon as there is at least one.

        Empty after `timeout` seconds, and at once when nothing is in flight.
        """

    @abstractmethod
    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """Ask that these end now as "cancelled"; returns at once, the outcomes come by `wait`.

        Queued tasks never start. On isolated executors, running ones get SIGTERM, and SIGKILL after `grace` seconds
        (None: the executor's own); on the others they run on and end as they end. A task that ended just before keeps
        its outcome; ids that are not in flight are ignored.
        """

    @abstractmethod
    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Take no more tasks, end what is in flight as `mode` says, let go of everything, and return the outcomes not
        delivered yet. Closing again returns [].

        Raises ExecutorError, and closes nothing, for DETACH where tasks do not outlive their driver.
        """

    def clock(self) -> float:
        """Seconds on the clock by which tasks start and end: monotonic, of no particular origin."""
        return time.monotonic()

    def alarm(self, at: float) -> None:
        """Have `wait` with a timeout return when `clock` says `at`, if not before, though nothing is in flight: once, and
        in place of an earlier alarm. For clocks that jump; on others callers look up by themselves."""
        return

    @property
    def grace(self) -> float | None:
        """Seconds from SIGTERM to SIGKILL of a task that is cancelled; None where running tasks cannot be stopped."""
        return None

    @property
    def survives(self) -> bool:
        """Whether tasks go on when their driver ends, so that `reattach` can find them again."""
        return False

    def reattach(self, ids: Iterable[str]) -> set[str]:
        """Take back tasks that another pool of this executor submitted and left, ended or not. Returns those found: they
        are in flight in this pool from now on. The others were never handed over, or are lost."""
        return set()

    def avoid(self, places: Collection[str]) -> None:
        """Start nothing at these places, as outcomes name them, from now on; those of an earlier call are free again. A
        wish: it is ignored where nothing else is left, and by executors that cannot choose."""
        return

    def notices(self) -> list[str]:
        """What a person should be told of the machines since the last call, in sentences: what is waited for, and why."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drain; after an exception, kill."""
        self.close(CloseMode.DRAIN if kind is None else CloseMode.KILL)


class Executor(Protocol):
    """Where tasks run, as a value: it may be started many times.

    `hpo.testing.executors` tests an executor of your own.

    Example:
        >>> import hpo
        >>> [executor.isolated for executor in (hpo.executors.Threads(2), hpo.executors.Processes(2))]
        [False, True]
    """

    @property
    def isolated(self) -> bool:
        """Whether each task runs in processes of its own: then timeouts, memory limits and `env` are honored, running
        tasks can be cancelled, and a crash fails only its own task."""
        ...

    def start(self, function: Function | None = None) -> Pool:
        """Open a pool that runs `function`; executors that run a command take None."""
        ...


def plain(value: object) -> dict[str, Any]:
    """A copy of `value` as it reads after a journey through JSON.

    Raises TypeError, worded to follow the name of what was given, if it is no mapping or holds anything else than
    text, numbers, booleans, None, lists and mappings.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"is a {type(value).__name__}, not a mapping: {_cut(value)}")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(value)))
    except (TypeError, ValueError) as error:
        raise TypeError(f"is not plain JSON ({error}): {_cut(value)}") from error
    return copy


def answer_to(task: Task, outcome: Outcome) -> Outcome:
    """`outcome`, if it is that of `task`; else that no outcome came: none may answer for another task."""
    if outcome.id == task.id:
        return outcome
    return Outcome(id=task.id, kind="infra", message=f"the outcome of another task, {outcome.id!r}, came in its place")


def only_function(function: Function | None, executor: object) -> Function:
    """The function a function executor was started with; raises ExecutorError if there is none to call."""
    if not callable(function):
        raise ExecutorError(f"{executor!r} runs a function: start(function), got {function!r}")
    return function


def at_least_one_slot(name: str, slots: Any) -> int:
    """A number of slots of any library as an int. Raises ExecutorError for what is none."""
    try:
        n = operator.index(slots.item() if hasattr(slots, "item") else slots)
    except (TypeError, ValueError):  # text, an array of several
        n = 0
    if n < 1 or isinstance(slots, bool):
        raise ExecutorError(f"{name} needs at least one slot, got {slots!r}")
    return n


def refuse_detach(mode: CloseMode, executor: str) -> None:
    """Raise ExecutorError if tasks of a driver that lets go of them would be lost."""
    if mode is CloseMode.DETACH:
        raise ExecutorError(f"tasks of {executor} end with their driver and cannot be left; close with DRAIN or KILL")


def refuse_limits(tasks: Iterable[Task], executor: str) -> None:
    """Raise ExecutorError if a task asks for what only an isolated executor can do."""
    for task in tasks:
        asked = [name for name in ("timeout", "memory", "env", "gpus") if getattr(task, name)]
        if asked:
            raise ExecutorError(
                f"task {task.id!r} asks for {' and '.join(asked)}, but {executor} runs it inside this process, where it"
                " can be neither stopped nor limited. Leave them out, or use Processes"
            )


def _cut(value: object, most: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
