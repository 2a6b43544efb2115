"""The log and what it adds up to: each kind of event, what is damaged, and that it does not matter how often one looks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.common.randomness import trial_seed
from hpo.errors import StorageError, StudyDamaged, TrialStateError
from hpo.problem.json_format import metric_to_json
from hpo.problem.measurement import Measurement
from hpo.trials import events
from hpo.trials.attempt import Attempt
from hpo.trials.events import Draft, Event, StudyState, check_step, trial_after
from hpo.trials.trial import TRANSITIONS, Trial, TrialState

PROBLEM = hpo.Problem(
    hpo.Space({"x": hpo.Float(0, 1), "k": hpo.Categorical(["a", None])}),
    [hpo.Objective("y"), hpo.Constraint("c", upper=1.0), hpo.Tracked("z")],
)
SEED = 7
PARAMS = {"x": 0.5, "k": None}
VALUES = {"y": [1.5, 0.25], "c": [0.5, None]}
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def log(*lines: tuple[str, int | None, Mapping[str, Any]], every: float = 10.0) -> list[Event]:
    """Events, one every ten seconds, the first at ten seconds."""
    return [Event(seq, at(every * seq), *line) for seq, line in enumerate(lines, 1)]


def state_of(*lines: tuple[str, int | None, Mapping[str, Any]]) -> StudyState:
    state = StudyState(PROBLEM, SEED)
    state.apply(log(*lines))
    return state


def only(*lines: tuple[str, int | None, Mapping[str, Any]]) -> Trial:
    (trial,) = state_of(*lines).trials
    return trial


ASKED = ("asked", 0, {"params": PARAMS, "why": {"role": "explore", "at": [{"a": 1}]}, "owner": "ada"})
BY_HAND = ("asked", 0, {"params": PARAMS})
TOLD = ("told", 0, {"values": VALUES})


# -- drafts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["message", "note", "reason", "text"])
def test_words_of_people_are_kept_without_secrets_and_invisible_characters(name: str) -> None:
    draft = Draft("noted", data={name: "see postgresql://ada:S3CRET@db/hpo\x1b", "n": 1})
    assert draft.data == {name: r"see postgresql://ada:***@db/hpo\x1b", "n": 1}


def test_other_data_are_kept_as_they_are() -> None:
    data = {"params": {"url": "postgresql://ada:S3CRET@db/hpo"}, "reason": None, "note": ""}
    assert Draft("asked", 0, data).data is data
    assert (Draft("noted").number, Draft("noted").data, Draft("noted").request) == (None, {}, "")


# -- opening ----------------------------------------------------------------------------------------------------------


def test_an_asked_trial_runs_from_the_start() -> None:
    assert only(ASKED) == Trial(
        number=0,
        params=PARAMS,
        state=TrialState.RUNNING,
        seed=trial_seed(SEED, 0),
        why={"role": "explore", "at": [{"a": 1}]},
        owner="ada",
        asked_at=at(10),
        started_at=at(10),
        attempts=(Attempt(1, "ada", at(10)),),
    )
    assert only(BY_HAND).owner == ""
    assert only(ASKED).objectives == ("y",)


def test_an_enqueued_trial_waits_and_an_added_one_has_its_result() -> None:
    waiting = only(("enqueued", 0, {"params": PARAMS, "note": "try this"}))
    assert (waiting.state, waiting.source, waiting.message) == (TrialState.WAITING, "enqueued", "try this")
    assert (waiting.asked_at, waiting.started_at, waiting.attempts) == (at(10), "", ())
    data = {"params": PARAMS, "values": VALUES, "note": "by Bob", "notes": ["z dropped"], "set_aside": "data"}
    added = only(("added", 0, data))
    assert (added.state, added.source, added.message) == (TrialState.COMPLETED, "added", "by Bob")
    assert added.values == {"y": Measurement(1.5, 0.25), "c": Measurement(0.5)}
    assert (added.notes, added.set_aside) == (("z dropped",), "data")
    assert (added.asked_at, added.ended_at, added.started_at, added.attempts) == (at(10), at(10), "", ())


def test_neither_params_nor_reasons_nor_results_can_be_changed() -> None:
    trial = only(ASKED, TOLD)
    every: list[Any] = [trial.params, trial.why, trial.why["at"][0], trial.values]
    for held in every:
        with pytest.raises(TypeError, match="cannot be changed"):
            held["a"] = 1


# -- changing ---------------------------------------------------------------------------------------------------------


def test_a_result_completes_a_trial() -> None:
    told = only(ASKED, ("told", 0, {"values": VALUES, "seconds": 4.0, "notes": ["odd"], "set_aside": "leap"}))
    assert (told.state, told.seconds, told.ended_at) == (TrialState.COMPLETED, 4.0, at(20))
    assert told.values == {"y": Measurement(1.5, 0.25), "c": Measurement(0.5)}
    assert (told.notes, told.set_aside, told.kind, told.message) == (("odd",), "leap", None, "")
    assert told.attempts == (Attempt(1, "ada", at(10), 4.0, 10.0),)


def test_a_late_result_takes_the_failure_back() -> None:
    failed = ("failed", 0, {"kind": "oom", "message": "too big", "seconds": 3.0})
    trial = only(ASKED, failed)
    assert (trial.state, trial.kind, trial.message, trial.seconds) == (TrialState.FAILED, "oom", "too big", 3.0)
    told = only(ASKED, failed, TOLD)
    assert (told.state, told.kind, told.message, told.seconds) == (TrialState.COMPLETED, None, "", None)
    assert told.ended_at == at(30)


def test_a_correction_replaces_the_result_and_says_why() -> None:
    corrected = ("corrected", 0, {"values": {"y": [2.0, None], "c": [0.0, None]}, "reason": "measured again"})
    trial = only(
        ASKED, ("told", 0, {"values": VALUES, "seconds": 4.0, "set_aside": "range", "notes": ["x"]}), corrected
    )
    assert (trial.values["y"], trial.message, trial.seconds) == (Measurement(2.0), "measured again", 4.0)
    assert (trial.state, trial.ended_at, trial.notes, trial.set_aside) == (TrialState.COMPLETED, at(20), (), "")


def test_an_accepted_result_counts_and_its_notes_say_so() -> None:
    aside = ("told", 0, {"values": VALUES, "set_aside": "leap", "notes": ["far off"]})
    trial = only(ASKED, aside, ("accepted", 0, {"reason": "checked"}))
    assert (trial.set_aside, trial.notes) == ("", ("far off", "accepted: checked"))


def test_a_waiting_trial_is_started() -> None:
    trial = only(("enqueued", 0, {"params": PARAMS}), ("started", 0, {"owner": "bob"}))
    assert (trial.state, trial.owner, trial.started_at) == (TrialState.RUNNING, "bob", at(20))
    assert trial.attempts == (Attempt(1, "bob", at(20)),)
    assert only(("enqueued", 0, {"params": PARAMS}), ("started", 0, {})).owner == ""


def test_an_adopted_trial_is_the_same_attempt_of_another_driver() -> None:
    trial = only(ASKED, ("adopted", 0, {"owner": "bob"}))
    assert (trial.owner, trial.started_at, trial.attempt) == ("bob", at(10), 1)
    assert trial.attempts == (Attempt(1, "bob", at(10)),)


def test_a_requeued_trial_waits_for_its_next_attempt() -> None:
    lost = ("requeued", 0, {"reason": "infra: gone", "at_most": 7.0, "may_run": True})
    trial = only(ASKED, lost)
    assert (trial.state, trial.attempt, trial.message) == (TrialState.WAITING, 2, "infra: gone")
    assert (trial.owner, trial.started_at, trial.ended_at, trial.kind, trial.seconds) == ("", "", "", None, None)
    assert trial.attempts == (Attempt(1, "ada", at(10), None, 7.0, may_run=True),)
    assert (trial.earlier_seconds, trial.uncounted) == (7.0, 0)


@pytest.mark.parametrize(("counts", "uncounted"), [({}, 0), ({"counts": True}, 0), ({"counts": False}, 2)])
def test_attempts_that_do_not_count_are_counted(counts: dict[str, bool], uncounted: int) -> None:
    lost, started = ("requeued", 0, {"reason": "lost", **counts}), ("started", 0, {"owner": "ada"})
    assert only(ASKED, lost, started, lost).uncounted == uncounted


def test_what_did_not_start_is_no_attempt() -> None:
    assert only(ASKED, ("requeued", 0, {"reason": "never started", "seconds": 0.0})).attempts == ()
    assert only(ASKED, ("failed", 0, {"kind": "infra", "seconds": 0.0})).attempts == ()
    assert only(BY_HAND, ("cancelled", 0, {})).attempts == (), "nobody has measured it"
    assert len(only(BY_HAND, ("cancelled", 0, {"seconds": 1.0})).attempts) == 1
    assert len(only(ASKED, ("cancelled", 0, {})).attempts) == 1, "a driver ran it"
    assert len(only(ASKED, ("told", 0, {"values": VALUES, "seconds": 0.0})).attempts) == 1, "it has a result"


def test_a_trial_that_does_not_run_is_requeued_without_an_attempt() -> None:
    failed = ("failed", 0, {"kind": "oom", "seconds": 3.0})
    trial = only(ASKED, failed, ("requeued", 0, {"reason": "mended"}))
    assert (trial.state, trial.attempt, trial.earlier_seconds) == (TrialState.WAITING, 2, 3.0)
    assert [a.seconds for a in trial.attempts] == [3.0]


def test_a_cancelled_trial_says_why() -> None:
    trial = only(ASKED, ("cancelled", 0, {"reason": "no need", "seconds": 2.0, "may_run": True}))
    assert (trial.state, trial.message, trial.seconds) == (TrialState.CANCELLED, "no need", 2.0)
    assert trial.attempts[0].may_run
    assert only(ASKED, ("cancelled", 0, {})).message == ""


# -- attempts ---------------------------------------------------------------------------------------------------------


def test_what_nobody_measured_counts_from_given_out_to_ended_where_a_driver_ran_it() -> None:
    assert only(ASKED, TOLD).attempts == (Attempt(1, "ada", at(10), None, 10.0),)
    assert only(BY_HAND, TOLD).attempts == (Attempt(1, "", at(10), None, 0.0),), (
        "who asks by hand may take days to tell"
    )
    lost = only(BY_HAND, ("requeued", 0, {"reason": "lost"}))
    assert lost.attempts == (Attempt(1, "", at(10), None, 10.0),)


def test_a_result_of_an_earlier_attempt_closes_that_one() -> None:
    trial = only(
        ASKED,
        ("requeued", 0, {"reason": "lost", "may_run": True}),
        ("started", 0, {"owner": "bob"}),
        ("told", 0, {"values": VALUES, "seconds": 25.0, "attempt": 1}),
    )
    assert (trial.attempt, trial.seconds, trial.earlier_seconds) == (1, 25.0, 0.0)
    assert [(a.number, a.owner, a.seconds) for a in trial.attempts] == [(2, "bob", None), (1, "ada", 25.0)]


def test_what_another_attempt_took_and_found_is_kept_beside() -> None:
    extra = ("extra", 0, {"attempt": 1, "seconds": 12.0, "values": {"y": [3.0, None], "c": [0.0, None]}})
    trial = only(
        *(ASKED, ("requeued", 0, {"reason": "lost"}), ("started", 0, {"owner": "bob"})),
        *(("told", 0, {"values": VALUES, "seconds": 4.0}), extra),
    )
    assert (trial.values["y"].value, trial.attempt, trial.seconds) == (1.5, 2, 4.0)
    first = trial.attempt_of(1)
    assert first is not None
    assert first.values == {"y": Measurement(3.0), "c": Measurement(0.0)}
    assert (first.seconds, trial.earlier_seconds) == (12.0, 12.0)


def test_a_later_time_of_the_same_attempt_replaces_the_one_that_was_told() -> None:
    trial = only(
        ASKED, ("failed", 0, {"kind": "error", "seconds": 3.0}), ("told", 0, {"values": VALUES, "seconds": 5.0})
    )
    assert [a.seconds for a in trial.attempts] == [5.0] == [trial.seconds]


def test_the_same_report_once_more_changes_nothing() -> None:
    lines = (ASKED, ("requeued", 0, {"reason": "lost"}), ("extra", 0, {"attempt": 1, "seconds": 12.0}))
    assert only(*lines, ("extra", 0, {"attempt": 1, "seconds": 99.0})) == only(*lines)


def test_a_report_without_a_time_keeps_the_one_that_is_known() -> None:
    trial = only(ASKED, ("failed", 0, {"kind": "error", "seconds": 3.0}), TOLD)
    assert [(a.seconds, a.values) for a in trial.attempts] == [(3.0, {})]


def test_an_attempt_that_was_never_given_out_can_be_reported() -> None:
    trial = only(ASKED, ("extra", 0, {"attempt": 5, "at_most": 2.0}))
    assert trial.attempt_of(5) == Attempt(5, at_most=2.0)
    assert only(("enqueued", 0, {"params": PARAMS}), ("adopted", 0, {"owner": "bob"})).attempts == (Attempt(1, "bob"),)


# -- the state --------------------------------------------------------------------------------------------------------


def test_the_state_knows_when_and_who_was_asked_last() -> None:
    fitted = {"y": {"scale": 1.0}}
    state = state_of(
        *(("asked", 0, {"params": PARAMS, "fitted": fitted}), ("asked", 1, {"params": PARAMS})),
        *(("enqueued", 2, {"params": PARAMS}), ("started", 2, {}), TOLD, ("noted", None, {"text": "hm"})),
        ("joined", None, {"owner": "ada"}),
    )
    assert (state.seq, state.at, state.last_ask, state.fitted) == (7, at(70), 4, fitted)
    assert [t.number for t in state.trials] == [0, 1, 2]
    history = state.history()
    assert (history.seed, history.as_of, history.fitted, history.problem) == (SEED, at(70), fitted, PROBLEM)
    assert state_of(("added", 0, {"params": PARAMS, "values": VALUES})).last_ask == 0


def test_a_history_is_made_once_until_something_happens() -> None:
    state = state_of(ASKED)
    first = state.history()
    assert state.history() is first
    state.apply([Event(2, at(20), *TOLD)])
    assert [t.state for t in first.trials] == [TrialState.RUNNING]
    assert [t.state for t in state.history().trials] == [TrialState.COMPLETED]


def test_an_edited_metric_changes_what_is_feasible() -> None:
    state = state_of(ASKED, TOLD)
    assert state.history().has_best
    stricter = metric_to_json(hpo.Constraint("c", upper=0.25))
    state.apply([Event(3, at(30), "edited", None, {"metric": stricter, "reason": "why not"})])
    assert state.problem.metric("c").limits == (None, 0.25)
    assert not state.history().has_best
    assert state.history().problem is state.problem


def test_a_copy_goes_its_own_way() -> None:
    one = state_of(ASKED)
    other = one.copy()
    other.apply([Event(2, at(20), *TOLD), Event(3, at(30), "asked", 1, {"params": PARAMS})])
    one.apply([Event(2, at(20), "failed", 0, {"kind": "oom"})])
    assert [str(t.state) for t in one.trials] == ["failed"]
    assert [str(t.state) for t in other.trials] == ["completed", "running"]
    assert (len(one.history().completed), len(other.history().completed)) == (0, 1)


LINES: list[tuple[str, int | None, Mapping[str, Any]]] = [
    *(ASKED, ("enqueued", 1, {"params": PARAMS}), ("added", 2, {"params": PARAMS, "values": VALUES})),
    *(("started", 1, {"owner": "bob"}), ("requeued", 1, {"reason": "lost", "may_run": True})),
    *(TOLD, ("started", 1, {"owner": "eve"}), ("extra", 1, {"attempt": 1, "seconds": 9.0})),
    *(("corrected", 0, {"values": VALUES, "reason": "again"}), ("failed", 1, {"kind": "oom", "seconds": 3.0})),
    *(("noted", None, {"text": "hm"}), ("accepted", 0, {"reason": "fine"}), ("told", 1, {"values": VALUES})),
]


@given(st.integers(0, len(LINES)), st.integers(0, 2))
def test_one_trial_is_what_it_is_with_all_others(split: int, number: int) -> None:
    whole = state_of(*LINES)
    state = StudyState(PROBLEM, SEED)
    state.apply(log(*LINES)[:split])
    problem, trial = state.trial_after(number, log(*LINES)[split:])
    assert (problem, trial) == (whole.problem, whole.trials[number])
    assert state.seq == split, "nothing was applied"


def test_a_trial_that_no_event_opens_is_none() -> None:
    assert state_of(ASKED).trial_after(3, []) == (PROBLEM, None)
    assert state_of(ASKED).trial_after(-1, []) == (PROBLEM, None)
    edited = Event(2, at(20), "edited", None, {"metric": metric_to_json(hpo.Constraint("c", upper=0.25))})
    assert state_of(ASKED).trial_after(3, [edited])[0].metric("c").limits == (None, 0.25)


# -- what cannot be ---------------------------------------------------------------------------------------------------

WRONG: Sequence[tuple[list[tuple[str, int | None, Mapping[str, Any]]], type[Exception], str]] = [
    ([ASKED, ASKED], StudyDamaged, "event 2 opens trial 0; expected 1"),
    ([("asked", 1, {"params": PARAMS})], StudyDamaged, "event 1 opens trial 1; expected 0"),
    ([TOLD], StudyDamaged, "event 1 (told) names trial 0, which does not exist"),
    ([ASKED, ("told", None, {})], StudyDamaged, "event 2 (told) names trial None, which does not exist"),
    ([ASKED, ("told", -1, {"values": VALUES})], StudyDamaged, "event 2 (told) names trial -1, which does not exist"),
    ([("improved", 0, {})], StorageError, "event 1 is a 'improved', unknown to this version"),
    (
        [("asked", 0, {"params": {"w": 1}})],
        StudyDamaged,
        "event 1 (asked) is damaged: ValueError: there is no parameter 'w'",
    ),
    ([("asked", 0, {"params": {"x": "a"}})], StudyDamaged, "event 1 (asked) is damaged: ValueError: x cannot be 'a'"),
    ([("enqueued", 0, {"params": {"k": 1}})], StudyDamaged, "event 1 (enqueued) is damaged: ValueError: k cannot be 1"),
    ([("asked", 0, {})], StudyDamaged, "event 1 (asked) is damaged: KeyError: 'params'"),
    (
        [("added", 0, {"params": PARAMS, "values": {"y": [1, None]}})],
        StudyDamaged,
        "event 1 (added) is damaged: ValueError: it has no 'c'",
    ),
    (
        [ASKED, ("told", 0, {"values": {"c": [1, None]}})],
        StudyDamaged,
        "event 2 (told) is damaged: ValueError: it has no 'y'",
    ),
    ([ASKED, ("failed", 0, {})], StudyDamaged, "event 2 (failed) is damaged: KeyError: 'kind'"),
    (
        [ASKED, TOLD, TOLD],
        TrialStateError,
        "trial 0 is completed; it cannot become completed: it has ended for good",
    ),
    (
        [ASKED, ("failed", 0, {"kind": "oom"}), ("started", 0, {})],
        TrialStateError,
        "trial 0 is failed; it cannot become running (allowed: completed, waiting)",
    ),
]


@pytest.mark.parametrize(("lines", "error", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_what_no_version_has_written_is_said(
    lines: list[tuple[str, int | None, Mapping[str, Any]]], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        state_of(*lines)
    assert (type(caught.value), str(caught.value)) == (error, words)


def test_a_gap_or_a_repetition_in_the_log_is_damage() -> None:
    state = state_of(ASKED)
    for seq in (1, 3):
        with pytest.raises(StudyDamaged, match=rf"^the log jumps from event 1 to {seq}; it is damaged$"):
            state.apply([Event(seq, at(20), *TOLD)])
    assert (state.seq, state.at) == (1, at(10))


def test_a_time_that_is_none_is_damage() -> None:
    with pytest.raises(
        StudyDamaged, match=r"^event 1 \(asked\) is damaged: ValueError: Invalid isoformat string: 'noon'$"
    ):
        StudyState(PROBLEM, SEED).apply([Event(1, "noon", *ASKED)])


@pytest.mark.parametrize(
    ("trial", "kind", "words"),
    [
        (None, "told", "event 9 (told) names trial 0, which does not exist"),
        (Trial(0, {}, TrialState.RUNNING, 0), "improved", "event 9 is a 'improved', unknown to this version"),
    ],
)
def test_an_event_that_is_nothing_to_its_trial_is_refused(trial: Trial | None, kind: str, words: str) -> None:
    with pytest.raises(StorageError) as caught:
        trial_after(trial, Event(9, at(90), kind, 0, {"values": VALUES}), SEED)
    assert str(caught.value) == words


@pytest.mark.parametrize("now", list(TrialState))
@pytest.mark.parametrize("then", list(TrialState))
def test_only_steps_that_are_allowed_are_made(now: TrialState, then: TrialState) -> None:
    trial = Trial(0, {}, now, 0)
    if then in TRANSITIONS[now]:
        check_step(trial, then)
    else:
        with pytest.raises(TrialStateError, match=f"^trial 0 is {now}; it cannot become {then}"):
            check_step(trial, then)


def test_the_table_of_the_page_names_every_kind() -> None:
    rows = [line.split("|")[1].strip() for line in (events.__doc__ or "").splitlines() if line.startswith("| ")]
    assert sorted(rows[1:]) == sorted((*events._OPENING, *events._CHANGING, "edited", "joined", "noted"))


def test_every_kind_that_changes_a_trial_is_listed_and_handled() -> None:
    handled = re.findall(r'case "(\w+)"', inspect.getsource(events.trial_after))
    assert sorted(handled) == sorted(events._CHANGING)
