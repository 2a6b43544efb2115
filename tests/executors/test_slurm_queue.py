from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import ExecutorError
from hpo.executors import Slurm, slurm_queue
from hpo.executors.notices import Notices
from hpo.executors.slurm_programs import Programs
from hpo.executors.slurm_queue import Loss, Sighting, judge
from hpo.testing.executors import behave


def sighting(state: str, reason: str = "None") -> Sighting:
    return Sighting("hpo-a-0", "12_3", 3, state, reason)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for Slurm's programs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("PENDING", "Priority"),
        ("PENDING", "JobHeldUser"),
        ("RUNNING", "None"),
        ("REQUEUED", "None"),
        ("SUSPENDED", "None"),
    ],
)
def test_alive(state: str, reason: str) -> None:
    assert judge([sighting(state, reason)]) is None
    assert judge([sighting(state, reason), sighting("FAILED")]) is None, "the other of two that were sent"


@pytest.mark.parametrize(
    ("state", "reason", "kind"),
    [
        ("TIMEOUT", "TimeLimit", "timeout"),
        ("OUT_OF_MEMORY", "OutOfMemory", "oom"),
        ("CANCELLED", "None", "infra"),
        ("NODE_FAIL", "None", "infra"),
        ("FAILED", "JobLaunchFailure", "infra"),
        ("COMPLETED", "None", "infra"),
        ("COMPLETING", "None", "infra"),
        ("PENDING", "launch failed requeued held", "infra"),
        ("PENDING", "job requeued in held state", "infra"),
    ],
)
def test_lost(state: str, reason: str, kind: str) -> None:
    loss = judge([sighting(state, reason)])
    assert loss is not None
    assert loss.kind == kind
    assert state in loss.message


def test_unknown_is_lost() -> None:
    assert judge([]) == Loss("infra", "Slurm does not know its job any more")


def test_what_squeue_prints(programs: Path) -> None:
    write(
        programs / "squeue",
        "cat <<END\nCLUSTER: a\nhpo-a-0|12|0|RUNNING|None\nhpo-a-0|12|7|PENDING|Priority\nx|9|N/A|RUNNING|\nEND",
    )
    assert slurm_queue.look() == {
        ("hpo-a-0", 0): [Sighting("hpo-a-0", "12_0", 0, "RUNNING", "None")],
        ("hpo-a-0", 7): [Sighting("hpo-a-0", "12_7", 7, "PENDING", "Priority")],
    }


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ("Unable to contact slurm controller (connect failure)", ConnectionError),
        ("Socket timed out on send/recv operation", ConnectionError),
        ("Batch job submission failed: Resource temporarily unavailable", ConnectionError),
        ("QOSMaxSubmitJobPerUserLimit", ConnectionError),
        ("Batch job submission failed: Invalid account", ExecutorError),
        ("Requested time limit is invalid (missing or exceeds some limit)", ExecutorError),
    ],
)
def test_what_sbatch_refuses_and_what_may_pass(programs: Path, error: str, raised: type[Exception]) -> None:
    write(programs / "sbatch", f"echo 'sbatch: error: {error}' >&2; exit 1")
    with pytest.raises(raised, match="error: ") as caught:
        slurm_queue.submit("a", 1, (), "")
    assert error in str(caught.value)


def test_a_call_ends_in_time(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "PATIENCE", 0.3)
    write(programs / "squeue", "exec sleep 1000")
    with pytest.raises(ConnectionError, match=r"squeue did not answer in 0\.3 s"):
        slurm_queue.look()


def test_filters_in_the_environment_do_not_hide_jobs(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    write(programs / "squeue", 'echo "$SQUEUE_PARTITION|1|0|RUNNING|None"')
    assert list(slurm_queue.look()) == [("", 0)]


def test_settings_that_cannot_be(tmp_path: Path, programs: Path) -> None:
    for program in ("sbatch", "squeue", "scancel"):
        write(programs / program, "exit 1")
    with pytest.raises(ExecutorError, match="at least one slot"):
        Slurm(tmp_path, 0)
    with pytest.raises(ExecutorError, match=r"options must be a list of arguments, got the text '--a --b'"):
        Slurm(tmp_path, options="--a --b")
    with pytest.raises(ExecutorError, match="gpus must be 0 or more"):
        Slurm(tmp_path, gpus=-1)
    with pytest.raises(ExecutorError, match="runs no function"):
        Slurm(tmp_path, command=["true"]).start(behave)
    with pytest.raises(ExecutorError, match="runs a function"):
        Slurm(tmp_path).start()
    (tmp_path / "file").touch()
    with pytest.raises(ExecutorError, match="cannot use the folder"):
        Slurm(tmp_path / "file").start(behave)
    assert Slurm(tmp_path).isolated
    assert not Slurm(tmp_path).names


def test_without_slurms_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecutorError, match="not on this machine's PATH: sbatch, squeue, scancel"):
        Slurm(tmp_path).start(behave)
