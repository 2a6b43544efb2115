from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import ExecutorError
from hpo.executors import Slurm
from hpo.executors.notices import Notices
from hpo.executors.slurm import commands as slurm_queue
from hpo.executors.slurm.commands import JobStatus, LostJob, lost_reason
from hpo.executors.slurm.programs import Programs
from hpo.testing.executors import behave


def status(state: str, reason: str = "None") -> JobStatus:
    return JobStatus("hpo-a-0", "12_3", 3, state, reason, "n1")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for Slurm's programs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def call() -> Programs:
    return Programs(Notices())


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
    assert lost_reason([status(state, reason)]) is None
    assert lost_reason([status(state, reason), status("FAILED")]) is None, "the other of two that were sent"


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
        ("PENDING", "JobHoldMaxRequeue", "infra"),
        ("PREEMPTED", "None", "infra"),
    ],
)
def test_lost(state: str, reason: str, kind: str) -> None:
    loss = lost_reason([status(state, reason)])
    assert loss is not None
    assert loss.kind == kind
    assert state in loss.message


def test_unknown_is_lost() -> None:
    assert lost_reason([]) == LostJob("infra", "Slurm does not know its job any more")


@pytest.mark.parametrize(
    ("state", "place"), [("NODE_FAIL", "n1"), ("FAILED", "n1"), ("PREEMPTED", ""), ("CANCELLED", "")]
)
def test_a_node_is_named_where_it_may_be_to_blame(state: str, place: str) -> None:
    loss = lost_reason([status(state)])
    assert loss is not None
    assert (loss.job, loss.place) == ("12_3", place)


def test_the_latest_job_says_how_a_task_ended() -> None:
    loss = lost_reason(
        [JobStatus("a", "102_0", 0, "FAILED", "x", "n2"), JobStatus("a", "99_0", 0, "COMPLETED", "y", "n1")]
    )
    assert loss is not None
    assert loss.place == "n2"


def test_what_squeue_prints(programs: Path, call: Programs) -> None:
    write(
        programs / "squeue",
        "cat <<END\nCLUSTER: a\nhpo-a-0|12|0|RUNNING|n3|None\nhpo-a-0|12|7|PENDING|n/a|ReqNodeNotAvail, May be | reserved\n"
        "hpo-a-0|11|0|FAILED|n/a|BadConstraints\nx|9|N/A|RUNNING|n1|\nEND",
    )
    assert slurm_queue.look(call) == {
        ("hpo-a-0", 0): [JobStatus("hpo-a-0", "12_0", 0, "RUNNING", "None", "n3")],
        ("hpo-a-0", 7): [JobStatus("hpo-a-0", "12_7", 7, "PENDING", "ReqNodeNotAvail, May be | reserved")],
    }


@pytest.mark.parametrize(
    "script", ["printf 'hpo-a-0|12|0|RUNNING|n1|None\nhpo-a-0|12|1|RUN'", "echo 'Invalid user' >&2; exit 1"]
)
def test_half_an_answer_is_no_news(programs: Path, script: str) -> None:
    write(programs / "squeue", script)
    notices = Notices()
    with pytest.raises(ConnectionError):
        slurm_queue.look(Programs(notices))
    assert len(notices.take()) == 1, "somebody is told"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ("Unable to contact slurm controller (connect failure)", ConnectionError),
        ("Socket timed out on send/recv operation", ConnectionError),
        ("Batch job submission failed: Resource temporarily unavailable", ConnectionError),
        ("Slurm temporarily unable to accept job, sleeping and retrying", ConnectionError),
        ("Slurm backup controller in standby mode", ConnectionError),
        ("Batch job submission failed: Requested operation is presently disabled", ConnectionError),
        ("Munge encode failed: Failed to access the socket: No such file or directory", ConnectionError),
        ("QOSMaxSubmitJobPerUserLimit", ConnectionError),
        ("AssocGrpSubmitJobsLimit", ConnectionError),
        ("Batch job submission failed: Invalid account", ExecutorError),
        ("Requested time limit is invalid (missing or exceeds some limit)", ExecutorError),
    ],
)
def test_what_sbatch_refuses_and_what_may_pass(
    programs: Path, call: Programs, error: str, raised: type[Exception]
) -> None:
    write(programs / "sbatch", f"echo 'sbatch: error: {error}' >&2; exit 1")
    with pytest.raises(raised, match="error: ") as caught:
        slurm_queue.submit(call, "a", range(1), (), "")
    assert error in str(caught.value)


POLICY = (
    "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)


@pytest.mark.parametrize(
    ("words", "may_pass"),
    [
        (POLICY, True),
        (f"AssocGrpCPUMinutesLimit sbatch: error: {POLICY}", True),
        ("Batch job submission failed: Required partition not available (inactive or drain)", True),
        (f"QOSMaxCpuPerJobLimit sbatch: error: {POLICY}", False),
        ("Batch job submission failed: Invalid account or account/partition combination specified", False),
        ("Batch job submission failed: Requested node configuration is not available", False),
    ],
)
def test_refusals_that_may_end_by_themselves(words: str, may_pass: bool) -> None:
    assert slurm_queue.may_pass(ExecutorError(f"Slurm refuses: sbatch: error: {words}")) is may_pass


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ((), ("--exclude=n2,n3",)),
        (("--mem=1G",), ("--mem=1G", "--exclude=n2,n3")),
        (("--exclude=n[5-7]", "--mem=1G"), ("--exclude=n[5-7]", "--mem=1G", "--exclude=n[5-7],n2,n3")),
        (("-x", "n7"), ("-x", "n7", "--exclude=n7,n2,n3")),
        (("-xn7",), ("-xn7", "--exclude=n7,n2,n3")),
        (("--exclude=n7", "--exclude", "n8"), ("--exclude=n7", "--exclude", "n8", "--exclude=n8,n2,n3")),
        (("--exclude=./nodes",), ("--exclude=./nodes",)),
    ],
)
def test_nodes_are_excluded_beside_those_of_the_options(options: tuple[str, ...], sent: tuple[str, ...]) -> None:
    assert slurm_queue.excluding(options, {"n3", "n2"}) == sent
    assert slurm_queue.excluding(options, ()) == options


def test_filters_in_the_environment_do_not_hide_jobs(
    programs: Path, call: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    write(programs / "squeue", 'echo "$SQUEUE_PARTITION|1|0|RUNNING|n1|None"')
    assert list(slurm_queue.look(call)) == [("", 0)]


def test_settings_that_cannot_be(tmp_path: Path, programs: Path) -> None:
    for program in ("sbatch", "squeue", "scancel"):
        write(programs / program, "exit 1")
    with pytest.raises(ExecutorError, match="at least one slot"):
        Slurm(tmp_path, 0)
    with pytest.raises(ExecutorError, match=r"options must be a list of arguments, got the text '--a --b'"):
        Slurm(tmp_path, options="--a --b")
    with pytest.raises(ExecutorError, match="gpus must be 0 or more"):
        Slurm(tmp_path, gpus=-1)
    with pytest.raises(ExecutorError, match="Slurm runs its command and no function"):
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
