"""What each trial is given: numbers that can be, and no more time than the budget pays for."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.errors import SettingsError
from hpo.running.budget import Budget
from hpo.running.trial_limits import TrialLimits

FREE = Budget(trials=1)


def test_all_that_run_takes_for_its_trials_is_held_here() -> None:
    others = {"study", "objective", "budget", "executor", "progress"}
    assert {field.name for field in fields(TrialLimits)} == set(signature(hpo.run).parameters) - others


def test_lengths_of_time_without_a_word_are_those_of_the_pages() -> None:
    limits = TrialLimits()
    assert (limits.lease, limits.idle, limits.notice, limits.outage) == (60.0, 60.0, 30.0, 12 * 3600.0)
    assert (limits.timeout, limits.memory, limits.cpus, limits.gpus) == (None, None, None, 0)


def test_numbers_of_other_libraries_and_words_are_numbers() -> None:
    limits = TrialLimits(timeout=np.float32(0.5), memory=np.int64(7), outage="1h30min")  # type: ignore[arg-type]
    assert (limits.timeout, limits.memory, limits.outage) == (0.5, 7, 5400.0)
    assert (type(limits.timeout), type(limits.memory)) == (float, int)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"timeout": "10s"},
            "run: timeout='10s' (seconds), memory=None (bytes), cpus=None and gpus=0 must be numbers",
        ),
        ({"lease": 0}, "run: lease=0 must be a number of seconds, above 0"),
        ({"lease": float("nan")}, "run: lease=nan must be a number of seconds, above 0"),
        ({"notice": "1min"}, "run: notice='1min' must be a number of seconds, 0 or more"),
        ({"idle": -0.5}, "run: idle=-0.5 must be a number of seconds, 0 or more"),
        ({"outage": None}, "run: outage=None must be a number of seconds, 0 or more"),
        (
            {"outage": "soon"},
            '\'soon\' is no length of time; write seconds, or text like "90s", "30min", "2h", "1h30min"',
        ),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        TrialLimits(**wrong)
    assert str(raised.value) == message


def test_what_a_task_refuses_is_said_of_the_run() -> None:
    with pytest.raises(SettingsError, match=r"^run: timeout must be above 0"):
        TrialLimits(timeout=-1.0)


@pytest.mark.parametrize("name", ["notice", "idle", "outage"])
def test_none_of_it_is_a_length_of_time_too(name: str) -> None:
    assert getattr(TrialLimits(**{name: 0}), name) == 0


@given(paid=st.floats(0.1, 1e5), grace=st.floats(0.0, 10.0), timeout=st.none() | st.floats(0.01, 1e5))
def test_an_attempt_and_its_end_are_within_what_is_paid_for(paid: float, grace: float, timeout: float | None) -> None:
    limits, budget = TrialLimits(timeout=timeout), Budget(worker_seconds=1e6, trial_seconds=paid)
    if paid - grace - min(2.0, 0.1 * paid) <= 0:
        with pytest.raises(SettingsError, match=f"^the budget pays for {paid:.3g} s of a trial"):
            limits.time_limit(budget, grace)
        return
    limit = limits.time_limit(budget, grace)
    assert limit is not None
    assert 0 < limit < paid - grace
    assert timeout is None or limit <= timeout
    assert limit in (timeout, paid - grace - min(2.0, 0.1 * paid))


def test_a_moment_is_a_tenth_and_at_most_two_seconds() -> None:
    limits = TrialLimits()
    assert limits.time_limit(Budget(worker_seconds=1e6, trial_seconds=10.0), 5.0) == 4.0
    assert limits.time_limit(Budget(worker_seconds=1e6, trial_seconds=1000.0), 5.0) == 993.0


@pytest.mark.parametrize("grace", [None, 0.0, 5.0])
def test_where_nothing_is_paid_for_by_time_the_timeout_is_as_given(grace: float | None) -> None:
    assert TrialLimits().time_limit(FREE, grace) is None
    if grace is not None:
        assert TrialLimits(timeout=3.0).time_limit(FREE, grace) == 3.0


def test_a_grace_longer_than_the_trial_is_explained() -> None:
    with pytest.raises(SettingsError) as raised:
        TrialLimits().time_limit(Budget(worker_seconds=60.0, trial_seconds=5.0), 5.0)
    assert str(raised.value) == (
        "the budget pays for 5 s of a trial, and the executor's grace of 5 s is part of that: raise budget.trial_seconds "
        "or budget.reserve, or give the executor a shorter grace"
    )


@pytest.mark.parametrize(
    ("limits", "budget", "named"),
    [
        ({"timeout": 5.0}, FREE, "timeout"),
        ({"memory": 1 << 30, "gpus": 1}, FREE, "memory, gpus"),
        ({}, Budget(wall=1, overtime=1), "budget.overtime"),
        ({}, Budget(worker_seconds=60.0, trial_seconds=5.0), "what the budget sets aside for a trial"),
    ],
)
def test_an_executor_that_can_stop_nothing_is_refused_where_it_would_have_to(
    limits: dict[str, Any], budget: Budget, named: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        TrialLimits(**limits).time_limit(budget, None)
    assert str(raised.value) == (
        f"this executor can neither stop nor limit a running trial, so it cannot keep to {named}; use Processes, or leave "
        "it out"
    )
