"""How the ends of tasks are written down: results, failures, what was stopped, and what comes too late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import hpo
from hpo.errors import MissingMetric, NotANumber
from hpo.executors import Outcome
from hpo.executors.base import Kind
from hpo.running.objective import Evaluate
from hpo.running.shutdown import Shutdown
from hpo.running.signals import Interrupts
from hpo.running.telling import Teller, failure_of
from hpo.strategies import Random
from hpo.trials.trial import TrialState


class Desk:
    """A study with three running trials, and a teller of its results."""

    def __init__(self, *, is_command: bool = False) -> None:
        problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Tracked("z")])
        self.study = hpo.open_study("s", problem, storage=":memory:", seed=1, strategy=Random())
        self.trials = self.study.leases.claim(3, "me", lease=3600.0)
        self.said: list[str] = []
        self.shutdown = Shutdown(Interrupts(self.said.append), 30.0)
        self.teller = Teller(self.study, self.said.append, self.shutdown, is_command=is_command)

    def tell(self, number: int, *, counts: bool = True, **given: Any) -> hpo.Trial:
        """Of this trial an outcome that took 2 s."""
        return self.teller.tell(self.trials[number], Outcome(id="t", seconds=2.0, **given), counts=counts)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.study.events()[3:]]


def packed(told: Any) -> Mapping[str, Any]:
    """As an objective's answer comes."""
    return Evaluate(lambda _: told)({"number": 0, "params": {}, "seed": 1})


def test_a_result_is_told_with_its_seconds_and_in_silence() -> None:
    desk = Desk()
    now = desk.tell(0, value=packed({"y": 1.0, "z": 2.0}))
    assert (now.state, now.seconds, {name: float(v) for name, v in now.values.items()}) == (
        TrialState.COMPLETED,
        2.0,
        {"y": 1.0, "z": 2.0},
    )
    assert (desk.said, desk.teller.stopped, desk.teller.fault) == ([], [], None)


def test_told_twice_it_is_stored_once() -> None:
    desk = Desk()
    assert desk.tell(0, value=packed(1.0)) == desk.tell(0, value=packed(1.0))
    assert desk.kinds() == ["told"]


def test_results_that_come_together_are_stored_in_one_step_and_told_one_by_one() -> None:
    desk = Desk()
    ended = [
        (trial, Outcome(id=str(i), value=packed(value), seconds=2.0))
        for i, (trial, value) in enumerate(zip(desk.trials, (1.0, float("nan"), 3.0), strict=True))
    ]
    desk.teller.tell_together(ended)
    assert desk.kinds() == ["told", "told"]
    now = [desk.teller.tell(trial, outcome, counts=True) for trial, outcome in ended]
    assert desk.kinds() == ["told", "told", "failed"]
    assert [t.state for t in now] == [TrialState.COMPLETED, TrialState.FAILED, TrialState.COMPLETED]
    assert now == list(desk.study.trials)
    assert desk.teller._stored == {}


@pytest.mark.parametrize("second", [{"value": packed({"z": 1.0})}, {"kind": "oom"}], ids=["a fault", "a failure"])
def test_one_plain_result_among_others_is_told_by_itself(second: dict[str, Any]) -> None:
    desk = Desk()
    first = Outcome(id="a", value=packed(1.0), seconds=2.0)
    desk.teller.tell_together([(desk.trials[0], first), (desk.trials[1], Outcome(id="b", seconds=2.0, **second))])
    assert desk.kinds() == (["told"] if "value" in second else [])
    assert desk.teller.tell(desk.trials[0], first, counts=True).state is TrialState.COMPLETED
    assert desk.kinds() == ["told"]


def test_what_an_executor_has_to_say_of_a_good_end_is_said() -> None:
    desk = Desk()
    desk.tell(1, value=packed(1.0), message="left a process behind, which was ended")
    assert desk.said == ["trial 1: left a process behind, which was ended"]


def test_names_that_are_taken_for_log_are_said_once() -> None:
    desk = Desk(is_command=True)
    for number in range(2):
        assert desk.tell(number, value={"y": 1.0, "loss": 3, "epoch": 1}).state is TrialState.COMPLETED
    assert desk.said == ["taken for log, as no metrics of the problem: epoch, loss"]
    plain = Desk(is_command=True)
    plain.tell(0, value={"y": 1.0})
    assert plain.said == []


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ("", "exit code 1"),
        ("epoch 1\nout of disk\n\n", "exit code 1: out of disk"),
        ("code 1", "exit code 1"),
        ("y" * 500, "exit code 1: " + "y" * 300),
        ("token=abcdefgh1234", "exit code 1: token=***"),
    ],
)
def test_a_failure_is_what_the_executor_says_and_the_last_line_where_that_says_more(tail: str, message: str) -> None:
    now = Desk().tell(0, kind="error", message="exit code 1", log_tail=tail)
    assert (now.state, now.kind, now.seconds, now.message) == (TrialState.FAILED, "error", 2.0, message)


def test_a_failure_that_the_objective_names_is_that_failure() -> None:
    desk = Desk()
    now = desk.tell(0, value={"failed": ["oom", "batch 512"]})
    assert (now.kind, now.message, now.seconds) == ("oom", "batch 512", 2.0)


@pytest.mark.parametrize("given", [{"kind": "infra", "message": "lost"}, {"value": {"nonsense": 1}}])
@pytest.mark.parametrize("counts", [True, False])
def test_a_loss_of_the_machines_is_run_again_and_counts_where_it_does(given: dict[str, Any], counts: bool) -> None:
    now = Desk().tell(0, counts=counts, **given)
    assert (now.state, now.attempt, now.uncounted) == (TrialState.WAITING, 2, 0 if counts else 1)


def test_the_first_result_that_breaks_its_contract_is_kept_and_its_trial_ends() -> None:
    desk = Desk()
    now = desk.tell(0, value=packed({"z": 1.0}))
    desk.tell(1, value=packed([1.0]))
    assert isinstance(desk.teller.fault, MissingMetric)
    assert (now.state, now.message) == (TrialState.CANCELLED, str(desk.teller.fault))
    assert [trial.number for trial in desk.teller.stopped] == [0, 1]
    later = Desk()
    later.tell(0, value=packed([1.0]))
    assert isinstance(later.teller.fault, NotANumber)


@pytest.mark.parametrize(
    ("stopping", "message", "reason"),
    [
        ("stopped: time is over", "by close", "stopped: time is over"),
        ("", "by close", "by close"),
        ("", "", "cancelled"),
    ],
)
@pytest.mark.parametrize("hand_back", [False, True])
def test_what_was_ended_says_why_and_waits_again_where_it_shall(
    stopping: str, message: str, reason: str, hand_back: bool
) -> None:
    desk = Desk()
    desk.shutdown.stopping, desk.shutdown.hand_back = stopping, hand_back
    now = desk.tell(0, kind="cancelled", message=message)
    assert now.state is (TrialState.WAITING if hand_back else TrialState.CANCELLED)
    event = desk.study.events()[-1]
    assert (event.data["reason"], event.data["seconds"]) == (reason, 2.0)
    assert desk.teller.stopped == [now]


def test_what_had_been_reported_before_the_time_was_over_counts_and_is_noted() -> None:
    desk = Desk(is_command=True)
    now = desk.tell(0, kind="timeout", message="still running after 1 s", reported={"y": 1.0})
    assert (now.state, now.seconds) == (TrialState.COMPLETED, 2.0)
    note = "trial 0 was still running after 1 s; what it had reported by then counts"
    assert desk.said == [note]
    assert desk.study.events()[-1].data["text"] == note


@pytest.mark.parametrize("reported", [None, {}, {"z": 1.0}, {"y": float("nan")}, {"y": "high"}])
def test_what_is_no_whole_result_then_is_a_timeout(reported: Mapping[str, Any] | None) -> None:
    desk = Desk(is_command=True)
    now = desk.tell(0, kind="timeout", message="still running after 1 s", reported=reported)
    assert (now.state, now.kind, now.message) == (TrialState.FAILED, "timeout", "still running after 1 s")
    assert (desk.said, desk.teller.fault) == ([], None)


@pytest.mark.parametrize(
    "given", [{"value": packed(2.0)}, {"kind": "timeout", "message": "late", "reported": {"y": 2.0}}], ids=str
)
def test_what_somebody_has_told_by_hand_stays_and_that_is_said(given: dict[str, Any]) -> None:
    desk = Desk(is_command="reported" in given)
    desk.study.tell(0, {"y": 1.0})
    now = desk.tell(0, **given)
    assert float(now.values["y"]) == 1.0
    (said,) = desk.said
    assert said.startswith("what trial 0 brought is not recorded: trial 0 already has y=1 (")
    assert desk.teller.fault is None


def test_the_time_of_what_another_attempt_has_overtaken_is_billed_and_nothing_else() -> None:
    desk = Desk()
    desk.study.requeue(desk.trials[0], seconds=None)
    now = desk.tell(0, kind="cancelled")
    assert (now.state, now.attempt) == (TrialState.WAITING, 2)
    assert desk.teller.stopped == []
    event = desk.study.events()[-1]
    assert (event.kind, event.data) == ("extra", {"attempt": 1, "seconds": 2.0})
    (again,) = desk.study.leases.claim(1, "another", lease=3600.0)
    assert desk.teller.end(desk.trials[0], "late", 2.0) == desk.study.trials[0]
    assert desk.study.trials[0].attempt == again.attempt


FAILURES: list[tuple[Outcome, bool, tuple[Kind | str | None, str]]] = [
    (Outcome(id="t", value=packed(1.0)), False, (None, "")),
    (Outcome(id="t", value=packed(1.0), message="left something"), False, (None, "left something")),
    (Outcome(id="t", value={"failed": ["oom", "why"]}), False, ("oom", "why")),
    (Outcome(id="t", value={"failed": ["oom", "why"]}), True, (None, "")),
    (Outcome(id="t", kind="crash", message="signal 9"), False, ("crash", "signal 9")),
    (Outcome(id="t", kind="crash", message="signal 9"), True, ("crash", "signal 9")),
]


@pytest.mark.parametrize(("outcome", "is_command", "failure"), FAILURES)
def test_the_kind_of_a_failure(outcome: Outcome, is_command: bool, failure: tuple[str | None, str]) -> None:
    assert failure_of(outcome, is_command=is_command) == failure
