"""SqlStorage: studies in an SQL database, through SQLAlchemy Core. What happens in a transaction is in `sql_log`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from hpo.errors import StorageError, StudyDamaged
from hpo.storage import schema as tables
from hpo.storage.base import PATIENCE, Log, StudyRecord
from hpo.storage.conditional_append import appended
from hpo.storage.connections import Connections
from hpo.storage.database import Database
from hpo.storage.paths import file_of, is_url
from hpo.storage.postgres import PostgresServer
from hpo.storage.retry import retrying
from hpo.storage.sql_log import THIS, SqlLog, events_of, rows_of, unknown, values
from hpo.storage.sqlite import SqliteFile
from hpo.storage.stored_event import (
    StoredEvent,
    check_rename,
    checked_name,
    copied_lines,
    from_text,
    no_study,
    now,
    to_text,
)
from hpo.trials.events import Draft, Event

T = TypeVar("T")
_BY_NAME = sa.select(tables.study).where(tables.study.c.name == sa.bindparam("name"))
_NAMES = sa.select(tables.study.c.name).order_by(tables.study.c.id)
_VERSION = sa.select(tables.version.c.version_num).scalar_subquery()
_ANY_LEASE = sa.exists().where(tables.lease.c.study_id == tables.study.c.id)
_LOCK = (
    sa.select(tables.study.c.last_seq, _VERSION.label("version"), _ANY_LEASE.label("has_leases"))
    .where(THIS)
    .with_for_update(of=tables.study)
)
_HIGHEST = sa.select(sa.func.coalesce(sa.func.max(tables.study.c.id), 0))
_HELD = sa.and_(
    tables.lease.c.study_id == sa.bindparam("of_study"),
    tables.lease.c.number == sa.bindparam("of_number"),
    tables.lease.c.attempt == sa.bindparam("of_attempt"),
    tables.lease.c.owner == sa.bindparam("of_owner"),
)
_TRIES = 10
"""How often a study that others make and delete at the same time is tried to be made."""


class SqlStorage:
    """Studies in an SQLite file or on a PostgreSQL server.

    Processes of one machine may share a file; processes of many machines may share a server. The database gets its
    tables, or their upgrade, when it is opened.

    Args:
        where: A path, or a URL: `sqlite:///hpo.db`, `postgresql+psycopg://user@host/name`.
        patience: Seconds that a writer waits for its turn.

    Raises:
        StorageError: It cannot be opened in that time. Nothing is left half written.

    Example:
        >>> import hpo, pathlib, tempfile
        >>> storage = hpo.storage.SqlStorage(pathlib.Path(tempfile.mkdtemp()) / "hpo.db")
        >>> storage.names()
        []
        >>> storage.close()
    """

    def __init__(self, where: str | Path, patience: float = PATIENCE) -> None:
        self._database = _database(where, patience)
        self._lock = _LOCK.add_columns(self._database.now().label("now"))
        self._connections = Connections(self._database)
        try:
            retrying(lambda _: tables.prepare(self._database, self._connections), patience=patience, is_opening=True)
        except BaseException:
            self._connections.close()
            raise

    @property
    def url(self) -> str:
        """How to open it again, without secrets."""
        return self._database.url

    def create(
        self, name: str, definition: Mapping[str, Any], facts: Mapping[str, Any], events: Sequence[Event] = ()
    ) -> StudyRecord:
        """Store a new study, or return the one of this name."""
        return self._patiently(lambda: self._create(name, definition, facts, events))

    def _create(
        self, name: str, definition: Mapping[str, Any], facts: Mapping[str, Any], events: Sequence[Event]
    ) -> StudyRecord:
        copied = copied_lines(events)
        row = {
            "name": checked_name(name),
            "definition": to_text(definition, "the definition"),
            "facts": to_text(facts, "the facts"),
            "created_at": now(),
            "last_seq": len(copied),
        }
        for _ in range(_TRIES):
            if found := self.load(name):
                return found
            # Refused where another was first; in a savepoint, because PostgreSQL would end the transaction.
            with self._changing() as connection, suppress(sa.exc.IntegrityError), connection.begin_nested():
                id = self._database.new_id(connection, connection.execute(_HIGHEST).scalar_one())
                connection.execute(tables.study.insert(), row if id is None else {**row, "id": id})
                if copied:
                    study = connection.execute(_BY_NAME, {"name": name}).one().id
                    connection.execute(tables.event.insert(), values(copied, study))
        raise StorageError(
            f"study {name!r} could not be made in {self._database.where}, which refuses its row; is it damaged?"
        )

    def rename(self, old: str, new: str) -> StudyRecord:
        """Give a study another name."""
        with self._changing() as connection:
            names = list(connection.execute(_NAMES).scalars())
            check_rename(old, new, names)
            study = self._locked(connection, old)
            try:
                with connection.begin_nested():
                    connection.execute(tables.study.update().where(tables.study.c.id == study).values(name=new))
            except sa.exc.IntegrityError:  # somebody has just given that name to another
                check_rename(old, new, [*names, new])
        found = self.load(new)
        if found is None:
            raise no_study(new, self.names())
        return found

    def delete(self, name: str, last: int | None = None) -> bool:
        """Delete a study."""
        with self._changing() as connection:
            study = self._locked(connection, name)
            if last is not None and connection.execute(_LOCK, {"study": study}).one().last_seq != last:
                return False
            for table, column in ((tables.lease, "study_id"), (tables.event, "study_id"), (tables.study, "id")):
                connection.execute(table.delete().where(table.c[column] == study))
            self._database.retire(connection, study)
            return True

    def load(self, name: str) -> StudyRecord | None:
        """The study of this name, or None."""
        rows = self._read(_BY_NAME, name=name)
        if not rows:
            return None
        of_it = f"of study {rows[0].name!r} in {self._database.where}"
        definition = from_text(rows[0].definition, f"the definition {of_it}")
        return StudyRecord(rows[0].id, rows[0].name, definition, from_text(rows[0].facts, f"the facts {of_it}"))

    def names(self) -> list[str]:
        """Names of all studies, oldest first."""
        return [row.name for row in self._read(_NAMES)]

    def _read(self, query: sa.Select[Any], **given: object) -> Sequence[Any]:
        def read() -> Sequence[Any]:
            with self._connections.reading() as connection, self._connections.explained():
                return connection.execute(query, given).all()

        return self._patiently(read)

    def _patiently(self, step: Callable[[], T]) -> T:
        return retrying(lambda _: step(), patience=self._database.patience)

    def events(self, study: int, after: int = 0) -> list[Event]:
        """The committed events with `seq > after`."""
        with self._connections.reading() as connection, self._connections.explained():
            rows = rows_of(connection, study, after)
        return events_of(rows)

    @contextmanager
    def transaction(self, study: int) -> Iterator[Log]:
        """Exclusive access to the study's log."""
        with self._connections.writing() as connection:
            with self._connections.explained():
                row = self._database.locked(connection, study, (self._lock, {"study": study}))
            if row is None:
                raise unknown(study)
            tables.check_version(row.version, self._database)
            if not isinstance(row.last_seq, int):
                raise StudyDamaged(f"the number of its events is {row.last_seq!r}")
            log = SqlLog(self._connections, connection, study, row, self._database)
            try:
                yield log
                log.end()
            finally:
                log.ended = True

    def append_if_unchanged(self, study: int, after: int, make: Callable[[], Draft | None]) -> Event | None:
        """Append an event of one trial in one message, if nothing has been written of it."""
        server = self._database
        if not isinstance(server, PostgresServer) or not server.can_batch:
            return None
        draft = make()
        if draft is None:
            return None
        message = appended(study, after, draft)
        with self._connections.writing() as connection, self._connections.explained():
            row = server.appended(connection, study, message)
        return row and StoredEvent(row.seq, row.at, draft.kind, draft.number, message[1]["data"]).event()

    def renew(self, study: int, owner: str, held: Mapping[int, int], seconds: float) -> set[int]:
        """Renew the owner's leases, in order of number, so that two who renew never wait for each other in a circle."""
        renewed = sa.update(tables.lease).where(_HELD).values(until=self._database.now() + seconds)
        kept = set()
        with self._changing() as connection:
            for number, attempt in sorted(held.items()):
                row = {"of_study": study, "of_number": number, "of_attempt": attempt, "of_owner": owner}
                if connection.execute(renewed, row).rowcount:
                    kept.add(number)
            if not kept and connection.execute(sa.select(1).where(THIS), {"study": study}).first() is None:
                raise unknown(study)
        return kept

    def copy_to(self, target: Path) -> bool:
        """Write a whole copy of an SQLite file, as it is now, to another file, while others go on; False where the storage
        is no file. Raises StorageError."""
        return self._database.copy_to(target)

    def faults(self) -> list[str]:
        """What the database itself finds wrong with what it holds; nothing where all is well. Reads all of a file."""
        with self._connections.reading() as connection, self._connections.explained():
            return self._database.faults(connection)

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def __repr__(self) -> str:
        return f"SqlStorage({self.url!r})"

    def _locked(self, connection: sa.Connection, name: str) -> int:
        """The id of the study of this name, which nobody else writes to, renames or deletes now. Raises StudyNotFound."""
        found = connection.execute(_BY_NAME, {"name": name}).one_or_none()
        if found is not None:
            self._database.lock_study(connection, found.id)
            now = connection.execute(_BY_NAME.with_for_update(), {"name": name}).one_or_none()
            if now is not None and now.id == found.id:
                return int(found.id)
        raise no_study(name, list(connection.execute(_NAMES).scalars()))

    @contextmanager
    def _changing(self) -> Iterator[sa.Connection]:
        """A transaction that writes, and concerns more than the log of one study."""
        with self._connections.writing() as connection, self._connections.explained():
            tables.check_version(connection.execute(sa.select(_VERSION)).scalar_one(), self._database)
            yield connection


def has_tables(where: str | Path, patience: float = PATIENCE) -> bool:
    """Whether the database is one of ours; it is left as it is. Raises StorageError."""
    connections = Connections(_database(where, patience))

    def look(_: bool) -> bool:
        with connections.reading() as connection, connections.explained():
            return frozenset(sa.inspect(connection).get_table_names()) >= tables.OWN

    try:
        return retrying(look, patience=patience, is_opening=True)
    finally:
        connections.close()


def _database(where: str | Path, patience: float) -> Database:
    try:
        url = sa.make_url(str(where)) if is_url(where) else None
    except (sa.exc.ArgumentError, ValueError):
        # The text stays out of the message, and its error out of the chain: it may hold a password.
        raise StorageError(
            "the database URL cannot be read; give sqlite:///path or postgresql+psycopg://user@host/database, with "
            "@ : / ? in a password written as %40 %3A %2F %3F"
        ) from None
    if url is not None and "@" in (url.host or ""):
        raise StorageError("the database URL has two @; write the one in the password as %40")
    if url is not None and url.get_backend_name() == "postgresql":
        return PostgresServer(url, patience)
    path = file_of(where)
    if path is None:
        name = where if url is None else url.drivername
        raise StorageError(
            f"no storage for {name}:// URLs; give sqlite:///path or postgresql+psycopg://user@host/database"
        )
    return SqliteFile(path, patience)
