"""A Slurm that is slow or refuses, nodes on which nothing runs, and a shared folder that cannot be written.

tests/servers/slurm.sh run python -m pytest tests/faults/test_slurm_sick.py
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpo.executors import Outcome, Pool, Slurm, Task
from hpo.executors.slurm import client as slurm_client
from hpo.executors.slurm import programs as slurm_programs
from hpo.executors.slurm import waits as slurm_waits
from hpo.executors.slurm.folder import PoolFolder
from tests.servers import slurm
from tests.servers.slurm import Cluster, await_that, said

slurm.skip_without()

TASKS = int(os.environ.get("HPO_SLURM_TASKS", "24"))

HOLD = """
echo "begun $1 $SLURMD_NODENAME" >> {folder}/ledger
while [ ! -e {folder}/gate ]; do sleep 0.5; done
echo "ended $1" >> {folder}/ledger
echo '{{"y": '$1'}}'
"""
PYTHON = """#!/bin/sh
if [ "$SLURMD_NODENAME" = n2 ]; then echo "its file system is away" >&2; exit 1; fi
exec {python} "$@"
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with slurm.cluster(3, 4) as started:
        yield started


def start(folder: Path, slots: int = 4, shared: Path | None = None, python: str = sys.executable) -> Pool:
    """Tasks that wait for the gate."""
    (folder / "train.sh").write_text(HOLD.format(folder=folder))
    command = ["sh", f"{folder}/train.sh", "{x}"]
    return Slurm(shared or folder / "shared", slots, command=command, grace=0.5, python=python).start()


def tasks(*numbers: int, cpus: float = 1.0) -> list[Task]:
    return [Task(id=f"w{number}", payload={"x": number}, cpus=cpus) for number in numbers]


def ledger(folder: Path, word: str) -> list[str]:
    """The numbers that were written after this word."""
    path = folder / "ledger"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [rest[0] for first, *rest in lines if first == word]


def ended(pool: Pool, n: int) -> list[Outcome]:
    outcomes: list[Outcome] = []

    def are_there() -> bool:
        outcomes.extend(pool.wait(0.5))
        return len(outcomes) >= n

    await_that(are_there, f"{n} end")
    return sorted(outcomes, key=lambda outcome: outcome.id)


def told(pool: Pool, words: str) -> str:
    """The notice in which these words stand, as soon as there is one."""
    notices: list[str] = []

    def is_there() -> bool:
        notices.extend(pool.notices())
        return any(words in text for text in notices)

    await_that(is_there, f"a notice: {words}")
    return next(text for text in notices if words in text)


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk: Path) -> None:
    with (disk / "junk").open("wb", buffering=0) as junk:
        try:
            while junk.write(b"x" * 4096):
                pass
        except OSError:
            return


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("has_space", [True, False], ids=["space set aside", "no space at all"])
def test_trainings_that_end_while_the_disk_is_full(tmp_path: Path, has_space: bool) -> None:
    with small_disk(tmp_path / "shared") as disk, start(tmp_path, shared=disk) as pool:
        pool.submit(*tasks(0, 1, 2))
        await_that(lambda: len(ledger(tmp_path, "begun")) == 3, "all begin")
        spaces = list(disk.glob("*/ended/.*"))
        assert len(spaces) == 3
        if not has_space:
            for space in spaces:
                space.unlink()
        fill(disk)
        (tmp_path / "gate").touch()
        await_that(lambda: len(ledger(tmp_path, "ended")) == 3, "all end")
        if not has_space:
            assert pool.wait(3.0) == []
            (disk / "junk").unlink()
        assert [outcome.value for outcome in ended(pool, 3)] == [{"y": 0}, {"y": 1}, {"y": 2}]
        (disk / "junk").unlink(missing_ok=True)
    assert set(Counter(ledger(tmp_path, "begun")).values()) == {1}


@pytest.mark.usefixtures("cluster")
def test_a_node_on_which_python_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "python").write_text(PYTHON.format(python=sys.executable))
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "gate").touch()
    with start(tmp_path, 3, python=str(tmp_path / "python")) as pool:
        pool.submit(*tasks(0, 1, 2, cpus=4.0))  # one for each node
        outcomes = ended(pool, 3)
        (lost,) = [outcome for outcome in outcomes if outcome.kind is not None]
        assert (lost.kind, lost.place, lost.started_at, lost.log_tail) == (
            "infra",
            "n2",
            None,
            "its file system is away",
        )
        assert {outcome.place for outcome in outcomes} == {"n1", "n2", "n3"}
        pool.avoid({"n2"})
        pool.submit(*tasks(3, 4, 5, cpus=4.0))
        assert {(outcome.kind, outcome.place) for outcome in ended(pool, 3)} <= {(None, "n1"), (None, "n3")}
        pool.avoid({"n1", "n2", "n3"})
        pool.submit(*tasks(6))
        assert told(pool, "no other node") == "Slurm has no other node than n1, n2, n3, which fail: used all the same"
        ended(pool, 1)


@pytest.mark.usefixtures("cluster")
def test_jobs_in_the_queue(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is told that they wait; and they keep from nodes that fail, unless that were all."""
    monkeypatch.setattr(slurm_client, "STEADY", 1.0)
    monkeypatch.setattr(slurm_waits, "LONG", 1.0)

    def kept_from() -> set[str]:
        lines = said("scontrol", "show", "job").split("\n\n")
        return {text.split("ExcNodeList=")[1].split()[0] for text in lines if "JobState=PENDING" in text}

    with start(tmp_path, 6) as pool:
        pool.submit(*tasks(0, 1, 2, cpus=4.0))
        await_that(lambda: len(ledger(tmp_path, "begun")) == 3, "all nodes are busy")
        pool.submit(*tasks(3, 4, cpus=4.0))
        assert "2 jobs have been waiting in Slurm's queue" in told(pool, "Resources")
        pool.avoid({"n1", "n2"})
        await_that(lambda: kept_from() == {"n1,n2"}, "they are told")
        pool.avoid({"n1", "n2", "n3"})
        time.sleep(5.0)
        assert kept_from() == {"n1,n2"}, "else nothing would ever run"
        pool.avoid([])
        await_that(lambda: kept_from() == {"(null)"}, "they are told again")
        (tmp_path / "gate").touch()
        assert [outcome.value for outcome in ended(pool, 5)] == [{"y": i} for i in range(5)]


def test_a_node_that_cannot_start_jobs_holds_none(tmp_path: Path, cluster: Cluster) -> None:
    """Slurm drains it, and holds the job that it has sent there for ever."""
    prolog = tmp_path / "prolog"
    prolog.write_text('#!/bin/sh\n[ "$SLURMD_NODENAME" != n1 ]\n')
    prolog.chmod(0o755)
    with (cluster.folder / "slurm.conf").open("a") as conf:
        conf.write(f"Prolog={prolog}\n")
    said("scontrol", "reconfigure")
    (tmp_path / "gate").touch()
    with start(tmp_path, 1) as pool:
        pool.submit(*tasks(0))
        (outcome,) = ended(pool, 1)
        assert (outcome.kind, outcome.started_at) == ("infra", None)
        assert "held" in outcome.message
        pool.submit(*tasks(0))
        assert ended(pool, 1)[0].value == {"y": 0}


SHIM = """#!/bin/sh
exec 3< /dev/urandom
dice=$(od -An -N1 -tu1 <&3)
case $((dice % 6)) in
    0) sleep 2 ;;
    1) echo "sbatch: error: Job violates accounting/QOS policy" >&2; exit 1 ;;
    2) echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1 ;;
    3) {true} "$@"; echo "sbatch: error: Zero Bytes were transmitted or received" >&2; exit 1 ;;
    4) {true} "$@"; sleep 1000 ;;
esac
exec {true} "$@"
"""


@pytest.mark.usefixtures("cluster")
@pytest.mark.timeout(0 if TASKS > 24 else 600)
def test_bad_weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submissions are slow, refused, hang and lose their answers, the disk is full every few seconds, and a node fails:
    each task runs once, and none is lost."""
    shim = tmp_path / "bin" / "sbatch"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(true=shutil.which("sbatch")))
    (tmp_path / "python").write_text(PYTHON.format(python=sys.executable))
    for program in (shim, tmp_path / "python"):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_programs, "PATIENCE", 2.0)
    monkeypatch.setattr(slurm_programs, "LONGEST", 6.0)
    (tmp_path / "gate").touch()
    is_over = threading.Event()
    dice = random.Random(1)

    def flood(disk: Path) -> None:
        while not is_over.wait(dice.uniform(1.0, 6.0)):
            fill(disk)
            is_over.wait(dice.uniform(1.0, 6.0))
            (disk / "junk").unlink()

    waiting, values = list(range(TASKS)), dict[str, object]()
    with small_disk(tmp_path / "shared") as disk:
        flooding = threading.Thread(target=flood, args=(disk,))
        flooding.start()
        pool = start(tmp_path, 4, shared=disk, python=str(tmp_path / "python"))
        in_flight = 0
        while len(values) < TASKS:
            while waiting and in_flight < 4:
                pool.submit(*tasks(waiting.pop()))
                in_flight += 1
            for outcome in pool.wait(1.0):
                in_flight -= 1
                if outcome.kind is None:
                    values[outcome.id] = outcome.value
                    continue
                assert (outcome.kind, outcome.started_at) == ("infra", None), outcome
                waiting.append(int(outcome.id[1:]))
                if outcome.place:
                    pool.avoid({outcome.place})
        is_over.set()
        flooding.join()
        pool.close()
        assert PoolFolder.all(disk) == []
    assert values == {f"w{i}": {"y": i} for i in range(TASKS)}
    assert Counter(ledger(tmp_path, "begun")) == Counter(map(str, range(TASKS)))
