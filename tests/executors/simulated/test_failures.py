"""What goes wrong on simulated workers: where and when, and what it makes of a task."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import Failures, Outcome, Sick, Simulated, Task


def test_nothing_goes_wrong_unless_it_is_asked_for() -> None:
    failures = Failures()
    assert (failures.deaths, failures.hangs, failures.stragglers, failures.sick) == (0.0, 0.0, 0.0, ())
    assert failures.sickness(0, 0.0) is None


@pytest.mark.parametrize(
    ("worker", "at", "has"),
    [(1, 10.0, True), (2, 10.0, True), (0, 10.0, False), (1, 9.9, False), (1, 19.9, True), (1, 20.0, False)],
)
def test_the_named_workers_are_sick_from_the_beginning_until_before_the_end(worker: int, at: float, has: bool) -> None:
    assert Sick(workers=[1, 2], since=10.0, until=20.0).has(worker, at) == has


@pytest.mark.parametrize(("worker", "at"), [(0, 0.0), (99, 1e12)])
def test_all_are_sick_for_ever_where_nothing_else_is_said(worker: int, at: float) -> None:
    assert Sick().has(worker, at)


def test_of_several_sicknesses_the_first_that_a_worker_has_counts() -> None:
    early, late = Sick(workers=range(2), until=5.0), Sick(workers=[1, 2], message="the file system is away")
    failures = Failures(sick=[early, late])
    assert failures.sick == (early, late)
    found = [[failures.sickness(worker, at) for worker in range(4)] for at in (0.0, 5.0)]
    assert found == [[early, early, late, None], [None, late, late, None]]


def ended(sick: Sick, n: int = 4, slots: int = 2, seconds: float = 10.0) -> list[tuple[str, str | None, str, float]]:
    """Kind, place, message and length of tasks, in the order of their ends."""
    with Simulated(slots, seconds, failures=Failures(sick=[sick])).start(dict) as pool:
        pool.submit(*(Task(id=str(i), payload={}) for i in range(n)))
        outcomes: list[Outcome] = []
        while len(outcomes) < n:
            outcomes += pool.wait()
    assert all((o.started_at is None) == (o.place == "") for o in outcomes)
    return [(o.place, o.kind, o.message, o.seconds) for o in outcomes]


def test_a_sick_worker_loses_each_task_and_takes_the_next() -> None:
    lost = ("worker 1", "infra", "No space left on device", 3.0)
    assert ended(Sick(workers=[1], after=3.0)) == [lost, lost, lost, ("worker 0", None, "", 10.0)]


def test_what_it_runs_already_ends_as_it_would_have() -> None:
    assert ended(Sick(workers=[1], since=1.0), n=2) == [("worker 0", None, "", 10.0), ("worker 1", None, "", 10.0)]


def test_what_does_not_start_has_no_place_and_takes_no_time() -> None:
    lost = ("", "infra", "refused", 0.0)
    assert ended(Sick(workers=[0], starts=False, message="refused"), n=3) == [lost, lost, ("worker 1", None, "", 10.0)]


@pytest.mark.parametrize(
    "fields",
    [
        {"since": -1.0},
        {"since": math.inf, "until": math.inf},
        {"since": 2.0, "until": 1.0},
        {"after": -1.0},
        {"after": math.inf},
    ],
)
def test_a_sickness_that_cannot_be(fields: dict[str, Any]) -> None:
    values = {"since": 0.0, "until": math.inf, "after": 0.0} | fields
    with pytest.raises(ExecutorError) as raised:
        Sick(**fields)
    told = ", ".join(str(value) for value in values.values())
    assert str(raised.value) == f"Sick: since, until and after are seconds, 0 or more, got {told}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"deaths": -1.0}, "Failures: deaths must be 0 or more, got -1.0"),
        ({"deaths": math.inf}, "Failures: deaths must be 0 or more, got inf"),
        ({"recovery": -0.5}, "Failures: recovery must be 0 or more, got -0.5"),
        ({"recovery": math.nan}, "Failures: recovery must be 0 or more, got nan"),
        ({"hangs": 1.5}, "Failures: hangs is a share of the tasks, from 0 to 1, got 1.5"),
        ({"stragglers": -0.1}, "Failures: stragglers is a share of the tasks, from 0 to 1, got -0.1"),
        ({"slowdown": 0.5}, "Failures: slowdown must be 1 or more, got 0.5"),
        ({"slowdown": math.inf}, "Failures: slowdown must be 1 or more, got inf"),
    ],
)
def test_failures_that_cannot_be(fields: dict[str, float], said: str) -> None:
    with pytest.raises(ExecutorError) as raised:
        Failures(**fields)  # type: ignore[arg-type]
    assert str(raised.value) == said


def test_the_ends_of_every_range_can_be() -> None:
    Failures(deaths=0.0, recovery=0.0, hangs=1.0, stragglers=1.0, slowdown=1.0)
    assert Sick(since=3.0, until=3.0).has(0, 3.0) is False
