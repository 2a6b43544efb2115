"""Connections on a file: handed out, given back, and their errors in words. Forks are in `test_forks.py`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpo.errors import ConnectionLost, StorageError
from hpo.storage import connections as module
from hpo.storage.connections import Connections
from hpo.storage.sqlite import SqliteFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "hpo.db")) as file:
        file.execute("CREATE TABLE line (text TEXT NOT NULL)")
    return tmp_path / "hpo.db"


@pytest.fixture
def connections(path: Path) -> Iterator[Connections]:
    with closing(Connections(SqliteFile(path, 0.05))) as connections:
        yield connections


def write(connections: Connections, text: str, after: Callable[[], None] = lambda: None) -> None:
    with connections.writing() as connection:
        connection.execute(sa.text("INSERT INTO line VALUES (:text)"), {"text": text})
        after()


def lines(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as file:
        return [text for (text,) in file.execute("SELECT text FROM line")]


def pooled(connections: Connections) -> tuple[int, int]:
    """How many connections are in use, and how many lie in the pool."""
    assert connections._engine is not None
    pool = connections._engine.pool
    assert isinstance(pool, sa.QueuePool)
    return pool.checkedout(), pool.checkedin()


# -- reading and writing ----------------------------------------------------------------------------------------------


def test_nothing_is_opened_before_it_is_used(connections: Connections) -> None:
    assert connections._engine is None
    write(connections, "a")
    assert pooled(connections) == (0, 1)


def test_what_is_written_is_kept_at_the_end_and_not_before(connections: Connections, path: Path) -> None:
    write(connections, "a", lambda: pytest.fail("seen") if lines(path) else None)
    assert lines(path) == ["a"]


def test_an_error_takes_everything_back_and_the_connection_serves_on(connections: Connections, path: Path) -> None:
    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        write(connections, "a", fail)
    assert lines(path) == []
    assert pooled(connections) == (0, 1), "its state is known"
    write(connections, "b")
    assert lines(path) == ["b"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupted_step_leaves_no_lock_and_no_connection(
    connections: Connections, path: Path, interruption: type[BaseException]
) -> None:
    def interrupt() -> None:
        raise interruption

    with pytest.raises(interruption):
        write(connections, "a", interrupt)
    assert pooled(connections) == (0, 0), "nobody knows where it stood"
    write(connections, "b")
    assert lines(path) == ["b"]


def test_readers_share_the_pool_and_do_not_wait_for_a_writer(connections: Connections) -> None:
    with connections.writing() as writer:
        writer.execute(sa.text("INSERT INTO line VALUES ('a')"))
        with connections.reading() as one, connections.reading() as two:
            for reader in (one, two):
                assert reader.execute(sa.text("SELECT count(*) FROM line")).scalar_one() == 0
            assert pooled(connections) == (3, 0)


def test_a_thread_writes_one_thing_at_a_time(connections: Connections) -> None:
    with connections.writing(), pytest.raises(StorageError) as caught, connections.writing():
        pytest.fail("a transaction inside a transaction")
    assert str(caught.value) == "this thread is inside a transaction of this storage already; end that one first"


# -- errors -----------------------------------------------------------------------------------------------------------


def refusal(connections: Connections, error: Exception) -> StorageError:
    with pytest.raises(StorageError) as caught, connections.explained():
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def test_an_error_of_the_database_is_explained_by_it(connections: Connections, path: Path) -> None:
    with pytest.raises(StorageError) as caught, connections.reading() as connection, connections.explained():
        connection.execute(sa.text("SELECT * FROM missing"))
    assert str(caught.value) == f"{path}: no such table: missing (SQLITE_ERROR)"
    assert not isinstance(caught.value, ConnectionLost)
    assert isinstance(caught.value.__cause__, sa.exc.OperationalError)


def test_a_lock_of_another_process_is_lost_for_a_while_only(connections: Connections, path: Path) -> None:
    write(connections, "a")
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConnectionLost) as caught:
            write(connections, "b")
        other.rollback()
    assert str(caught.value).startswith(f"{path} has been locked for 0.05 s by ")
    assert caught.value.is_unanswered is False
    write(connections, "b")
    assert lines(path) == ["a", "b"]


def test_where_nobody_answers_the_error_says_so(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteFile, "is_passing", lambda self, error: True)
    monkeypatch.setattr(SqliteFile, "is_unanswered", lambda self, error: True)
    error = refusal(connections, sa.exc.OperationalError("", None, OSError("gone")))
    assert isinstance(error, ConnectionLost)
    assert error.is_unanswered


def test_a_pool_with_all_in_use_may_have_one_later(connections: Connections, path: Path) -> None:
    error = refusal(connections, sa.exc.TimeoutError("QueuePool limit"))
    assert isinstance(error, ConnectionLost)
    assert str(error) == f"all connections of this process to {path} are in use, by threads that read or wait"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sa.exc.InvalidRequestError("closed"), "closed"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "'utf-8' codec can't decode byte 0xff in position 0: bad"),
    ],
)
def test_other_errors_on_the_way_keep_their_words(
    error: Exception, words: str, connections: Connections, path: Path
) -> None:
    found = refusal(connections, error)
    assert str(found) == f"{path}: {words}"
    assert not isinstance(found, ConnectionLost)


def test_errors_that_are_not_the_databases_pass(connections: Connections) -> None:
    with pytest.raises(ValueError, match=r"^mine$"), connections.explained():
        raise ValueError("mine")


def test_those_who_wait_hear_that_another_thread_waits_for_the_database(connections: Connections, path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    def ask() -> None:
        with connections.writing(), connections.explained():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert inside.wait(60)
        with pytest.raises(ConnectionLost, match=rf"^another thread of this process has waited for {path}, "):
            write(connections, "a")
    finally:
        leave.set()
        thread.join()


# -- closing ----------------------------------------------------------------------------------------------------------


def test_what_was_closed_refuses_and_holds_no_connection(connections: Connections, path: Path) -> None:
    write(connections, "a")
    for _ in range(2):
        connections.close()
    assert pooled(connections) == (0, 0)
    for use in (connections.reading, connections.writing):
        with pytest.raises(StorageError) as caught, use():
            pytest.fail("it was used")
        assert str(caught.value) == f"the storage {path} was closed; open it again"


def test_closing_waits_for_the_transaction_of_another_thread(connections: Connections, path: Path) -> None:
    inside, leave, patient = threading.Event(), threading.Event(), Connections(SqliteFile(path, 60.0))

    def hold() -> None:
        inside.set()
        assert leave.wait(60)

    thread = threading.Thread(target=write, args=(patient, "a", hold))
    thread.start()
    assert inside.wait(60)
    closer = threading.Thread(target=patient.close)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive()
    leave.set()
    thread.join()
    closer.join()
    assert lines(path) == ["a"]


def test_a_transaction_in_which_its_storage_is_closed_keeps_nothing(connections: Connections, path: Path) -> None:
    with pytest.raises(StorageError, match="this thread is inside a transaction"):
        write(connections, "a", connections.close)
    assert lines(path) == []


def test_the_registry_forgets_connections(path: Path) -> None:
    before = len(module._alive)
    connections = Connections(SqliteFile(path, 1.0))
    assert len(module._alive) == before + 1
    connections.close()
    del connections
    assert len(module._alive) == before
