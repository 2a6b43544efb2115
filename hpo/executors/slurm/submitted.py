"""One task on its way through Slurm, the array it goes with, and the executor it comes from."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hpo.executors.base import Kind, Outcome, Task, answer_to
from hpo.executors.slurm.commands import JobStatus, LostJob
from hpo.executors.slurm.folder import NOBODY, PoolFolder

OVER_MEMORY = re.compile("memory limit|oom.kill", re.IGNORECASE)
"""What Slurm writes into a job's output when it ends the job for its memory."""


class SlurmSettings(Protocol):
    """What the pool needs to know of the executor."""

    @property
    def slots(self) -> int:
        """How many tasks may be with Slurm at once."""
        ...

    @property
    def python(self) -> str:
        """The interpreter of the jobs."""
        ...

    def with_defaults(self, task: Task) -> Task:
        """The task with what it does not say for itself."""
        ...

    def requests(self, task: Task) -> tuple[str, ...]:
        """The options of sbatch for it."""
        ...


@dataclass(eq=False)
class JobArray:
    """Tasks handed over together: tasks of the batch that begins with the number `first`."""

    folder: PoolFolder
    first: int
    tasks: range
    options: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()
    """Nodes that it was to be kept from when it was handed over."""
    sent_at: float = float("inf")
    """When Slurm had it for certain, on the monotonic clock."""

    @property
    def name(self) -> str:
        """Slurm's name for it."""
        return f"hpo-{self.folder.name}-{self.first}"


@dataclass(eq=False)
class SubmittedTask:
    """A task that is not delivered yet."""

    task: Task
    number: int
    array: JobArray
    loss: LostJob | None = None
    lost_at: float = float("inf")
    forced_at: float = float("inf")
    """When a task that was asked to end is to be ended by Slurm."""
    is_forced: bool = False
    place: str = ""
    """The node where Slurm showed it last."""
    waits_since: float = float("inf")
    """Since when Slurm shows it waiting, on the monotonic clock."""
    waits_for: str = ""
    """Why, as Slurm says."""
    pending: str = ""
    """Slurm's id of the task while it waits."""

    @property
    def key(self) -> tuple[str, int]:
        """As Slurm shows it."""
        return self.array.name, self.number - self.array.first

    def see(self, statuses: Sequence[JobStatus], now: float) -> None:
        """Note where Slurm shows it, at this time of the monotonic clock."""
        for status in statuses:
            self.place = status.place or self.place
        waiting = [status for status in statuses if status.state == "PENDING"]
        is_waiting = len(waiting) == len(statuses) > 0
        self.waits_since = min(self.waits_since, now) if is_waiting else float("inf")
        self.waits_for = waiting[-1].reason if is_waiting else ""
        self.pending = waiting[-1].job if is_waiting else ""

    def outcome(self) -> Outcome | None:
        """What stands in the folder; that it is lost, where that cannot be read."""
        folder, number = self.array.folder, self.number
        try:
            outcome = folder.outcome(number)
        except ValueError as error:
            place = folder.place(folder.claimant(number))
            started_at = folder.claimed_at(number)
            return Outcome(id=self.task.id, kind="infra", message=str(error), started_at=started_at, place=place)
        return None if outcome is None else answer_to(self.task, outcome)

    def end_lost(self, loss: LostJob) -> None:
        """Record the task as lost, unless its outcome has just arrived; a job that still runs is told to stop."""
        folder, number = self.array.folder, self.number
        started_at = folder.claimed_at(number)
        job = folder.claimant(number) or loss.job
        if folder.claim(number, NOBODY):
            started_at = None
        folder.stop(number, 0.0)
        said = folder.said(job)
        kind: Kind = "cancelled" if self.forced_at < float("inf") else loss.kind
        if kind == "infra" and OVER_MEMORY.search(said):
            kind = "oom"
        outcome = Outcome(
            id=self.task.id,
            kind=kind,
            message=loss.message if started_at else f"{loss.message}; it had not started",
            log_tail=said,
            started_at=started_at,
            seconds=max(0.0, time.time() - started_at) if started_at else 0.0,
            place=self.place or folder.place(job) if loss.place is None else loss.place,
        )
        folder.end(number, outcome)
