"""One task on its way through Slurm: where it was seen, and how it ends when nobody else says so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hpo.executors import Outcome, Task
from hpo.executors.slurm.commands import JobStatus, LostJob
from hpo.executors.slurm.folder import NOBODY, PLACE, PoolFolder
from hpo.executors.slurm.submitted import OVER_MEMORY, JobArray, SubmittedTask
from hpo.executors.supervisor.messages import Settings

INFRA = LostJob("infra", "Slurm says of its job 12_1: NODE_FAIL", "12_1")


@pytest.fixture
def submitted(tmp_path: Path) -> SubmittedTask:
    """Task 18, of an array that begins with 17."""
    folder = PoolFolder.create(tmp_path, Settings())
    return SubmittedTask(Task(id="a", payload={}), 18, JobArray(folder, 17, range(3)))


def seen(state: str, reason: str = "None", place: str = "", job: str = "12_1") -> JobStatus:
    return JobStatus("array", job, 1, state, reason, place)


def ended(submitted: SubmittedTask) -> Outcome:
    outcome = submitted.outcome()
    assert outcome is not None
    return outcome


def test_slurm_knows_it_by_its_place_in_the_array(submitted: SubmittedTask) -> None:
    folder = submitted.array.folder
    assert submitted.array.name == f"hpo-{folder.name}-17"
    assert submitted.key == (submitted.array.name, 1)


def test_where_it_was_seen_last(submitted: SubmittedTask) -> None:
    submitted.see([seen("RUNNING", place="n1")], 0.0)
    submitted.see([seen("PENDING", "launch failed requeued held")], 1.0)
    assert (submitted.place, submitted.pending) == ("n1", "12_1")
    submitted.see([], 2.0)
    assert (submitted.place, submitted.pending) == ("n1", "")


def test_it_waits_from_when_all_that_is_seen_of_it_waits(submitted: SubmittedTask) -> None:
    def waits(now: float, *statuses: JobStatus) -> tuple[float, str, str]:
        submitted.see(statuses, now)
        return submitted.waits_since, submitted.waits_for, submitted.pending

    no_wait = (float("inf"), "", "")
    assert waits(1.0) == no_wait
    assert waits(2.0, seen("PENDING", "Priority")) == (2.0, "Priority", "12_1")
    assert waits(3.0, seen("PENDING", "Priority"), seen("PENDING", "Resources", job="13_1")) == (
        2.0,
        "Resources",
        "13_1",
    )
    assert waits(4.0, seen("PENDING"), seen("RUNNING", place="n1", job="13_1")) == no_wait
    assert waits(5.0, seen("PENDING", "BeginTime")) == (5.0, "BeginTime", "12_1")


def test_its_outcome_is_what_stands_in_the_folder(submitted: SubmittedTask) -> None:
    assert submitted.outcome() is None
    told = Outcome(id="a", value={"y": 1})
    submitted.array.folder.end(18, told)
    assert submitted.outcome() == told


def test_the_outcome_of_another_task_is_none(submitted: SubmittedTask) -> None:
    submitted.array.folder.end(18, Outcome(id="b", value={"y": 1}))
    outcome = ended(submitted)
    assert (outcome.id, outcome.kind) == ("a", "infra")
    assert outcome.message == "the outcome of another task, 'b', came in its place"


def test_an_outcome_that_cannot_be_read_is_a_loss_where_it_ran(submitted: SubmittedTask) -> None:
    folder = submitted.array.folder
    folder.claim(18, "12_1")
    (folder.path / "slurm" / "12_1.out").write_text(f"{PLACE}n7\n")
    (folder.path / "ended" / "18").write_text("{torn")
    outcome = ended(submitted)
    assert (outcome.kind, outcome.place, outcome.started_at) == ("infra", "n7", folder.claimed_at(18))
    assert outcome.message.startswith(f"{folder.path}/ended/18 cannot be read: ")


def test_one_that_nobody_had_begun_had_not_started(submitted: SubmittedTask) -> None:
    submitted.end_lost(INFRA)
    outcome = ended(submitted)
    assert outcome.message == "Slurm says of its job 12_1: NODE_FAIL; it had not started"
    assert (outcome.kind, outcome.started_at, outcome.seconds, outcome.place) == ("infra", None, 0.0, "")
    assert submitted.array.folder.claimant(18) == NOBODY, "a job that comes late finds that it is not to run"
    assert submitted.array.folder.stop_asked(18) == 0.0


def test_one_that_ran_is_told_with_its_time_its_words_and_its_place(submitted: SubmittedTask) -> None:
    folder = submitted.array.folder
    folder.claim(18, "13_1")  # requeued under another number than the one that is lost
    (folder.path / "slurm" / "13_1.out").write_text(f"{PLACE}n7\nslurmstepd: error: it is over\n")
    submitted.end_lost(INFRA)
    outcome = ended(submitted)
    assert (outcome.kind, outcome.message, outcome.log_tail) == (
        "infra",
        INFRA.message,
        "slurmstepd: error: it is over",
    )
    assert outcome.place == "n7"
    assert outcome.started_at == folder.claimed_at(18)
    assert outcome.started_at is not None
    assert 0.0 <= outcome.seconds <= time.time() - outcome.started_at
    assert folder.stop_asked(18) == 0.0


def test_its_words_are_those_of_the_lost_job_where_nobody_claimed_it(submitted: SubmittedTask) -> None:
    (submitted.array.folder.path / "slurm" / "12_1.out").write_text(f"{PLACE}n3\nno such python\n")
    submitted.end_lost(INFRA)
    outcome = ended(submitted)
    assert (outcome.log_tail, outcome.place, outcome.started_at) == ("no such python", "n3", None)


@pytest.mark.parametrize(("place", "told"), [(None, "n1"), ("", ""), ("n9", "n9")])
def test_its_place_is_the_one_that_may_be_to_blame(submitted: SubmittedTask, place: str | None, told: str) -> None:
    submitted.place = "n1"
    submitted.end_lost(LostJob("infra", "lost", "12_1", place))
    assert ended(submitted).place == told


def test_an_outcome_that_comes_this_moment_stays(submitted: SubmittedTask) -> None:
    told = Outcome(id="a", value={"y": 1})
    submitted.array.folder.claim(18, "12_1")
    submitted.array.folder.end(18, told)
    submitted.end_lost(INFRA)
    assert submitted.outcome() == told


def test_one_that_was_asked_to_end_is_cancelled_however_it_went(submitted: SubmittedTask) -> None:
    submitted.forced_at = 100.0
    submitted.end_lost(INFRA)
    assert ended(submitted).kind == "cancelled"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("slurmstepd: error: Exceeded job memory limit", "oom"),
        ("slurmstepd: error: Detected 1 oom-kill event(s)", "oom"),
        ("slurmstepd: error: Detected 1 OOM_KILL event", "oom"),
        ("slurmstepd: error: the room is full", "infra"),
    ],
)
def test_the_end_for_want_of_memory_is_known_by_slurms_words(submitted: SubmittedTask, said: str, kind: str) -> None:
    folder = submitted.array.folder
    folder.claim(18, "12_1")
    (folder.path / "slurm" / "12_1.out").write_text(said)
    submitted.end_lost(INFRA)
    assert ended(submitted).kind == kind
    assert bool(OVER_MEMORY.search(said)) == (kind == "oom")


def test_a_timeout_stays_one_whatever_was_said_of_memory(submitted: SubmittedTask) -> None:
    folder = submitted.array.folder
    folder.claim(18, "12_1")
    (folder.path / "slurm" / "12_1.out").write_text("memory limit")
    submitted.end_lost(LostJob("timeout", "Slurm says of its job 12_1: TIMEOUT", "12_1"))
    assert ended(submitted).kind == "timeout"
