"""The program of a Slurm job: it claims one task, runs it under a supervisor, and leaves the outcome in the folder."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TypeVar

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Task
from hpo.executors.call import describe
from hpo.executors.slurm.folder import PoolFolder
from hpo.executors.supervisor.pool import SupervisedPool

T = TypeVar("T")

TICK = 1.0
"""Seconds between two looks at whether the task is to end, and between two tries to write."""
CLAIM_PATIENCE = 30.0
"""Seconds for which a folder that cannot be used may hold up a start. Another node may be able to."""
END_PATIENCE = 3600.0
"""Seconds for which an outcome is kept, unless Slurm ends the job before: it may have cost days."""


def main(path: str, first: int) -> None:
    """Run the task at this index of the array, unless another job has it or it has ended.

    A job that Slurm requeues starts over: it finds its own claim.
    """
    signal.signal(signal.SIGTERM, _leave)
    index = int(os.environ["SLURM_ARRAY_TASK_ID"])
    folder, number, me = PoolFolder(Path(path)), first + index, f"{os.environ['SLURM_ARRAY_JOB_ID']}_{index}"
    task = replace(
        _persistently(lambda: folder.batch(first), CLAIM_PATIENCE)[index], gpus=0
    )  # Slurm has dealt them out
    if not _persistently(lambda: folder.claim(number, me), CLAIM_PATIENCE) or folder.has_ended(number):
        return
    with suppress(OSError):
        folder.set_aside(number)
    outcome = replace(_run(folder, number, task), place=os.environ.get("SLURMD_NODENAME", ""))
    if outcome.kind is not None:
        time.sleep(TICK)  # if Slurm is ending all processes of this job, it ends this one too: then it was not the task
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the outcome is to be written; SIGKILL comes soon enough
    _persistently(lambda: folder.end(number, outcome), END_PATIENCE)


def _persistently(step: Callable[[], T], patience: float) -> T:
    """What `step()` returns, once the folder can be used: its disk may be full, its server away."""
    end = time.monotonic() + patience
    while True:
        try:
            return step()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(TICK)


def _run(folder: PoolFolder, number: int, task: Task) -> Outcome:
    grace = _stop_asked(folder, number)
    if grace is not None:
        return Outcome(id=task.id, kind="cancelled", message="cancelled before it started")
    try:
        pool = SupervisedPool(folder.settings(), 1)
    except (ExecutorError, OSError, ValueError) as error:  # the function cannot be loaded there, no process to be had
        return Outcome(id=task.id, kind="infra", message=f"the task could not be started: {describe(error)}")
    try:
        pool.submit(task)
        while not (outcomes := pool.wait(TICK)):
            asked = _stop_asked(folder, number)
            if asked != grace and asked is not None:
                pool.cancel([task.id], asked)
                grace = asked
        return outcomes[0]
    finally:
        pool.close(CloseMode.KILL)


def _stop_asked(folder: PoolFolder, number: int) -> float | None:
    """None too while the folder cannot be read: that is no reason to end a task."""
    with suppress(OSError, ValueError):
        return folder.stop_asked(number)
    return None


def _leave(number: int, _: FrameType | None) -> None:
    """Slurm ends the job. Why, and whether it will start over, is for Slurm to say, so nothing is written."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)
