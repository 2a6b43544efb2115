"""What a pool does, with programs in place of Slurm's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Pool, Slurm, Task
from hpo.executors.slurm import pool as slurm_pool
from hpo.executors.slurm import programs as slurm_programs
from hpo.executors.slurm.folder import PoolFolder
from hpo.executors.slurm.pool import SlurmPool
from hpo.executors.supervisor.messages import Settings
from tests.executors.slurm.fake_slurm import ECHO, FakeSlurm, ended, start, submit, until


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    settings = Settings(function=b"pickled")
    pool = SlurmPool(Slurm(tmp_path), tmp_path, PoolFolder.create(tmp_path, settings), settings)
    yield pool
    pool.close(CloseMode.KILL)


@pytest.mark.parametrize("lost", ["batches", "batches/0"])
def test_a_folder_that_is_removed_is_no_place_to_find_tasks(
    tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    other = PoolFolder.create(tmp_path, Settings())
    other.add(0, [Task(id="a", payload={})])
    if lost == "batches/0":  # between the look into the folder and the look at the file
        monkeypatch.setattr("hpo.executors.slurm.folder._numbers", lambda _: {0})
        (other.path / lost).unlink()
    else:
        shutil.rmtree(other.path / lost)
    assert pool.reattach(["a"]) == set()


@pytest.mark.parametrize("layout", [None, "1", "3"])
def test_tasks_of_another_version_are_not_misread(tmp_path: Path, pool: Pool, layout: str | None) -> None:
    other = PoolFolder.create(tmp_path, Settings())
    other.add(0, [Task(id="a", payload={})])
    (other.path / "layout").unlink()
    if layout is not None:
        (other.path / "layout").write_text(layout)
    assert pool.reattach(["b"]) == set()
    with pytest.raises(ExecutorError, match=f"another version of hpo .folder {other.path}.. Go on with that version"):
        pool.reattach(["a"])
    with pytest.raises(ValueError, match="another version of hpo has made it"):
        other.settings()
    assert other.outcome(0) is None
    assert other.is_there


def test_who_looks_for_nothing_does_not_look(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[PoolFolder]:
        raise AssertionError("it looked")

    monkeypatch.setattr(PoolFolder, "all", fail)
    assert pool.reattach([]) == set()


def test_what_cannot_be_looked_for_is_not_taken_for_lost(
    tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Callable[[], list[PoolFolder]]] = []

    def all_folders(*_: object) -> list[PoolFolder]:
        return answers.pop(0)()

    def fail() -> list[PoolFolder]:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(PoolFolder, "all", all_folders)
    monkeypatch.setattr(slurm_pool, "POLL", 0.01)
    answers[:] = [fail, fail, lambda: []]
    assert pool.reattach(["a"]) == set()
    assert pool.notices() == [f"the folder {tmp_path} cannot be used at the moment, outcomes wait: Stale file handle"]
    monkeypatch.setattr(slurm_pool, "FOLDER_PATIENCE", 0.0)
    answers[:] = [fail]
    with pytest.raises(ExecutorError, match=r"cannot look for tasks in the folder .*: .*Stale file handle"):
        pool.reattach(["a"])


def test_a_slow_sbatch_gets_the_time_that_it_needs(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_programs, "PATIENCE", 1.0)
    slurm.mood("sleep 1.5")
    with start(tmp_path) as pool:
        submit(pool, 2)
        assert [(o.value, o.place) for o in ended(pool, 2)] == [({"y": 0}, "n1"), ({"y": 1}, "n1")]
        assert "Slurm has not answered for 1 s (sbatch); tried again with 2 s of patience" in pool.notices()


def test_an_outcome_that_cannot_be_read_is_a_loss(tmp_path: Path, slurm: FakeSlurm) -> None:
    with start(tmp_path, f"while [ ! -e {tmp_path}/gate ]; do sleep 0.2; done; {ECHO}") as pool:
        submit(pool, 2)
        (folder,) = PoolFolder.all(tmp_path / "shared")
        until(lambda: folder.claimant(0) and folder.claimant(1))
        (folder.path / "ended" / "0").write_text("{torn")
        (outcome,) = ended(pool)
        assert outcome.kind == "infra"
        assert outcome.message.startswith(f"{folder.path}/ended/0 cannot be read: ")
        assert outcome.place == "n1"
        (tmp_path / "gate").touch()
        assert ended(pool)[0].value == {"y": 1}


def test_a_folder_that_cannot_be_used_delays_and_is_told(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_pool, "POLL", 0.1)
    with start(tmp_path) as pool:
        submit(pool, 2)

        def fail(*_: object) -> None:
            raise OSError(30, "Read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(PoolFolder, "deliver", fail)
            assert [o.value for o in ended(pool, 2)] == [{"y": 0}, {"y": 1}], "what can be read is delivered"
            until(
                lambda: any("cannot be used at the moment, outcomes wait: Read-only" in text for text in pool.notices())
            )
    assert list((tmp_path / "shared").iterdir()) == [], "what was delivered is known in the end"


def test_who_leaves_waits_for_no_hanging_program(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_programs, "PATIENCE", 500.0)
    slurm.mood("sleep 1000")
    pool = start(tmp_path)
    submit(pool)
    until(slurm.calls)
    monkeypatch.setattr(slurm_programs, "PATIENCE", 0.5)
    assert [(o.id, o.kind, o.started_at) for o in pool.close(CloseMode.DETACH)] == [("w0", "infra", None)]
