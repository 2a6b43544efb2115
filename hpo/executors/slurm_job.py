"""The program of a Slurm job: it claims one work, runs it under a supervisor, and leaves the outcome in the folder."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Work
from hpo.executors.call import describe
from hpo.executors.slurm_folder import PoolFolder
from hpo.executors.supervised import SupervisedPool

TICK = 1.0
"""Seconds between two looks at whether the work is to end."""


def main(path: str, first: int) -> None:
    """Run the work of this task of the array, unless another job has it or it has ended.

    A job that Slurm requeues starts over: it finds its own claim.
    """
    signal.signal(signal.SIGTERM, _leave)
    index = int(os.environ["SLURM_ARRAY_TASK_ID"])
    folder, number = PoolFolder(Path(path)), first + index
    if not folder.claim(number, f"{os.environ['SLURM_ARRAY_JOB_ID']}_{index}") or folder.outcome(number) is not None:
        return
    work = replace(folder.batch(first)[index], gpus=0)  # Slurm has dealt them out
    outcome = _run(folder, number, work)
    if outcome.kind is not None:
        time.sleep(TICK)  # if Slurm is ending all processes of this job, it ends this one too: then it was not the work
    folder.end(number, outcome)


def _run(folder: PoolFolder, number: int, work: Work) -> Outcome:
    grace = folder.stop_asked(number)
    if grace is not None:
        return Outcome(id=work.id, kind="cancelled", message="cancelled before it started")
    try:
        pool = SupervisedPool(folder.settings(), 1)
    except (ExecutorError, OSError) as error:  # the function cannot be loaded there, no process to be had
        return Outcome(id=work.id, kind="infra", message=f"the work could not be started: {describe(error)}")
    try:
        pool.submit(work)
        while not (outcomes := pool.wait(TICK)):
            asked = folder.stop_asked(number)
            if asked != grace and asked is not None:
                pool.cancel([work.id], asked)
                grace = asked
        return outcomes[0]
    finally:
        pool.close(CloseMode.KILL)


def _leave(number: int, _: FrameType | None) -> None:
    """Slurm ends the job. Why, and whether it will start over, is for Slurm to say, so nothing is written."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)
