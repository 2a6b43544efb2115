"""The far end of an engine: one work, run under a supervisor of its own on the machine where the engine put it.

Engines bring a work to some process of theirs and its outcome back. What they cannot do, supervisors do there as they do
here: limits, kills of the whole process tree, a crash that harms nobody. So all engines are isolated alike.
"""

from __future__ import annotations

import atexit
import threading
from collections import defaultdict
from collections.abc import Callable

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Pool, Work
from hpo.executors.call import describe
from hpo.executors.supervised import SupervisedPool
from hpo.executors.wire import Settings

TICK = 0.2
"""Seconds between two looks at whether a running work is to be ended."""

_idle: defaultdict[str, list[Pool]] = defaultdict(list)
_lock = threading.Lock()


def run_there(key: str, settings: Settings, work: Work, is_cancelled: Callable[[], bool]) -> Outcome:
    """Run `work`; never raises. Its processes are gone when this returns, but for the ones kept warm.

    key: a name for `settings`, under which their idle supervisors are kept for the next work until `release(key)`.
    is_cancelled: asked a few times a second; from its first True on the work is ended, with the grace of `settings`.
    """
    try:
        pool = _taken(key) or SupervisedPool(settings, 1)
    except (ExecutorError, OSError) as error:  # the function cannot be loaded there, no process to be had
        return Outcome(id=work.id, kind="infra", message=f"the work could not be started: {describe(error)}")
    try:
        pool.submit(work)
        outcome = _awaited(pool, work, is_cancelled)
    except BaseException:
        pool.close(CloseMode.KILL)
        raise
    with _lock:
        _idle[key].append(pool)
    return outcome


def release(key: str) -> None:
    """End the idle supervisors kept under `key`."""
    while (pool := _taken(key)) is not None:
        pool.close(CloseMode.KILL)


@atexit.register
def release_all() -> None:
    """End all idle supervisors."""
    for key in list(_idle):
        release(key)


def _taken(key: str) -> Pool | None:
    with _lock:
        pools = _idle.get(key)
        return pools.pop() if pools else None


def _awaited(pool: Pool, work: Work, is_cancelled: Callable[[], bool]) -> Outcome:
    is_ending = False
    while True:
        for outcome in pool.wait(TICK):
            return outcome
        if not is_ending and is_cancelled():
            pool.cancel([work.id])
            is_ending = True
