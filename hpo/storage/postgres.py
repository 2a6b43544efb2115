"""PostgresServer: a database for a team, reached over the network."""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hpo.common.redact import redact
from hpo.errors import ConnectionLost, MissingExtra, StorageError
from hpo.storage import deferred_signals as deferral
from hpo.storage import sqlstates
from hpo.storage.base import TURN
from hpo.storage.database import Message
from hpo.storage.lock_holders import session_with

if TYPE_CHECKING:
    import sqlalchemy as sa

_SECRETS = ("password", "sslpassword", "passfile")
log = logging.getLogger(__name__)

_CONNECT = 10
_LIVELY = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""What libpq is told, where the URL says nothing else: a network may go silent without a word, and systems notice by
themselves after fifteen minutes to two hours."""
_PING = 5.0
"""Seconds that a connection of the pool may take to answer."""
_FRESH = 0.05
"""Seconds for which a connection whose server has answered is used again without a question. Should it have gone since,
the step is repeated like any whose connection breaks."""
_IDLE = 10.0
"""Seconds after which the server ends a transaction that asks nothing: its process was stopped, or its machine is gone."""
_SOON = 2.0
"""Seconds of connecting after which somebody is told."""
_UPGRADE = 6 * 3600.0
"""Seconds that the server may work on the tables without a word."""
_INSTALL = "pip install 'psycopg[binary]'"
_SCHEMA_LOCK = 0x68706F
_OURS = "psycopg"
"""The driver that can be told several statements at once."""
_AT_ONCE = 32
"""As many rows at most: of more, the wait between two messages is the smaller part."""
_AS_IT_IS = {"no_parameters": True}
"""For a text whose parameters are in it."""
_CANCELLING = 5.0
"""Seconds to reach the server to have it break off a wait."""


class PostgresServer:
    """The database at `url`. Passwords belong into `~/.pgpass` or PGPASSWORD; one in the URL is used and never shown.

    Other programs may have tables in the same schema, as long as none has the name of one of ours. A transaction is
    exclusive because it begins by locking the study's row; READ COMMITTED, so that every statement after it sees what
    the previous holder committed.
    """

    def __init__(self, url: sa.URL, patience: float) -> None:
        self._url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        self.patience = patience
        self._silence = float(str(url.query.get("tcp_user_timeout", _LIVELY["tcp_user_timeout"]))) / 1000.0
        """Seconds: the server may be as silent as data sent to it may lie unacknowledged."""
        self._turn = min(patience, TURN, self._silence / 2.0 or TURN)
        self._is_hurried = False
        """Whether the server breaks off what takes long."""
        self._is_tried = False

    @property
    def url(self) -> str:
        """The URL without its password, and without the values of options that nobody knows."""
        shown = self._url.difference_update_query(_SECRETS)._replace(password=None)
        return redact(shown.render_as_string(hide_password=True))

    @property
    def where(self) -> str:
        """The same."""
        return self.url

    @property
    def can_batch(self) -> bool:
        """Whether its driver can be told several statements at once."""
        return self._url.get_driver_name() == _OURS

    def engine(self) -> sa.Engine:
        """An engine that tests a pooled connection before it is used: servers restart, and networks forget."""
        import sqlalchemy as sa

        is_ours = self._url.get_driver_name() == "psycopg"
        try:
            engine = sa.create_engine(
                self._url,
                isolation_level="READ COMMITTED",
                pool_pre_ping=not is_ours,
                pool_timeout=self.patience,
                hide_parameters=True,
                connect_args=_lively(self._url.query) if is_ours else {},
            )
        except ModuleNotFoundError as error:
            ours = error.name == "psycopg"
            raise MissingExtra(
                f"{self.url} needs the driver {error.name!r}, which is not installed: "
                + (_INSTALL if ours else f"install it, or write postgresql+psycopg://... and {_INSTALL}")
            ) from error
        except sa.exc.NoSuchModuleError as error:
            raise StorageError(
                f"{self.url} has the driver {self._url.get_driver_name()!r}, which SQLAlchemy does not know: "
                f"write postgresql+psycopg://... and {_INSTALL}"
            ) from error
        sa.event.listen(engine, "do_connect", self._watched if is_ours else _connected)
        if is_ours:
            sa.event.listen(engine, "checkout", partial(self._check, engine.dialect))
        sa.event.listen(engine, "handle_error", self._note_loss)
        return engine

    def begin_reading(self, connection: sa.Connection) -> None:
        """A server may break off what takes long; ours may, as it is repeated until it is done."""
        if self._is_hurried:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

    def begin_writing(self, connection: sa.Connection) -> None:
        """Whoever holds a lock and asks nothing loses it, also where its kernel takes no answer any more; whoever waits for
        one hears of it in time. LOCAL, because poolers lend a session to others after a transaction."""
        limits = {
            "lock_timeout": self._turn,
            "statement_timeout": 0.0,
            "idle_in_transaction_session_timeout": _IDLE,
            "tcp_user_timeout": _IDLE,
        }
        connection.exec_driver_sql(
            "; ".join(f"SET LOCAL {name} = {int(1000 * value)}" for name, value in limits.items())
        )

    def lock_study(self, connection: sa.Connection, study: int) -> None:
        """An advisory lock before that of the row: those who wait for a row that is updated all the time look through its
        versions again whenever it is their turn."""
        self._wait(connection, "the study", _SCHEMA_LOCK, study)

    def locked(self, connection: sa.Connection, study: int, row: Message) -> Any:
        """In one message, and yet two statements: the second sees what the last holder of the lock has committed."""
        if connection.dialect.driver != _OURS:
            self.lock_study(connection, study)
            return connection.execute(*row).one_or_none()
        return _second_row(self._wait(connection, "the study", _SCHEMA_LOCK, study, then=_text(connection, row)))

    def appended(self, connection: sa.Connection, study: int, row: Message) -> Any:
        """Lock the study as `lock_study` does, execute a statement, commit, and return its row or None; all in one message,
        so that the server holds the lock without waiting for this process. Needs `can_batch`."""
        text = f"{_text(connection, row)}; COMMIT"
        return _second_row(self._wait(connection, "the study", _SCHEMA_LOCK, study, then=text))

    def commit_with(self, connection: sa.Connection, messages: Sequence[Message]) -> None:
        """In one message. Between two of them the server and this process wait for one another, and everybody for both."""
        if connection.dialect.driver != _OURS or len(messages) > _AT_ONCE:
            for message in messages:
                connection.execute(*message)
            return
        text = "; ".join([*(_text(connection, message) for message in messages), "COMMIT"])
        connection.exec_driver_sql(text, execution_options=_AS_IT_IS)

    def now(self) -> sa.ColumnElement[float]:
        """The server's clock, that of the statement and not of the transaction's beginning."""
        import sqlalchemy as sa

        return sa.literal_column("extract(epoch from statement_timestamp())::float8", sa.Double)

    def lock_schema(self, connection: sa.Connection) -> None:
        """An advisory lock, since there may be no table yet to lock. What follows may take the server long."""
        self._wait(connection, "the tables", _SCHEMA_LOCK)
        with suppress(AttributeError):  # of another driver
            connection.connection.dbapi_connection.silence = _UPGRADE  # type: ignore[union-attr]

    def adopt(self, connection: sa.Connection, tables: frozenset[str], own: frozenset[str]) -> None:
        """Raises StorageError when some of our names, but not all, are taken."""
        taken = tables & own
        if taken and taken != own:
            raise StorageError(
                f"{self.where} has tables of other programs with our names ({', '.join(sorted(taken))}); give another "
                "database, or another schema with ?options=-csearch_path%3Dhpo"
            )

    def back_up(self, revision: str) -> None:
        """Left to the server's own backups; the upgrade is one transaction, and it ends whole or not at all."""

    def _wait(self, connection: sa.Connection, what: str, *key: int, then: str = "") -> sa.CursorResult[Any]:
        """For a lock. A signal has the server break off the wait, and its handler is called then: raised inside of the
        driver's own wait, its exception would leave the connection in a state that nobody knows."""
        import sqlalchemy as sa

        raw: Any = connection.connection.dbapi_connection

        def stop() -> None:
            with suppress(Exception):
                raw.cancel_safe(timeout=_CANCELLING)

        lock = f"SELECT pg_advisory_xact_lock({', '.join(map(str, key))})"
        try:
            with deferral.stopped_by(stop):
                return connection.exec_driver_sql(f"{lock}; {then}" if then else lock, execution_options=_AS_IT_IS)
        except sa.exc.DBAPIError as error:
            if sqlstates.sqlstate(error) != sqlstates.LOCKED:
                raise
            connection.rollback()
            raise ConnectionLost(self._locked(what, session_with(connection, *key))) from error

    def _locked(self, what: str, holder: str) -> str:
        return (
            f"{what} in {self.where} has been locked for {self._turn:g} s, now by {holder or 'another process'}. "
            "Nothing was stored"
        )

    def copy_to(self, target: Path) -> bool:
        """A server is no file; `pg_dump` copies it."""
        return False

    def faults(self, connection: sa.Connection) -> list[str]:
        """Left to the server's own tools."""
        return []

    def new_id(self, connection: sa.Connection, highest: int) -> int | None:
        """A sequence of the server's."""
        return None

    def retire(self, connection: sa.Connection, study: int) -> None:
        """A sequence never goes back."""

    def is_passing(self, error: sa.exc.DBAPIError) -> bool:
        """By the server's own code for it; without one nobody has answered, or a connection was refused."""
        return sqlstates.is_passing(error)

    def is_unanswered(self, error: sa.exc.DBAPIError) -> bool:
        """Whether nobody is at the address of the server."""
        return sqlstates.is_unanswered(error)

    def explain(self, error: sa.exc.DBAPIError) -> str:
        """Named by the SQLSTATE, where the server gave one."""
        state, text = sqlstates.sqlstate(error), redact(" ".join(str(error.orig).split()))
        if state == sqlstates.LOCKED:
            return self._locked("what this step needs", "")
        for code, words in sqlstates.WORDS:
            if state.startswith(code):
                return f"{words.format(where=self.where)}: {text}. Nothing of this step was stored"
        if self.is_unanswered(error):
            text = text.partition(" Is the server running")[0]
            return (
                f"nobody answers at {self.where}: {text}. Is the address right, is the server up, and does its network "
                "let you through?"
            )
        if self.is_passing(error) and text.startswith("connection failed"):
            return f"{self.where} takes no connection now: {text}"
        if self.is_passing(error):
            return (
                f"{self.where} cannot be reached or the connection broke: {text}. A step under way may be stored or "
                "not: read the study before you repeat it"
            )
        return f"{self.where}: {text}{state and f' (SQLSTATE {state})'}. Nothing of this step was stored"

    def _watched(self, dialect: sa.Dialect, _: object, args: list[Any], options: dict[str, Any]) -> object:
        """A new connection whose line is cut after long silence."""
        from hpo.storage.watched_connection import Watched

        words = "waiting for %s to answer, %s s at most"
        soon = threading.Timer(_SOON, log.warning, (words, self.where, options["connect_timeout"]))
        soon.daemon = True
        if not self._is_tried:  # later ones are spoken of when they have failed
            soon.start()
        self._is_tried = True
        try:
            with deferral.stopped_by(deferral.heed):
                connection = Watched.connect(*args, **options)
        finally:
            soon.cancel()
        connection.silence, connection.heard_at = self._silence, time.monotonic()
        connection.prepare_threshold = None  # poolers give each transaction another session
        return connection

    def _check(self, dialect: sa.Dialect, raw: Any, *_: object) -> None:
        """Whether a connection of the pool that lay idle still has a server at its other end."""
        import sqlalchemy as sa

        raw.silence = self._silence
        if time.monotonic() - raw.heard_at < _FRESH:
            return
        error: Exception | None = None
        try:
            with raw.hearing(min(_PING, self._silence or _PING)):
                is_there = dialect.do_ping(raw)
        except Exception as caught:
            is_there, error = False, caught
        if not is_there:
            raise sa.exc.InvalidatePoolError from error

    def _note_loss(self, context: sa.engine.ExceptionContext) -> None:
        """A server that became read-only may not be the one any more that others find at its address: all connections to it
        are thrown away."""
        state = getattr(context.original_exception, "sqlstate", None)
        self._is_hurried = self._is_hurried or state == sqlstates.CANCELLED
        context.is_disconnect = context.is_disconnect or state == sqlstates.READ_ONLY


def _lively(given: Mapping[str, object]) -> dict[str, Any]:
    """What libpq is told besides the URL. The name is one that the server's own tools show."""
    name = f"hpo {platform.node()}:{os.getpid()}"
    lively = {"fallback_application_name": name, "connect_timeout": os.environ.get("PGCONNECT_TIMEOUT", _CONNECT)}
    return {option: value for option, value in {**lively, **_LIVELY}.items() if option not in given}


def _text(connection: sa.Connection, message: Message) -> str:
    """The statement with its parameters in it, quoted by the driver."""
    from psycopg import ClientCursor

    statement, given = message
    raw: Any = connection.connection.dbapi_connection
    return ClientCursor(raw).mogrify(_compiled(statement, connection.dialect), given)


def _second_row(found: sa.CursorResult[Any]) -> Any:
    """The row of the second of two statements, or None."""
    cursor: Any = found.cursor
    cursor.nextset()
    values = cursor.fetchone()
    return values and SimpleNamespace(**{c.name: value for c, value in zip(cursor.description, values, strict=True)})


@cache
def _compiled(statement: Any, dialect: sa.Dialect) -> Any:
    return str(statement.compile(dialect=dialect))


def _connected(dialect: sa.Dialect, _: object, args: list[Any], options: dict[str, Any]) -> object:
    """A new connection. A server may not answer for long, and nothing is begun yet: a signal comes through."""
    with deferral.stopped_by(deferral.heed):
        return dialect.connect(*args, **options)
