"""Whole studies: renamed, deleted, copied, backed up, while others use them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import StorageError, StudyDamaged, StudyNotFound, TrialStateError
from hpo.storage import MemoryStorage, SqlStorage
from hpo.storage.base import Lease
from hpo.strategies import Bayesian, Random

PROBLEM = hpo.Problem(
    hpo.Space({"x": hpo.Float(0, 1), "opt": hpo.Categorical(["sgd", "adam"])}),
    [hpo.Objective("y"), hpo.Constraint("ms", upper=5.0)],
)


def filled(storage: Path | MemoryStorage | SqlStorage, name: str = "digits", n: int = 4) -> hpo.Study:
    study = hpo.open_study(name, PROBLEM, storage=storage, seed=3, strategy=Random(), data="d")
    for _ in range(n):
        study.tell(study.ask(), {"y": 1.0, "ms": 4.0})
    return study


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hpo.db"


# -- rename -----------------------------------------------------------------------------------------------------------


def test_a_study_is_renamed_under_those_who_use_it(path: Path) -> None:
    study = filled(path)
    trial = study.ask()
    hpo.rename_study("digits", "mnist", storage=path)
    study.tell(trial, {"y": 2.0, "ms": 1.0})
    with closing(SqlStorage(path)) as store:
        again = hpo.open_study("mnist", storage=store)
        assert again.trials == study.trials
        assert again.facts == study.facts
        with pytest.raises(StudyNotFound):
            hpo.open_study("digits", storage=store)
    study.storage.close()


@pytest.mark.parametrize(
    "step",
    [
        lambda path: hpo.rename_study("digits", "new", storage=path),
        lambda path: hpo.delete_study("digits", storage=path),
        lambda path: hpo.copy_study("digits", "new", storage=path),
        lambda path: hpo.back_up(path.with_name("copy.db"), storage=path),
    ],
)
def test_what_is_not_there_is_said_and_nothing_is_made(path: Path, step: Callable[[Path], object]) -> None:
    with pytest.raises(StudyNotFound, match=f"there is no file {path}; give the storage that holds the study"):
        step(path)
    assert not list(path.parent.iterdir())


# -- delete -----------------------------------------------------------------------------------------------------------


def test_a_study_is_deleted_and_its_name_is_free(path: Path) -> None:
    filled(path).storage.close()
    filled(path, "other").storage.close()
    with pytest.raises(StudyNotFound, match=r"no study 'digit' \(have: digits, other\)\. Did you mean 'digits'\?"):
        hpo.delete_study("digit", storage=path)
    hpo.delete_study("digits", storage=path)
    with closing(SqlStorage(path)) as store:
        assert store.names() == ["other"]
        assert hpo.open_study("digits", PROBLEM, storage=store, seed=1).trials == ()


def test_running_trials_keep_a_study_unless_forced(path: Path) -> None:
    study = filled(path)
    trial = study.ask()
    with pytest.raises(TrialStateError) as raised:
        hpo.delete_study("digits", storage=study.storage)
    assert str(raised.value) == (
        "study 'digits' has running trials (#4), whose results would be lost; end their runs first, or delete it with "
        "force=True (`hpo delete --force`)"
    )
    study.cancel(trial)
    study.enqueue({"x": 0.5, "opt": "sgd"})  # what waits is lost by nobody
    hpo.delete_study("digits", storage=study.storage)
    assert study.storage.names() == []
    study.storage.close()


def test_whoever_has_a_deleted_study_open_is_told(path: Path) -> None:
    study = filled(path)
    trial = study.ask()
    hpo.delete_study("digits", storage=path, force=True)
    said = (
        f"study 'digits' is no longer in sqlite:///{path}: it was deleted while it was open here. Nothing more is recorded "
        "of it"
    )
    steps: list[Callable[[], object]] = [
        lambda: study.tell(trial, {"y": 1.0, "ms": 1.0}),
        lambda: study.trials,
        study.ask,
        study.events,
        study.replay,
        lambda: study.enqueue({"x": 0.5, "opt": "sgd"}),
        lambda: study.note("still there?"),
        study.leases.held,
    ]
    for name in ("digits", None):  # a new study of this name is another one
        for step in steps:
            with pytest.raises(StudyNotFound) as raised:
                step()
            assert str(raised.value) == said
        if name:
            filled(path, name, 1).storage.close()
    with closing(SqlStorage(path)) as store:
        assert len(hpo.open_study("digits", storage=store).trials) == 1
    study.storage.close()


def test_a_run_of_a_deleted_study_ends(path: Path) -> None:
    study = hpo.open_study("digits", PROBLEM, storage=path, seed=3, strategy=Random())
    began, deleted = threading.Event(), threading.Event()

    def train(trial: hpo.Trial) -> dict[str, float]:
        if trial.number == 1:
            began.set()
            assert deleted.wait(60)
        return {"y": 1.0, "ms": 1.0}

    def delete() -> None:
        assert began.wait(60)
        hpo.delete_study("digits", storage=path, force=True)
        deleted.set()

    other = threading.Thread(target=delete)
    other.start()
    with pytest.raises(StudyNotFound, match="it was deleted while it was open here"):
        hpo.run(study, train, budget=hpo.Budget(trials=5))
    other.join()
    study.storage.close()


# -- copy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_copy_is_the_same_study_and_another(path: Path, elsewhere: bool) -> None:
    study = filled(path)
    study.note("before")
    to = path.with_name("other.db") if elsewhere else path
    hpo.copy_study("digits", "branch", storage=path, to=to if elsewhere else None)
    with closing(SqlStorage(to)) as store:
        copy = hpo.open_study("branch", PROBLEM, storage=store, seed=3, data="d")
        assert copy.events() == study.events()
        assert copy.trials == study.trials
        assert copy.replay().is_identical
        assert copy.ask().params == study.ask().params
        copied = dict(copy.facts["copied"])
        assert copied.pop("at").startswith("20")
        assert copied == {
            "from": "digits",
            "id": study.facts["id"],
            "events": len(study.events()) - 1,
        }
        assert copy.facts["id"] != study.facts["id"]
        assert {k: v for k, v in copy.facts.items() if k not in ("id", "copied")} == {
            k: v for k, v in study.facts.items() if k != "id"
        }
        copy.tell(copy.ask(), {"y": 9.0, "ms": 1.0})
        assert study.best.values["y"].value == 1.0
    study.storage.close()


def test_what_runs_there_waits_here(path: Path) -> None:
    study = filled(path)
    running = study.leases.claim(2, "host:1:1.0", lease=1e6)
    study.tell(running[0], {"y": 2.0, "ms": 1.0})
    study.fail(study.ask(), "oom")
    hpo.copy_study("digits", "copy", storage=study.storage)
    copy = hpo.open_study("copy", storage=study.storage)
    assert copy.leases.held() == frozenset()
    waiting = copy.trials[running[1].number]
    assert (waiting.state, waiting.attempt, waiting.earlier_seconds) == (hpo.TrialState.WAITING, 2, 0.0)
    assert waiting.message == "it ran in 'digits' when this study was copied from there"
    assert study.trials[running[1].number] == running[1]
    given = copy.ask()
    assert (given.number, given.params, given.seed) == (running[1].number, running[1].params, running[1].seed)
    assert copy.replay().is_identical
    study.storage.close()


def test_a_copy_of_a_copy_and_names_that_are_taken(path: Path) -> None:
    study = filled(MemoryStorage())
    filled(path).storage.close()
    with pytest.raises(StorageError, match=r"there is a study 'digits' in sqlite:///.* already; give the copy another"):
        hpo.copy_study("digits", storage=study.storage, to=path)
    with pytest.raises(StorageError, match="there is a study 'digits' in :memory: already"):
        hpo.copy_study("digits", storage=study.storage)
    with pytest.raises(StorageError, match="cannot be called"):
        hpo.copy_study("digits", " ", storage=study.storage)
    hpo.copy_study("digits", "b", storage=study.storage)
    hpo.copy_study("b", "c", storage=study.storage, to=path)
    with closing(SqlStorage(path)) as store:
        assert store.names() == ["digits", "c"]
        assert hpo.open_study("c", storage=store).facts["copied"]["from"] == "b"


def test_what_would_be_gone_at_once_is_refused(path: Path) -> None:
    filled(path).storage.close()
    for step in (
        lambda: hpo.copy_study("digits", storage=path, to=":memory:"),
        lambda: hpo.rename_study("digits", "new", storage=":memory:"),
        lambda: hpo.back_up(":memory:", storage=path),
    ):
        with pytest.raises(StorageError, match="memory"):
            step()
    with pytest.raises(StorageError, match="a backup is an SQLite file"):
        hpo.back_up("postgresql+psycopg://me@host/db", storage=path)


# -- back up ----------------------------------------------------------------------------------------------------------


def test_a_backup_of_a_file_in_use_has_all_that_was_acknowledged(path: Path, tmp_path: Path) -> None:
    study = filled(path, n=40)
    with study.storage.transaction(1) as log:
        log.put([Lease(0, 1, "a", 1e12)])
    assert hpo.back_up(tmp_path / "copy.db", storage=path) == tmp_path / "copy.db"
    study.tell(study.ask(), {"y": 1.0, "ms": 1.0})
    with closing(SqlStorage(tmp_path / "copy.db")) as store:
        copy = hpo.open_study("digits", storage=store)
        assert copy.events() == study.events()[:-2]
        assert copy.facts == study.facts
        with store.transaction(1) as log:
            assert log.leases() == [Lease(0, 1, "a", 1e12)]
        assert store.faults() == []
    study.storage.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "hpo.db"]


def test_a_backup_while_another_process_writes(path: Path, tmp_path: Path) -> None:
    filled(path, n=1).storage.close()
    code = f"""
import hpo
study = hpo.open_study("digits", storage={str(path)!r})
for i in range(10 ** 6):
    study.note(str(i))
    print(i, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            last = [writer.stdout.readline() for _ in range(20)][-1]
            for i in range(5):
                hpo.back_up(tmp_path / f"{i}.db", storage=path)
                with closing(SqlStorage(tmp_path / f"{i}.db")) as store:
                    events = hpo.open_study("digits", storage=store).events()
                notes = [e.data["text"] for e in events if e.kind == "noted"]
                assert notes == [str(n) for n in range(len(notes))]
                assert len(notes) > int(last)
                last = writer.stdout.readline()
        finally:
            writer.kill()


def test_a_backup_that_fails_leaves_the_earlier_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = filled(path)
    target = hpo.back_up(tmp_path / "copy.db", storage=path)
    before = target.read_bytes()
    study.note("more")
    connect = sqlite3.connect

    def full(where: str, **how: Any) -> Any:
        if not how:
            raise sqlite3.OperationalError("database or disk is full")
        return connect(where, **how)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        with pytest.raises(StorageError) as raised:
            hpo.back_up(target, storage=study.storage, replace=True)
    assert str(raised.value) == f"no copy of {path} could be made in {tmp_path}: database or disk is full"
    assert target.read_bytes() == before
    study.storage.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "hpo.db"]


def test_what_is_no_file_is_copied_study_by_study(tmp_path: Path) -> None:
    memory = MemoryStorage()
    for name in ("a", "b"):
        filled(memory, name)
    hpo.open_study("b", storage=memory).ask()
    hpo.back_up(tmp_path / "copy.db", storage=memory)
    with closing(SqlStorage(tmp_path / "copy.db")) as store:
        assert store.names() == ["a", "b"]
        assert hpo.open_study("a", storage=store).trials == hpo.open_study("a", storage=memory).trials
        assert len(hpo.open_study("b", storage=store).history.waiting) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["copy.db"]


def test_a_backup_is_written_over_nothing_by_mistake(path: Path, tmp_path: Path) -> None:
    study = filled(path)
    target = tmp_path / "copy.db"
    hpo.back_up(target, storage=path)
    study.note("more")
    with pytest.raises(StorageError) as raised:
        hpo.back_up(target, storage=path)
    assert str(raised.value) == (
        f"{target} exists; give the backup another name, or replace it: replace=True (`hpo backup --replace`)"
    )
    hpo.back_up(target, storage=path, replace=True)
    with closing(SqlStorage(target)) as store:
        assert hpo.open_study("digits", storage=store).events() == study.events()
        for there in (path, target):
            with pytest.raises(StorageError, match=f"{there} is a storage in use; give the backup another name"):
                hpo.back_up(there, storage=path, replace=True)
    with pytest.raises(StorageError, match=r"exists; give the backup another name$"):
        hpo.back_up(tmp_path, storage=path, replace=True)
    with pytest.raises(StorageError, match=f"no folder {tmp_path}/none for copy.db; make it, or give another path"):
        hpo.back_up(tmp_path / "none" / "copy.db", storage=path)
    study.storage.close()


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE event SET data = replace(data, '\"y\":', '\"y:') WHERE seq = 2",
            r"event 2 \(told\) is damaged: its text",
        ),
        ("UPDATE event SET data = replace(data, '\"y\":', '\"z\":') WHERE seq = 2", r"event 2 \(told\) .* has no 'y'"),
        (
            "UPDATE event SET data = replace(data, '\"x\":', '\"z\":') WHERE seq = 1",
            r"event 1 \(asked\) .* parameter 'z'",
        ),
        ("UPDATE event SET data = replace(data, 'adam', 'bdam')", r"event \d \(asked\) .*opt cannot be 'bdam'"),
        ("UPDATE event SET data = '[]' WHERE seq = 3", r"event 3 \(asked\) is damaged: its text is no JSON object"),
        ("UPDATE event SET at = '2O26' WHERE seq = 3", r"event 3 \(asked\) is damaged: ValueError: Invalid isoformat"),
        ("UPDATE event SET number = 'x' WHERE seq = 4", r"event 4 \(told\) is damaged: TypeError"),
        ("DELETE FROM event WHERE seq = 2", r"the log jumps from event 1 to 3; it is damaged"),
        (
            "UPDATE study SET definition = replace(definition, 'float', 'floau') WHERE id = 1",
            r"its definition: .*'floau'",
        ),
        (
            "UPDATE study SET definition = '{' WHERE id = 1",
            r"the definition of study 'digits' in .* is damaged: its text",
        ),
        ("UPDATE study SET facts = replace(facts, 'seed', 'sedd') WHERE id = 1", r"its definition: KeyError: 'seed'"),
    ],
)
def test_damage_is_named_and_leaves_the_others(path: Path, statement: str, said: str) -> None:
    filled(path).storage.close()
    other = filled(path, "other", 0)
    with closing(sqlite3.connect(path)) as file:
        file.execute(statement)
        file.commit()
    with pytest.raises(StudyDamaged, match=said) as raised:
        _ = hpo.open_study("digits", storage=other.storage, strategy=Bayesian()).trials
    assert "study 'digits'" in str(raised.value)
    other.tell(other.ask(), {"y": 1.0, "ms": 1.0})
    hpo.delete_study("digits", storage=other.storage, force=True)
    assert other.storage.names() == ["other"]
    other.storage.close()
