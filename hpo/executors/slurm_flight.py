"""One work on its way through Slurm, the array it goes with, and the executor it comes from."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Protocol

from hpo.executors.base import Kind, Outcome, Work, answer_to
from hpo.executors.slurm_folder import NOBODY, PoolFolder
from hpo.executors.slurm_queue import Loss

OVER_MEMORY = re.compile("memory limit|oom.kill", re.IGNORECASE)
"""What Slurm writes into a job's output when it ends the job for its memory."""


class Site(Protocol):
    """What the pool needs to know of the executor."""

    @property
    def slots(self) -> int:
        """How many works may be with Slurm at once."""
        ...

    @property
    def python(self) -> str:
        """The interpreter of the jobs."""
        ...

    def with_defaults(self, work: Work) -> Work:
        """The work with what it does not say for itself."""
        ...

    def requests(self, work: Work) -> tuple[str, ...]:
        """The options of sbatch for it."""
        ...


@dataclass(eq=False)
class Array:
    """Works handed over together."""

    folder: PoolFolder
    first: int
    count: int
    options: tuple[str, ...] = ()
    sent_at: float = float("inf")
    """When Slurm had it for certain, on the monotonic clock."""

    @property
    def name(self) -> str:
        """Slurm's name for it."""
        return f"hpo-{self.folder.name}-{self.first}"


@dataclass(eq=False)
class Flight:
    """A work in hand."""

    work: Work
    number: int
    array: Array
    loss: Loss | None = None
    lost_at: float = float("inf")
    forced_at: float = float("inf")
    """When a work that was asked to end is to be ended by Slurm."""
    is_forced: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """As Slurm shows it."""
        return self.array.name, self.number - self.array.first

    def outcome(self) -> Outcome | None:
        """What stands in the folder."""
        outcome = self.array.folder.outcome(self.number)
        return None if outcome is None else answer_to(self.work, outcome)

    def end_lost(self, loss: Loss) -> None:
        """Write down that no outcome came, unless one does this moment; a job that runs all the same shall end."""
        folder, number = self.array.folder, self.number
        started_at = folder.claimed_at(number)
        if folder.claim(number, NOBODY):
            started_at = None
        folder.stop(number, 0.0)
        said = folder.said(folder.claimant(number))
        kind: Kind = "cancelled" if self.forced_at < float("inf") else loss.kind
        if kind == "infra" and OVER_MEMORY.search(said):
            kind = "oom"
        outcome = Outcome(
            id=self.work.id,
            kind=kind,
            message=loss.message if started_at else f"{loss.message}; it had not started",
            log_tail=said,
            started_at=started_at,
            seconds=max(0.0, time.time() - started_at) if started_at else 0.0,
        )
        folder.end(number, outcome)
