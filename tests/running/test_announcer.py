from __future__ import annotations

import logging

import pytest

import hpo
from hpo.executors import Outcome
from hpo.running.announcer import Announcer
from hpo.running.display import Display
from hpo.running.progress import Progress
from tests.running.runs import study


class Steps(Display):
    """Keeps what it is given."""

    def __init__(self, *, is_live: bool = False) -> None:
        self.wants_starts = is_live
        self.begun: list[Progress] = []
        self.steps: list[Progress] = []

    def begin(self, step: Progress) -> None:
        self.begun.append(step)

    def show(self, step: Progress) -> None:
        self.steps.append(step)


def announcer(of: hpo.Study, display: Display) -> Announcer:
    return Announcer(of, hpo.Budget(trials=4), display, lambda: 12.0, lambda: "no start for 3 s")


def test_messages_are_logged_until_the_study_was_read(caplog: pytest.LogCaptureFixture) -> None:
    display, s = Steps(), study()
    says = announcer(s, display)
    with caplog.at_level(logging.WARNING):
        says.say("the database has not answered for 5 s")
    assert [record.getMessage() for record in caplog.records] == ["the database has not answered for 5 s"]
    assert display.steps == []
    says.read()
    says.say("it answers again")
    (step,) = display.steps
    assert (step.message, step.elapsed, step.delay) == ("it answers again", 12.0, "no start for 3 s")


def test_what_is_shown_is_what_was_read_last() -> None:
    display, s = Steps(is_live=True), study()
    says = announcer(s, display)
    says.update()
    assert display.steps == [], "nothing is known yet"
    says.begin()
    assert len(display.begun[0].history.trials) == 0
    trial = s.ask()
    says.update()
    assert len(display.steps[-1].history.trials) == len(says.shown().trials) == 0
    says.read()
    says.update()
    assert display.steps[-1].history.trials == says.shown().trials == (trial,)
    assert display.steps[-1].room is not None
    assert display.steps[-1].room.trials == 3


def test_a_display_that_shows_no_starts_is_not_updated() -> None:
    display, s = Steps(), study()
    says = announcer(s, display)
    says.read()
    says.update()
    assert not says.is_live
    assert display.steps == []


@pytest.mark.parametrize(("kind", "log"), [("error", "logs/run-0-1.err"), (None, "")])
def test_the_end_of_a_trial_names_its_log_where_it_failed(kind: str | None, log: str) -> None:
    display, s = Steps(), study()
    trial = s.ask()
    now = s.tell(trial, {"y": 1.0, "c": 0.0}) if kind is None else s.fail(trial, kind, "bad shape")
    says = announcer(s, display)
    says.ended(now, Outcome(id="run-0-1", value={}, logs=("logs/run-0-1.out", "logs/run-0-1.err")), trace="in train")
    (step,) = display.steps
    assert (step.ended, step.task, step.log, step.trace) == (now, "run-0-1", log, "in train")
