"""Connections: an engine shared by threads, replaced after a fork, with its errors translated."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hpo.errors import ConnectionLost, StorageError
from hpo.storage import deferred_signals as deferral
from hpo.storage.database import Database
from hpo.storage.writer_lock import WriterLock


class Connections:
    """Hands out connections to a database until it is closed.

    **Forks.** Neither SQLite nor a server's protocol survives a copy of an open connection: the copy in the child holds
    locks it does not have, and ends the parent's session when it is collected. So the idle connections are closed
    before each fork, and the child opens its own. Where one is in use at that moment nothing can be closed, and the
    child is refused.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._closed = False
        self._renew()
        with _registering:
            _alive.add(self)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """For one statement that changes nothing. Never waits for a writer."""
        with deferral.deferred(), self._connected() as connection:
            with self.explained():
                self._database.begin_reading(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """An exclusive transaction: committed at the end, rolled back at an exception. Signals wait for its end."""
        self.check()
        with self._turn.taken(), self._connected() as connection:
            with self.explained():
                connection.begin()
                self._database.begin_writing(connection)
            deferral.heed()
            yield connection
            self.check()
            with self.explained():
                connection.commit()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Database errors inside become StorageErrors that say where, what and what to do."""
        try:
            with self._turn.asking():
                yield
        except sa.exc.DBAPIError as error:
            if not self._database.is_passing(error):
                raise StorageError(self._database.explain(error)) from error
            lost = ConnectionLost(self._database.explain(error))
            lost.is_unanswered = self._database.is_unanswered(error)
            raise lost from error
        except sa.exc.TimeoutError as error:
            raise ConnectionLost(
                f"all connections of this process to {self._database.where} are in use, by threads that read or wait"
            ) from error
        except (
            sa.exc.SQLAlchemyError,
            UnicodeDecodeError,
        ) as error:  # the latter in SQLite's own words on a damaged file
            raise StorageError(f"{self._database.where}: {error}") from error

    def check(self) -> None:
        """Raises StorageError once it was closed, and in a child whose fork tore a connection."""
        if self._closed:
            raise StorageError(f"the storage {self._database.where} was closed; open it again")
        if self._database.where in _torn:
            raise StorageError(
                f"this process was forked while {self._database.where} was in use, which no database connection "
                "survives. Start workers before, or with the 'spawn' method"
            )

    def close(self) -> None:
        """Close every connection, after the transaction of another thread."""
        if self._closed:
            return
        with self._turn.taken():
            self._closed = True
            self._dispose()

    def before_fork(self) -> None:
        """Close what is idle, and keep everybody from connecting until the fork is done."""
        self._gate.acquire()
        if not self._uses:
            self._dispose()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._gate.release()

    def after_fork_in_child(self) -> None:
        """Use new connections; refuse to work where the fork has torn one."""
        if self._uses:
            _torn.add(self._database.where)
        self._renew()

    def _renew(self) -> None:
        self._turn = WriterLock(self._database.patience, self._database.where)
        self._gate = threading.RLock()
        self._uses: set[_Use] = set()
        self._engine: sa.Engine | None = None

    def _dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        use = _Use(os.getpid())
        try:
            try:
                yield self._connection(use)
                use.is_sound = True
            except Exception:
                use.is_sound = True
                raise
            finally:
                self._let_go(use)
        finally:
            self._let_go(use)  # for what interrupted even that, and is no signal

    def _connection(self, use: _Use) -> sa.Connection:
        with self._gate:
            self.check()
            if self._engine is None:
                self._engine = self._database.engine()
            engine = self._engine
            self._uses.add(use)
        with self.explained():
            use.connection = engine.connect()
            use.raw = use.connection.connection.dbapi_connection
        return use.connection

    def _let_go(self, use: _Use) -> None:
        """Give back what `use` has. May be called again."""
        if os.getpid() != use.process:
            _keep_for_ever(use.connection)
            return
        if not use.is_sound:
            self._abandon(use)
        try:
            if use.connection is not None:
                # One that broke cannot be rolled back; the server has done so, and the pool throws it away.
                with suppress(sa.exc.DBAPIError):
                    use.connection.close()
        finally:
            self._uses.discard(use)

    def _abandon(self, use: _Use) -> None:
        """The state of an interrupted step is unknown. So its connection is closed, which releases its locks in the
        database, and so are the idle ones of the pool."""
        if use.raw is not None:
            with suppress(Exception):
                use.raw.close()
        if use.connection is not None:
            with suppress(Exception):
                use.connection.invalidate()
        with suppress(Exception):
            self._dispose()
        use.is_sound = True


@dataclass(eq=False)
class _Use:
    """What one step has of the database."""

    process: int
    connection: sa.Connection | None = None
    raw: Any = None
    """The driver's own connection below."""
    is_sound: bool = False
    """Whether it went through, or ended by an error that says so."""


_registering = threading.RLock()
_alive: weakref.WeakSet[Connections] = weakref.WeakSet()
_forking: list[Connections] = []
_torn: set[str] = set()
"""Databases this process holds broken copies of connections to."""


def _keep_for_ever(thing: object) -> None:
    # Collecting a connection that belongs to the parent process would roll back and close it there.
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _before_fork() -> None:
    _registering.acquire()
    _forking[:] = _alive
    for connections in _forking:
        connections.before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()
    _registering.release()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()
    _registering.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
