"""The state of a process and the log agree, whatever goes wrong in between."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import hpo
from hpo.errors import HpoError, StorageError, TrialStateError
from hpo.storage import MemoryStorage, SqlStorage, Storage
from hpo.storage.base import Log
from hpo.strategies import Random
from hpo.testing.executors import await_that
from hpo.trials.events import Draft, Event, StudyState
from hpo.trials.trial import TrialState

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
PATIENCE = 60.0


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    storage: Storage = MemoryStorage() if request.param == "memory" else SqlStorage(tmp_path / "hpo.db")
    yield storage
    storage.close()


def opened(storage: Storage) -> hpo.Study:
    return hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())


WRONG: Sequence[tuple[str, Draft, type[Exception]]] = [
    ("a result of no trial", Draft("told", 99, {"values": {"y": [1.0, None]}}), HpoError),
    ("a second result", Draft("told", 0, {"values": {"y": [1.0, None]}}), TrialStateError),
    ("a number that is taken", Draft("asked", 0, {"params": {"x": 0.5}}), StorageError),
    ("a number too far", Draft("asked", 7, {"params": {"x": 0.5}}), StorageError),
    ("of a later version", Draft("improved", 0, {}), StorageError),
    ("without its values", Draft("told", 1, {}), KeyError),
    ("params that are none", Draft("added", 2, {"params": 7, "values": {"y": [1.0, None]}}), AttributeError),
    ("a metric that is none", Draft("edited", None, {"metric": {}, "reason": "?"}), Exception),
]


@pytest.mark.parametrize(("draft", "error"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_event_that_does_not_fit_is_not_stored(storage: Storage, draft: Draft, error: type[Exception]) -> None:
    study = opened(storage)
    study.tell(study.ask(), {"y": 1.0})
    trial = study.ask()
    before = study.events()
    with pytest.raises(error):
        study._log.write(lambda *_: [draft])
    assert study.events() == before
    assert study.tell(trial, {"y": 2.0}).state is TrialState.COMPLETED
    assert opened(storage).trials == study.trials


def test_one_that_does_not_fit_to_a_trial_far_ahead_is_not_stored(storage: Storage) -> None:
    """Of a log that others have written much to, only what concerns the trial is read."""
    study, other = opened(storage), opened(storage)
    trial = study.ask()
    for _ in range(20):
        other.ask()
    before = other.events()
    with pytest.raises(KeyError):
        study._log.change(trial.number, lambda *_: [Draft("told", trial.number, {})])
    assert other.events() == before
    assert study.tell(trial, {"y": 2.0}) == opened(storage).trials[0]


def test_a_strategy_that_answers_nonsense_leaves_the_study_as_it_was(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(storage)
    study.ask()

    def nonsense(*_: object, **__: object) -> list[Draft]:
        return [Draft("asked", 1, {"params": [1, 2]})]

    with monkeypatch.context() as patch:
        patch.setattr(study._asker, "_suggested", nonsense)
        with pytest.raises(AttributeError):
            study.ask()
    assert [event.kind for event in study.events()] == ["asked"]
    assert study.ask().number == 1
    assert len(opened(storage).trials) == 2


def test_one_wrong_step_of_many_in_a_transaction_stops_no_other(storage: Storage) -> None:
    study = opened(storage)
    trials = study.ask(8)
    gate, inside = threading.Event(), threading.Event()

    def wait(study_state: StudyState, log: Log) -> list[Draft]:
        inside.set()
        assert gate.wait(PATIENCE)
        return []

    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(study._log.write, wait)
        assert inside.wait(PATIENCE)
        wrong = pool.submit(study._log.write, lambda *_: [Draft("told", 99, {})])
        others = [pool.submit(study.tell, trial, {"y": 1.0}) for trial in trials]
        await_that(lambda: len(study._log._steps._waiting) == 9, "all wait")
        gate.set()
        assert first.result(PATIENCE) == []
        assert {other.result(PATIENCE).state for other in others} == {TrialState.COMPLETED}
        with pytest.raises(StorageError, match="trial 99"):
            wrong.result(PATIENCE)
    assert opened(storage).trials == study.trials


def test_a_view_of_the_log_that_does_not_fit_is_made_anew(storage: Storage) -> None:
    study, other = opened(storage), opened(storage)
    trial = study.ask()
    other.tell(trial, {"y": 1.0})
    study_state = study._log._state
    assert study_state is not None
    study_state.trials.clear()  # as if it had been left half done
    assert study.trials == other.trials
    other.ask()
    study_state = study._log._state
    assert study_state is not None
    study_state.seq += 100  # as if the database had been set back to an older copy
    assert study.ask().number == 2
    assert study.trials == other.trials


def test_a_damaged_log_is_still_an_error(tmp_path: Path) -> None:
    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        study = opened(storage)
        study.ask()
        with storage.transaction(1) as log:
            log.append([Draft("told", 9, {"values": {"y": [1.0, None]}})])
        for look in (lambda: study.trials, study.ask, lambda: opened(storage).trials):
            with pytest.raises(StorageError, match="names trial 9, which does not exist"):
                look()


# -- forks ------------------------------------------------------------------------------------------------------------


def in_a_child(work: Callable[[], object]) -> int:
    """The exit code of a forked process that does `work`: 0, or 7 where the storage refuses."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        signal.alarm(30)
        work()
        code = 0
    except StorageError as error:
        code = 7 if "forked while" in str(error) else 1
    finally:
        os._exit(code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_goes_on_with_the_study_it_inherits(tmp_path: Path) -> None:
    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        study = opened(storage)
        trials = study.ask(5)
        for trial in trials[1:]:
            assert in_a_child(lambda trial=trial: study.tell(trial, {"y": study.ask().params["x"]})) == 0  # type: ignore[misc]
        assert {trial.state for trial in study.trials[1:5]} == {TrialState.COMPLETED}
        assert study.tell(trials[0], {"y": 1.0}).number == 0
        assert len(study.trials) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_a_thread_is_in_the_study(storage: Storage) -> None:
    """No lock of that thread is ever released in the child: it must not wait for one."""
    study = opened(storage)
    gate, inside = threading.Event(), threading.Event()

    def wait(study_state: StudyState, log: Log) -> list[Draft]:
        inside.set()
        assert gate.wait(PATIENCE)
        return [Draft("noted", None, {"text": "here"})]

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(study._log.write, wait)
        assert inside.wait(PATIENCE)
        code = in_a_child(study.ask)
        gate.set()
        assert written.result(PATIENCE)[0].kind == "noted"
    assert code == (0 if isinstance(storage, MemoryStorage) else 7)
    assert study.ask().number == 0


def test_the_cost_of_a_step_does_not_grow_with_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of trials none is copied or applied again for one more result."""
    study = opened(MemoryStorage())
    trials = study.ask(300)
    applied: list[Event] = []
    apply = StudyState.apply

    def counted(study_state: StudyState, events: Sequence[Event]) -> None:
        applied.extend(events)
        apply(study_state, events)

    monkeypatch.setattr(StudyState, "apply", counted)
    monkeypatch.setattr(StudyState, "copy", lambda _: pytest.fail("the whole state was copied"))
    for trial in trials[:20]:
        study.tell(trial, {"y": 1.0})
    assert len(applied) == 20
