"""Trials that drivers claim: leases, late and repeated results, and answers that get lost after they were stored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import ConnectionLost, ResultConflict
from hpo.storage import MemoryStorage, SqlStorage, Storage
from hpo.storage import retry as persistence
from hpo.storage.base import Log, StudyRecord
from hpo.strategies import Random
from hpo.trials.events import Event
from hpo.trials.trial import TrialState

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
HOUR = 3600.0


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    storage: Storage = MemoryStorage() if request.param == "memory" else SqlStorage(tmp_path / "hpo.db")
    yield storage
    storage.close()


def opened(storage: Storage) -> hpo.Study:
    return hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())


def kinds(study: hpo.Study) -> list[str]:
    return [event.kind for event in study.events()]


# -- leases -----------------------------------------------------------------------------------------------------------


def test_a_claimed_trial_is_left_alone_while_its_lease_lasts(storage: Storage) -> None:
    study = opened(storage)
    trials = study.leases.claim(2, "a", lease=HOUR)
    assert [t.owner for t in trials] == ["a", "a"]
    assert study.leases.reclaim() == []
    assert study.leases.renew(trials, "a", HOUR) == []
    assert kinds(study) == ["asked", "asked"], "renewing leaves no trace in the log"


def test_no_room_is_no_trial_even_where_many_wait(storage: Storage) -> None:
    study = opened(storage)
    for x in (0.1, 0.2, 0.3):
        study.enqueue({"x": x})
    assert study.leases.claim(2, "a", lease=HOUR, within=lambda _: -1) == []


def test_a_lease_that_ran_out_is_given_to_the_next(storage: Storage) -> None:
    study, other = opened(storage), opened(storage)
    (trial,) = study.leases.claim(1, "a", lease=-1.0)
    (back,) = other.leases.reclaim()
    assert (back.number, back.state, back.attempt) == (trial.number, TrialState.WAITING, 2)
    assert other.leases.reclaim() == []
    assert study.leases.renew([trial], "a", HOUR) == [trial], "the first holder hears that it is lost"
    (again,) = other.leases.claim(1, "b", lease=HOUR)
    assert (again.number, again.params, again.attempt, again.owner) == (trial.number, trial.params, 2, "b")
    assert study.leases.renew([trial], "a", HOUR) == [trial]
    assert other.leases.renew([again], "b", HOUR) == []


def test_a_lease_that_ran_out_and_was_renewed_in_time_is_kept(storage: Storage) -> None:
    study = opened(storage)
    (trial,) = study.leases.claim(1, "a", lease=-1.0)
    assert study.leases.renew([trial], "a", HOUR) == []
    assert study.leases.reclaim() == []


def test_a_trial_that_was_lost_with_ten_drivers_has_failed(storage: Storage) -> None:
    study = opened(storage)
    for attempt in range(1, 11):
        (trial,) = study.leases.claim(1, "a", lease=-1.0)
        assert (trial.number, trial.attempt) == (0, attempt)
        (back,) = study.leases.reclaim()
    assert (back.state, back.kind) == (TrialState.FAILED, "infra")


def test_trials_asked_by_hand_have_no_lease(storage: Storage) -> None:
    study = opened(storage)
    study.ask(3)
    assert study.leases.reclaim() == []


def test_a_lease_of_an_earlier_attempt_says_nothing_of_the_present_one(storage: Storage) -> None:
    """Handed back by hand, and given out again to one that needs no lease."""
    study = opened(storage)
    (first,) = study.leases.claim(1, "a", lease=-1.0)
    study.requeue(first)
    again = study.ask(owner="b")
    assert (again.number, again.attempt) == (first.number, 2)
    assert study.leases.reclaim() == []
    now = study.trials[0]
    assert (now.state, now.attempt, now.owner) == (TrialState.RUNNING, 2, "b")
    assert study.leases.renew([first], "a", HOUR) == [first], "and it is cleared away"


def test_an_ended_trial_is_no_longer_held(storage: Storage) -> None:
    study = opened(storage)
    done, going = study.leases.claim(2, "a", lease=-1.0)
    study.tell(done, {"y": 1.0})
    assert [t.number for t in study.leases.reclaim()] == [going.number]
    assert study.leases.renew([done], "a", HOUR) == [done]


def test_drivers_together_start_no_more_than_there_is_room_for(storage: Storage) -> None:
    def room(history: hpo.History) -> float:
        return 5 - len(history.trials)

    studies = [opened(storage) for _ in range(3)]
    claimed = [len(study.leases.claim(2, "a", lease=HOUR, within=room)) for study in (*studies, *studies)]
    assert claimed == [2, 2, 1, 0, 0, 0]
    assert [len(opened(storage).leases.claim(2, "a", lease=HOUR, within=lambda history: math.inf))] == [2]


# -- late results -----------------------------------------------------------------------------------------------------


def test_a_late_result_of_a_superseded_attempt_counts_and_a_second_one_is_kept_beside(storage: Storage) -> None:
    study = opened(storage)
    (first,) = study.leases.claim(1, "a", lease=-1.0)
    study.leases.reclaim()
    (second,) = study.leases.claim(1, "b", lease=HOUR)
    assert study.tell(first, {"y": 1.0}).attempt == 1
    assert study.tell(second, {"y": 2.0}).values["y"].value == 1.0, "the first result stays"
    assert study.tell(second, {"y": 1.0}).attempt == 1, "the same result again changes nothing"
    assert kinds(study) == ["asked", "requeued", "started", "told", "extra"]
    assert study.events()[-1].data == {"values": {"y": [2.0, None]}, "seconds": None, "attempt": 2}
    with pytest.raises(ResultConflict):
        study.tell(first, {"y": 3.0})


def test_a_failure_of_a_superseded_attempt_is_no_news(storage: Storage) -> None:
    study = opened(storage)
    (first,) = study.leases.claim(1, "a", lease=-1.0)
    study.leases.reclaim()
    (second,) = study.leases.claim(1, "b", lease=HOUR)
    assert study.fail(first, "error").state is TrialState.RUNNING
    assert study.fail(second, "oom").kind == "oom"
    assert kinds(study) == ["asked", "requeued", "started", "failed"]


def test_a_failure_after_another_attempt_has_brought_the_result_is_no_news(storage: Storage) -> None:
    study = opened(storage)
    (first,) = study.leases.claim(1, "a", lease=-1.0)
    study.leases.reclaim()
    (second,) = study.leases.claim(1, "b", lease=HOUR)
    study.tell(first, {"y": 1.0})
    assert study.fail(second, "crash").values["y"].value == 1.0
    assert kinds(study) == ["asked", "requeued", "started", "told"]


def test_a_run_whose_trial_was_ended_by_another_attempt_goes_on(storage: Storage) -> None:
    study = opened(storage)
    (first,) = study.leases.claim(1, "a", lease=-1.0)

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number == 0:
            study.tell(first, {"y": 1.0})
            raise hpo.TrialFailed("oom")
        return {"y": trial.params["x"]}

    hpo.run(study, train, budget=hpo.Budget(trials=3))
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 3
    assert study.trials[0].values["y"].value == 1.0
    assert study.trials[0].attempt == 1


@pytest.mark.parametrize("end", ["tell", "cancel"])
def test_a_waiting_trial_that_ends_while_another_asks_is_not_given_out(storage: Storage, end: str) -> None:
    study, other = opened(storage), opened(storage)
    (first,) = study.leases.claim(1, "a", lease=-1.0)
    study.leases.reclaim()

    def room(history: hpo.History) -> float:
        if history.trials[0].state is TrialState.WAITING:  # seen as waiting, and ended before it is given out
            other.tell(first, {"y": 1.0}) if end == "tell" else other.cancel(0)
        return 1

    (given,) = study.leases.claim(1, "b", lease=HOUR, within=room)
    assert given.number == 1
    assert study.trials[0].state is (TrialState.COMPLETED if end == "tell" else TrialState.CANCELLED)
    assert opened(storage).trials == study.trials, "the log can be read"


# -- lost answers -----------------------------------------------------------------------------------------------------


class Faulty:
    """A storage whose connection breaks: before the transaction begins, or after it was committed."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.faults: list[str] = []

    @property
    def url(self) -> str:
        return self.inner.url

    def create(
        self, name: str, definition: Mapping[str, Any], facts: Mapping[str, Any], events: Sequence[Event] = ()
    ) -> StudyRecord:
        return self.inner.create(name, definition, facts, events)

    def rename(self, old: str, new: str) -> StudyRecord:
        return self.inner.rename(old, new)

    def delete(self, name: str, last: int | None = None) -> bool:
        return self.inner.delete(name, last)

    def load(self, name: str) -> StudyRecord | None:
        return self.inner.load(name)

    def names(self) -> list[str]:
        return self.inner.names()

    def events(self, study: int, after: int = 0) -> list[Event]:
        return self.inner.events(study, after)

    def renew(self, study: int, owner: str, held: Mapping[int, int], seconds: float) -> set[int]:
        return self.inner.renew(study, owner, held, seconds)

    def close(self) -> None:
        self.inner.close()

    def transaction(self, study: int) -> AbstractContextManager[Log]:
        return self._transaction(study)

    @contextmanager
    def _transaction(self, study: int) -> Iterator[Log]:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise ConnectionLost("nobody there")
        with self.inner.transaction(study) as log:
            yield log
        if fault == "after":
            raise ConnectionLost("the answer got lost")


STEPS: Sequence[tuple[str, Callable[[hpo.Study], object]]] = [
    ("ask", lambda study: [t.number for t in study.ask(3)]),
    ("claim", lambda study: [t.number for t in study.leases.claim(3, "a", lease=HOUR)]),
    ("tell", lambda study: study.tell(0, {"y": 1.0}).values["y"].value),
    ("fail", lambda study: study.fail(0, "oom").kind),
    ("preempted", lambda study: study.fail(0, "preempted").attempt),
    ("cancel", lambda study: study.cancel(0).state),
    ("requeue", lambda study: study.requeue(0).attempt),
    ("enqueue", lambda study: study.enqueue({"x": 0.5}).number),
    ("add", lambda study: study.add({"x": 0.5}, {"y": 1.0}).number),
    ("note", lambda study: study.note("seen")),
    ("reclaim", lambda study: [t.number for t in study.leases.reclaim()]),
    ("held", lambda study: sorted(study.leases.held())),
]


@pytest.mark.parametrize(("name", "step"), STEPS, ids=[name for name, _ in STEPS])
@pytest.mark.parametrize("faults", [["before"], ["after"], ["before", "after", "before"], ["after", "before"]])
def test_a_step_whose_answer_got_lost_is_done_once(
    storage: Storage,
    name: str,
    step: Callable[[hpo.Study], object],
    faults: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(persistence, "_SHORTEST", 0.0)
    outcomes: list[tuple[object, list[Any]]] = []
    for given in ([], faults):
        faulty = Faulty(MemoryStorage() if isinstance(storage, MemoryStorage) else storage)
        study = hpo.open_study(f"s{len(outcomes)}", PROBLEM, storage=faulty, seed=1, strategy=Random())
        study.leases.claim(1, "a", lease=-1.0)
        faulty.faults = list(given)
        answer = step(study)
        assert faulty.faults == [], "every fault was met"
        outcomes.append((answer, [(e.kind, e.number, e.data) for e in study.events()]))
    assert outcomes[0] == outcomes[1]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[bool] = []

    def step(again: bool) -> None:
        tries.append(again)
        raise ConnectionLost("nobody there")

    with pytest.raises(ConnectionLost, match="nobody there"), persistence.patient(0.2):
        persistence.retrying(step)
    assert tries[:2] == [False, True]


def test_the_same_request_gives_the_same_trials(storage: Storage) -> None:
    study, other = opened(storage), opened(storage)
    first = study.ask(3, request="monday")
    assert other.ask(3, request="monday") == first
    assert other.ask(request="monday") == first[0]
    second = other.ask(2, request="tuesday")
    assert [t.number for t in second] == [3, 4]
    study.tell(first[0], {"y": 1.0})
    again = other.ask(3, request="monday")
    assert [t.number for t in again] == [0, 1, 2]
    assert again[0].state is TrialState.COMPLETED, "as they are now"
    assert dataclasses.replace(again[1]) == first[1]
