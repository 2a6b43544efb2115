"""Trials: the steps they may make, what they are called by, how they are shown and exported."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.errors import NotFound
from hpo.problem.measurement import Measurement
from hpo.problem.space import key
from hpo.trials.attempt import Attempt
from hpo.trials.trial import (
    FAILURE_KINDS,
    LEARNED_KINDS,
    RETRIED_KINDS,
    TRANSITIONS,
    Fixed,
    Trial,
    TrialState,
    trial_to_json,
)

SPACE = hpo.Space({"x": hpo.Float(0, 1)})


def trial(state: TrialState = TrialState.RUNNING, **more: Any) -> Trial:
    return Trial(3, Fixed({"x": 0.123456, "k": "a"}), state, 77, **more)


def test_waiting_and_running_are_in_flight() -> None:
    assert {state for state in TrialState if state.is_in_flight} == {TrialState.WAITING, TrialState.RUNNING}


def test_states_are_their_names() -> None:
    """As they are stored, exported and printed."""
    names = ["waiting", "running", "completed", "failed", "stopped", "cancelled"]
    assert [f"{state}" for state in TrialState] == names
    assert [TrialState(name) for name in names] == list(TrialState)


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        ("waiting", "cancelled completed failed running"),
        ("running", "cancelled completed failed stopped waiting"),
        ("failed", "completed waiting"),
        ("cancelled", "completed waiting"),
        ("completed", ""),
        ("stopped", ""),
    ],
)
def test_the_steps_a_trial_may_make(state: str, steps: str) -> None:
    assert sorted(TRANSITIONS[TrialState(state)]) == steps.split()


def test_each_kind_of_failure_is_learned_from_or_tried_again_and_the_page_says_so() -> None:
    assert LEARNED_KINDS == ("oom", "diverged", "timeout", "crash", "error")
    assert RETRIED_KINDS == ("infra", "preempted")
    assert FAILURE_KINDS == LEARNED_KINDS + RETRIED_KINDS
    said = hpo.TrialFailed.__doc__ or ""
    assert f"{', '.join(LEARNED_KINDS[:-1])} or {LEARNED_KINDS[-1]}: the params caused it" in said
    assert f"{' or '.join(RETRIED_KINDS)}: the machine did" in said


def test_params_refuse_to_be_changed_and_say_what_to_do() -> None:
    params: Any = trial().params
    for change in ("update", "pop", "__setitem__"):
        with pytest.raises(TypeError) as caught:
            getattr(params, change)("x", 1.0)
        assert str(caught.value) == (
            "the params of a trial cannot be changed; work on a copy: params = dict(trial.params)"
        )
    assert {**trial().params, "x": 1.0} == {"x": 1.0, "k": "a"}


def test_its_key_is_that_of_its_params() -> None:
    assert trial().key == key({"k": "a", "x": 0.123456})


def test_attempts_are_found_by_number() -> None:
    first, third = Attempt(1, "a"), Attempt(3, "b")
    tried = trial(attempts=(third, first), attempt=3)
    assert [tried.attempt_of(n) for n in (1, 2, 3)] == [first, None, third]


def test_equal_trials_have_one_hash_and_other_numbers_another() -> None:
    assert hash(trial()) == hash(trial(message="said later"))
    assert trial() != trial(message="said later")
    assert len({trial(), trial(), Trial(4, {"x": 0.1}, TrialState.RUNNING, 77)}) == 2


@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_trial_arrives_whole_in_another_process(through: Any) -> None:
    sent = trial(TrialState.COMPLETED, values={"y": Measurement(1.0)}, attempts=(Attempt(1),), objectives=("y",))
    assert sent.key
    arrived = through(sent)
    assert arrived == sent
    assert (arrived.value, arrived.key, type(arrived.params)) == (1.0, sent.key, Fixed)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (trial(), "Trial 3 running: x=0.1235, k='a'"),
        (
            trial(TrialState.COMPLETED, values={"y": Measurement(0.98765, 0.1), "c": Measurement(2.0)}),
            "Trial 3 completed: x=0.1235, k='a' -> y=0.9877, c=2",
        ),
        (
            trial(TrialState.COMPLETED, values={"y": Measurement(93.0)}, set_aside="range"),
            "Trial 3 completed: x=0.1235, k='a' -> y=93 [set aside: range]",
        ),
        (trial(TrialState.FAILED, kind="oom"), "Trial 3 failed: x=0.1235, k='a' (oom)"),
        (
            trial(TrialState.FAILED, kind="error", message="ValueError: " + 200 * "!"),
            f"Trial 3 failed: x=0.1235, k='a' (error: ValueError: {88 * '!'})",
        ),
        (trial(TrialState.CANCELLED, message="no need"), "Trial 3 cancelled: x=0.1235, k='a'"),
    ],
)
def test_a_trial_is_shown_in_one_line(shown: Trial, text: str) -> None:
    assert repr(shown) == text


def test_all_of_a_trial_is_exported_as_json() -> None:
    told = trial(
        TrialState.COMPLETED,
        values={"y": Measurement(1.5, 0.25)},
        why=Fixed({"role": "explore"}),
        notes=("z is not recorded",),
        objectives=("y",),
        seconds=3.0,
        attempts=(Attempt(1, "a", "2026-01-01T00:00:00+00:00", 3.0, values={"y": Measurement(2.0)}),),
    )
    exported = trial_to_json(told)
    assert json.loads(json.dumps(exported)) == exported
    assert exported == {
        "number": 3,
        "params": {"x": 0.123456, "k": "a"},
        "state": "completed",
        "seed": 77,
        "values": {"y": {"value": 1.5, "sem": 0.25}},
        "source": "asked",
        "why": {"role": "explore"},
        "kind": None,
        "message": "",
        "attempt": 1,
        "uncounted": 0,
        "owner": "",
        "asked_at": "",
        "started_at": "",
        "ended_at": "",
        "seconds": 3.0,
        "earlier_seconds": 0.0,
        "attempts": [
            {
                "number": 1,
                "owner": "a",
                "started_at": "2026-01-01T00:00:00+00:00",
                "seconds": 3.0,
                "at_most": None,
                "may_run": False,
                "values": {"y": {"value": 2.0, "sem": None}},
            }
        ],
        "notes": ["z is not recorded"],
        "set_aside": "",
    }
    assert [type(exported[name]) for name in ("params", "why", "state", "notes")] == [dict, dict, str, list]


@given(st.floats(allow_nan=False, allow_infinity=False), st.none() | st.floats(0, 1e9))
def test_the_value_is_a_plain_float_whatever_the_standard_error(y: float, sem: float | None) -> None:
    told = trial(TrialState.COMPLETED, values={"c": Measurement(0.0), "y": Measurement(y, sem)}, objectives=("y",))
    assert (told.value, type(told.value)) == (y, float)


def test_the_value_of_a_trial_is_that_of_the_single_objective() -> None:
    one = hpo.Problem(SPACE, [hpo.Objective("y"), hpo.Constraint("c", upper=1.0), hpo.Tracked("z")])
    study = hpo.open_study("one", one, storage=":memory:", seed=1)
    trial = study.ask()
    with pytest.raises(NotFound, match=r"^trial 0 has no value: it is running$"):
        _ = trial.value
    told = study.tell(trial, {"z": 3.0, "c": 0.5, "y": 2.0})
    assert (told.value, study.best.value, study.trials[0].value) == (2.0, 2.0, 2.0)
    assert type(told.value) is float
    assert told == Trial(**{f: getattr(told, f) for f in told.__dataclass_fields__ if f != "objectives"})
    for metrics, have in (
        ([hpo.Objective("a"), hpo.Objective("b")], "a, b"),
        ([hpo.Constraint("a", upper=1.0)], "none"),
    ):
        other = hpo.open_study("two", hpo.Problem(SPACE, metrics), storage=":memory:", seed=1)
        several = other.tell(other.ask(), {m.name: 0.0 for m in metrics})
        with pytest.raises(NotFound, match=rf"^trial 0 has no single value: objectives of the problem: {have}\. See"):
            _ = several.value
