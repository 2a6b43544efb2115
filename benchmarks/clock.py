"""A simulated clock: what many workers would do, at no waiting."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeVar

Job = TypeVar("Job")


def simulate(
    n_workers: int, start: Callable[[], tuple[Job, float] | None], finish: Callable[[Job, float], None]
) -> float:
    """Keep `n_workers` busy until there is nothing left to start; the time at which the last job ends.

    `start()` gives the next job and how long it takes, in seconds, or None when there is none to start now: it is asked
    again after the next job has ended. `finish(job, time)` is called in the order of the ends; of jobs that end
    together the one started first comes first. Choosing a job takes no time on this clock.
    """
    running: list[tuple[float, int, Job]] = []
    now, number = 0.0, 0
    while True:
        while len(running) < n_workers and (started := start()) is not None:
            job, seconds = started
            heapq.heappush(running, (now + seconds, number, job))
            number += 1
        if not running:
            return now
        now, _, job = heapq.heappop(running)
        finish(job, now)
