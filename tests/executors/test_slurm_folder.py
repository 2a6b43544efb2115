from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from hpo.executors import Outcome, Work
from hpo.executors.slurm_folder import NOBODY, PoolFolder
from hpo.executors.wire import Settings


@pytest.fixture
def folder(tmp_path: Path) -> PoolFolder:
    return PoolFolder.create(tmp_path, Settings(function=b"pickled", grace=3.0))


def test_what_is_written_is_read(folder: PoolFolder, tmp_path: Path) -> None:
    works = [Work(id=f"é/{i}", payload={"x": [1.5, None]}, timeout=2.0, env={"A": "b"}, gpus=i) for i in range(3)]
    folder.add(0, works[:1])
    folder.add(1, works[1:])
    assert folder.settings() == Settings(function=b"pickled", grace=3.0)
    assert folder.batch(1) == works[1:]
    assert folder.arrays() == [(1, works[1:]), (0, works[:1])]
    outcome = Outcome(id="é/0", value={"y": 0.1}, logs=("a.out", "a.err"), started_at=1.0, seconds=2.0)
    folder.end(0, outcome)
    assert folder.outcome(0) == outcome
    assert folder.outcome(1) is None
    newer = PoolFolder.create(tmp_path, Settings())
    assert PoolFolder.all(tmp_path) == [newer, folder]


def test_one_of_many_gets_the_claim(folder: PoolFolder) -> None:
    got: list[int] = []
    start = threading.Barrier(8)

    def claim(i: int) -> None:
        start.wait()
        if folder.claim(5, f"job {i}"):
            got.append(i)

    threads = [threading.Thread(target=claim, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [folder.claimant(5)] == [f"job {i}" for i in got]
    assert folder.claim(5, folder.claimant(5)), "a requeued job finds its own"
    assert not folder.claim(5, NOBODY)


def test_the_first_outcome_stays(folder: PoolFolder) -> None:
    first = Outcome(id="a", value={"y": 1})
    folder.end(3, first)
    folder.end(3, Outcome(id="a", kind="infra", message="late"))
    assert folder.outcome(3) == first
    assert folder.ended() == {3}
    assert sorted(path.name for path in (folder.path / "ended").iterdir()) == ["3"], "no temporary file is left"


def test_delivered_outcomes_are_kept_until_all_are(folder: PoolFolder) -> None:
    folder.add(0, [Work(id=id, payload={}) for id in "ab"])
    for number in (0, 1):
        folder.end(number, Outcome(id="ab"[number], value={}))
    folder.deliver(0)
    folder.deliver(0)
    assert folder.ended() == {1}
    assert folder.outcome(0) == Outcome(id="a", value={})
    folder.remove_if_done()
    assert folder.path.exists(), "1 is not delivered"
    folder.take_back(0)
    assert folder.ended() == {0, 1}
    folder.deliver(0)
    folder.deliver(1)
    folder.remove_if_done()
    assert not folder.path.exists()
    folder.remove_if_done()


def test_a_removal_that_is_cut_off_counts(folder: PoolFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.is_there
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    folder.remove()
    assert folder.path.exists()
    assert not folder.is_there
    assert PoolFolder.all(tmp_path) == []
    folder.remove()


def test_a_stop_may_become_more_urgent(folder: PoolFolder) -> None:
    assert folder.stop_asked(2) is None
    folder.stop(2, 30.0)
    assert folder.stop_asked(2) == 30.0
    folder.stop(2, 0.0)
    assert folder.stop_asked(2) == 0.0


def test_only_its_user_may_look(folder: PoolFolder) -> None:
    assert folder.path.stat().st_mode & 0o077 == 0
