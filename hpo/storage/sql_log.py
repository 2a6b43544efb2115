"""SqlLog: one study's log in an SQL database, inside a transaction, and the queries for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from hpo.errors import StorageError, StudyNotFound
from hpo.storage import schema as tables
from hpo.storage.base import Lease
from hpo.storage.connections import Connections
from hpo.storage.database import Database, Message
from hpo.storage.stored_event import StoredEvent, lines
from hpo.trials.events import Draft, Event

THIS = tables.study.c.id == sa.bindparam("study")
_AFTER = sa.and_(tables.event.c.study_id == tables.study.c.id, tables.event.c.seq > sa.bindparam("after"))
_LINES = [tables.event.c[name] for name in ("seq", "at", "kind", "number", "data")]
# The outer join tells a study without new events (one row of nulls) from no study (no row) in one query.
_EVENTS = sa.select(*_LINES).select_from(tables.study.outerjoin(tables.event, _AFTER)).where(THIS).order_by(_LINES[0])
_ANSWERED = (
    sa.select(*_LINES)
    .where(tables.event.c.study_id == sa.bindparam("study"), tables.event.c.request == sa.bindparam("request"))
    .order_by(_LINES[0])
)
# Two halves, not in order and `seq` not as it is: else SQLite walks through all of the study instead of the index.
_LATER = (tables.event.c.study_id == sa.bindparam("study"), tables.event.c.seq + 0 > sa.bindparam("after"))
_OF_TRIAL = sa.union_all(
    sa.select(*_LINES).where(*_LATER, tables.event.c.number == sa.bindparam("number")),
    sa.select(*_LINES).where(*_LATER, tables.event.c.number.is_(None)),
)
_OF_STUDY = tables.lease.c.study_id == sa.bindparam("study")
_LEASES = sa.select(*(tables.lease.c[name] for name in ("number", "attempt", "owner", "until"))).where(_OF_STUDY)
_INSERT = tables.event.insert()
_LAST = sa.update(tables.study).where(THIS).values(last_seq=sa.bindparam("last"))


class SqlLog:
    """The log of one study in one transaction. What is appended is sent together, once it is read back or at the end."""

    def __init__(
        self,
        connections: Connections,
        connection: sa.Connection,
        study: int,
        row: Any,
        database: Database,
    ) -> None:
        self._database = database
        self._connections = connections
        self._connection = connection
        self._study = study
        self._last: int = row.last_seq
        self._begun: float = row.now
        self._has_leases: bool = row.has_leases
        self._pending: list[dict[str, Any]] = []
        self.ended = False

    @property
    def last(self) -> int:
        return self._last

    def events(self, after: int = 0, number: int | None = None) -> list[Event]:
        self.flush()
        with self._connections.explained():
            if number is None:
                return events_of(rows_of(self._connection, self._study, after))
            of_trial = {"study": self._study, "number": number, "after": after}
            rows = self._connection.execute(_OF_TRIAL, of_trial).all()
        return sorted((StoredEvent(*row).event() for row in rows), key=lambda event: event.seq)

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        self._check()
        new = lines(drafts, self._last, self._begun)
        self._pending += values(new, self._study)
        self._last += len(new)
        return [line.event() for line in new]

    def flush(self) -> None:
        """Hand the database what was appended: many rows cost it little more than one."""
        self._check()
        rows, self._pending = self._pending, []
        if rows:
            with self._connections.explained():
                self._connection.execute(_INSERT, rows)
                self._connection.execute(*self._counted())

    def end(self) -> None:
        """The same, and the commit along with it where the database can do that in one go."""
        self._check()
        rows, self._pending = self._pending, []
        if rows:
            with self._connections.explained():
                inserts = [(_INSERT, row) for row in rows]
                self._database.commit_with(self._connection, [*inserts, self._counted()])

    def _counted(self) -> Message:
        return _LAST, {"study": self._study, "last": self._last}

    def answered(self, request: str) -> list[Event]:
        self.flush()
        with self._connections.explained():
            rows = self._connection.execute(_ANSWERED, {"study": self._study, "request": request}).all()
        return [StoredEvent(*row).event() for row in rows]

    def time(self) -> float:
        self._check()
        with self._connections.explained():
            return float(self._connection.execute(sa.select(self._database.now())).scalar_one())

    def leases(self) -> list[Lease]:
        self._check()
        if not self._has_leases:
            return []
        with self._connections.explained():
            rows = self._connection.execute(_LEASES.order_by(tables.lease.c.number), {"study": self._study}).all()
        return [Lease(*row) for row in rows]

    def put(self, leases: Sequence[Lease]) -> None:
        self.drop([lease.number for lease in leases])
        if leases:
            self._has_leases = True
            rows = [{"study_id": self._study, **asdict(lease)} for lease in leases]
            with self._connections.explained():
                self._connection.execute(tables.lease.insert(), rows)

    def drop(self, numbers: Sequence[int]) -> None:
        self._check()
        dropped = tables.lease.delete().where(tables.lease.c.study_id == self._study)
        if numbers:
            with self._connections.explained():
                self._connection.execute(dropped.where(tables.lease.c.number.in_(numbers)))

    def _check(self) -> None:
        self._connections.check()
        if self.ended:
            raise StorageError("this log's transaction has ended; open another")


def values(new: Sequence[StoredEvent], study: int) -> list[dict[str, Any]]:
    """The rows of these events in the table."""
    return [
        {
            "study_id": study,
            "seq": line.seq,
            "at": line.at,
            "kind": line.kind,
            "number": line.number,
            "data": line.data,
            "request": line.request or None,
        }
        for line in new
    ]


def rows_of(connection: sa.Connection, study: int, after: int) -> Sequence[Any]:
    """The rows with `seq > after`. Raises StudyNotFound."""
    rows = connection.execute(_EVENTS, {"study": study, "after": after}).all()
    if not rows:
        raise unknown(study)
    return rows


def events_of(rows: Sequence[Any]) -> list[Event]:
    """What `rows_of` has found."""
    return [StoredEvent(*row).event() for row in rows if row.seq is not None]


def unknown(study: int) -> StudyNotFound:
    """The error for an id that no study has."""
    return StudyNotFound(f"no study with id {study}: it was deleted, or never there")
