"""Which stage a run is in, as a table of what comes and what follows."""

from __future__ import annotations

import time

import pytest

from hpo.running.budget import Budget
from hpo.running.shutdown import Shutdown, Stage, interrupted_words, terminated_words
from hpo.running.signals import Interrupts

BUDGET = Budget(trials=9, wall=10.0, overtime=2.0)


def shutdown(*, count: int = 0, term: float | None = None, notice: float = 5.0) -> Shutdown:
    """After `count` Ctrl-Cs, and SIGTERM `term` seconds ago."""
    interrupts = Interrupts(lambda _: None)
    interrupts.count = count
    interrupts.terminated_at = None if term is None else time.monotonic() - term
    return Shutdown(interrupts, notice)


def test_without_a_signal_nothing_changes() -> None:
    it = shutdown()
    it.heed(survives=True)
    assert (it.stage, it.reason, it.hand_back, it.is_asked_for) == (Stage.RUNNING, "", False, False)


@pytest.mark.parametrize(
    ("count", "term", "survives", "stage", "reason"),
    [
        (1, None, False, Stage.DRAINING, "interrupted"),
        (1, None, True, Stage.DETACHED, "interrupted: running trials go on"),
        (0, 1.0, False, Stage.DRAINING, "terminated: running trials had 5 s to end"),
        (0, 1.0, True, Stage.DETACHED, "terminated: running trials go on"),
        (2, 1.0, False, Stage.DRAINING, "terminated: running trials had 5 s to end"),
    ],
)
def test_what_signals_ask_for(count: int, term: float | None, survives: bool, stage: Stage, reason: str) -> None:
    it = shutdown(count=count, term=term)
    it.heed(survives=survives)
    assert (it.stage, it.reason, it.hand_back) == (stage, reason, survives)


def test_the_first_reason_stays() -> None:
    it = shutdown(count=1)
    it.drain("the budget is spent")
    it.heed(survives=False)
    it.end("nothing more to run")
    assert (it.stage, it.reason) == (Stage.OVER, "the budget is spent")


def test_wall_time_and_overtime_end_what_runs_once() -> None:
    it = shutdown()
    assert not it.stop_overdue(BUDGET, 11.9)
    assert it.stop_overdue(BUDGET, 12.0)
    assert (it.stage, it.hand_back) == (Stage.STOPPING, False)
    assert it.stopping == "stopped: the wall time of 10 s is over"
    assert not it.stop_overdue(BUDGET, 13.0), "once is enough"
    it.drain("the budget is spent")
    assert it.stage is Stage.STOPPING


def test_without_overtime_what_runs_may_end() -> None:
    assert not shutdown().stop_overdue(Budget(trials=9, wall=10.0), 1e9)


def test_a_notice_that_is_over_hands_back() -> None:
    assert not shutdown(term=4.0).stop_overdue(BUDGET, 0.0)
    it = shutdown(term=5.0)
    assert it.is_notice_over
    assert it.stop_overdue(BUDGET, 0.0)
    assert (it.stage, it.hand_back, it.stopping) == (
        Stage.STOPPING,
        True,
        "preempted: the machine was to be given back",
    )


def test_what_is_being_ended_is_left_where_it_outlives_its_driver() -> None:
    it = shutdown(count=1)
    assert it.stop_overdue(BUDGET, 12.0)
    it.heed(survives=True)
    assert (it.stage, it.hand_back) == (Stage.DETACHED, True)


@pytest.mark.parametrize(
    ("n_live", "n_kept", "survives", "words"),
    [
        (0, 0, False, "no trial is running, and no more are started"),
        (
            *(0, 2, False),
            "no trial is running, and no more are started; 2 results cannot be stored at the moment; interrupt again "
            "(Ctrl-C) to end without",
        ),
        (1, 0, True, "1 running trial goes on; the next run takes it back"),
        (2, 1, True, "2 running trials go on; the next run takes them back; 1 result cannot be stored at the moment"),
        (1, 0, False, "waiting for 1 running trial to end; interrupt again (Ctrl-C) to cancel it"),
        (
            *(3, 1, False),
            "waiting for 3 running trials to end; 1 result cannot be stored at the moment; interrupt again (Ctrl-C) to "
            "cancel them",
        ),
    ],
)
def test_words_after_a_first_ctrl_c(n_live: int, n_kept: int, survives: bool, words: str) -> None:
    assert interrupted_words(n_live, n_kept, survives=survives) == f"interrupted: {words}"


def test_words_after_sigterm() -> None:
    assert terminated_words(1, 20.0) == "terminated: 1 running trial has 20 s to end"
    assert terminated_words(2, 0.5) == "terminated: 2 running trials have 0.5 s to end"
