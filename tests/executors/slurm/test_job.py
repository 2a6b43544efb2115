"""The program of a job, in this process; its task and Slurm are not needed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpo.executors import Outcome, Task
from hpo.executors.slurm import job as slurm_job
from hpo.executors.slurm.folder import PoolFolder
from hpo.executors.supervisor.messages import Settings

DONE = Outcome(id="a", value={"y": 1}, started_at=1.0, seconds=2.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PoolFolder]:
    for name, value in {"ARRAY_JOB_ID": "12", "ARRAY_TASK_ID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setattr(slurm_job, "TICK", 0.01)
    monkeypatch.setattr(slurm_job, "_run", lambda *_: DONE)
    folder = PoolFolder.create(tmp_path, Settings(function=b"pickled"))
    folder.add(0, [Task(id="a", payload={})])
    before = signal.getsignal(signal.SIGTERM)
    yield folder
    signal.signal(signal.SIGTERM, before)


def failing(method: Callable[..., object], times: int) -> Callable[..., object]:
    """The method, which fails as on a full disk so many times first."""
    left = [OSError(28, "No space left on device")] * times

    def step(*arguments: object) -> object:
        if left:
            raise left.pop()
        return method(*arguments)

    return step


@pytest.mark.parametrize("step", ["batch", "claim", "end"])
def test_a_folder_that_cannot_be_used_is_tried_again(
    folder: PoolFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(PoolFolder, step, failing(getattr(PoolFolder, step), 3))
    slurm_job.main(str(folder.path), 0)
    outcome = folder.outcome(0)
    assert outcome is not None
    assert (outcome.value, outcome.place) == ({"y": 1}, "n1")


def test_what_has_ended_is_written_although_slurm_ends_the_job(
    folder: PoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = PoolFolder.end

    def late(self: PoolFolder, number: int, outcome: Outcome) -> None:
        signal.raise_signal(signal.SIGTERM)
        end(self, number, outcome)

    monkeypatch.setattr(PoolFolder, "end", late)
    slurm_job.main(str(folder.path), 0)
    assert folder.has_ended(0)


def test_a_start_gives_up_soon_and_leaves_no_claim(folder: PoolFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_job, "CLAIM_PATIENCE", 0.0)
    monkeypatch.setattr(PoolFolder, "batch", failing(PoolFolder.batch, 1000))
    with pytest.raises(OSError, match="No space left"):
        slurm_job.main(str(folder.path), 0)
    assert folder.claimant(0) == "", "it has not started"


def test_what_has_ended_is_not_run_again(folder: PoolFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm_job.main(str(folder.path), 0)
    monkeypatch.setattr(slurm_job, "_run", lambda *_: pytest.fail("it runs again"))
    slurm_job.main(str(folder.path), 0)
    folder.deliver(0)
    slurm_job.main(str(folder.path), 0)


@pytest.mark.parametrize("text", ["{torn", ""])
def test_a_task_goes_on_while_a_stop_cannot_be_read(folder: PoolFolder, text: str) -> None:
    (folder.path / "stops" / "0").write_text(text)
    assert slurm_job._stop_asked(folder, 0) is None
    folder.stop(0, 3.0)
    assert slurm_job._stop_asked(folder, 0) == 3.0
