"""Many processes at once, processes that are killed, disks that are full."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

import pytest

from hpo.errors import StorageError
from hpo.storage import SqlStorage
from hpo.trials.events import Draft

APPENDER = Path(__file__).with_name("appender.py")
BIG = "x" * 1000


def start(path: Path, size: int, transactions: int) -> subprocess.Popen[str]:
    """An `appender.py` that waits for a line on its standard input."""
    process = subprocess.Popen(
        [sys.executable, str(APPENDER), str(path), str(size), str(transactions)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert said(process).readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.close()


def said(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def check(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []


def test_processes_make_a_file_and_append_to_it_together(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    processes = [start(path, 2, 25) for _ in range(6)]
    for process in processes:
        go(process)
    acknowledged = [int(line) for process in processes for line in said(process)]
    assert [process.wait() for process in processes] == [0] * 6
    with closing(SqlStorage(path)) as storage:
        assert storage.names() == ["x"]
        events = storage.events(1)
    assert [event.seq for event in events] == list(range(1, 301))
    assert sorted(acknowledged) == list(range(2, 301, 2))
    for process in processes:
        said(process).close()
        own = [event.data["i"] for event in events if event.data["process"] == process.pid]
        assert own == [i for i in range(25) for _ in range(2)]
    check(path)


def test_threads_make_a_file_together(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for i in range(10):
            start = threading.Barrier(8)

            def make(path: Path, start: threading.Barrier = start) -> None:
                start.wait(60)
                with closing(SqlStorage(path)) as storage:
                    storage.create("x", {}, {})

            made = [pool.submit(make, tmp_path / f"{i}.db") for _ in range(8)]
            for future in made:
                future.result(60)


def test_what_a_killed_writer_acknowledged_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    chance = random.Random(5)
    acknowledged: set[int] = set()
    for _ in range(10):
        process = start(path, 3, 10**6)
        go(process)
        for _ in range(chance.randrange(1, 40)):
            acknowledged.add(int(said(process).readline()))
        time.sleep(chance.uniform(0, 0.005))
        process.kill()
        acknowledged.update(int(line) for line in said(process) if line.endswith("\n"))
        assert process.wait() == -signal.SIGKILL
        said(process).close()
        check(path)
    with closing(SqlStorage(path)) as storage:
        events = storage.events(1)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len(acknowledged) >= 10
    assert acknowledged <= {event.seq for event in events}
    steps = Counter((event.data["process"], event.data["i"]) for event in events)
    assert set(steps.values()) == {3}, "a transaction is there whole or not at all"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_killed_while_it_makes_the_file(tmp_path: Path) -> None:
    chance = random.Random(6)
    for i in range(20):
        path = tmp_path / f"{i}.db"
        child = os.fork()
        if not child:
            try:
                SqlStorage(path).create("x", {"by": "child"}, {})
                signal.pause()
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with closing(SqlStorage(path)) as storage:
            assert storage.create("x", {"by": "parent"}, {}).definition["by"] in ("child", "parent")
        check(path)


# -- full disks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounting.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def append_until_refused(storage: SqlStorage, study: int) -> str:
    for i in range(10_000):
        try:
            with storage.transaction(study) as log:
                log.append([Draft("noted", None, {"i": i, "text": BIG})] * 3)
        except StorageError as error:
            return str(error)
    pytest.fail("the disk never filled up")


def test_a_full_disk_keeps_what_was_acknowledged_and_goes_on_when_freed(small_disk: Path) -> None:
    path, ballast = small_disk / "hpo.db", small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    with closing(SqlStorage(path)) as storage:
        study = storage.create("x", {}, {}).id
        message = append_until_refused(storage, study)
        assert message == f"the disk of {path} is full. Nothing of this step was stored; free some space and repeat it"
        stored = storage.events(study)
        assert stored
        assert [event.data["i"] for event in stored] == [i for i in range(len(stored) // 3) for _ in range(3)]
        ballast.unlink()
        with storage.transaction(study) as log:
            assert log.append([Draft("noted")])[0].seq == len(stored) + 1
        assert storage.events(study)[:-1] == stored
    check(path)


def test_a_disk_too_full_to_begin(small_disk: Path) -> None:
    path, ballast = small_disk / "hpo.db", small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    assert os.statvfs(small_disk).f_bavail == 0
    with pytest.raises(StorageError, match="is full"):
        SqlStorage(path, patience=1.0)
    ballast.unlink()
    SqlStorage(path).close()
    check(path)


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(SqlStorage(path)) as storage:
        study = storage.create("x", {}, {}).id
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            message = append_until_refused(storage, study)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert message.startswith((f"the disk of {path} is full", f"{path} could not be read or written"))
        stored = storage.events(study)
        assert [event.data["i"] for event in stored] == [i for i in range(len(stored) // 3) for _ in range(3)]
        with storage.transaction(study) as log:
            assert log.append([Draft("noted")])[0].seq == len(stored) + 1
    check(path)
