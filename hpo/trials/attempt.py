"""Attempt: one time that a trial was given out to be run, and how long that took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hpo.boundary.public import hinting
from hpo.problem.measurement import Measurement


@hinting
@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of one attempt, whatever has become of its trial since: it is billed by this."""

    number: int
    owner: str = ""
    """The driver that runs it; empty for plain ask/tell."""
    started_at: str = ""
    """When it was given out, by the storage's clock; empty where nobody gave it out."""
    seconds: float | None = None
    """How long it took, as measured; None while it runs, and where nobody has measured it."""
    at_most: float | None = None
    """Once it is over, or its driver is not heard of any more: seconds from when it was given out to then, or to the end of
    its lease. None while it runs."""
    may_run: bool = False
    """Whether it may still be running unnoticed, or be stopped only later."""
    values: Mapping[str, Measurement] = field(default_factory=dict)
    """Its result, where the trial has that of another attempt."""

    @property
    def is_known(self) -> bool:
        """Whether its duration is final."""
        return self.seconds is not None or (self.at_most is not None and not self.may_run)

    @property
    def taken(self) -> float:
        """Seconds, as far as they are known."""
        return self.seconds if self.seconds is not None else self.at_most or 0.0

    def billed(self, limit: float | None, as_of: str) -> float:
        """Seconds to pay for, at the time `as_of`: those measured; else, while it runs or may run, the `limit` that an
        attempt has; else what it can have taken, at most its limit."""
        if self.seconds is not None:
            return self.seconds
        if limit is None:
            return self.at_most or 0.0
        if self.at_most is None or self.is_held(limit, as_of):
            return limit
        return min(self.at_most, limit)

    def is_held(self, limit: float | None, as_of: str) -> bool:
        """Whether, at the time `as_of`, it may run on although nothing is heard of it: not longer than its limit after it
        was heard of last."""
        if limit is None or self.seconds is not None or self.at_most is None or not self.may_run:
            return False
        return elapsed(self.started_at, as_of) < self.at_most + limit


def elapsed(begun: str, ended: str) -> float:
    """Seconds between two times of a log; 0 where the clock was set back in between, or one of them is not known."""
    return until(begun, _unix(ended)) if ended else 0.0


def until(begun: str, end: float) -> float:
    """Seconds from a time of a log to `end`, in Unix seconds; at least 0."""
    return max(0.0, end - _unix(begun)) if begun else 0.0


def _unix(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
