"""Which stages of a suggestion are skipped under a time limit, and how a replay repeats that choice.

    reused      hyperparameters as the last ask left them, not searched again
    screened    the best of a pool of candidates, not climbed from
    spread      no model at all: a configuration that fills the space

What was skipped is kept with each suggestion (`why["skipped"]`), so that a replay decides as the clock did then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

REUSED, SCREENED, SPREAD = "reused", "screened", "spread"


class TimeLimit(Protocol):
    """Asked before each piece of work whether it may be done, given an estimate of its seconds."""

    def model(self, seconds: float) -> bool:
        """Once per ask: may surrogates be built? Otherwise all suggestions are spread."""
        ...

    def search(self, seconds: float) -> bool:
        """Once per ask: may hyperparameters be searched?"""
        ...

    def climb(self, seconds: float, reserve: float) -> bool:
        """Before each suggestion until it says no: may it be climbed to, with `reserve` seconds left for the others?
        The rest are screened."""
        ...

    def screen(self, seconds: float) -> bool:
        """Once, when suggestions are left: may they come from a pool? Otherwise they are spread."""
        ...


class NoTimeLimit:
    """Everything may be done."""

    def model(self, seconds: float, reserve: float = 0.0) -> bool:
        """See TimeLimit."""
        return True

    search = climb = screen = model


class Deadline:
    """Until `seconds` have passed since birth. Estimates are corrected by how long things took so far."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._ends = clock() + seconds
        self._slowness = 1.0
        self._last: tuple[float, float] | None = None

    def model(self, seconds: float, reserve: float = 0.0) -> bool:
        """See TimeLimit."""
        now = self._clock()
        if self._last is not None:
            began, promised = self._last
            self._slowness = max((now - began) / max(promised, 1e-4), 0.5 * self._slowness, 0.2)
        fits = now + self._slowness * (seconds + reserve) <= self._ends
        self._last = (now, seconds) if fits else None
        return fits

    search = climb = screen = model


class ReplayedDeadline:
    """As an earlier ask decided: `whys` are the reasons of its suggestions, in order."""

    def __init__(self, whys: Sequence[Mapping[str, Any]]) -> None:
        self._skipped = [frozenset(why.get("skipped", ())) for why in whys]
        self._climbed = 0

    def model(self, seconds: float) -> bool:
        """See TimeLimit."""
        return SPREAD not in self._at(0)

    def search(self, seconds: float) -> bool:
        """See TimeLimit."""
        return REUSED not in self._at(0)

    def climb(self, seconds: float, reserve: float) -> bool:
        """See TimeLimit."""
        may = not self._at(self._climbed) & {SCREENED, SPREAD}
        self._climbed += may
        return may

    def screen(self, seconds: float) -> bool:
        """See TimeLimit."""
        return SPREAD not in self._at(self._climbed)

    def _at(self, i: int) -> frozenset[str]:
        return self._skipped[i] if i < len(self._skipped) else frozenset()
