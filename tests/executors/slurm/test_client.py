"""What is said to Slurm and when, with programs in place of Slurm's."""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import Slurm, Task
from hpo.executors.notices import Notices
from hpo.executors.slurm import client as slurm_client
from hpo.executors.slurm import programs as slurm_programs
from hpo.executors.slurm.client import Client
from hpo.executors.slurm.commands import LostJob
from hpo.executors.slurm.folder import PoolFolder
from hpo.executors.slurm.submitted import JobArray, SubmittedTask
from hpo.executors.supervisor.messages import Settings
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


# -- step by step, of arrays that wait in the queue -------------------------------------------------------------------


class Steps:
    """A client, and the tasks in hand of the pool that it has."""

    def __init__(self, tmp_path: Path, **site: Any) -> None:
        self.site = Slurm(tmp_path / "shared", command=["train"], **site)
        self.folder = PoolFolder.create(tmp_path / "shared", Settings())
        self.tasks: dict[str, SubmittedTask] = {}
        self.notices, self.bell = Notices(), threading.Event()
        self.client = Client(self.site, self.tasks, self.notices, self.bell.set)
        self.n_prepared = 0

    def array(self, first: int, n: int = 1, **asked: Any) -> JobArray:
        """To be sent: tasks w<first> and so on."""
        tasks = [Task(id=f"w{i}", payload={}, **asked) for i in range(first, first + n)]
        array = JobArray(self.folder, first, range(n), self.site.requests(tasks[0]))
        self.tasks.update({task.id: SubmittedTask(task, i, array) for i, task in enumerate(tasks, first)})
        self.client.unsent.append(array)
        return array

    def go(self, holds: Callable[[], object] = lambda: False, most: int = 1000) -> None:
        """Step on until it holds, or `most` times, and read the answer of the last call."""
        for _ in range(most):
            self.client.step(self._prepare)
            if self.client.is_calling:
                assert self.bell.wait(60)
                self.bell.clear()
            elif holds():
                return
            else:
                time.sleep(0.01)

    def _prepare(self) -> None:
        self.n_prepared += 1


@pytest.fixture
def steps(tmp_path: Path, slurm: FakeSlurm) -> Iterator[Callable[..., Steps]]:
    """Of a queue in which all waits."""
    slurm.mood("state=PENDING node=")
    made: list[Steps] = []

    def make(**site: Any) -> Steps:
        made.append(Steps(tmp_path, **site))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


def show(slurm: FakeSlurm, state: str | None, job: str = "1-0") -> None:
    """Let Slurm show this state of a job, or nothing."""
    path = slurm.folder / "jobs" / job
    if state is None:
        path.unlink()
    else:
        fields = path.read_text().split("|")
        path.write_text("|".join([*fields[:3], state, "n1", fields[5]]))


def sent(slurm: FakeSlurm) -> list[str]:
    """The arrays that sbatch was given: their first numbers and their tasks."""
    calls = [re.search(r"--job-name=hpo-\S+-(\d+) --array=(\S+)", call) for call in slurm.calls()]
    return [f"{call[1]} {call[2]}" for call in calls if call]


def test_an_array_is_sent_once_and_seen_in_the_queue(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    array, before = one.array(0, 2), time.monotonic()
    assert (one.client.has_sent, one.client.is_busy, array.sent_at) == (False, False, float("inf"))
    one.go(lambda: one.tasks["w1"].pending)
    one.go(most=5)
    assert sent(slurm) == ["0 0-1"]
    assert one.client.has_sent
    assert before <= array.sent_at <= time.monotonic()
    assert [(task.pending, task.loss) for task in one.tasks.values()] == [("1_0", None), ("1_1", None)]
    assert one.n_prepared >= 1


@pytest.mark.parametrize("own", [True, False])
def test_a_job_says_where_it_runs_and_finds_the_modules_of_its_driver(
    tmp_path: Path, slurm: FakeSlurm, steps: Callable[..., Steps], own: bool
) -> None:
    python = sys.executable if own else "/opt/python"
    one = steps(python=python)
    one.array(3)
    one.go(lambda: one.client.has_sent)
    assert slurm.calls()[0].split()[-5:] == [
        f"--output={one.folder.path}/slurm/%A_%a.out",
        "--open-mode=append",
        f"--job-name={one.tasks['w3'].array.name}",
        "--array=0-0",
        "--parsable",
    ]
    script = (slurm.folder / "script-1").read_text()
    assert script.startswith('#!/bin/sh\necho "hpo runs this job on $SLURMD_NODENAME"\nexec ')
    words = shlex.split(script.partition("\nexec ")[2])
    assert words[:5] == [python, "-c", slurm_client.PROGRAM, str(one.folder.path), "3"]
    assert words[5:] == ([os.path.abspath(entry) for entry in sys.path] if own else [])


def test_what_was_cancelled_before_it_was_sent_is_not(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    one.array(0)
    one.tasks.clear()
    one.array(1)
    one.go(lambda: one.client.has_sent)
    assert sent(slurm) == ["1 0-0"]
    assert not one.client.unsent


def test_what_is_unwanted_is_removed_once(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    one.array(0, 2)
    one.go(lambda: one.tasks["w1"].pending)
    one.client.remove(one.tasks["w1"])
    assert one.client.is_busy
    one.go(lambda: not one.client.is_busy)
    one.go(most=3)
    assert [call for call in slurm.calls() if call.startswith("scancel")] == ["scancel 1_1"]


@pytest.mark.parametrize("state", ["COMPLETED", None])
def test_what_is_over_needs_no_removal(slurm: FakeSlurm, steps: Callable[..., Steps], state: str | None) -> None:
    one = steps()
    one.array(0)
    one.go(lambda: one.tasks["w0"].pending)
    show(slurm, state)
    one.go(lambda: not one.tasks["w0"].pending)
    one.client.remove(one.tasks["w0"])
    one.go(lambda: not one.client.is_busy)
    assert not any(call.startswith("scancel") for call in slurm.calls())


def test_a_removal_that_does_not_succeed_is_tried_after_three_more_looks(
    slurm: FakeSlurm, steps: Callable[..., Steps]
) -> None:
    slurm.write("scancel", f'echo "scancel $*" >> {slurm.folder}/calls; echo "Job/step already completing" >&2; exit 1')
    one = steps()
    one.array(0)
    one.go(lambda: one.tasks["w0"].pending)
    one.client.remove(one.tasks["w0"])
    one.go(lambda: not one.client.is_busy)
    assert slurm.calls()[1:] == ["scancel 1_0"] * (1 + slurm_client.TRIES)


def test_a_lost_answer_is_looked_for(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    slurm.write(
        "sbatch", f"{(slurm.folder / 'sbatch').read_text()}\necho 'Unable to contact slurm controller' >&2; exit 1"
    )
    one = steps()
    array, before = one.array(0), time.monotonic()
    one.go(lambda: one.client.unsure is array)
    assert (one.client.is_busy, one.client.has_sent) == (True, False)
    one.go(lambda: one.client.unsure is None)
    assert one.client.has_sent
    assert before <= array.sent_at <= time.monotonic()
    one.go(most=5)
    assert sent(slurm) == ["0 0-0"]


def test_what_never_arrived_is_sent_again(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    slurm.mood("state=PENDING node=; if [ ! -e lost ]; then touch lost; echo 'Unable to contact' >&2; exit 1; fi")
    one = steps()
    one.array(0)
    one.go(lambda: one.client.has_sent)
    assert sent(slurm) == ["0 0-0", "0 0-0"]


def test_more_than_slurm_takes_at_once_goes_in_halves(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    limit = "sbatch: error: Batch job submission failed: Invalid job array specification"
    slurm.mood(f'state=PENDING node=; case "$*" in *--array=0-4*) echo "{limit}" >&2; exit 1 ;; esac')
    one = steps()
    one.array(7, 5)
    one.array(12)
    one.go(lambda: len(sent(slurm)) == 4 and not one.client.is_calling)
    assert sent(slurm) == ["7 0-4", "7 0-1", "7 2-4", "12 0-0"]
    assert [task.array.tasks for task in one.tasks.values()] == [range(0, 2)] * 2 + [range(2, 5)] * 3 + [range(1)]


def test_one_alone_is_not_halved(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    slurm.mood("echo 'Invalid job array specification' >&2; exit 1")
    one = steps()
    one.array(0)
    with pytest.raises(ExecutorError, match=r"^Slurm refuses: Invalid job array specification$"):
        one.go()
    assert not one.folder.is_there


def test_a_refusal_after_others_were_taken_loses_its_tasks_alone(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    one.array(0)
    one.go(lambda: one.client.has_sent)
    slurm.mood("echo 'Requested node configuration is not available' >&2; exit 1")
    one.array(1)
    one.go(lambda: one.tasks["w1"].loss)
    assert one.tasks["w1"].loss == LostJob("infra", "Slurm refuses: Requested node configuration is not available")
    assert one.tasks["w1"].lost_at == -float("inf"), "at once: nothing of it can be on the way"
    assert (one.tasks["w0"].loss, one.folder.is_there) == (None, True)


@pytest.mark.parametrize(
    ("state", "message"),
    [(None, "Slurm does not know its job any more"), ("FAILED", "Slurm says of its job 1_0: FAILED")],
)
def test_a_job_that_goes_without_a_word_is_lost_from_then_on(
    slurm: FakeSlurm, steps: Callable[..., Steps], state: str | None, message: str
) -> None:
    one = steps()
    one.array(0)
    one.go(lambda: one.tasks["w0"].pending)
    show(slurm, state)
    before = time.monotonic()
    one.go(lambda: one.tasks["w0"].loss)
    task = one.tasks["w0"]
    assert task.loss is not None
    assert task.loss.message == message
    since = task.lost_at
    assert before <= since <= time.monotonic()
    polled = one.client._polled_at
    one.go(lambda: one.client._polled_at > polled)
    assert task.lost_at == since, "it is not lost anew with each look"


def test_one_that_is_seen_again_is_not_lost(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    one.array(0)
    one.go(lambda: one.tasks["w0"].pending)
    show(slurm, "NODE_FAIL")
    one.go(lambda: one.tasks["w0"].loss)
    show(slurm, "RUNNING")
    one.go(lambda: one.tasks["w0"].loss is None)
    assert one.tasks["w0"].place == "n1"


def test_what_this_driver_has_decided_of_a_task_stays(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    one.array(0)
    one.go(lambda: one.tasks["w0"].pending)
    decided = one.tasks["w0"].loss = LostJob("cancelled", "it was asked to end and did not answer")
    one.tasks["w0"].is_forced = True
    show(slurm, "NODE_FAIL")
    one.go(lambda: not one.tasks["w0"].pending)
    assert one.tasks["w0"].loss == decided


def test_while_slurm_cannot_be_asked_nothing_is_lost(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    one.array(0)
    one.go(lambda: one.tasks["w0"].pending)
    squeue = (slurm.folder / "squeue").read_text()
    slurm.write("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    one.go(lambda: one.client.is_deaf)
    assert (one.tasks["w0"].loss, one.tasks["w0"].pending) == (None, "1_0")
    slurm.write("squeue", squeue)
    one.go(lambda: not one.client.is_deaf)
    assert one.notices.take()[-1] == "Slurm answers again (squeue)"


def test_a_wish_is_told_to_jobs_alike_together_and_to_no_others(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    one = steps()
    one.array(0, 2)
    one.array(2, cpus=4)
    one.go(lambda: all(task.pending for task in one.tasks.values()))
    one.client.avoid(["n2", "", "n1"])
    one.go(lambda: all(task.array.excluded == {"n1", "n2"} for task in one.tasks.values()))
    one.go(most=5)
    updates = [call for call in slurm.calls() if call.startswith("scontrol")]
    assert updates == [f"scontrol update JobId={job} ExcNodeList=n1,n2" for job in (1, 2)]


def test_a_wish_is_told_when_it_has_been_the_same_for_a_while(
    slurm: FakeSlurm, steps: Callable[..., Steps], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = steps()
    one.array(0)
    one.go(lambda: one.tasks["w0"].pending)
    monkeypatch.setattr(slurm_client, "STEADY", 500.0)
    one.client.avoid({"n1"})
    asked_at = one.client._asked_at
    one.client.avoid({"n1"})
    assert one.client._asked_at == asked_at, "the same again is nothing new"
    one.go(most=10)
    assert one.tasks["w0"].array.excluded == frozenset()
    monkeypatch.setattr(slurm_client, "STEADY", 0.0)
    one.go(lambda: one.tasks["w0"].array.excluded == {"n1"})


def test_without_anything_in_hand_slurm_is_left_alone(slurm: FakeSlurm, steps: Callable[..., Steps]) -> None:
    slurm.write("squeue", f"touch {slurm.folder}/looked")
    one = steps()
    one.go(most=20)
    assert one.n_prepared == 20
    assert not (slurm.folder / "looked").exists()
