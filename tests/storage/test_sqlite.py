"""What is particular to a file: modes, pragmas, and every way in which it can be in a bad state."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from hpo.errors import ConnectionLost, StorageError
from hpo.storage import SqlStorage, sqlite
from hpo.storage.open_storage import missing_file
from hpo.trials.events import Draft


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hpo.db"


@pytest.fixture
def filled(path: Path) -> Path:
    with closing(SqlStorage(path)) as storage:
        append(storage)
    return path


def append(storage: SqlStorage) -> None:
    with storage.transaction(storage.create("x", {}, {}).id) as log:
        log.append([Draft("noted")])


def refusal(path: Path) -> str:
    with pytest.raises(StorageError) as caught:
        SqlStorage(path, patience=0.05)
    return str(caught.value)


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A new folder everyone may enter, and no right to write where the mode forbids it (root may, so we step down)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    user = os.geteuid()
    try:
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def step_down() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)


# -- modes and pragmas ------------------------------------------------------------------------------------------------


def test_files_are_the_owners_alone_whatever_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        storage = SqlStorage(path)
        append(storage)
    finally:
        os.umask(old)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"hpo.db": 0o600, "hpo.db-wal": 0o600, "hpo.db-shm": 0o600}
    storage.close()
    assert [file.name for file in path.parent.iterdir()] == ["hpo.db"]


def test_a_mode_somebody_chose_stays(filled: Path) -> None:
    filled.chmod(0o660)
    with closing(SqlStorage(filled)) as storage:
        append(storage)
        assert {stat.S_IMODE(file.stat().st_mode) for file in filled.parent.iterdir()} == {0o660}


def test_every_connection_syncs_at_commit(path: Path) -> None:
    with closing(SqlStorage(path)) as storage:
        connections = storage._connections
        with connections.reading() as one, connections.reading() as two, connections.writing() as three:
            for connection in (one, two, three):
                pragmas = {
                    name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in ("journal_mode", "synchronous", "fullfsync", "foreign_keys", "busy_timeout")
                }
                assert pragmas == {
                    "journal_mode": "wal",
                    "synchronous": 2,
                    "fullfsync": 1,
                    "foreign_keys": 1,
                    "busy_timeout": 10_000,
                }


def test_a_write_ahead_log_switched_off_by_another_program_is_switched_on(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as other:
        assert other.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    SqlStorage(filled).close()
    with closing(sqlite3.connect(filled)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_nothing_but_what_was_given_is_in_the_file(path: Path) -> None:
    with closing(SqlStorage(path)) as storage:
        study = storage.create("name", {"d": 1}, {"f": 2}).id
        with storage.transaction(study) as log:
            (written,) = log.append([Draft("told", 4, {"e": 3.5})])
    with closing(sqlite3.connect(path)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        assert tables == ["event", "hpo_version", "lease", "study"]
        (row,) = file.execute("SELECT id, name, definition, facts, last_seq FROM study")
        assert row == (study, "name", '{"d":1}', '{"f":2}', 1)
        assert list(file.execute("SELECT * FROM event")) == [(study, 1, written.at, "told", 4, '{"e":3.5}', None)]
        assert list(file.execute("SELECT * FROM hpo_version")) == [("0002",)]


# -- files that cannot be used ----------------------------------------------------------------------------------------


def test_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    assert refusal(folder / "hpo.db") == f"no folder {folder} for hpo.db; make it, or give another path"
    assert not folder.exists()


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} is a folder; give the path of a file in it"


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    with closing(SqlStorage(path)) as storage:
        append(storage)
        assert storage.names() == ["x"]


def test_not_a_database(path: Path) -> None:
    path.write_text("learning rate, loss\n" * 100)
    assert refusal(path) == f"{path} is not an SQLite database; give another path"
    assert path.read_text() == "learning rate, loss\n" * 100


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE study (title TEXT)")
        other.execute("CREATE TABLE trials (number INTEGER)")
    before = path.read_bytes()
    assert refusal(path) == f"{path} is a database of something else (tables study, trials); give another path"
    assert path.read_bytes() == before


def test_damage(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    data[100:4096] = b"\xff" * 3996
    filled.write_bytes(data)
    assert refusal(filled) == f"{filled} is damaged; restore a copy, or try `sqlite3 {filled} .recover`"


def test_a_copy_put_beside_the_log_of_another_file(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(filled, copy)
    code = f"""
import os
from hpo.trials.events import Draft
from hpo.storage import SqlStorage
storage = SqlStorage({str(filled)!r})
for i in range(400):  # past a checkpoint: the log no longer begins with the file as it was copied
    with storage.transaction(1) as log:
        log.append([Draft("noted", None, {{"text": "x" * 4000}})])
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    wal = filled.with_name("hpo.db-wal")
    shutil.copyfile(copy, filled)
    with pytest.raises(StorageError) as caught, closing(SqlStorage(filled)) as storage:
        storage.events(1)
    assert str(caught.value) == (
        f"{filled} is damaged; restore a copy, or try `sqlite3 {filled} .recover`. Beside it lies hpo.db-wal, the write-"
        f"ahead log of the file that was there before: if you have put a copy in its place, remove {wal} and hpo.db-shm, "
        "and put the copy there again"
    )


def test_a_file_that_may_only_be_read() -> None:
    with unprivileged() as folder:
        path = folder / "hpo.db"
        with closing(SqlStorage(path)) as storage:
            append(storage)
        path.chmod(0o444)
        before = path.read_bytes()
        step_down()
        message = refusal(path)
        assert message.startswith(f"{path} ")
        assert "read-only" in message or "cannot be opened" in message
        assert path.read_bytes() == before


def test_a_file_that_may_not_even_be_read() -> None:
    with unprivileged() as folder:
        path = folder / "hpo.db"
        SqlStorage(path).close()
        path.chmod(0)
        step_down()
        assert refusal(path) == (
            f"{path} cannot be opened; see that it exists and that you may write to it and to its folder"
        )


def test_a_folder_that_may_not_be_written() -> None:
    with unprivileged() as folder:
        folder.chmod(0o555)
        step_down()
        path = folder / "hpo.db"
        assert refusal(path) == f"cannot make {path}: Permission denied; give a path where you may write"


def test_a_folder_that_may_not_be_entered_any_more() -> None:
    with unprivileged() as folder:
        folder.chmod(0o777)
        step_down()
        path = folder / "in" / "hpo.db"
        path.parent.mkdir()
        said = (
            f"{path} cannot be reached: Permission denied. Nothing was stored; see that you may read and write the file "
            "and enter its folders, or give another path"
        )
        with closing(SqlStorage(path)) as storage:
            append(storage)
            path.parent.chmod(0)
            for step in (
                partial(append, storage),
                partial(storage.renew, 1, "a", {}, 1.0),
                partial(missing_file, path),
            ):
                with pytest.raises(StorageError) as caught:
                    step()
                assert str(caught.value) == said
            assert refusal(path) == f"cannot make {path}: Permission denied; give a path where you may write"
            assert "Permission denied" in refusal(path.parent / "deeper" / "hpo.db")
            path.parent.chmod(0o700)
            append(storage)
            assert len(storage.events(1)) == 2


def test_a_file_system_without_shared_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_wal", lambda connection, deadline: "delete")
    assert "cannot hold SQLite's write-ahead log (journal mode stayed 'delete')" in refusal(path)


# -- files that become unusable ---------------------------------------------------------------------------------------


def test_locked_by_another_process(filled: Path) -> None:
    with closing(SqlStorage(filled, patience=0.05)) as storage, closing(sqlite3.connect(filled)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as caught:
            append(storage)
        assert isinstance(caught.value, ConnectionLost)
        assert re.fullmatch(
            rf"{filled} has been locked for 0.05 s by (another process|process {os.getpid()} \(.*\)). Nothing was stored; "
            rf"see who has it open with `fuser {filled}`",
            str(caught.value),
        )
        assert len(storage.events(1)) == 1
        other.rollback()
        append(storage)
        assert len(storage.events(1)) == 2


def test_a_thread_that_does_not_let_go(filled: Path) -> None:
    with closing(SqlStorage(filled, patience=0.05)) as storage:
        inside, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with storage.transaction(1):
                inside.set()
                leave.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            assert inside.wait(60)
            with pytest.raises(
                StorageError, match=r"another thread has been inside a transaction for more than 0.05 s"
            ):
                append(storage)
        finally:
            leave.set()
            thread.join()
        append(storage)


def test_locked_while_it_is_opened(path: Path) -> None:
    path.touch()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "has been locked for 0.05 s by another process" in refusal(path)
    SqlStorage(path).close()


@pytest.mark.parametrize("begin", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"])
def test_opening_waits_for_a_lock(path: Path, begin: str) -> None:
    path.touch()
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute(begin)
        release = threading.Timer(0.2, other.rollback)
        release.start()
        with closing(SqlStorage(path)) as storage:
            append(storage)
        release.join()


@pytest.mark.parametrize("replaced", [False, True])
def test_deleted_or_replaced_while_open(filled: Path, replaced: bool) -> None:
    with closing(SqlStorage(filled)) as storage:
        append(storage)
        aside = filled.with_name("aside.db")
        filled.rename(aside)
        if replaced:
            shutil.copy(aside, filled)
        with pytest.raises(StorageError) as caught:
            append(storage)
        assert str(caught.value) == (
            f"{filled} was moved, replaced or deleted while it was open. Nothing was stored; put it back or open the "
            "study again"
        )
        aside.replace(filled)
        append(storage)
        assert len(storage.events(1)) == 3


def test_errors_are_chained_to_their_cause_without_the_data(filled: Path) -> None:
    with closing(SqlStorage(filled)) as storage:
        with closing(sqlite3.connect(filled)) as other:
            other.execute("DROP TABLE event")
        with pytest.raises(StorageError) as caught, storage.transaction(1) as log:
            log.append([Draft("noted", None, {"secret": "s3cret"})])
    assert str(caught.value) == f"{filled}: no such table: event (SQLITE_ERROR)"
    assert caught.value.__cause__ is not None
    assert "s3cret" not in str(caught.value.__cause__)
