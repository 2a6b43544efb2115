"""What runs on a worker of a cluster: one task, under a supervisor, on the machine where the cluster put it.

Clusters bring a task to one of their processes, and its outcome back. What they cannot do, supervisors do there as they do
here: limits, kills of the whole process tree, a crash that harms no other task. So all clusters isolate tasks alike.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Pool, Task
from hpo.executors.call import describe
from hpo.executors.supervisor.messages import Settings
from hpo.executors.supervisor.pool import SupervisedPool

TICK = 0.2
"""Seconds between two looks at whether a running task is to be ended."""

OF_SHARE = ", its share of the worker's, as none was given: give one (memory=), or switch this off (limit_memory=False)"
"""What the message of a task that held more than its share ends with."""


@dataclass
class _End:
    """What this process holds for one pool of a driver."""

    idle: list[Pool] = field(default_factory=list)
    """Supervisors kept warm for the next task."""
    running: dict[str, tuple[Pool, str]] = field(default_factory=dict)
    """By token: the supervisor, and the id of the task that it runs."""
    ended: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    """Tokens of the tasks that ran last."""
    cancelled: dict[str, float] = field(default_factory=dict)
    """Tokens of tasks that were cancelled, and their grace: those that are still to come end at once."""


_ends: dict[str, _End] = {}
_released: set[str] = set()
"""Keys for which nothing starts any more, not even what was on its way."""
_lock = threading.Lock()


def run_on_worker(
    key: str,
    settings: Settings,
    task: Task,
    is_cancelled: Callable[[], bool],
    token: str | None = None,
    *,
    share: int | None = None,
    begin: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Run `task`; never raises. Its processes are gone when this returns, but for the ones kept warm. One with gpus gets
    the CUDA_VISIBLE_DEVICES of this process, where clusters name those they set aside.

    key: a name for `settings`, under which their idle supervisors are kept for the next task until `release(key)`.
    is_cancelled: asked a few times a second; from its first True on the task is ended, with the grace of `settings`.
    token: what `cancel_on_worker` knows the task by; unlike its id, no other task ever has it. By default the id.
    share: bytes that a task without its own limit may hold.
    begin: called with the Unix time as the task starts.
    """
    token = task.id if token is None else token
    if task.gpus and (devices := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        task = replace(task, env={"CUDA_VISIBLE_DEVICES": devices, **task.env})
    is_shared = task.memory is None and share is not None
    task = replace(task, gpus=0, memory=share if is_shared else task.memory)  # the cluster has dealt the gpus out
    try:
        if settings.logs is not None:
            settings.logs.mkdir(parents=True, exist_ok=True)
        pool = _taken(key) or SupervisedPool(settings, 1)
    except (ExecutorError, OSError) as error:  # the function cannot be loaded there, no process to be had
        return Outcome(id=task.id, kind="infra", message=f"the task could not be started: {describe(error)}")
    try:
        if not _began(key, token, pool, task):
            _keep(key, token, pool)
            return Outcome(id=task.id, kind="cancelled", message="cancelled before it started")
        begin(time.time())
        outcome = _awaited(pool, task, is_cancelled)
    except BaseException:
        pool.close(CloseMode.KILL)
        raise
    _keep(key, token, pool)
    if is_shared and "more than its limit" in outcome.message:
        return replace(outcome, message=f"{outcome.message}{OF_SHARE}")
    return outcome


def cancel_on_worker(key: str, graces: Mapping[str, float]) -> set[str]:
    """End tasks, each with its seconds from SIGTERM to SIGKILL, by their tokens. Returns at once, with those that run in
    this process; the others will not start in it."""
    with _lock:
        if key in _released:
            return set()
        end = _ends.setdefault(key, _End())
        end.cancelled.update(graces)
        for token in end.running.keys() & graces.keys():
            pool, id = end.running[token]
            pool.cancel([id], graces[token])
        return end.running.keys() & graces.keys()


def withdraw_on_worker(key: str, tokens: Collection[str]) -> set[str]:
    """Let none of these start in this process any more. Returns those that have: they run, or have just ended."""
    with _lock:
        if key in _released:
            return set()
        end = _ends.setdefault(key, _End())
        begun = set(tokens) & {*end.running, *end.ended}
        end.cancelled.update(dict.fromkeys(set(tokens) - begun, 0.0))
        return begun


def release(key: str) -> None:
    """End the idle supervisors kept under `key`; those that run a task end it as cancelled, and then go."""
    with _lock:
        end = _ends.pop(key, None)
        _released.add(key)
    if end is not None:
        for pool, id in end.running.values():
            pool.cancel([id])
        for pool in end.idle:
            pool.close(CloseMode.KILL)


def admit(key: str) -> None:
    """Let tasks of `key` start again after `release`."""
    with _lock:
        _released.discard(key)


@atexit.register
def release_all() -> None:
    """End all supervisors."""
    for key in list(_ends):
        release(key)


def _taken(key: str) -> Pool | None:
    with _lock:
        end = _ends.get(key)
        return end.idle.pop() if end is not None and end.idle else None


def _began(key: str, token: str, pool: Pool, task: Task) -> bool:
    """Start the task unless it was cancelled, in one step as seen by `cancel_on_worker`."""
    with _lock:
        if key in _released:
            return False
        end = _ends.setdefault(key, _End())
        if token in end.cancelled:
            return False
        end.running[token] = pool, task.id
        pool.submit(task)
        return True


def _keep(key: str, token: str, pool: Pool) -> None:
    """Keep the supervisor warm, unless `key` was released meanwhile."""
    with _lock:
        end = _ends.get(key)
        if end is not None:
            if end.running.pop(token, None) is not None:
                end.ended.append(token)
            end.cancelled.pop(token, None)
            end.idle.append(pool)
            return
    pool.close(CloseMode.KILL)


def _awaited(pool: Pool, task: Task, is_cancelled: Callable[[], bool]) -> Outcome:
    is_ending = False
    while True:
        for outcome in pool.wait(TICK):
            return outcome
        if not is_ending and is_cancelled():
            pool.cancel([task.id])
            is_ending = True
