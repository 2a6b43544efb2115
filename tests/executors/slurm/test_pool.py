"""What a pool does, with programs in place of Slurm's."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Outcome, Pool, Slurm, Task
from hpo.executors.slurm import client as slurm_client
from hpo.executors.slurm import pool as slurm_pool
from hpo.executors.slurm import programs as slurm_programs
from hpo.executors.slurm.folder import PoolFolder
from hpo.executors.slurm.pool import SlurmPool
from hpo.executors.supervisor.messages import Settings
from tests.executors.slurm.fake_slurm import FakeSlurm

ECHO = """echo '{{"y": '$1'}}'"""
REFUSAL = "echo 'sbatch: error: Batch job submission failed: {}' >&2; exit 1"
POLICY = "Job violates accounting/QOS policy (job submit limit, the size and time limits of users)"


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


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for module, constants in (
        (slurm_client, {"POLL": 0.1, "STEADY": 0.0}),
        (slurm_programs, {"POLL": 0.1, "LONGEST": 0.4}),
        (slurm_pool, {"SETTLE": 0.3}),
    ):
        for name, value in constants.items():
            monkeypatch.setattr(module, name, value)
    return FakeSlurm(tmp_path / "bin")


def start(tmp_path: Path, script: str = ECHO, slots: int = 4, **settings: Any) -> Pool:
    return Slurm(tmp_path / "shared", slots, command=["sh", "-c", script, "sh", "{x}"], grace=0.5, **settings).start()


def submit(pool: Pool, n: int = 1, first: int = 0) -> None:
    pool.submit(*(Task(id=f"w{i}", payload={"x": i}) for i in range(first, first + n)))


def ended(pool: Pool, n: int = 1) -> list[Outcome]:
    outcomes: list[Outcome] = []
    end = time.monotonic() + 120.0
    while len(outcomes) < n:
        assert time.monotonic() < end, f"only {outcomes}"
        outcomes += pool.wait(1.0)
    return sorted(outcomes, key=lambda outcome: outcome.id)


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 120.0
    while not holds():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def test_a_slow_sbatch_gets_the_time_that_it_needs(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_programs, "PATIENCE", 1.0)
    slurm.mood("sleep 1.5")
    with start(tmp_path) as pool:
        submit(pool, 2)
        assert [(o.value, o.place) for o in ended(pool, 2)] == [({"y": 0}, "n1"), ({"y": 1}, "n1")]
        assert "Slurm has not answered for 1 s (sbatch); tried again with 2 s of patience" in pool.notices()


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
