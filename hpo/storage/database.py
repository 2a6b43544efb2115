"""Database: what differs between SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import sqlalchemy as sa

Message: TypeAlias = "tuple[sa.Executable, Mapping[str, Any]]"
"""A statement and its parameters."""


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
        """Seconds to wait for a lock, `TURN` at a time, and for an opening to succeed."""
        ...

    def engine(self) -> sa.Engine:
        """A new engine. Nothing is opened yet."""
        ...

    def begin_reading(self, connection: sa.Connection) -> None:
        """Before the statement of a transaction that only reads."""
        ...

    def begin_writing(self, connection: sa.Connection) -> None:
        """First statement of a transaction that will write."""
        ...

    def lock_study(self, connection: sa.Connection, study: int) -> None:
        """In such a transaction, before the study's row is locked: wait in a fair queue for whoever writes to it."""
        ...

    def locked(self, connection: sa.Connection, study: int, row: Message) -> Any:
        """As `lock_study`; and `row` of the study as it is then, or None."""
        ...

    def commit_with(self, connection: sa.Connection, messages: Sequence[Message]) -> None:
        """Execute the last statements of such a transaction, and commit it along with them where that saves a wait: all who
        want to write to the study stand behind it."""
        ...

    def now(self) -> sa.ColumnElement[float]:
        """The present time by the database's clock, Unix seconds, as an SQL expression."""
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

    def copy_to(self, target: Path) -> bool:
        """Write a whole copy, as it is now, to a file; False where the database is none. Raises StorageError."""
        ...

    def faults(self, connection: sa.Connection) -> list[str]:
        """What the database itself finds wrong with what it holds."""
        ...

    def new_id(self, connection: sa.Connection, highest: int) -> int | None:
        """In such a transaction: the id of a new study, `highest` being the highest there is; None where the database
        chooses one that it has never given out."""
        ...

    def retire(self, connection: sa.Connection, study: int) -> None:
        """In such a transaction: never give out this id again."""
        ...

    def is_passing(self, error: sa.exc.DBAPIError) -> bool:
        """Whether the same step may succeed a little later: the server is away, restarting, or untangles a deadlock, or
        another keeps a lock."""
        ...

    def is_unanswered(self, error: sa.exc.DBAPIError) -> bool:
        """Whether nobody is where the database should be: its address may be wrong."""
        ...

    def explain(self, error: sa.exc.DBAPIError) -> str:
        """What went wrong, where, and what to do; without secrets."""
        ...
