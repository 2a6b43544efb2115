from __future__ import annotations

from pathlib import Path

from hpo.executors import Task
from hpo.executors.notices import Notices
from hpo.executors.slurm.commands import JobStatus
from hpo.executors.slurm.folder import PoolFolder
from hpo.executors.slurm.submitted import JobArray, SubmittedTask
from hpo.executors.slurm.waits import Waits

ARRAY = JobArray(PoolFolder(Path("pool")), 0, range(3))
FLIGHTS = [SubmittedTask(Task(id=f"w{i}", payload={}), i, ARRAY) for i in range(3)]


def see(i: int, now: float, state: str, reason: str = "None") -> None:
    FLIGHTS[i].see([JobStatus(ARRAY.name, f"12_{i}", i, state, reason, "" if state == "PENDING" else "n1")], now)


def test_long_waits_are_told_once_for_each_reason() -> None:
    notices = Notices()
    waits = Waits(notices)

    def told(now: float) -> list[str]:
        waits.note(FLIGHTS, now)
        return notices.take()

    see(0, 100.0, "PENDING", "None")
    see(1, 110.0, "RUNNING")
    assert told(110.0) == []
    see(0, 159.0, "PENDING", "Priority")
    assert told(159.0) == [], "not a minute yet"
    see(0, 160.0, "PENDING", "Priority")
    assert told(160.0) == ["1 job has been waiting in Slurm's queue for 1 min (Priority)"]
    see(0, 400.0, "PENDING", "Priority")
    assert told(400.0) == []
    see(1, 400.0, "PENDING", "BeginTime")  # requeued
    see(0, 460.0, "PENDING", "ReqNodeNotAvail, UnavailableNodes:n2")
    see(1, 460.0, "PENDING", "Priority")
    assert told(460.0) == [
        "2 jobs have been waiting in Slurm's queue for 6 min (Priority; ReqNodeNotAvail, UnavailableNodes:n2)"
    ]
    see(0, 463.0, "PENDING", "Priority")
    assert told(463.0) == [], "both reasons are known"
    see(0, 470.0, "RUNNING")
    see(1, 470.0, "RUNNING")
    assert told(470.0) == []
    see(0, 500.0, "PENDING", "Priority")
    see(0, 9000.0, "PENDING", "Priority")
    assert told(9000.0) == ["1 job has been waiting in Slurm's queue for 2 h (Priority)"], (
        "once more, for it waits again"
    )
