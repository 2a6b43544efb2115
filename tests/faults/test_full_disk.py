"""A disk that is full while trials are told, and then has room again."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

import hpo
from hpo.errors import ConnectionLost, StorageError
from hpo.executors import Threads
from hpo.running.progress import Progress
from hpo.storage import SqlStorage
from hpo.storage.retry import patient
from hpo.strategies import Random
from hpo.trials.trial import TrialState

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB, half of it taken by a file called `ballast`."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        (folder / "ballast").write_bytes(b"x" * (2 << 20))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def train(trial: hpo.Trial) -> dict[str, float]:
    return {"y": trial.params["x"]}


def _tell_on(study: hpo.Study, acknowledged: dict[int, float]) -> None:
    for _ in range(10_000):
        for trial in study.ask(20):
            acknowledged[trial.number] = study.tell(trial, train(trial)).values["y"].value


def test_a_study_goes_on_when_there_is_room_again(small_disk: Path) -> None:
    path = small_disk / "hpo.db"
    with closing(SqlStorage(path)) as storage:
        study = hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())
        acknowledged: dict[int, float] = {}
        with pytest.raises(ConnectionLost) as caught, patient(0.1):
            _tell_on(study, acknowledged)
        message = f"the disk of {path} is full. Nothing of this step was stored; free some space and repeat it"
        assert str(caught.value).startswith(message)
        _check(study, acknowledged)
        with pytest.raises(StorageError, match="is full"):
            hpo.run(study, train, budget=hpo.Budget(trials=10**6), executor=Threads(4), outage=3.0)
        _check(study, acknowledged)

        (small_disk / "ballast").unlink()
        more = len(study.trials) + 40
        for trial in study.history.in_flight:
            study.tell(trial, train(trial))
        hpo.run(study, train, budget=hpo.Budget(trials=more), executor=Threads(4))
        _check(study, acknowledged)
        trials = [t for t in study.trials if t.state is not TrialState.CANCELLED]
        assert {t.state for t in trials} == {TrialState.COMPLETED}, "no trial is left open"
        assert len(trials) == more
        assert study.replay().is_identical
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_run_of_one_trial_at_a_time_waits_for_room(small_disk: Path) -> None:
    """Whatever step meets the full disk: between two trials there is nothing to lose."""
    said = list[str]()

    def show(step: Progress) -> None:
        said.append(step.message)
        if "is full" in step.message:
            (small_disk / "ballast").unlink(missing_ok=True)

    with closing(SqlStorage(small_disk / "hpo.db")) as storage:
        study = hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())
        with suppress(ConnectionLost), patient(0.1):
            for _ in range(10_000):
                study.ask(20)
        assert hpo.run(study, train, budget=hpo.Budget(trials=len(study.trials) + 2), progress=show).completed == 2
    assert any("is full" in words for words in said)


def _check(study: hpo.Study, acknowledged: dict[int, float]) -> None:
    """In this process and in one that reads the file afresh."""
    with closing(SqlStorage(Path(study.storage.url.removeprefix("sqlite:///")))) as fresh:
        for each in (study, hpo.open_study("s", storage=fresh)):
            trials = each.trials
            assert all(trials[number].values["y"].value == y for number, y in acknowledged.items())
            told = Counter(event.number for event in each.events() if event.kind == "told")
            assert set(told.values()) <= {1}
            assert told.keys() >= acknowledged.keys()
