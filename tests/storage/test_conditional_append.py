"""An event of one trial in one message: stored as in a transaction, or not at all where others wrote of its trial."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import hpo
from hpo.errors import ResultConflict, StorageError, TrialNotFound
from hpo.storage import SqlStorage, conditional_append, schema
from hpo.storage.stored_event import stamp
from hpo.strategies import Random
from hpo.trials.events import Draft

SERVER = os.environ.get("HPO_TEST_PG", "")
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y", range=(0.0, 9.0))])
TOLD = Draft("told", 1, {"values": {"y": [0.5, None]}}, "a-request")


def test_what_is_no_json_is_refused_before_it_is_sent() -> None:
    with pytest.raises(StorageError, match="the data of event 'told' cannot be stored"):
        conditional_append.appended(1, 0, replace(TOLD, data={"y": float("nan")}))


def test_a_file_is_not_remote(tmp_path: Path) -> None:
    def never() -> Draft:
        raise AssertionError

    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        study = storage.create("s", {}, {}).id
        assert storage.append_if_unchanged(study, 0, never) is None


@pytest.fixture
def storage() -> Iterator[SqlStorage]:
    if not SERVER:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    with closing(SqlStorage(SERVER)) as storage:
        yield storage


def written(storage: SqlStorage, *drafts: Draft) -> int:
    """A new study with these events."""
    study = storage.create(uuid.uuid4().hex, {}, {}).id
    with storage.transaction(study) as log:
        log.append(drafts)
    return study


def test_it_is_stored_like_any_other(storage: SqlStorage) -> None:
    study = written(storage, Draft("asked", 0), Draft("asked", 1))
    with storage.transaction(study) as log:
        before = stamp(log.time())
    event = storage.append_if_unchanged(study, 2, lambda: TOLD)
    assert event is not None
    assert event == storage.events(study)[-1]
    assert (event.seq, event.kind, event.number, event.data) == (3, "told", 1, TOLD.data)
    with storage.transaction(study) as log:
        assert before <= event.at <= stamp(log.time())
        assert log.last == 3
        assert log.answered("a-request") == [event]
        assert [e.seq for e in log.append([Draft("noted")])] == [4]


@pytest.mark.parametrize(
    ("later", "is_stored"),
    [
        ([Draft("told", 0), Draft("asked", 2)], True),
        ([Draft("told", 0), Draft("cancelled", 1)], False),
        ([Draft("edited", None), Draft("told", 0)], False),
    ],
    ids=["of others", "of it", "of none"],
)
def test_what_others_have_written_since(storage: SqlStorage, later: list[Draft], is_stored: bool) -> None:
    study = written(storage, Draft("asked", 0), Draft("asked", 1), *later)
    event = storage.append_if_unchanged(study, 2, lambda: TOLD)
    assert (event is not None) is is_stored
    assert len(storage.events(study)) == 4 + is_stored
    with storage.transaction(study) as log:
        assert log.last == 4 + is_stored


def test_tables_of_another_version(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    study = written(storage, Draft("asked", 1))
    monkeypatch.setattr(schema, "HEAD", "9999")
    assert storage.append_if_unchanged(study, 1, lambda: TOLD) is None


def test_a_study_that_is_gone(storage: SqlStorage) -> None:
    assert storage.append_if_unchanged(2**31 - 1, 0, lambda: TOLD) is None


def test_nothing_to_append(storage: SqlStorage) -> None:
    study = written(storage, Draft("asked", 1))
    assert storage.append_if_unchanged(study, 1, lambda: None) is None
    assert len(storage.events(study)) == 1


# -- studies ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each step that could be one message was stored so."""
    found: list[bool] = []
    append = SqlStorage.append_if_unchanged

    def counted(self: SqlStorage, study: int, after: int, make: Callable[[], Draft | None]) -> object:
        event = append(self, study, after, make)
        found.append(event is not None)
        return event

    monkeypatch.setattr(SqlStorage, "append_if_unchanged", counted)
    return found


def test_processes_that_share_a_study(storage: SqlStorage, counts: list[bool]) -> None:
    """What each knows is old; what it says of its own trials is stored in one message all the same."""
    first = hpo.open_study(uuid.uuid4().hex, PROBLEM, storage=storage, seed=1, strategy=Random())
    trials = first.ask(6)
    with closing(SqlStorage(SERVER)) as elsewhere:
        second = hpo.open_study(first.name, storage=elsewhere)
        assert len(second.trials) == 6
        for study, trial, y in ((first, 0, 0.0), (second, 1, 1.0), (first, 2, 2.0), (second, 3, 3.0)):
            assert study.tell(trials[trial], {"y": y}).values["y"].value == y
        assert counts == [True] * 4
        with pytest.raises(ResultConflict):
            second.tell(trials[0], {"y": 7.0})
        assert second.tell(trials[2], {"y": 2.0}).values["y"].value == 2.0, "told twice, stored once"
        with pytest.raises(TrialNotFound):
            second.tell(99, {"y": 0.0})
        assert counts[4:] == [False] * 3
        second.fail(trials[4], "oom")
        assert first.cancel(trials[5]).number == 5
        assert [t.state.value for t in second.trials] == [t.state.value for t in first.trials]
        assert len(first.events()) == 12
        assert first.replay().is_identical


def test_limits_that_were_edited_meanwhile_count(storage: SqlStorage, counts: list[bool]) -> None:
    problem = hpo.Problem(
        PROBLEM.space, [hpo.Objective("y", range=(0.0, 9.0)), hpo.Constraint("c", upper=1.0, range=(0.0, 9.0))]
    )
    first = hpo.open_study(uuid.uuid4().hex, problem, storage=storage, seed=1, strategy=Random())
    trial = first.ask()
    with closing(SqlStorage(SERVER)) as elsewhere:
        second = hpo.open_study(first.name, storage=elsewhere)
        assert second.trials
        first.edit_metric(hpo.Constraint("c", upper=0.4, range=(0.0, 0.5)), reason="of another scale")
        assert second.tell(trial, {"y": 0.0, "c": 0.9}).set_aside
        assert counts == [False]
