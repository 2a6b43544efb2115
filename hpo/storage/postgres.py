"""PostgresServer: a database for a team, reached over the network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hpo.errors import MissingExtra, StorageError
from hpo.redact import redact
from hpo.storage import deferral
from hpo.storage.database import Message

if TYPE_CHECKING:
    import sqlalchemy as sa

_SECRETS = ("password", "sslpassword", "passfile")
_PASSING = ("08", "57P0", "40001", "40P01", "53300")
"""SQLSTATEs: lost connection, shutting down or starting up, serialisation failure, deadlock, too many connections."""
_INSTALL = "pip install 'psycopg[binary]'"
_SCHEMA_LOCK = 0x68706F
_OURS = "psycopg"
"""The driver that can be told several statements at once."""
_AT_ONCE = 32
"""As many rows at most: of more, the wait between two messages is the smaller part."""
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

    @property
    def url(self) -> str:
        """The URL without its password, and without the values of options that nobody knows."""
        shown = self._url.difference_update_query(_SECRETS)._replace(password=None)
        return redact(shown.render_as_string(hide_password=True))

    @property
    def where(self) -> str:
        """The same."""
        return self.url

    def engine(self) -> sa.Engine:
        """An engine that tests a pooled connection before it is used: servers restart."""
        import sqlalchemy as sa

        try:
            engine = sa.create_engine(
                self._url,
                isolation_level="READ COMMITTED",
                pool_pre_ping=True,
                pool_timeout=self.patience,
                hide_parameters=True,
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
        sa.event.listen(engine, "do_connect", _connected)
        return engine

    def begin_writing(self, connection: sa.Connection) -> None:
        """Wait for locks as long as on SQLite. LOCAL, because poolers lend a session to others after a transaction."""
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(1000 * self.patience)}")

    def lock_study(self, connection: sa.Connection, study: int) -> None:
        """An advisory lock before that of the row: those who wait for a row that is updated all the time look through its
        versions again whenever it is their turn."""
        self._wait(connection, f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK}, {study})")

    def locked(self, connection: sa.Connection, study: int, row: Message) -> Any:
        """In one message, and yet two statements: the second sees what the last holder of the lock has committed."""
        if connection.dialect.driver != _OURS:
            self.lock_study(connection, study)
            return connection.execute(*row).one_or_none()
        found = self._wait(
            connection, f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK}, {study}); {_text(connection, row)}"
        )
        cursor: Any = found.cursor
        cursor.nextset()
        values = cursor.fetchone()
        return values and SimpleNamespace(
            **{c.name: value for c, value in zip(cursor.description, values, strict=True)}
        )

    def commit_with(self, connection: sa.Connection, messages: Sequence[Message]) -> None:
        """In one message. Between two of them the server and this process wait for one another, and everybody for both."""
        if connection.dialect.driver != _OURS or len(messages) > _AT_ONCE:
            for message in messages:
                connection.execute(*message)
            return
        text = "; ".join([*(_text(connection, message) for message in messages), "COMMIT"])
        connection.exec_driver_sql(text, execution_options={"no_parameters": True})

    def now(self) -> sa.ColumnElement[float]:
        """The server's clock, that of the statement and not of the transaction's beginning."""
        import sqlalchemy as sa

        return sa.literal_column("extract(epoch from statement_timestamp())::float8", sa.Double)

    def lock_schema(self, connection: sa.Connection) -> None:
        """An advisory lock, since there may be no table yet to lock."""
        self._wait(connection, f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")

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

    def _wait(self, connection: sa.Connection, lock: str) -> sa.CursorResult[Any]:
        """For a lock. A signal has the server break off the wait, and its handler is called then: raised inside of the
        driver's own wait, its exception would leave the connection in a state that nobody knows."""
        raw: Any = connection.connection.dbapi_connection

        def stop() -> None:
            with suppress(Exception):
                raw.cancel_safe(timeout=_CANCELLING)

        with deferral.stopped_by(stop):
            return connection.exec_driver_sql(lock, execution_options={"no_parameters": True})

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
        """Without an SQLSTATE nobody has answered; the others are the server's own words for it."""
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or not state or state.startswith(_PASSING)

    def explain(self, error: sa.exc.DBAPIError) -> str:
        """Named by the SQLSTATE, where the server gave one."""
        state = getattr(error.orig, "sqlstate", None) or ""
        text = redact(" ".join(str(error.orig).split()))
        if state == "55P03":
            return (
                f"another process has kept the study in {self.where} locked for {self.patience:g} s. Nothing was "
                "stored; repeat the step"
            )
        if self.is_passing(error):
            return (
                f"{self.where} cannot be reached or the connection broke: {text}. A step under way may be stored or "
                "not: read the study before you repeat it"
            )
        return f"{self.where}: {text} (SQLSTATE {state}). Nothing of this step was stored"


def _text(connection: sa.Connection, message: Message) -> str:
    """The statement with its parameters in it, quoted by the driver."""
    from psycopg import ClientCursor

    statement, given = message
    raw: Any = connection.connection.dbapi_connection
    return ClientCursor(raw).mogrify(_compiled(statement, connection.dialect), given)


@cache
def _compiled(statement: Any, dialect: sa.Dialect) -> Any:
    return str(statement.compile(dialect=dialect))


def _connected(dialect: sa.Dialect, _: object, args: list[Any], options: dict[str, Any]) -> object:
    """A new connection. A server may not answer for long, and nothing is begun yet: a signal comes through."""
    with deferral.stopped_by(deferral.heed):
        return dialect.connect(*args, **options)
