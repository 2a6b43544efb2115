"""What goes wrong on simulated workers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError


@public_class
@dataclass(frozen=True, kw_only=True)
class Sick:
    """Simulated workers that lose each task they are given, for a time, and take the next: a full disk, a file
    system that is away. Tasks that they run already end as they would have.

    Raises:
        ExecutorError: A time is invalid.

    Example:
        >>> import hpo
        >>> sick = hpo.executors.Sick(workers=[3], since=600.0, until=1200.0)
        >>> sick.has(3, at=700.0), sick.has(2, at=700.0)
        (True, False)
    """

    workers: Collection[int] | None = None
    """Their numbers, those of the first workers from 0 on; None for all."""
    since: float = 0.0
    """Simulated seconds from the start."""
    until: float = math.inf
    """When they are well again."""
    after: float = 0.0
    """Seconds that a task has run when it is lost."""
    starts: bool = True
    """Whether tasks start there at all. Those that do not are lost with a worker as well as by a scheduler that refuses
    them: they have no place."""
    message: str = "No space left on device"
    """What such a failure says."""

    def __post_init__(self) -> None:
        if not (0 <= self.since < math.inf and self.since <= self.until and 0 <= self.after < math.inf):
            raise ExecutorError(
                f"Sick: since, until and after are seconds, 0 or more, got {self.since}, {self.until}, {self.after}"
            )

    def has(self, worker: int, at: float) -> bool:
        """Whether this worker is one of them at that time."""
        return self.since <= at < self.until and (self.workers is None or worker in self.workers)


@public_class
@dataclass(frozen=True, kw_only=True)
class Failures:
    """What goes wrong with simulated workers.

    Raises:
        ExecutorError: A number is invalid.

    Example:
        >>> import hpo
        >>> failures = hpo.executors.Failures(deaths=0.01, stragglers=0.02)
        >>> executor = hpo.executors.Simulated(64, duration=600.0, failures=failures)
    """

    deaths: float = 0.0
    """How often a worker dies, for each hour in which it works. Its task ends as "infra"."""
    recovery: float = 60.0
    """Seconds after which a worker that died is back."""
    hangs: float = 0.0
    """Share of the tasks that never end by themselves. Then every task needs a timeout."""
    stragglers: float = 0.0
    """Share of the tasks that take `slowdown` times as long as they should."""
    slowdown: float = 10.0
    """How many times as long a straggler takes."""
    sick: Sequence[Sick] = ()
    """Workers that lose what they are given, as "infra"."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sick", tuple(self.sick))
        for name in ("deaths", "recovery"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ExecutorError(f"Failures: {name} must be 0 or more, got {getattr(self, name)}")
        for name in ("hangs", "stragglers"):
            if not 0 <= getattr(self, name) <= 1:
                raise ExecutorError(f"Failures: {name} is a share of the tasks, from 0 to 1, got {getattr(self, name)}")
        if not 1 <= self.slowdown < math.inf:
            raise ExecutorError(f"Failures: slowdown must be 1 or more, got {self.slowdown}")

    def sickness(self, worker: int, at: float) -> Sick | None:
        """What becomes of a task that this worker is given now; None where it is well."""
        return next((sick for sick in self.sick if sick.has(worker, at)), None)
