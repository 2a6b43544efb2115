"""QueuePlace: of one ask in the queue of those that ask a study for trials.

A place is kept among the leases of the study, under a negative number, since it is no trial's: the first has -1, the next
-2. So it lasts by the storage's clock and is changed together with the log, on every storage. Its owner is the name of
the ask. Whoever waits renews it, and so does a thread while a suggestion is made; one that is not heard of any more, dead
or stopped, holds the others up for `KEPT` seconds.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from hpo.errors import HpoError
from hpo.storage.base import Lease, Log

KEPT = 6.0
"""Seconds that a place lasts unless it is renewed."""
LONGEST = 600.0
"""Seconds after which a suggestion is taken to hang: others are served meanwhile."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_SLOW, _QUICK = 0, -1
"""Stand where a lease has the attempt of its trial, which is 1 or more."""


class QueuePlace:
    """Of the ask called `name`. One that is quick, because it suggests while it holds the log, waits only for those that
    are not: the log itself has a queue."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_taken = False
        self._number = 0
        self._pause = _SHORTEST_PAUSE

    def ahead(self, log: Log, is_quick: bool) -> int:
        """How many are to be served before this one."""
        return len(self._others(log, is_quick)[0])

    def take(self, log: Log, is_quick: bool) -> int:
        """Stand in the queue for `KEPT` seconds from now, behind all others or where it stands already; how many are
        ahead."""
        before, mine, everybody = self._others(log, is_quick)
        now, kind = log.time(), _QUICK if is_quick else _SLOW
        if mine is None or mine.attempt != kind or mine.until < now + KEPT / 2:
            log.drop([place.number for place in everybody if place.until < now])
            self._number = mine.number if mine else min((place.number for place in everybody), default=0) - 1
            log.put([Lease(self._number, kind, self.name, now + KEPT)])
        self.is_taken = True
        return len(before)

    def leave(self, log: Log) -> None:
        """Make room for the next."""
        if self.is_taken:
            log.drop([self._number])

    @contextmanager
    def kept(self, renew: Callable[[str, Mapping[int, int], float], object]) -> Iterator[None]:
        """Keep it while the work inside takes its time, by `renew(owner, held, seconds)`; see `Storage.renew`."""
        if not self.is_taken:
            yield
            return
        over = threading.Event()

        def beat() -> None:
            for _ in range(int(LONGEST / (KEPT / 3))):
                if over.wait(KEPT / 3):
                    return
                with suppress(HpoError):
                    renew(self.name, {self._number: _SLOW}, KEPT)

        thread = threading.Thread(target=beat, name="hpo-asking", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    def pause(self, ahead: int) -> float:
        """Seconds until another look is worth it: the longer it has lasted, and the more are ahead, the longer."""
        self._pause = min(1.2 * self._pause, _LONGEST_PAUSE)
        return min(ahead * self._pause, KEPT / 4) * random.uniform(0.8, 1.2)  # noqa: S311

    def _others(self, log: Log, is_quick: bool) -> tuple[list[Lease], Lease | None, list[Lease]]:
        """Those ahead, its own, and all there are."""
        everybody = [lease for lease in reversed(log.leases()) if lease.number < 0]
        mine = next((place for place in everybody if place.owner == self.name), None)
        if not everybody:
            return [], None, []
        now = log.time()
        before = everybody[: everybody.index(mine)] if mine else everybody
        living = [place for place in before if place.until >= now]
        return [place for place in living if place.attempt == _SLOW or not is_quick], mine, everybody
