"""The simulated clock against schedules drawn by hand, and against laws that hold for every schedule."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clock import simulate


def schedule(n_workers: int, durations: list[float]) -> tuple[float, list[tuple[int, float]], list[int]]:
    """(end, (job, time) in order of the ends, how many had ended when each began)."""
    began: list[int] = []
    ended: list[tuple[int, float]] = []

    def start() -> tuple[int, float] | None:
        if len(began) == len(durations):
            return None
        began.append(len(ended))
        return len(began) - 1, durations[len(began) - 1]

    end = simulate(n_workers, start, lambda job, now: ended.append((job, now)))
    return end, ended, began


def test_two_workers_by_hand() -> None:
    """Worker A: 0-3, 3-4. Worker B: 0-1, 1-6."""
    end, ended, known = schedule(2, [3.0, 1.0, 5.0, 1.0])
    assert ended == [(1, 1.0), (0, 3.0), (3, 4.0), (2, 6.0)]
    assert known == [0, 0, 1, 2]
    assert end == 6.0


def test_one_worker_is_a_queue() -> None:
    end, ended, known = schedule(1, [2.0, 1.0, 4.0])
    assert ended == [(0, 2.0), (1, 3.0), (2, 7.0)]
    assert known == [0, 1, 2]
    assert end == 7.0


def test_equal_ends_come_in_the_order_of_the_starts() -> None:
    _, ended, _ = schedule(3, [1.0, 1.0, 1.0, 1.0])
    assert [job for job, _ in ended] == [0, 1, 2, 3]


def test_nothing_to_do_takes_no_time() -> None:
    assert schedule(4, []) == (0.0, [], [])


@pytest.mark.parametrize("n_workers", [1, 3, 8, 64])
def test_laws_of_any_schedule(n_workers: int) -> None:
    durations = np.random.default_rng(n_workers).exponential(size=40).tolist()
    end, ended, known = schedule(n_workers, durations)
    times = [time for _, time in ended]
    assert times == sorted(times)
    assert sorted(job for job, _ in ended) == list(range(40))
    assert known == [max(0, job - n_workers + 1) for job in range(40)]  # all workers are busy when a job begins
    assert max(sum(durations) / n_workers, *durations) <= end + 1e-9
    assert end <= sum(durations) / n_workers + max(durations)  # Graham's bound for any list schedule


def test_a_start_that_has_to_wait_is_asked_again_after_the_next_end() -> None:
    """The second job can only be chosen once the first has ended."""
    ended: list[tuple[str, float]] = []
    jobs = iter(["first", "second"])

    def start() -> tuple[str, float] | None:
        return (next(jobs), 2.0) if len(ended) < 2 and not waiting() else None

    began: list[str] = []

    def waiting() -> bool:
        if len(began) > len(ended):
            return True
        began.append("")
        return False

    assert simulate(2, start, lambda job, now: ended.append((job, now))) == 4.0
    assert ended == [("first", 2.0), ("second", 4.0)]
