"""SqliteFile: a database in one file, made safe to share among the processes of one machine.

Choices, and why:

* Write-ahead log: readers never wait for a writer, nor a writer for them.
* BEGIN IMMEDIATE: a transaction takes the write lock first. One that reads and then upgrades fails at once when another
  was quicker, whatever the time-out; one that starts as a writer waits its turn.
* synchronous=FULL: the log is synced at each commit, so a result that was acknowledged survives a power cut. NORMAL
  commits several thousand times a second instead of several hundred, but a power cut takes the last ones back; a
  training costs more than the millisecond.
* Mode 0600: a study tells what a team works on. SQLite gives its `-wal` and `-shm` files the mode of the database.
* Local file systems only: the locks and the shared memory of the log hold on one machine. On a network file system two
  machines damage the file, sooner or later, without a message; hence no way around the refusal.
* This process never opens and closes the file by itself: closing any descriptor of a file drops every POSIX lock the
  process holds on it, those of SQLite among them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hpo.errors import StorageError
from hpo.storage import deferred_signals as deferral
from hpo.storage.base import TURN
from hpo.storage.database import Message
from hpo.storage.lock_holders import writer_of
from hpo.storage.network_file_systems import network_file_system, read_mountinfo
from hpo.storage.paths import reaching, url_of

if TYPE_CHECKING:
    import sqlalchemy as sa

_GLANCE = 0.5
"""Seconds between two looks for signals while a lock is waited for: inside SQLite none comes through."""
_creating = threading.RLock()
"""Held while a file is made and while one is opened, so that the descriptor that made it is closed before any lock."""


class SqliteFile:
    """The database file at `path`, made empty when it does not exist.

    Raises StorageError: no such folder, no permission, a folder, a network file system.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self.path = Path(os.path.realpath(path))
        self.patience = patience
        self._turn = min(patience, TURN)
        with reaching(self.path):
            if not self.path.parent.is_dir():
                raise StorageError(f"no folder {self.path.parent} for {self.path.name}; make it, or give another path")
        shared = network_file_system(self.path, read_mountinfo())
        if shared:
            raise StorageError(
                f"{self.path} is on a network file system ({shared}), where SQLite loses data. Give a path on a local "
                "disk (SQLite) or the URL of a server: postgresql+psycopg://user@host/database"
            )
        self._identity = self._created()

    @property
    def url(self) -> str:
        """`sqlite:////absolute/path`."""
        return url_of(self.path)

    @property
    def where(self) -> str:
        """The path."""
        return str(self.path)

    def engine(self) -> sa.Engine:
        """An engine whose connections leave transactions to us, and wait for a lock."""
        import sqlalchemy as sa

        return sa.create_engine(
            "sqlite://",
            creator=self._connect,
            poolclass=sa.QueuePool,
            pool_size=4,
            max_overflow=-1,
            hide_parameters=True,
        )

    def begin_reading(self, connection: sa.Connection) -> None:
        """Nothing: readers see the file as it was when they began."""

    def begin_writing(self, connection: sa.Connection) -> None:
        """Take the write lock. Raises StorageError when the file is no longer the one that was opened, or out of reach."""
        self._begin(connection)
        with reaching(self.path):
            try:
                there = _identity(self.path)
            except (FileNotFoundError, NotADirectoryError):
                there = None
        if there != self._identity:
            raise StorageError(
                f"{self.path} was moved, replaced or deleted while it was open. Nothing was stored; put it back or open "
                "the study again"
            )

    def _begin(self, connection: sa.Connection) -> None:
        """BEGIN IMMEDIATE, waiting for the lock."""
        import sqlalchemy as sa

        raw, end = connection.connection.dbapi_connection, time.monotonic() + self._turn
        assert isinstance(raw, sqlite3.Connection)
        try:
            while True:
                left = end - time.monotonic()
                raw.execute(f"PRAGMA busy_timeout = {int(1000 * max(0.0, min(_GLANCE, left)))}")
                try:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    return
                except sa.exc.OperationalError as error:
                    if not _is_busy(error) or left <= _GLANCE:
                        raise
                deferral.heed()
        finally:
            with suppress(sqlite3.Error):  # closed, where the step was interrupted
                raw.execute(f"PRAGMA busy_timeout = {int(1000 * self._turn)}")

    def lock_study(self, connection: sa.Connection, study: int) -> None:
        """The write lock is on the whole file."""

    def locked(self, connection: sa.Connection, study: int, row: Message) -> Any:
        """The write lock is on the whole file."""
        return connection.execute(*row).one_or_none()

    def commit_with(self, connection: sa.Connection, messages: Sequence[Message]) -> None:
        """There is no server to wait for."""
        for message in messages:
            connection.execute(*message)

    def now(self) -> sa.ColumnElement[float]:
        """The clock of this machine, which all who share the file are on; to the millisecond."""
        import sqlalchemy as sa

        return sa.literal_column("round((julianday('now') - 2440587.5) * 86400.0, 3)", sa.Double)

    def lock_schema(self, connection: sa.Connection) -> None:
        """The write lock is on the whole file."""

    def adopt(self, connection: sa.Connection, tables: frozenset[str], own: frozenset[str]) -> None:
        """Switch the file to the write-ahead log, which it remembers."""
        if tables and not own <= tables:
            raise StorageError(
                f"{self.path} is a database of something else (tables {_some(tables)}); give another path"
            )
        mode = _wal(connection, time.monotonic() + self._turn)
        if mode != "wal":
            raise StorageError(
                f"the file system of {self.path} cannot hold SQLite's write-ahead log (journal mode stayed {mode!r}); "
                "give a path on a local disk"
            )

    def back_up(self, revision: str) -> None:
        """Write `<file>.before-<revision>`, complete or not at all."""
        try:
            self.copy_to(self.path.with_name(f"{self.path.name}.before-{revision}"))
        except StorageError as error:
            raise StorageError(
                f"no copy of {self.path} could be made before its upgrade: {error.__cause__ or error}. Nothing was "
                f"changed; make room in {self.path.parent} and open it again"
            ) from error.__cause__

    def copy_to(self, target: Path) -> bool:
        """Write the file as it is now to `target`, complete or not at all, while others go on reading and writing."""
        part = target.with_name(f"{target.name}.part")
        try:
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, self.path.stat().st_mode & 0o777))
            with closing(self._connect()) as source, closing(sqlite3.connect(part)) as copy:
                source.backup(copy)
            os.replace(part, target)
        except (sqlite3.Error, OSError) as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise StorageError(f"no copy of {self.path} could be made in {target.parent}: {error}") from error
        return True

    def faults(self, connection: sa.Connection) -> list[str]:
        """What SQLite finds wrong with the file."""
        found = connection.exec_driver_sql("PRAGMA integrity_check(8)").scalars().all()
        return [str(line) for line in found if line != "ok"]

    def new_id(self, connection: sa.Connection, highest: int) -> int | None:
        """One more than the highest ever. SQLite would give out that of a deleted study again, and whoever still has that
        one open would write into the new one."""
        return max(highest, int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())) + 1

    def retire(self, connection: sa.Connection, study: int) -> None:
        """Remember the highest id deleted, in the header of the file, which has a place for a number of its owner's."""
        highest = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        connection.exec_driver_sql(f"PRAGMA user_version = {max(highest, study)}")

    def is_passing(self, error: sa.exc.DBAPIError) -> bool:
        """A lock is let go some day, be it that of a process which is stopped, and a full disk gets room again; all else of
        a file is as it is."""
        return _is_busy(error) or getattr(error.orig, "sqlite_errorname", "") == "SQLITE_FULL"

    def is_unanswered(self, error: sa.exc.DBAPIError) -> bool:
        """A file has no address."""
        return False

    def explain(self, error: sa.exc.DBAPIError) -> str:
        """Named by SQLite's own error code."""
        code = getattr(error.orig, "sqlite_errorname", "") or ""
        for prefix, text in _EXPLANATIONS:
            if code.startswith(prefix):
                writer = writer_of(self.path) if prefix == "SQLITE_BUSY" else ""
                said = text.format(path=self.path, turn=self._turn, writer=writer or "another process")
                return said + (self._log_beside() if prefix == "SQLITE_CORRUPT" else "")
        return f"{self.path}: {error.orig} ({code or type(error.orig).__name__})"

    def _log_beside(self) -> str:
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            if not log.stat().st_size:
                return ""
        except OSError:
            return ""
        return (
            f". Beside it lies {log.name}, the write-ahead log of the file that was there before: if you have put a copy "
            f"in its place, remove {log} and {self.path.name}-shm, and put the copy there again"
        )

    def _created(self) -> tuple[int, int]:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
        with reaching(self.path):
            try:
                with _creating:
                    os.close(os.open(self.path, flags, 0o600))
            except FileExistsError:
                if self.path.is_dir():
                    raise StorageError(f"{self.path} is a folder; give the path of a file in it") from None
            except OSError as error:
                raise StorageError(
                    f"cannot make {self.path}: {error.strerror}; give a path where you may write"
                ) from error
            return _identity(self.path)

    def _connect(self) -> sqlite3.Connection:
        with _creating:
            connection = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=rw",
                uri=True,
                timeout=self._turn,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection


def _after_fork() -> None:
    global _creating
    _creating = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


_EXPLANATIONS = (
    (
        "SQLITE_BUSY",
        "{path} has been locked for {turn:g} s by {writer}. Nothing was stored; see who has it open with `fuser {path}`",
    ),
    ("SQLITE_FULL", "the disk of {path} is full. Nothing of this step was stored; free some space and repeat it"),
    (
        "SQLITE_IOERR",
        "{path} could not be read or written (disk fault, quota or file size limit). Nothing of this step was stored; "
        "see the system's log and repeat it",
    ),
    ("SQLITE_NOTADB", "{path} is not an SQLite database; give another path"),
    ("SQLITE_CORRUPT", "{path} is damaged; restore a copy, or try `sqlite3 {path} .recover`"),
    (
        "SQLITE_READONLY",
        "{path} or its folder is read-only. Nothing was stored; give yourself the right to write to both, or copy the "
        "file elsewhere and open the copy",
    ),
    ("SQLITE_CANTOPEN", "{path} cannot be opened; see that it exists and that you may write to it and to its folder"),
    ("SQLITE_PERM", "{path} cannot be opened; see that you may read and write it"),
)
"""By the beginning of the code's name; extended codes begin with their plain one."""


def _wal(connection: sa.Connection, deadline: float) -> str:
    # Alone among SQLite's statements this one does not wait for a lock, so two processes that make a file together
    # would meet "database is locked".
    import sqlalchemy as sa

    while True:
        try:
            return str(connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one())
        except sa.exc.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            deferral.heed()
            time.sleep(0.01)


def _is_busy(error: sa.exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _some(names: frozenset[str]) -> str:
    shown = sorted(names)[:4]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
