"""What a pool does without any word from Slurm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.executors import CloseMode, Pool, Slurm, Work
from hpo.executors.slurm_folder import PoolFolder
from hpo.executors.slurm_pool import SlurmPool
from hpo.executors.wire import Settings


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    settings = Settings(function=b"pickled")
    pool = SlurmPool(Slurm(tmp_path), tmp_path, PoolFolder.create(tmp_path, settings), settings)
    yield pool
    pool.close(CloseMode.KILL)


@pytest.mark.parametrize("lost", ["batches", "batches/0"])
def test_a_folder_that_another_driver_has_begun_to_remove_is_passed_over(
    pool: Pool, tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = PoolFolder.create(tmp_path, Settings())
    other.add(0, [Work(id="a", payload={})])
    if lost == "batches/0":  # between the look into the folder and the look at the file
        monkeypatch.setattr("hpo.executors.slurm_folder._numbers", lambda _: {0})
        (other.path / lost).unlink()
    else:
        shutil.rmtree(other.path / lost)
    assert pool.reattach(["a"]) == set()


def test_who_looks_for_nothing_does_not_look(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(parent: Path) -> list[PoolFolder]:
        raise AssertionError(f"it looked into {parent}")

    monkeypatch.setattr(PoolFolder, "all", fail)
    assert pool.reattach([]) == set()
