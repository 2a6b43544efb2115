"""An offer is given out only while nothing that it follows from has changed, or under later numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hpo
from hpo.problem.space import key
from hpo.strategies import Random
from hpo.study.new_events import asked
from hpo.study.offer import Offer
from hpo.trials.events import Draft, StudyState
from hpo.trials.suggestion import Suggestion

WAITING = 1
"""The number of the trial that waits; 0 has a result."""


@pytest.fixture
def study() -> hpo.Study:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    study = hpo.open_study("s", problem, storage=":memory:", seed=1, strategy=Random())
    study.tell(study.ask(), {"y": 1.0})
    study.enqueue({"x": 0.25})
    return study


def now(study: hpo.Study) -> StudyState:
    return study._log.state_of(study.events())


def offer(study: hpo.Study) -> Offer:
    """Of the trial that waits, and of two new ones."""
    history, saw, last_ask = study._log.seen()
    first = len(history.trials)
    suggested = [Suggestion({"x": x}, {"role": "explore"}) for x in (0.5, 0.75)]
    new = [asked(first + i, s, {"name": "random"}, saw, (first, 2), "me") for i, s in enumerate(suggested)]
    return Offer(history, last_ask, history.waiting, new)


CHANGES: dict[str, tuple[Callable[[hpo.Study], Any], bool]] = {
    "nothing": (lambda study: None, True),
    "a note": (lambda study: study.note("seen"), True),
    "a correction": (lambda study: study.tell(0, {"y": 2.0}, replace=True, reason="typo"), True),
    "one enqueued": (lambda study: study.enqueue({"x": 0.9}), False),
    "one added": (lambda study: study.add({"x": 0.9}, {"y": 1.0}), False),
    "one asked": (lambda study: study.ask(2), False),
    "the waiting one given out": (lambda study: study.ask(), False),
    "the waiting one cancelled": (lambda study: study.cancel(WAITING), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_fits_while_nobody_has_asked_or_enqueued_and_the_waiting_still_wait(study: hpo.Study, change: str) -> None:
    given = offer(study)
    step, fits = CHANGES[change]
    step(study)
    assert given.fits(now(study)) == fits


def test_one_given_out_and_handed_back_since_was_asked_for_meanwhile(study: hpo.Study) -> None:
    given = offer(study)
    study.requeue(study.ask())
    assert len(study.trials) == len(given.history.trials)
    assert not given.fits(now(study))


def test_what_is_written_is_first_the_waiting_then_the_new(study: hpo.Study) -> None:
    given = offer(study)
    drafts = given.drafts("me")
    assert drafts[0] == Draft("started", WAITING, {"owner": "me"})
    assert drafts[1:] == given.new


def test_leases_are_for_the_attempts_that_begin(study: hpo.Study) -> None:
    study.requeue(study.ask())
    given = offer(study)
    assert list(given.attempts(given.drafts("me"))) == [(WAITING, 2), (2, 1), (3, 1)]


def test_kept_it_has_the_numbers_that_are_next_now(study: hpo.Study) -> None:
    given = offer(study)
    study.add({"x": 0.9}, {"y": 1.0})
    kept = given.kept(now(study))
    assert kept is not None
    assert [(draft.number, draft.data["batch"], draft.data["drawn"]) for draft in kept.new] == [
        (3, [3, 2], 2),
        (4, [3, 2], 2),
    ]
    assert [draft.data["params"] for draft in kept.new] == [draft.data["params"] for draft in given.new]
    assert kept.fits(now(study))
    assert kept.waiting == given.waiting


def test_where_nothing_came_between_the_numbers_stay(study: hpo.Study) -> None:
    given = offer(study)
    kept = given.kept(now(study))
    assert kept is not None
    assert list(kept.new) == list(given.new)


@pytest.mark.parametrize("x", [0.5, 0.75])
def test_a_configuration_that_another_was_given_meanwhile_is_not_given_again(study: hpo.Study, x: float) -> None:
    given = offer(study)
    study.enqueue({"x": x})
    assert key({"x": x}) in {trial.key for trial in study.trials}
    assert given.kept(now(study)) is None


def test_nor_is_one_that_waits_no_more(study: hpo.Study) -> None:
    given = offer(study)
    study.cancel(WAITING)
    assert given.kept(now(study)) is None
