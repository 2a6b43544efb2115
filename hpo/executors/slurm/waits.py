"""Jobs that wait in Slurm's queue for long: how many, for how long, and why as Slurm says."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.executors.notices import Notices
from hpo.executors.slurm.submitted import SubmittedTask

LONG = 60.0
"""Seconds in the queue after which somebody is told."""


class Waits:
    """Says so once, and again for each reason that comes on top."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._known: set[str] = set()

    def note(self, submitted_tasks: Iterable[SubmittedTask], now: float) -> None:
        """Look at all submitted tasks, at this time of the monotonic clock."""
        waiting = [submitted for submitted in submitted_tasks if now - submitted.waits_since >= LONG]
        reasons = {submitted.waits_for for submitted in waiting}
        if not reasons <= self._known:
            longest = max(now - submitted.waits_since for submitted in waiting)
            jobs = "1 job has" if len(waiting) == 1 else f"{len(waiting)} jobs have"
            self._notices.say(
                "queue", f"{jobs} been waiting in Slurm's queue for {_length(longest)} ({'; '.join(sorted(reasons))})"
            )
        self._known = reasons and self._known | reasons


def _length(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
