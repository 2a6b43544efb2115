"""TrialLimits: what each trial of a run is given, and how long drivers are patient."""

from __future__ import annotations

from dataclasses import dataclass, fields

from hpo.common.scalars import plain
from hpo.errors import ExecutorError, SettingsError
from hpo.executors import Task
from hpo.running.budget import Budget, seconds
from hpo.running.heartbeat import LEASE
from hpo.running.outage import OUTAGE

NOTICE = 30.0
"""Seconds that running trials have after SIGTERM."""


@dataclass(frozen=True, kw_only=True)
class TrialLimits:
    """As given to `run`. Raises SettingsError if invalid."""

    timeout: float | None = None
    memory: int | None = None
    cpus: float | None = None
    gpus: int = 0
    lease: float = LEASE
    notice: float = NOTICE
    idle: float = LEASE
    outage: float | str = OUTAGE

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, plain(getattr(self, f.name)))
        try:
            Task(id="run", payload={}, timeout=self.timeout, memory=self.memory, cpus=self.cpus, gpus=self.gpus)
        except TypeError as error:
            raise SettingsError(
                f"run: timeout={self.timeout!r} (seconds), memory={self.memory!r} (bytes), cpus={self.cpus!r} and "
                f"gpus={self.gpus!r} must be numbers"
            ) from error
        except ExecutorError as error:
            raise SettingsError(str(error).replace("task 'run'", "run", 1)) from error
        if isinstance(self.outage, str):
            object.__setattr__(self, "outage", seconds(self.outage))
        for name in ("lease", "notice", "idle", "outage"):
            given = getattr(self, name)
            if not isinstance(given, int | float) or not given >= 0 or (name == "lease" and not given):
                least = "above 0" if name == "lease" else "0 or more"
                raise SettingsError(f"run: {name}={given!r} must be a number of seconds, {least}")

    def time_limit(self, budget: Budget, grace: float | None) -> float | None:
        """Seconds that one attempt is given: its timeout, or less where the budget pays for less. An attempt that is ended
        then may need the executor's `grace` to stop, which is paid for too.

        Raises SettingsError, also where the executor can stop nothing (`grace` is None) and would have to.
        """
        paid = budget.timeout
        if grace is None:
            asked: dict[str, object] = {"timeout": self.timeout, "memory": self.memory, "gpus": self.gpus}
            asked |= {"budget.overtime": budget.overtime, "what the budget sets aside for a trial": paid}
            if given := [name for name, value in asked.items() if value]:
                raise SettingsError(
                    f"this executor can neither stop nor limit a running trial, so it cannot keep to {', '.join(given)}; "
                    "use Processes, or leave it out"
                )
        if paid is None or grace is None:
            return self.timeout
        limit = paid - grace - min(2.0, 0.1 * paid)
        if limit <= 0:
            raise SettingsError(
                f"the budget pays for {paid:.3g} s of a trial, and the executor's grace of {grace:g} s is part of that: "
                "raise budget.trial_seconds or budget.reserve, or give the executor a shorter grace"
            )
        return limit if self.timeout is None else min(self.timeout, limit)
