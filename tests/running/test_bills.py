"""Bills: what each attempt costs after one fault, by the second, by a price that it brings, and by its start."""

from __future__ import annotations

import itertools

import pytest

import hpo
from hpo.trials.events import Event, StudyState
from tests.running.test_money import BY_START, BY_TIME, LEASE, LIMIT, PROBLEM, RATE, RESERVE, Clock, bills, opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hpo.storage.memory.time", clock)
    return clock


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_late_reports_does_not_matter(order: tuple[int, ...], clock: Clock) -> None:
    study, attempts = opened(), []
    for i in range(3):
        attempts += study.leases.claim(1, f"host{i}", lease=LEASE)
        clock.now += 20.0
        if i < 2:
            study.leases.reclaim()
    assert bills(study) == [3 * RESERVE] * 4, "all three may run"
    for i in order:
        trial, seconds = attempts[i], 12.0 + 4.0 * i
        if i == 1:
            study.fail(trial, "oom", seconds=seconds) if study.trials[0].state == "running" else study.leases.bill(
                trial, seconds
            )
        else:
            study.tell(trial, {"y": 1.0, "price": 2.0 + i}, seconds=seconds)
    ran = RATE * (12.0 + 16.0 + 20.0)
    assert bills(study) == [ran, ran, 2.0 + 4.0 + RESERVE, 3 * RESERVE]
    assert study.tell(attempts[0], {"y": study.trials[0].value, "price": 2.0}, seconds=99.0)
    assert bills(study)[0] == ran, "what is known is not told again"


def test_a_late_result_takes_no_other_attempt_off_the_bill(clock: Clock) -> None:
    study = opened()
    (first,) = study.leases.claim(1, "a", lease=LEASE)
    clock.now += 15.0
    study.leases.reclaim()
    study.leases.claim(1, "b", lease=LEASE)
    study.tell(first, {"y": 1.0}, seconds=14.0)
    assert bills(study) == [RATE * (14.0 + LIMIT), RATE * (14.0 + LIMIT), 2 * RESERVE, 2 * RESERVE]
    clock.now += 5.0
    study.leases.reclaim()  # its lease is dropped, for the trial has ended; and nobody hears of b any more
    clock.now += LEASE + LIMIT
    study.note("later")
    assert bills(study)[0] == RATE * (14.0 + LEASE)


def test_no_night_is_paid_for(clock: Clock) -> None:
    study = opened()
    study.leases.claim(1, "a", lease=LEASE)
    clock.now += 36000.0
    study.leases.reclaim()
    assert bills(study)[:2] == [RATE * LEASE] * 2
    study = opened()
    study.leases.claim(1, "a", lease=LEASE)
    clock.now += 4.0
    study.leases.reclaim({"a"})
    assert bills(study)[:2] == [RATE * 4.0] * 2, "who is seen to be dead runs nothing"


def test_a_driver_that_may_run_on_is_counted_in_full_and_said_to_be(clock: Clock) -> None:
    study = opened()
    budget = hpo.Budget(worker_seconds=LIMIT + 5.0, trial_seconds=LIMIT)
    study.leases.claim(1, "a", lease=LEASE)
    clock.now += LEASE + 1.0
    study.leases.reclaim()
    room = budget.room(study.history, 0.0)
    assert room.trials == 0
    assert room.reason.endswith("a trial may take 40, and 1 lost attempt may run on")
    clock.now += LIMIT
    study.note("later")
    assert budget.room(study.history, 0.0).trials == 0, "10 of 45 are used"
    assert budget.worked(study.history) == LEASE


@pytest.mark.parametrize("set_by", [-7200.0, 7200.0])
def test_a_clock_that_is_set_bills_no_hours(set_by: float, clock: Clock) -> None:
    study = opened()
    study.leases.claim(2, "a", lease=LEASE)
    clock.now += set_by
    study.leases.reclaim({"a"})
    assert all(0.0 <= bill <= 2 * RESERVE for bill in bills(study))


def test_what_never_started_costs_nothing(clock: Clock) -> None:
    study = opened()
    (trial,) = study.leases.claim(1, "a", lease=LEASE)
    study.requeue(trial, "never started", seconds=0.0)
    study.cancel(study.leases.claim(1, "a", lease=LEASE)[0], "nor did this", seconds=0.0)
    study.cancel(study.ask())
    assert bills(study) == [0.0] * 4


def test_logs_of_earlier_versions_cost_at_most_their_limit() -> None:
    study_state = StudyState(PROBLEM, 1)
    night = [
        Event(1, "2026-01-01T20:00:00+00:00", "asked", 0, {"params": {"x": 0.5}, "owner": "a"}),
        Event(2, "2026-01-02T06:00:00+00:00", "requeued", 0, {"reason": "infra", "seconds": None}),
        Event(3, "2026-01-02T06:00:01+00:00", "started", 0, {"owner": "b"}),
        Event(4, "2026-01-02T06:00:05+00:00", "requeued", 0, {"reason": "infra", "seconds": None}),
    ]
    study_state.apply(night)
    assert BY_TIME.worked(study_state.history()) == LIMIT + 4.0
    assert BY_START.spent(study_state.history()) == 2 * RESERVE
