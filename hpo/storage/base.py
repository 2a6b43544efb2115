"""Storage: studies by name, each an append-only log of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from hpo.trials.events import Draft, Event

PATIENCE = 60.0
"""Seconds that a step is tried again, a writer's wait for its turn included, before it raises StorageError."""
TURN = 10.0
"""Seconds of one wait for the lock of a database. Then it is waited for again: so a writer says whom it waits for, and
hears of a server that went away."""


@dataclass(frozen=True)
class StudyRecord:
    """What is stored of a study besides its log.

    Args:
        id: A number that no other study of the storage ever had.
        name: The name it is stored under.
        definition: The problem as first given, as JSON values.
        facts: The seed, the strategy, an id, author, reason, time and code version of its creation.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> record = storage.create("digits", {"format": 1}, {"seed": 7})
        >>> record.name, record.facts["seed"]
        ('digits', 7)
    """

    id: int
    name: str
    definition: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lease:
    """The right of `owner` to run one attempt of a trial, until the storage's clock says `until` (Unix seconds)."""

    number: int
    attempt: int
    owner: str
    until: float


class Log(Protocol):
    """The log of a study inside one exclusive transaction: nobody else appends until it ends.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> record = storage.create("digits", {"format": 1}, {"seed": 7})
        >>> with storage.transaction(record.id) as log:
        ...     print(log.last, log.events(), log.leases())
        0 [] []
    """

    @property
    def last(self) -> int:
        """Sequence number of the last event, 0 before the first."""
        ...

    def events(self, after: int = 0, number: int | None = None) -> list[Event]:
        """The events with `seq > after`, in order, those appended in this transaction among them; with `number` only
        those of this trial and those of none."""
        ...

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Give `drafts` the next sequence numbers and the present time by the storage's clock. Durable when the transaction
        ends without an exception; when it ends with one, nothing is kept. Raises StorageError, and nothing is appended,
        when the data of a draft are not JSON values (NaN and infinity are none) or its number is neither a plain int nor
        None."""
        ...

    def answered(self, request: str) -> list[Event]:
        """The events of this request, in order: what it wrote, if its answer got lost after it was stored."""
        ...

    def time(self) -> float:
        """The storage's own clock, Unix seconds: one for all who share it, whatever their machines believe."""
        ...

    def leases(self) -> list[Lease]:
        """All leases of the study, in order of number, those that have run out too."""
        ...

    def put(self, leases: Sequence[Lease]) -> None:
        """Store leases, each in place of an older one of the same trial."""
        ...

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget the leases of these trials."""
        ...


class Storage(Protocol):
    """Where studies live. Safe to use from many threads and processes at once.

    What goes in comes out equal: floats bit for bit, tuples as lists. Changing a returned value changes nothing that is
    stored. `hpo.testing.storage.StorageContract` tests a storage of your own for all that is said here.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.open_storage(":memory:")
        >>> storage.create("digits", {"format": 1}, {"seed": 7}).name
        'digits'
        >>> storage.load("letters") is None
        True
    """

    @property
    def url(self) -> str:
        """How to open it again, without secrets."""
        ...

    def create(
        self, name: str, definition: Mapping[str, Any], facts: Mapping[str, Any], events: Sequence[Event] = ()
    ) -> StudyRecord:
        """Store a new study, with the whole log of another as its beginning where `events` are given. If one of this name
        exists already (another process was first), return that one. Its id was never that of another study. Raises
        StorageError for an empty name, one with a NUL or without a UTF-8 form, for data that are not JSON values, and for
        events that are not numbered from 1 without gaps."""
        ...

    def rename(self, old: str, new: str) -> StudyRecord:
        """Give a study another name; its id stays, and whoever has it open goes on. Raises StudyNotFound, and StorageError
        where another study has the new name, or no study can have it."""
        ...

    def delete(self, name: str, last: int | None = None) -> bool:
        """Delete a study with its events and leases, for good. With `last`, only while that is the sequence number of its
        last event; returns whether it was deleted. Whoever has it open meets StudyNotFound at the next step. Waits for
        other writers like a transaction. Raises StudyNotFound."""
        ...

    def load(self, name: str) -> StudyRecord | None:
        """The study of this name, or None."""
        ...

    def names(self) -> list[str]:
        """Names of all studies, oldest first."""
        ...

    def events(self, study: int, after: int = 0) -> list[Event]:
        """The committed events of the study with `seq > after`, in order. Never waits for a writer. Raises
        StudyNotFound."""
        ...

    def transaction(self, study: int) -> AbstractContextManager[Log]:
        """Exclusive access to the study's log. Waits for other writers, at most `PATIENCE`. Raises ConnectionLost when that
        was not enough, which says that the same step may succeed later; StorageError when the thread is in a transaction
        already, StudyNotFound for an unknown study."""
        ...

    def renew(self, study: int, owner: str, held: Mapping[int, int], seconds: float) -> set[int]:
        """Let the leases of `owner`, an attempt by trial number in `held`, last for `seconds` from now; the numbers of
        those that are still its own. A lease that has run out is renewed as long as nobody has taken it. Waits for
        other writers like a transaction. Raises StudyNotFound."""
        ...

    def close(self) -> None:
        """Let go of files and connections, once a transaction of another thread has ended. Using the storage afterwards
        raises StorageError; closing it again does nothing."""
        ...


@runtime_checkable
class AppendsIfUnchanged(Protocol):
    """What a storage on a server may offer besides: to change one trial by one message. While the server holds the study's
    lock it then waits for no client."""

    def append_if_unchanged(self, study: int, after: int, make: Callable[[], Draft | None]) -> Event | None:
        """Append an event of one trial, unless what is known of the trial is out of date. Durable when it returns.

        Args:
            study: The study's id.
            after: The last event that the caller knows.
            make: Drafts the event from what the caller knows. None: that is not enough to go by.

        Returns:
            The event. None if nothing was appended: since `after` something was written of the trial or of no trial,
            `make` returned None, or the storage is on this machine. Use a transaction then.

        Raises:
            StorageError: As a transaction does.
        """
        ...
