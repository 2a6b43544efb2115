"""Connections: an engine shared by threads, left behind at a fork, explaining its errors."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from hpo.errors import ConnectionLost, StorageError
from hpo.storage.database import Database
from hpo.storage.turn import Turn


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
        with self._connected() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """An exclusive transaction: committed at the end, rolled back at an exception."""
        self.check()
        with self._turn.taken(), self._connected() as connection:
            with self.explained():
                connection.begin()
                self._database.begin_writing(connection)
            yield connection
            self.check()
            with self.explained():
                connection.commit()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Database errors inside become StorageErrors that say where, what and what to do."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            kind = ConnectionLost if self._database.is_passing(error) else StorageError
            raise kind(self._database.explain(error)) from error
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
        """Close what is idle, and let nobody connect until the fork is done."""
        self._gate.acquire()
        if not self._in_use:
            self._dispose()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._gate.release()

    def after_fork_in_child(self) -> None:
        """Start afresh, or never again."""
        if self._in_use:
            _torn.add(self._database.where)
        self._renew()

    def _renew(self) -> None:
        self._turn = Turn(self._database.patience)
        self._gate = threading.Lock()
        self._in_use = 0
        self._engine: sa.Engine | None = None

    def _dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with self._gate:
            self.check()
            if self._engine is None:
                self._engine = self._database.engine()
            engine = self._engine
            self._in_use += 1
        process, connection = os.getpid(), None
        try:
            with self.explained():
                connection = engine.connect()
            yield connection
        finally:
            if os.getpid() != process:
                _keep_for_ever(connection)
            else:
                # One that broke cannot be rolled back; the server has done so, and the pool throws it away.
                try:
                    if connection is not None:
                        with suppress(sa.exc.DBAPIError):
                            connection.close()
                finally:
                    with self._gate:
                        self._in_use -= 1


_registering = threading.Lock()
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
