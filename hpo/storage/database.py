"""Database: what differs between SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import sqlalchemy as sa


class Database(Protocol):
    """One database that `SqlStorage` may work on: how to reach it, lock it and explain its errors."""

    @property
    def url(self) -> str:
        """How to open it again, without secrets."""
        ...

    @property
    def where(self) -> str:
        """Its name in messages."""
        ...

    @property
    def patience(self) -> float:
        """Seconds to wait for a lock."""
        ...

    def engine(self) -> sa.Engine:
        """A new engine. Nothing is opened yet."""
        ...

    def begin_writing(self, connection: sa.Connection) -> None:
        """First statement of a transaction that will write."""
        ...

    def lock_schema(self, connection: sa.Connection) -> None:
        """In such a transaction: nobody else changes the tables until it ends."""
        ...

    def adopt(self, connection: sa.Connection, tables: frozenset[str], own: frozenset[str]) -> None:
        """Called at each opening, with the names of the `tables` there and of our `own`. Raises StorageError if it
        belongs to somebody else; else sets whatever lasts beyond a connection."""
        ...

    def back_up(self, revision: str) -> None:
        """Keep a copy as it is now, before the upgrade to `revision`."""
        ...

    def explain(self, error: sa.exc.DBAPIError) -> str:
        """What went wrong, where, and what to do; without secrets."""
        ...
