"""Runs whose storage does not answer for a while: what runs goes on, and nothing that has ended is lost."""

from __future__ import annotations

import os
import runpy
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import ConnectionLost, StorageError, StudyDamaged
from hpo.executors import Threads
from hpo.running import outage as outages
from hpo.running import run_loop
from hpo.running.outage import Outage
from hpo.running.progress import Progress
from hpo.storage import SqlStorage
from hpo.storage.base import Log, StudyRecord
from hpo.strategies import Random
from hpo.testing.executors import await_that
from hpo.trials.events import Event
from hpo.trials.trial import TrialState

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])


class Away(SqlStorage):
    """A storage that can be away: every step raises `fault` then. With `is_deaf` the next transaction is stored first."""

    def __init__(self, path: Path) -> None:
        self.fault: StorageError | None = None
        self.is_deaf = False
        super().__init__(path)

    def _answer(self) -> None:
        if self.fault is not None:
            raise self.fault

    def load(self, name: str) -> StudyRecord | None:
        self._answer()
        return super().load(name)

    def events(self, study: int, after: int = 0) -> list[Event]:
        self._answer()
        return super().events(study, after)

    def renew(self, study: int, owner: str, held: Mapping[int, int], seconds: float) -> set[int]:
        self._answer()
        return super().renew(study, owner, held, seconds)

    @contextmanager
    def transaction(self, study: int) -> Iterator[Log]:
        if not self.is_deaf:
            self._answer()
        with super().transaction(study) as log:
            yield log
        if self.is_deaf:
            self.is_deaf = False
            self._answer()

    def leave(self, fault: StorageError, seconds: float) -> None:
        """Be away for so long."""
        self.fault = fault
        threading.Timer(seconds, self.come_back).start()

    def come_back(self) -> None:
        """Answer again."""
        self.fault = None


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_loop, "CALL", 0.0)
    monkeypatch.setattr(run_loop, "_TICK", 0.02)
    monkeypatch.setattr(outages, "_PAUSES", (0.01, 0.03))
    monkeypatch.setattr(outages, "_SAID", (0.05, 1e9))
    storage = Away(tmp_path / "hpo.db")
    yield storage
    storage.come_back()
    storage.close()


def opened(storage: Away) -> hpo.Study:
    return hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())


LOST, FULL = ConnectionLost("nobody there."), StorageError("the disk is full.")


@pytest.mark.parametrize("fault", [LOST, FULL], ids=["away", "full"])
def test_what_runs_and_what_has_ended_outlives_an_outage(storage: Away, fault: StorageError) -> None:
    study, said, trained = opened(storage), list[str](), Counter[int]()
    both = threading.Event()

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        trained[trial.number] += 1
        if trial.number == 1:
            both.wait(30.0)
            storage.fault = fault
        if trial.number == 2:
            both.set()
            await_that(lambda: any("1 result is kept" in words for words in said), "the other has ended meanwhile")
            storage.come_back()
        return {"y": trial.params["x"]}

    def show(step: Progress) -> None:
        said.append(step.message)

    ended = hpo.run(study, train, budget=hpo.Budget(trials=6), executor=Threads(2), progress=show)
    assert (ended.completed, ended.failed) == (6, 0)
    assert {(t.state, t.attempt) for t in study.trials} == {(TrialState.COMPLETED, 1)}
    assert trained == dict.fromkeys(range(6), 1)
    what = "the database has not answered for " if fault is LOST else "nothing can be stored for "
    (words,) = [words for words in said if "is kept" in words]
    assert words.startswith(what)
    assert f"({fault}): 1 trial goes on, 1 result is kept until it can be stored; trying for up to 12 h 0 min" in words
    assert [words for words in said if words.startswith("the storage answers again, after ")]
    assert study.replay().is_identical


@pytest.mark.parametrize("kind", ["oom", "infra"])
def test_a_failure_whose_answer_got_lost_is_one(storage: Away, kind: str) -> None:
    study = opened(storage)

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number == 1 and trial.attempt == 1:
            storage.is_deaf = True
            storage.leave(LOST, 0.2)
            raise hpo.TrialFailed(kind)
        return {"y": trial.params["x"]}

    hpo.run(study, train, budget=hpo.Budget(trials=4), progress=False)
    kinds = [event.kind for event in study.events() if event.number == 1]
    assert kinds == (["asked", "failed"] if kind == "oom" else ["asked", "requeued", "started", "told"])


def test_a_claim_whose_answer_got_lost_gives_the_same_trials_later(storage: Away) -> None:
    study, trained = opened(storage), Counter[int]()

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        trained[trial.number] += 1
        return {"y": trial.params["x"]}

    def show(step: Progress) -> None:
        if step.ended is not None and step.ended.number == 1:  # the next step is a claim
            storage.is_deaf = True
            storage.leave(LOST, 0.2)

    hpo.run(study, train, budget=hpo.Budget(trials=5), progress=show)
    assert trained == dict.fromkeys(range(5), 1)
    assert {(t.state, t.attempt) for t in study.trials} == {(TrialState.COMPLETED, 1)}


def test_a_run_waits_for_its_storage_at_the_beginning_too(storage: Away) -> None:
    study = opened(storage)
    storage.leave(LOST, 0.2)
    assert hpo.run(study, lambda t: {"y": t.params["x"]}, budget=hpo.Budget(trials=2), progress=False).completed == 2


def test_what_does_not_pass_ends_a_run_that_has_nothing_to_lose(storage: Away) -> None:
    study = opened(storage)
    storage.fault = FULL
    with pytest.raises(StorageError, match="the disk is full"):
        hpo.run(study, lambda t: {"y": t.params["x"]}, budget=hpo.Budget(trials=2), progress=False)


def until_away(storage: Away, study: hpo.Study, **given: Any) -> None:
    """Run four trials; the storage goes away as the third ends."""

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number == 2:
            storage.fault = LOST
        return {"y": hpo.Measurement(trial.number, sem=0.5)}

    hpo.run(study, train, budget=hpo.Budget(trials=4), **given)


def check_kept(storage: Away, study: hpo.Study, message: str) -> None:
    """The message names the result, and the program that it names stores it."""
    assert '1 result is not stored (study.tell(2, {"y": hpo.Measurement(2, sem=0.5)}, seconds=' in message
    (program,) = Path.cwd().glob("hpo-untold-s-*.py")
    assert str(program) in message
    storage.come_back()
    assert len(study.history.completed) == 2
    runpy.run_path(str(program))
    assert [t.number for t in study.history.completed] == [0, 1, 2]
    assert study.trials[2].values["y"] == hpo.Measurement(2.0, sem=0.5)


def test_when_patience_ends_results_are_written_to_a_program_that_stores_them(storage: Away) -> None:
    study = opened(storage)
    with pytest.raises(ConnectionLost, match=r"nobody there\. 1 result is not stored") as caught:
        until_away(storage, study, outage=0.3)
    check_kept(storage, study, str(caught.value))


def test_ctrl_c_during_an_outage_says_what_is_not_stored_and_a_second_one_ends(storage: Away) -> None:
    study, said = opened(storage), list[str]()

    def interrupt() -> None:
        await_that(lambda: any("1 result is kept" in words for words in said), "it is said")
        os.kill(os.getpid(), signal.SIGINT)
        await_that(lambda: any(words.startswith("interrupted") for words in said), "it is heeded")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        until_away(storage, study, progress=lambda step: said.append(step.message))
    (first,) = [words for words in said if words.startswith("interrupted")]
    assert first == (
        "interrupted: no trial is running, and no more are started; 1 result cannot be stored at the moment; interrupt "
        "again (Ctrl-C) to end without"
    )
    check_kept(storage, study, str(caught.value))


def test_time_is_kept_while_the_storage_is_away(storage: Away) -> None:
    study, began = opened(storage), time.monotonic()

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        storage.leave(LOST, 0.6)
        await_that(lambda: time.monotonic() - began > 0.3, "the wall time is over")
        return {"y": trial.params["x"]}

    ended = hpo.run(study, train, budget=hpo.Budget(wall=0.3), executor=Threads(1), progress=False)
    assert (ended.reason, ended.completed) == ("the wall time of 0.3 s is over", 1)


def outage(patience: float) -> tuple[Outage, list[str], Callable[[float], None]]:
    now, said = [0.0], list[str]()
    return Outage(patience, said.append, clock=lambda: now[0]), said, lambda at: now.__setitem__(0, at)


def test_an_outage_is_said_again_when_it_has_lasted_long() -> None:
    away, said, go_to = outage(7200.0)
    for at in range(0, 7000, 5):
        go_to(float(at))
        assert away.may_try()
        away.bear(LOST, 2, 0)
    assert [words.split(" (")[0] for words in said] == [
        f"the database has not answered for {lasted}" for lasted in ("5.0 s", "2 min", "10 min", "30 min", "60 min")
    ]
    go_to(7205.0)
    with pytest.raises(ConnectionLost):
        away.bear(LOST, 2, 0)


def test_a_short_outage_is_not_worth_a_word() -> None:
    away, said, go_to = outage(7200.0)
    away.bear(LOST, 0, 1)
    assert (away.is_on, away.may_try()) == (True, False)
    go_to(2.0)
    away.end()
    assert (away.is_on, away.may_try(), away.words(0, 1), said) == (False, True, "", [])


def test_what_is_not_borne() -> None:
    away, _, go_to = outage(7200.0)
    with pytest.raises(StudyDamaged):
        away.bear(StudyDamaged("torn"), 2, 1)
    away.bear(FULL, 0, 1)
    go_to(601.0)
    away.bear(FULL, 1, 1)
    with pytest.raises(StorageError, match="full"):
        away.bear(FULL, 0, 1)
    with pytest.raises(ConnectionLost):
        away.bear(LOST, 0, 1, is_leaving=True)
