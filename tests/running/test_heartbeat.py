"""Heartbeats that nothing stops, and trials that their own process never takes for lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

import hpo
from hpo.common.processes import this_process
from hpo.errors import ConnectionLost, ExecutorError, StorageError, StudyNotFound
from hpo.running.heartbeat import heartbeat, is_orphan, left_behind, others_at_work, owner, reclaim
from hpo.storage import MemoryStorage
from hpo.strategies import Random
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
HOUR = 3600.0


class Spoilt(MemoryStorage):
    """Its renewals raise what is in `faults`, one each."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[BaseException] = []
        self.renewals = 0

    def renew(self, study: int, owner: str, held: Mapping[int, int], seconds: float) -> set[int]:
        """Raise, or renew."""
        self.renewals += 1
        if self.faults:
            raise self.faults.pop(0)
        return super().renew(study, owner, held, seconds)


@pytest.fixture
def storage() -> Spoilt:
    return Spoilt()


@pytest.fixture
def study(storage: Spoilt) -> hpo.Study:
    return hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())


@pytest.mark.parametrize(
    "fault",
    [
        StorageError("the disk is full"),
        PermissionError(13, "no"),
        MemoryError(),
        sa.exc.InvalidRequestError("leaked"),
        RuntimeError("a bug"),
        SystemExit(3),
        KeyboardInterrupt(),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_heartbeat_survives(study: hpo.Study, storage: Spoilt, fault: BaseException) -> None:
    (trial,) = study.leases.claim(1, "me", lease=HOUR)
    storage.faults = [fault] * 3
    with heartbeat(study, "me", 0.03, lambda: {"w": trial}) as beating:
        await_that(lambda: storage.renewals > 4, "it renews again")
        assert beating.lost() == set()
        assert len([t for t in threading.enumerate() if t.name == "hpo-heartbeat"]) == 1
    assert not [t for t in threading.enumerate() if t.name == "hpo-heartbeat"]


def test_what_a_storage_says_no_with_is_said_once_and_in_words(
    study: hpo.Study, storage: Spoilt, caplog: pytest.LogCaptureFixture
) -> None:
    storage.faults = [StorageError("the disk is full"), ConnectionLost("nobody there"), StudyNotFound("gone")]
    with caplog.at_level(logging.WARNING), heartbeat(study, "me", 0.03, dict):
        await_that(lambda: storage.renewals > 4, "it renews again")
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("the leases could not be renewed; tried again until they are: the disk is full", None)
    ]


def test_a_heartbeat_survives_what_is_held_and_the_log(
    study: hpo.Study, storage: Spoilt, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def held() -> Mapping[str, hpo.Trial]:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise RuntimeError("dictionary changed size during iteration")
        return {}

    def fail(*_: object) -> None:
        raise OSError("the log's disk is full")

    monkeypatch.setattr(logging.getLogger("hpo.running.heartbeat"), "exception", fail)
    with heartbeat(study, "me", 0.03, held):
        await_that(lambda: storage.renewals > 1, "it renews again")


def test_a_heartbeat_that_died_is_started_again(study: hpo.Study, storage: Spoilt) -> None:
    (trial,) = study.leases.claim(1, "me", lease=HOUR)
    with heartbeat(study, "me", 0.03, lambda: {"w": trial}) as beating:
        living, beating._over = beating._over, threading.Event()
        living.set()  # its thread ends, and nobody meant it to
        beating._thread.join()
        before = storage.renewals
        assert beating.lost() == set()
        await_that(lambda: storage.renewals > before, "another renews")


def test_where_no_thread_can_be_started_the_run_says_so(study: hpo.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ExecutorError, match="renew the leases of this run"):
        hpo.run(study, lambda trial: {"y": trial.params["x"]}, budget=hpo.Budget(trials=2))


def test_what_is_lost_waits_until_the_loop_asks(study: hpo.Study) -> None:
    (trial,) = study.leases.claim(1, "me", lease=-1.0)
    assert study.leases.reclaim() != []
    with heartbeat(study, "me", 0.03, lambda: {"w": trial}) as beating:
        await_that(lambda: bool(beating._lost), "it is noticed")
        assert beating.lost() == {"w"}


def test_a_process_never_hands_back_what_it_runs_itself(study: hpo.Study) -> None:
    """It slept beyond its leases, and nobody else was there."""
    mine, forgotten = study.leases.claim(2, owner(), lease=-1.0)
    with heartbeat(study, owner(), HOUR, lambda: {"w": mine}) as beating:
        assert left_behind(study) == [study.trials[forgotten.number]]
        assert [trial.number for trial in reclaim(study)] == [forgotten.number]
        assert beating.lost() == set()
    assert study.trials[mine.number].state is TrialState.RUNNING
    assert study.leases.held() == {mine.number}, "its lease was renewed before anything else"


def test_of_two_runs_in_one_process_none_takes_the_trials_of_the_other(study: hpo.Study) -> None:
    one, two = study.leases.claim(2, owner(), lease=-1.0)
    again = hpo.open_study("s", storage=study.storage)
    with heartbeat(study, owner(), HOUR, lambda: {"w": one}), heartbeat(again, owner(), HOUR, lambda: {"w": two}):
        assert reclaim(study) == reclaim(again) == []


def test_another_study_of_the_same_numbers_is_another(study: hpo.Study) -> None:
    other = hpo.open_study("other", PROBLEM, storage=study.storage, seed=1, strategy=Random())
    (mine,) = study.leases.claim(1, owner(), lease=HOUR)
    other.leases.claim(1, owner(), lease=-1.0)
    with heartbeat(study, owner(), HOUR, lambda: {"w": mine}):
        assert [trial.number for trial in reclaim(other)] == [0]


def test_what_others_took_while_it_slept_is_lost(study: hpo.Study) -> None:
    (mine,) = study.leases.claim(1, owner(), lease=-1.0)
    study.leases.reclaim()
    (theirs,) = study.leases.claim(1, "another", lease=-1.0)
    with heartbeat(study, owner(), HOUR, lambda: {"w": mine}) as beating:
        assert [trial.attempt for trial in reclaim(study)] == [theirs.attempt + 1]
        assert beating.lost() == {"w"}


def test_a_process_with_the_number_of_a_dead_driver_is_not_that_driver(study: hpo.Study) -> None:
    host, boot, space, pid, start = owner().rsplit(":", 4)
    reused = f"{host}:{boot}:{space}:{pid}:{float(start) - 9.0:.2f}"
    dead, living = (study.leases.claim(1, name, lease=HOUR)[0] for name in (reused, owner()))
    assert (is_orphan(dead), is_orphan(living)) == (True, False)
    assert [trial.number for trial in left_behind(study)] == [dead.number]
    assert [trial.number for trial in reclaim(study)] == [dead.number]
    assert study.trials[living.number] == living


def test_others_are_at_work_while_they_hold_trials(study: hpo.Study) -> None:
    study.ask()
    study.leases.claim(1, "me", lease=HOUR)
    assert not others_at_work(study, "me"), "one asked by hand is no driver's"
    (theirs,) = study.leases.claim(1, "another", lease=HOUR)
    assert others_at_work(study, "me")
    study.tell(theirs, {"y": 1.0})
    assert not others_at_work(study, "me")


def test_of_an_owner_of_the_old_form_the_lease_decides(study: hpo.Study) -> None:
    """A study from before: its driver may live in another container of this host name."""
    host, _, _, pid, start = this_process().rsplit(":", 4)
    old = f"{host}:{pid}:{float(start) + 9.0:.2f}"
    study.leases.claim(1, old, lease=HOUR)
    assert reclaim(study) == []
    assert left_behind(study) == []
    study.leases.claim(1, f"{old}1", lease=-1.0)
    assert [trial.number for trial in reclaim(study)] == [1]
    study.cancel(1)
    trial = study.ask(owner=f"{old}2")  # without a lease, as studies had them before there were any
    assert [found.number for found in left_behind(study)] == [trial.number]
    assert [found.number for found in reclaim(study)] == [trial.number]


def test_a_study_knows_who_is_known_to_live(study: hpo.Study) -> None:
    one, two = study.leases.claim(2, "me", lease=-1.0)
    assert study.leases.reclaim({"me"}, [one]) == [study.trials[two.number]]
    assert study.leases.reclaim({"me"}, [replace(one, attempt=7)]) == [study.trials[one.number]]


def test_leases_that_could_not_be_renewed_for_a_while_cost_a_run_nothing(study: hpo.Study, storage: Spoilt) -> None:
    storage.faults = [PermissionError(13, "no"), MemoryError(), RuntimeError("a bug")]

    def train(trial: hpo.Trial) -> dict[str, Any]:
        renewed = storage.renewals
        await_that(lambda: storage.renewals > renewed + 1, "the lease is renewed")
        return {"y": trial.params["x"]}

    hpo.run(study, train, budget=hpo.Budget(trials=3), lease=0.3)
    assert {(trial.state, trial.attempt) for trial in study.trials} == {(TrialState.COMPLETED, 1)}
