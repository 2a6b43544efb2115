"""Attempts: what is known of how long they took, and what is paid while it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.trials.attempt import Attempt, elapsed, until

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECONDS = st.floats(0, 1e6)
MAYBE = st.none() | SECONDS


def at(seconds: float) -> str:
    """So long after the start."""
    return (START + timedelta(seconds=seconds)).isoformat()


def attempt(seconds: float | None = None, at_most: float | None = None, *, may_run: bool = False) -> Attempt:
    return Attempt(1, "driver", at(0), seconds, at_most, may_run)


ATTEMPTS = st.builds(attempt, MAYBE, MAYBE, may_run=st.booleans())


@pytest.mark.parametrize(
    ("known", "taken", "given"),
    [
        (True, 3.0, attempt(3.0)),
        (True, 3.0, attempt(3.0, 9.0, may_run=True)),
        (True, 0.0, attempt(0.0, 9.0)),
        (True, 9.0, attempt(at_most=9.0)),
        (False, 9.0, attempt(at_most=9.0, may_run=True)),
        (False, 0.0, attempt()),
    ],
)
def test_what_was_measured_is_known_and_else_that_it_is_over(known: bool, taken: float, given: Attempt) -> None:
    assert given.is_known is known
    assert given.taken == taken


@pytest.mark.parametrize(
    ("bill", "given", "limit"),
    [
        (3.0, attempt(3.0, 9.0, may_run=True), 5.0),  # measured, whatever else
        (30.0, attempt(30.0), 5.0),  # even beyond the limit
        (0.0, attempt(0.0, 9.0), 5.0),
        (5.0, attempt(), 5.0),  # runs: all that it may take
        (0.0, attempt(), None),  # runs, and nobody knows for how long
        (4.0, attempt(at_most=4.0), 5.0),  # over
        (5.0, attempt(at_most=9.0), 5.0),
        (9.0, attempt(at_most=9.0), None),
        (9.0, attempt(at_most=9.0, may_run=True), None),
        (5.0, attempt(at_most=4.0, may_run=True), 5.0),  # may run on
    ],
)
def test_bills_while_it_is_not_over_for_long(bill: float, given: Attempt, limit: float | None) -> None:
    assert given.billed(limit, at(6.0)) == bill


def test_one_that_may_run_on_is_held_for_its_limit_after_it_was_last_heard_of() -> None:
    lost = attempt(at_most=4.0, may_run=True)
    held = [(lost.is_held(10.0, at(t)), lost.billed(10.0, at(t))) for t in (0.0, 13.9, 14.0, 99.0)]
    assert held == [(True, 10.0), (True, 10.0), (False, 4.0), (False, 4.0)]


@pytest.mark.parametrize(
    "given", [attempt(3.0, 4.0, may_run=True), attempt(at_most=4.0), attempt(may_run=True), attempt()], ids=repr
)
def test_nothing_else_is_held(given: Attempt) -> None:
    assert not given.is_held(10.0, at(5.0))


def test_without_a_limit_nothing_is_held() -> None:
    assert not attempt(at_most=4.0, may_run=True).is_held(None, at(5.0))


@given(ATTEMPTS, st.none() | st.floats(0.1, 1e6), SECONDS, SECONDS)
def test_a_bill_is_never_more_than_the_limit_and_never_grows_once_nobody_hears_of_it(
    one: Attempt, limit: float | None, now: float, wait: float
) -> None:
    bill = one.billed(limit, at(now))
    assert bill >= 0.0
    if limit is not None and one.seconds is None:
        assert bill <= limit
    assert one.billed(limit, at(now + wait)) <= bill


@given(ATTEMPTS, st.floats(0.1, 1e5))
def test_long_after_it_is_over_what_it_took_is_paid_up_to_the_limit(one: Attempt, limit: float) -> None:
    if one.seconds is not None or one.at_most is not None:
        taken = one.taken if one.seconds is not None else min(one.taken, limit)
        assert one.billed(limit, at(3e6)) == taken


@given(SECONDS, SECONDS)
def test_times_of_a_log_are_subtracted_and_clocks_set_back_count_as_nothing(begun: float, ended: float) -> None:
    begun, ended = round(begun, 6), round(ended, 6)
    assert elapsed(at(begun), at(ended)) == pytest.approx(max(ended - begun, 0.0), abs=2e-6)  # two microseconds
    assert until(at(begun), START.timestamp() + ended) == pytest.approx(max(ended - begun, 0.0), abs=2e-6)


def test_times_in_other_zones_are_the_same_times() -> None:
    assert elapsed("2026-01-01T12:00:00+02:00", "2026-01-01T12:00:00+01:00") == 3600.0


def test_a_time_that_is_not_known_is_no_time() -> None:
    assert (elapsed("", at(5)), elapsed(at(5), ""), elapsed("", ""), until("", 1e9)) == (0.0, 0.0, 0.0, 0.0)


def test_an_attempt_of_which_nothing_is_known_runs_and_has_no_result() -> None:
    new = Attempt(7)
    assert (new.owner, new.started_at, new.values, new.may_run, new.is_known, new.taken) == (
        "",
        "",
        {},
        False,
        False,
        0.0,
    )
