"""Outage: the storage does not answer, and a run goes on without it until it does, or until its patience ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from hpo.errors import ConnectionLost, StorageError, StudyDamaged
from hpo.trials.formatting import duration

OUTAGE = 12 * 3600.0
"""Seconds for which a run goes on without its storage."""
CALL = 2.0
"""Seconds for which one step tries again by itself: what else the run has to look after waits meanwhile."""
_PAUSES = (1.0, 5.0)
"""Seconds between two tries: at first, and in the end."""
_FAULT = 600.0
"""Seconds of patience with other errors of a storage, once nothing runs any more."""
_SAID = (5.0, 120.0, 600.0, 1800.0)
"""Seconds after which it is said; then each time it has lasted twice as long."""


class Outage:
    """When the storage is tried again, and what is said meanwhile."""

    def __init__(
        self, patience: float, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.patience, self._say, self._clock = patience, say, clock
        self.since = math.inf
        """When it began; infinite while the storage answers."""
        self.over_at = -math.inf
        """When the last one was over."""
        self._next, self._pause = -math.inf, _PAUSES[0]
        self._n_said = 0
        self._error: StorageError | None = None

    @property
    def is_on(self) -> bool:
        """Whether the storage did not answer the last step."""
        return self.since < math.inf

    def may_try(self) -> bool:
        """Whether it is time for the next step."""
        return self._clock() >= self._next

    def bear(self, error: StorageError, n_running: int, n_kept: int, *, is_leaving: bool = False) -> None:
        """Take note that a step has failed. Raises the error when patience is over, and for what does not pass: damage, and
        any other fault than a lost connection while there is nothing to lose.

        n_running, n_kept: trials that go on, and outcomes that cannot be stored. is_leaving: whether the run is asked to go
        and has nothing else to do.
        """
        now = self._clock()
        is_lost = isinstance(error, ConnectionLost)
        if isinstance(error, StudyDamaged) or not (is_lost or n_running or n_kept):
            raise error
        if not self.is_on:
            self.since, self._pause, self._n_said = now, _PAUSES[0], 0
        self._error, self._next = error, now + self._pause
        self._pause = min(2.0 * self._pause, _PAUSES[1])
        patience = self.patience if is_lost or n_running else min(self.patience, _FAULT)
        if now - self.since >= patience or is_leaving:
            raise error
        if now - self.since >= self._due():
            while now - self.since >= self._due():
                self._n_said += 1
            self._say(self.words(n_running, n_kept))

    def end(self) -> None:
        """The storage has answered."""
        if not self.is_on:
            return
        self.over_at = self._clock()
        if self._n_said:
            self._say(f"the storage answers again, after {duration(self.over_at - self.since)}")
        self.since, self._next, self._error = math.inf, -math.inf, None

    def words(self, n_running: int, n_kept: int) -> str:
        """`the database has not answered for 2 min (...): 2 trials go on, 1 result is kept until it can be stored; trying
        for up to 12 h 0 min`; the empty string where it answers."""
        if self._error is None:
            return ""
        lasted = duration(max(self._clock() - self.since, 1.0))
        is_lost = isinstance(self._error, ConnectionLost)
        what = f"the database has not answered for {lasted}" if is_lost else f"nothing can be stored for {lasted} now"
        held = [
            f"{n} {words[0 if n == 1 else 1]}"
            for n, words in (
                (n_running, ("trial goes on", "trials go on")),
                (n_kept, ("result is kept until it can be stored", "results are kept until they can be stored")),
            )
            if n
        ]
        rest = f"{', '.join(held)}; " if held else ""
        return f"{what} ({_short(self._error)}): {rest}trying for up to {duration(self.patience)}"

    def _due(self) -> float:
        """Seconds into the outage at which it is said next."""
        n = self._n_said
        return _SAID[n] if n < len(_SAID) else _SAID[-1] * 2.0 ** (n - len(_SAID) + 1)


def _short(error: StorageError, most: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
