"""Jobs that wait in Slurm's queue for long: how many, for how long, and why as Slurm says."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.executors.notices import Notices
from hpo.executors.slurm.submitted import Flight

LONG = 60.0
"""Seconds in the queue after which somebody is told."""


class Waits:
    """Says so once, and again for each reason that comes on top."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._known: set[str] = set()

    def note(self, flights: Iterable[Flight], now: float) -> None:
        """Look at all flights, at this time of the monotonic clock."""
        waiting = [flight for flight in flights if now - flight.waits_since >= LONG]
        reasons = {flight.waits_for for flight in waiting}
        if not reasons <= self._known:
            longest = max(now - flight.waits_since for flight in waiting)
            jobs = "1 job has" if len(waiting) == 1 else f"{len(waiting)} jobs have"
            self._notices.say(
                "queue", f"{jobs} been waiting in Slurm's queue for {_length(longest)} ({'; '.join(sorted(reasons))})"
            )
        self._known = reasons and self._known | reasons


def _length(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
