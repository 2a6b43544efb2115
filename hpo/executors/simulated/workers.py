"""Workers of a simulated clock: who is idle, and who is to be given nothing."""

from __future__ import annotations

import heapq
from collections.abc import Collection

_NAME = "worker "


def place_of(worker: int) -> str:
    """What outcomes call it."""
    return f"{_NAME}{worker}"


class Workers:
    """Numbered from 0 on, in the order in which they join. The lowest number that is idle comes first."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._idle = list(range(n))
        self._avoided: frozenset[int] = frozenset()
        self.busy: set[int] = set()

    @property
    def capacity(self) -> int:
        """All that have joined, also those that died and will be back; but for the idle ones that are avoided."""
        return self._n - len(self._left_out() - self.busy)

    def join(self, n: int) -> None:
        """As many more."""
        for worker in range(self._n, self._n + n):
            heapq.heappush(self._idle, worker)
        self._n += n

    def avoid(self, places: Collection[str]) -> None:
        """Give these nothing, unless there are no others."""
        self._avoided = frozenset(int(place.removeprefix(_NAME)) for place in places if place.startswith(_NAME))

    def take(self) -> int | None:
        """One that is idle, busy from now on; None if there is none."""
        left_out, passed = self._left_out(), []
        while self._idle and self._idle[0] in left_out:
            passed.append(heapq.heappop(self._idle))
        found = heapq.heappop(self._idle) if self._idle else None
        for worker in passed:
            heapq.heappush(self._idle, worker)
        if found is not None:
            self.busy.add(found)
        return found

    def rest(self, worker: int) -> None:
        """It has no task any more."""
        self.busy.discard(worker)

    def be_idle(self, worker: int) -> None:
        """It may be given a task."""
        self.rest(worker)
        heapq.heappush(self._idle, worker)

    def _left_out(self) -> frozenset[int]:
        return self._avoided if len(self._avoided) < self._n else frozenset()
