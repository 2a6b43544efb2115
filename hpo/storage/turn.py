"""Turn: one writer at a time among the threads of a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.errors import StorageError
from hpo.storage.base import PATIENCE


class Turn:
    """A lock that gives up, and that refuses a thread which would wait for itself.

    Databases have locks of their own. This one stands before them because SQLite makes the threads of a process poll,
    with sleeps of up to 0.1 s, where a lock wakes the next one at once.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._holder: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the turn. Raises StorageError when this thread has it or another has not let go in time."""
        me = threading.get_ident()
        if self._holder == me:
            raise StorageError("this thread is inside a transaction of this storage already; end that one first")
        if not self._lock.acquire(timeout=self._patience):
            raise StorageError(
                f"another thread has been inside a transaction for more than {self._patience:g} s; "
                "compute before a transaction, not in it"
            )
        self._holder = me
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()
