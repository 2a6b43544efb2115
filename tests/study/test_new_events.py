"""What is written of each step, word by word."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import ParamsError, ResultConflict, SettingsError, TrialStateError
from hpo.problem.measurement import Measurement
from hpo.storage.base import Lease
from hpo.study import new_events as drafts
from hpo.study.new_events import MAX_ATTEMPTS, MAX_DEATHS
from hpo.trials.attempt import Attempt
from hpo.trials.events import Draft, StudyState
from hpo.trials.results import Checked
from hpo.trials.suggestion import Suggestion
from hpo.trials.trial import DATA, FAILURE_KINDS, RETRIED_KINDS, Trial, TrialState

BEGUN = 1_764_000_000.0
AT = datetime.fromtimestamp(BEGUN, UTC).isoformat()
RUNNING = Trial(
    number=4,
    params={"x": 0.5},
    state=TrialState.RUNNING,
    seed=1,
    attempt=2,
    started_at=AT,
    attempts=(Attempt(1, "a", AT), Attempt(2, "b", AT)),
)
DONE = replace(RUNNING, state=TrialState.COMPLETED, values={"y": Measurement(1.0)}, ended_at=AT)
HOLDS = Lease(4, 2, "b", BEGUN + 60.0)


def state(*draft: Draft) -> StudyState:
    """Of a study in which these were stored."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    study = hpo.open_study("s", problem, storage=":memory:", seed=0)
    if draft:
        study._log.write(lambda *_: list(draft))
    return study._log.state_of(study.events())


def checked(y: float) -> Checked:
    return Checked({"y": Measurement(y)})


# -- opened and asked -------------------------------------------------------------------------------------------------


def test_a_trial_by_hand_has_the_next_number_and_what_was_taken_is_a_replicate() -> None:
    first = drafts.opened(state(), {"x": 0.5}, "enqueued", {"note": "n"})
    assert first == Draft("enqueued", 0, {"params": {"x": 0.5}, "why": {"role": "enqueued"}, "note": "n"})
    again = drafts.opened(state(first), {"x": 0.5}, "added", {})
    assert (again.number, again.data["why"]) == (1, {"role": "replicate"})


def test_params_are_a_mapping() -> None:
    with pytest.raises(ParamsError) as raised:
        drafts.opened(state(), [0.5], "added", {})  # type: ignore[arg-type]
    assert str(raised.value) == "params [0.5]: not a mapping of parameter name to value, like {'lr': 0.01}"


def test_a_suggestion_is_stored_with_what_it_follows_from() -> None:
    suggestion = Suggestion({"x": 0.5}, {"role": "explore"})
    draft = drafts.asked(7, suggestion, {"name": "random"}, 12, (6, 3), "me")
    assert draft.data == {
        "params": {"x": 0.5},
        "why": {"role": "explore"},
        "saw": 12,
        "batch": [6, 3],
        "strategy": {"name": "random"},
        "owner": "me",
    }
    fitted = drafts.asked(7, replace(suggestion, fitted={"y": [1.0]}), {"name": "random"}, 12, (6, 3), "me")
    assert fitted.data == {**draft.data, "fitted": {"y": [1.0]}}


def test_under_a_later_number_it_says_with_which_it_was_drawn_first() -> None:
    draft = Draft("asked", 7, {"params": {}, "batch": [6, 3]}, "request")
    assert drafts.renumbered(draft, 0) is draft
    moved = drafts.renumbered(draft, 2)
    assert moved == Draft("asked", 9, {"params": {}, "batch": [8, 3], "drawn": 6}, "request")
    assert drafts.renumbered(moved, 1).data == {"params": {}, "batch": [9, 3], "drawn": 6}


# -- handed back ------------------------------------------------------------------------------------------------------


def test_what_nobody_runs_waits_again_and_took_no_time() -> None:
    assert drafts.freed(RUNNING, "copied") == Draft("requeued", 4, {"reason": "copied", "seconds": 0.0})


@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_a_failure_of_the_machines_alone_is_run_again(kind: str) -> None:
    draft = drafts.handed_back(RUNNING, kind, "why", 2)
    if kind in RETRIED_KINDS:
        assert draft == Draft("requeued", 4, {"reason": f"{kind}: why", "seconds": 2.0})
    else:
        assert draft == Draft("failed", 4, {"kind": kind, "message": "why", "seconds": 2.0})


@pytest.mark.parametrize("most", [MAX_ATTEMPTS, MAX_DEATHS])
def test_that_ends_with_the_last_attempt_that_counts(most: int) -> None:
    def kind(attempt: int, uncounted: int = 0, **given: Any) -> str:
        trial = replace(RUNNING, attempt=attempt, uncounted=uncounted)
        return drafts.handed_back(trial, "infra", "", most=most, **given).kind

    assert [kind(most - 1), kind(most), kind(most + 1)] == ["requeued", "failed", "failed"]
    assert [kind(most + 1, 2), kind(most + 2, 2)] == ["requeued", "failed"]
    assert kind(99, counts=False) == "requeued"


def test_a_loss_that_does_not_count_says_so() -> None:
    draft = drafts.handed_back(RUNNING, "infra", "", counts=False)
    assert draft.data == {"reason": "infra", "seconds": None, "counts": False}


def test_a_message_is_cut_and_has_no_secrets() -> None:
    draft = drafts.handed_back(RUNNING, "error", "password=hunter2 " + "x" * 2000)
    assert len(draft.data["message"]) == 1000
    assert "hunter2" not in draft.data["message"]


@pytest.mark.parametrize(
    ("lease", "now", "at_most"),
    [
        (HOLDS, BEGUN + 90.0, 60.0),
        (HOLDS, BEGUN + 10.0, 10.0),
        (replace(HOLDS, attempt=1), BEGUN + 90.0, 90.0),
        (None, BEGUN + 90.0, 90.0),
        (HOLDS, BEGUN - 5.0, 0.0),
    ],
    ids=["over", "not over", "of another attempt", "none", "set back"],
)
def test_an_end_that_nobody_saw_was_before_now_and_before_the_lease_was_over(
    lease: Lease | None, now: float, at_most: float
) -> None:
    draft = Draft("requeued", 4, {"reason": "r"})
    assert drafts.unseen(draft, RUNNING, lease, now).data == {"reason": "r", "at_most": pytest.approx(at_most)}
    assert drafts.unseen(draft, RUNNING, lease, now, may_run=True).data["may_run"] is True


def test_an_attempt_that_was_outrun_may_run_until_its_lease_is_over() -> None:
    (draft,) = drafts.outrun(RUNNING, replace(HOLDS, attempt=1))
    assert (draft.kind, draft.number) == ("extra", 4)
    assert draft.data == {"attempt": 1, "seconds": None, "at_most": pytest.approx(60.0), "may_run": True}
    assert drafts.outrun(RUNNING, replace(HOLDS, attempt=7)) == []
    known = replace(RUNNING, attempts=(Attempt(1, "a", AT, seconds=3.0),))
    assert drafts.outrun(known, replace(HOLDS, attempt=1)) == []


# -- how long it took -------------------------------------------------------------------------------------------------


def test_the_time_of_an_attempt_is_written_once_its_trial_has_gone_on_without_it() -> None:
    extra = [Draft("extra", 4, {"attempt": 1, "seconds": 3.0})]
    assert drafts.took(RUNNING, 1, 3) == extra
    assert drafts.took(RUNNING, 1, None) == []
    assert drafts.took(RUNNING, 2, 3.0) == [], "it runs: the end will tell"
    assert drafts.took(DONE, 2, 3.0) == [Draft("extra", 4, {"attempt": 2, "seconds": 3.0})]
    known = replace(RUNNING, attempts=(Attempt(1, "a", AT, seconds=0.0),))
    assert drafts.took(known, 1, 3.0) == []


@pytest.mark.parametrize(("given", "seconds"), [(None, None), (0, 0.0), (2, 2.0), (np.float32(0.5), 0.5)])
def test_seconds_are_a_float(given: Any, seconds: float | None) -> None:
    assert drafts.checked_seconds(given) == seconds
    assert type(drafts.checked_seconds(given)) in (float, type(None))


@pytest.mark.parametrize("given", [-0.1, float("nan"), float("inf"), "2", True])
def test_what_is_no_length_of_time_is_refused(given: Any) -> None:
    with pytest.raises(SettingsError) as raised:
        drafts.checked_seconds(given)
    assert str(raised.value) == f"seconds={given!r} is not how long an attempt took: a number of at least 0, or None"


# -- results ----------------------------------------------------------------------------------------------------------


def test_a_result_is_told_with_its_attempt() -> None:
    (draft,) = drafts.told(RUNNING, checked(1.0), 2, 3.0)
    assert draft == Draft("told", 4, {"values": {"y": [1.0, None]}, "seconds": 3.0, "attempt": 2})


def test_the_same_again_is_no_news_and_another_is_a_conflict() -> None:
    assert drafts.told(DONE, checked(1.0), 2, 3.0) == []
    with pytest.raises(ResultConflict) as raised:
        drafts.told(DONE, checked(2.0), 2, 3.0)
    assert str(raised.value) == (
        f"trial 4 already has y=1 ({AT[:19]}). Same values are ignored; to correct it: "
        'tell(4, ..., replace=True, reason="...")'
    )


@pytest.mark.parametrize(("y", "is_known", "n"), [(1.0, True, 0), (1.0, False, 1), (2.0, True, 1), (2.0, False, 1)])
def test_of_another_attempt_it_is_kept_beside_unless_nothing_is_new(y: float, is_known: bool, n: int) -> None:
    attempt = Attempt(1, "a", AT, seconds=2.0 if is_known else None)
    written = drafts.told(replace(DONE, attempts=(attempt,)), checked(y), 1, 3.0)
    assert [(d.kind, d.data["attempt"], d.data["values"]) for d in written] == [("extra", 1, {"y": [y, None]})] * n


def test_a_trial_that_was_stopped_takes_no_result() -> None:
    with pytest.raises(TrialStateError):
        drafts.told(replace(RUNNING, state=TrialState.STOPPED), checked(1.0), 2, None)


def test_a_correction_has_a_reason_and_the_same_values_accept() -> None:
    assert drafts.corrected(DONE, checked(2.0), "typo") == [
        Draft("corrected", 4, {"values": {"y": [2.0, None]}, "reason": "typo"})
    ]
    assert drafts.corrected(DONE, checked(1.0), "") == drafts.corrected(DONE, checked(1.0), "sure") == []
    aside = replace(DONE, set_aside="range")
    assert drafts.corrected(aside, checked(1.0), "") == []
    assert drafts.corrected(aside, checked(1.0), "sure") == [Draft("accepted", 4, {"reason": "sure"})]
    with pytest.raises(ResultConflict) as raised:
        drafts.corrected(DONE, checked(2.0), "")
    assert str(raised.value) == 'trial 4: a correction needs a reason: tell(..., replace=True, reason="...")'


def test_other_numbers_of_other_data_are_still_of_other_data() -> None:
    (draft,) = drafts.corrected(replace(DONE, set_aside=DATA), checked(2.0), "typo")
    assert draft.data["set_aside"] == DATA
    assert draft.data["notes"] == ["measured on other data than the study's"]


def test_only_a_result_can_be_accepted() -> None:
    with pytest.raises(TrialStateError, match=r"^trial 4 is running; only a result can be accepted$"):
        drafts.accepted(RUNNING, "sure")
    assert drafts.accepted(DONE, "sure") == []


@pytest.mark.parametrize(("aside", "n"), [("", 0), ("range", 1), (DATA, 0)])
def test_what_is_probably_wrong_is_said(aside: str, n: int, caplog: pytest.LogCaptureFixture) -> None:
    trial = replace(DONE, set_aside=aside, notes=("y is beyond its range", "twice"))
    with caplog.at_level(logging.WARNING):
        assert drafts.said(trial) is trial
    assert [record.getMessage() for record in caplog.records] == [
        'trial 4 is set aside: y is beyond its range; twice. If it is right: study.accept(4, reason="..."); else '
        'study.tell(4, ..., replace=True, reason="...") corrects it'
    ] * n


def test_failed_trials_are_given_back_all_or_those_of_a_kind() -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    study = hpo.open_study("s", problem, storage=":memory:", seed=0)
    for kind in ("oom", "error"):
        study.fail(study.ask(), kind)
    now = study._log.state_of(study.events())
    given = {"reason": "mended", "seconds": None}
    assert drafts.failed_again(now, "mended", None) == [Draft("requeued", n, given) for n in (0, 1)]
    assert drafts.failed_again(now, "mended", "error") == [Draft("requeued", 1, given)]
