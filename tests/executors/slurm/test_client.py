"""What is said to Slurm and when, with programs in place of Slurm's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.errors import ExecutorError
from hpo.executors.slurm import programs as slurm_programs
from tests.executors.slurm.fake_slurm import FakeSlurm, ended, start, submit, until

REFUSAL = "echo 'sbatch: error: Batch job submission failed: {}' >&2; exit 1"


POLICY = "Job violates accounting/QOS policy (job submit limit, the size and time limits of users)"


def test_what_was_taken_although_the_call_timed_out_is_not_sent_again(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_programs, "PATIENCE", 1.0)
    slurm.write("sbatch", f"cd {slurm.folder}\n{(slurm.folder / 'sbatch').read_text()}\nsleep 1000")
    with start(tmp_path) as pool:
        submit(pool, 2)
        ended(pool, 2)
    assert len(slurm.calls()) == 1, "it was found by its name"


def test_tasks_that_come_while_sbatch_is_left_alone_are_sent_later(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_programs, "POLL", 5.0)
    lost = 'touch lost; echo "sbatch: error: Zero Bytes were transmitted or received" >&2; exit 1'
    slurm.write("sbatch", f"{(slurm.folder / 'sbatch').read_text()}\n[ -e lost ] || {{ {lost}; }}")
    with start(tmp_path) as pool:
        submit(pool)
        assert ended(pool)[0].value == {"y": 0}
        submit(pool)
        assert ended(pool)[0].value == {"y": 0}


def test_limits_of_the_site_blame_nobody(tmp_path: Path, slurm: FakeSlurm) -> None:
    slurm.mood(REFUSAL.format(POLICY))
    with start(tmp_path) as pool:
        for _ in range(2):  # even before anything was taken
            submit(pool, 2)
            outcomes = ended(pool, 2)
            assert {(o.kind, o.started_at, o.place) for o in outcomes} == {("infra", None, "")}
            assert (
                outcomes[0].message
                == f"Slurm refuses: sbatch: error: Batch job submission failed: {POLICY}; it had not started"
            )
        assert len(slurm.calls()) == 2
        slurm.mood("")
        submit(pool, 2)
        assert [o.value for o in ended(pool, 2)] == [{"y": 0}, {"y": 1}]


def test_wrong_settings_are_an_error(tmp_path: Path, slurm: FakeSlurm) -> None:
    slurm.mood(REFUSAL.format("Invalid partition name specified"))
    pool = start(tmp_path)
    submit(pool)
    with pytest.raises(ExecutorError, match=r"Slurm refuses: sbatch: error: .*Invalid partition name specified"):
        pool.wait()
    pool.close()
    assert list((tmp_path / "shared").iterdir()) == []


def test_who_may_have_few_jobs_sends_as_many(tmp_path: Path, slurm: FakeSlurm) -> None:
    slurm.mood(f'case "$*" in *--array=0-7*|*--array=4-7*) {REFUSAL.format("QOSMaxSubmitJobPerUserLimit")} ;; esac')
    with start(tmp_path, slots=8) as pool:
        submit(pool, 8)
        assert [o.value for o in ended(pool, 8)] == [{"y": i} for i in range(8)]
        assert any("QOSMaxSubmitJobPerUserLimit); it is asked again" in text for text in pool.notices())
    tasks = [option for call in slurm.calls() for option in call.split() if option.startswith("--array")]
    assert tasks == [f"--array={range}" for range in ("0-7", "0-3", "4-7", "4-5", "6-7")]


def test_a_node_that_fails_at_once_is_named_and_avoided(tmp_path: Path, slurm: FakeSlurm) -> None:
    slurm.mood('case "$*" in *--exclude=*n2*) node=n3 ;; *) node=n2 ;; esac')
    (tmp_path / "python").write_text(
        f'#!/bin/sh\nif [ $SLURMD_NODENAME = n2 ]; then echo "no such file" >&2; exit 1; fi\nexec {sys.executable} "$@"\n'
    )
    (tmp_path / "python").chmod(0o755)
    with start(tmp_path, python=str(tmp_path / "python"), options=("--exclude=n9",)) as pool:
        submit(pool)
        (outcome,) = ended(pool)
        assert (outcome.kind, outcome.place, outcome.started_at, outcome.log_tail) == (
            "infra",
            "n2",
            None,
            "no such file",
        )
        pool.avoid({"n2"})
        submit(pool)
        (outcome,) = ended(pool)
        assert (outcome.value, outcome.place) == ({"y": 0}, "n3")
        pool.avoid([])
        submit(pool)
        assert ended(pool)[0].place == "n2"
    assert ["--exclude=n9,n2" in call for call in slurm.calls() if "--array" in call] == [False, True, False]


def test_a_wish_that_leaves_no_node_is_none(tmp_path: Path, slurm: FakeSlurm) -> None:
    slurm.mood(f'case "$*" in *--exclude=*) {REFUSAL.format("Requested node configuration is not available")} ;; esac')
    with start(tmp_path) as pool:
        for i in range(3):
            pool.avoid({"n1", "n2"})
            submit(pool, first=i)
            assert ended(pool)[0].value == {"y": i}
        assert pool.notices() == ["Slurm has no other node than n1, n2, which fail: used all the same"]
    assert ["--exclude" in call for call in slurm.calls()] == [True, False, False, False]


def _told(slurm: FakeSlurm, nodes: str) -> set[str]:
    """Jobs whose excluded nodes were changed to these."""
    updates = [call.split() for call in slurm.calls() if call.startswith("scontrol update ")]
    return {
        job
        for _, _, jobs, to in updates
        for job in jobs.removeprefix("JobId=").split(",")
        if to == f"ExcNodeList={nodes}"
    }


def test_jobs_in_the_queue_are_told_of_nodes_to_keep_from(tmp_path: Path, slurm: FakeSlurm) -> None:
    slurm.mood("state=PENDING node=")
    with start(tmp_path, options=("--exclude=n9",)) as pool:
        submit(pool)
        until(slurm.calls)
        submit(pool, first=1)
        until(lambda: len(slurm.calls()) == 2)
        pool.avoid({"n2", "n1"})
        until(lambda: _told(slurm, "n9,n1,n2") == {"1", "2"})
        pool.avoid([])
        until(lambda: _told(slurm, "n9") == {"1", "2"})
        slurm.mood('case "$*" in *--test-only*) exit 1 ;; esac')
        pool.avoid({"n1", "n2"})
        until(lambda: "--test-only" in slurm.calls()[-1])
        pool.cancel(["w0", "w1"])
        assert {o.kind for o in ended(pool, 2)} == {"cancelled"}
