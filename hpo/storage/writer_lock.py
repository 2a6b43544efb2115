"""WriterLock: one writer at a time among the threads of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hpo.errors import ConnectionLost, StorageError
from hpo.storage import deferred_signals as deferral
from hpo.storage.base import PATIENCE

_GLANCE = 0.1
"""Seconds between two looks for signals."""


@dataclass(eq=False)
class _Place:
    """What one step has of the turn."""

    has_turn: bool = False
    thread: int = field(default_factory=threading.get_ident)
    is_asking: bool = False
    """Whether it waits for the database."""


class WriterLock:
    """A lock that gives up, and that refuses a thread which would wait for itself.

    Databases have locks of their own. This one stands before them because SQLite makes the threads of a process poll,
    with sleeps of up to 0.1 s, where a lock wakes the next one at once.
    """

    def __init__(self, patience: float = PATIENCE, where: str = "") -> None:
        """where: the database, as messages name it."""
        self._patience, self._where = patience, where
        self._lock = threading.Lock()
        self._last = _Place()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the turn; signals wait until it is given back. Raises StorageError when this thread has it or another has
        not let go in time; ConnectionLost where that one waits for the database."""
        place = _Place()
        with deferral.deferred():
            try:
                try:
                    self._take(place)
                    yield
                finally:
                    self._give(place)
            finally:
                self._give(place)  # for what interrupted even that, and is no signal

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Meanwhile this thread waits for the database: those who wait for the turn are told so."""
        place = self._last
        if place.thread != threading.get_ident():
            yield
            return
        before, place.is_asking = place.is_asking, True
        try:
            yield
        finally:
            place.is_asking = before

    def _take(self, place: _Place) -> None:
        if self._last.has_turn and self._last.thread == place.thread:
            raise StorageError("this thread is inside a transaction of this storage already; end that one first")
        end = time.monotonic() + self._patience
        while not place.has_turn:
            left = end - time.monotonic()
            place.has_turn = self._lock.acquire(timeout=max(0.0, min(_GLANCE, left)))
            if not place.has_turn and left <= 0.0:
                if self._last.is_asking:
                    raise ConnectionLost(
                        f"another thread of this process has waited for {self._where}, in its transaction, for more than "
                        f"{self._patience:g} s. Nothing of this step was stored"
                    )
                raise StorageError(
                    f"another thread has been inside a transaction for more than {self._patience:g} s; "
                    "compute before a transaction, not in it"
                )
            deferral.heed()
        self._last = place

    def _give(self, place: _Place) -> None:
        if place.has_turn:
            place.has_turn = bool(self._lock.release())  # type: ignore[func-returns-value]  # in one line, or not at all
