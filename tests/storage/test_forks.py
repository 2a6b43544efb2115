"""A storage before, during and after a fork."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import StorageError
from hpo.storage import SqlStorage
from hpo.trials.events import Draft

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hpo.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SqlStorage]:
    with closing(SqlStorage(path)) as storage:
        storage.create("x", {}, {})
        yield storage
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a forked child; its exit status is 0 when it raises nothing. Gives the child's id."""
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(60)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def succeeded(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def open_files(path: Path) -> list[str]:
    """The descriptors of this process that lead to the database, its log and its index; empty where none are listed."""
    folder = Path("/proc/self/fd")
    names = [os.path.realpath(entry) for entry in folder.iterdir()] if folder.exists() else []
    return sorted(name for name in names if name.startswith(str(path)))


def append(storage: SqlStorage, times: int = 1) -> None:
    for _ in range(times):
        with storage.transaction(1) as log:
            log.append([Draft("noted", None, {"process": os.getpid()})])


def test_children_go_on_with_the_storage_they_inherit(storage: SqlStorage) -> None:
    append(storage)
    children = []
    for _ in range(4):
        children.append(fork(lambda: append(storage, 25)))
        append(storage)
    assert [succeeded(child) for child in children] == [True] * 4
    append(storage)
    events = storage.events(1)
    assert [event.seq for event in events] == list(range(1, 107))
    for child in children:
        assert sum(event.data["process"] == child for event in events) == 25


def test_grandchildren(storage: SqlStorage) -> None:
    def work() -> None:
        append(storage)
        assert succeeded(fork(lambda: append(storage)))
        append(storage)

    assert succeeded(fork(work))
    assert len(storage.events(1)) == 3


def test_a_child_leaves_no_open_file_behind(storage: SqlStorage, path: Path) -> None:
    append(storage)

    def work() -> None:
        assert open_files(path) == []

    assert open_files(path) or not Path("/proc/self/fd").exists()
    assert succeeded(fork(work))
    assert open_files(path) == []


def test_a_fork_inside_a_transaction_leaves_it_to_the_parent(storage: SqlStorage, path: Path) -> None:
    append(storage)
    parent = os.getpid()
    refused = 0
    child = 0
    try:
        with storage.transaction(1) as log:
            log.append([Draft("noted")])
            child = os.fork()
            if not child:
                signal.alarm(60)
                for use in (
                    lambda: log.append([Draft("noted")]),
                    log.events,
                    lambda: storage.events(1),
                    lambda: append(storage),
                    lambda: SqlStorage(path),
                ):
                    with pytest.raises(StorageError, match=r"forked while .* was in use"):
                        use()
                    refused += 1
            else:
                assert succeeded(child)
                log.append([Draft("noted")])
    except StorageError:
        # The end of the child's copy of the transaction is refused too, and the copy is never rolled back.
        if os.getpid() == parent:
            raise
        os._exit(0 if refused == 5 else 1)
    finally:
        if os.getpid() != parent:
            os._exit(1)
    assert [event.seq for event in storage.events(1)] == [1, 2, 3]
    append(storage)


def test_a_torn_copy_is_never_collected(storage: SqlStorage) -> None:
    """A transaction too large for the cache has pages in the log, whose index the processes share: were the child's copy
    rolled back, the parent would no longer find them."""
    big = [Draft("noted", None, {"text": "x" * 10**6})] * 20
    parent, child = os.getpid(), 0
    try:
        with storage.transaction(1) as log:
            log.append(big)
            child = os.fork()
            if child:
                assert succeeded(child)
                assert len(log.events()) == 20
                log.append(big)
    except StorageError:
        if os.getpid() == parent:
            raise
    if os.getpid() != parent:
        try:
            del log
            storage.close()
            gc.collect()
        finally:
            os._exit(0)
    assert [len(event.data["text"]) for event in storage.events(1)] == [10**6] * 40


def test_a_fork_beside_a_transaction(storage: SqlStorage, path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with storage.transaction(1) as log:
            log.append([Draft("noted")])
            inside.set()
            assert leave.wait(60)
            log.append([Draft("noted")])

    def work() -> None:
        with pytest.raises(StorageError) as caught:
            append(storage)
        assert str(caught.value).endswith("Start workers before, or with the 'spawn' method")
        storage.close()
        gc.collect()
        assert open_files(path) == inherited, "the torn connection may not be closed here"
        assert idle() is not None, "nor the idle ones, which could not be closed before the fork"

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(60)
        assert storage.events(1) == []
        inherited = open_files(path)
        engine = storage._connections._engine
        assert engine is not None
        idle = weakref.ref(engine.pool)
        del engine
        assert succeeded(fork(work))
        assert succeeded(fork(work))
    finally:
        leave.set()
        thread.join()
    assert [event.seq for event in storage.events(1)] == [1, 2]
    assert succeeded(fork(lambda: append(storage)))
    assert len(storage.events(1)) == 3


def test_forks_while_threads_write(storage: SqlStorage) -> None:
    """Forks at any moment: no child hangs, none appends without being heard, and no write of a thread is lost."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            append(storage)

    appended = [0, 0]

    def work() -> None:
        try:
            append(storage)
        except StorageError as error:
            os._exit(7 if "forked while" in str(error) else 8)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            status = os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])
            assert status in (0, 7)
            appended[status == 7] += 1
    finally:
        done.set()
        for thread in threads:
            thread.join()
    events = storage.events(1)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert sum(event.data["process"] != os.getpid() for event in events) == appended[0]
