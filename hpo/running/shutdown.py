"""Shutdown: from which moment a run starts nothing more, and what becomes of what runs then."""

from __future__ import annotations

import time
from enum import Enum

from hpo.common.text import counted
from hpo.running.budget import Budget
from hpo.running.signals import Interrupts


class Stage(Enum):
    """Where a run is. It goes down this list, perhaps past some of them, and never up."""

    RUNNING = "trials are started"
    DRAINING = "nothing more is started; what runs may end"
    STOPPING = "what runs is being ended"
    DETACHED = "what runs goes on without this driver"
    OVER = "nothing runs any more"


class Shutdown:
    """How one run comes to its end.

    State:
        stage: see `Stage`.
        reason: why nothing more is started; the first that there was.
        stopping: why running trials are being ended; empty unless they are.
        hand_back: whether trials that are stopped are to be run again.
    """

    def __init__(self, interrupts: Interrupts, notice: float) -> None:
        """notice: seconds that running trials have after SIGTERM."""
        self._interrupts, self._notice = interrupts, notice
        self.stage = Stage.RUNNING
        self.reason = self.stopping = ""
        self.hand_back = False

    @property
    def is_asked_for(self) -> bool:
        """Whether Ctrl-C or SIGTERM has come."""
        return bool(self._interrupts.count) or self._interrupts.terminated_at is not None

    @property
    def is_notice_over(self) -> bool:
        """Whether SIGTERM has come, and the time after it has passed."""
        since = self._interrupts.terminated_at
        return since is not None and time.monotonic() - since >= self._notice

    def heed(self, *, survives: bool) -> None:
        """Do what Ctrl-C or SIGTERM ask for, if one has come. survives: whether tasks outlive their driver."""
        if not self.is_asked_for:
            return
        is_term = self._interrupts.terminated_at is not None
        rest = "go on" if survives else f"had {self._notice:g} s to end" if is_term else ""
        word = "terminated" if is_term else "interrupted"
        self.drain(f"{word}: running trials {rest}" if rest else word)
        if survives:
            self.stage, self.hand_back = Stage.DETACHED, True  # what was not handed over yet

    def drain(self, reason: str) -> None:
        """Start nothing more."""
        self.reason = self.reason or reason
        if self.stage is Stage.RUNNING:
            self.stage = Stage.DRAINING

    def stop_overdue(self, budget: Budget, elapsed: float) -> bool:
        """Whether running trials are to be ended from now on: the wall time and the overtime are over, or the notice
        after SIGTERM is."""
        if self.stage is Stage.STOPPING:
            return False
        if self.is_notice_over:
            self.stopping, self.hand_back = "preempted: the machine was to be given back", True
        elif budget.latest is not None and elapsed >= budget.latest:
            self.stopping = f"stopped: the wall time of {budget.wall_words} is over"
        else:
            return False
        self.stage = Stage.STOPPING
        return True

    def end(self, reason: str) -> None:
        """Nothing runs any more, and nothing is to come."""
        self.reason = self.reason or reason
        self.stage = Stage.OVER


def interrupted_words(n_live: int, n_kept: int, *, survives: bool) -> str:
    """What is said after a first Ctrl-C.

    n_live: trials that run. n_kept: results that cannot be stored at the moment. survives: whether tasks outlive their
    driver.
    """
    n, is_one = counted(n_live, "running trial"), n_live == 1
    kept = f"; {counted(n_kept, 'result')} cannot be stored at the moment" if n_kept else ""
    if not n_live:
        end = f"{kept}; interrupt again (Ctrl-C) to end without" if kept else ""
        return f"interrupted: no trial is running, and no more are started{end}"
    if survives:
        them = "it" if is_one else "them"
        return f"interrupted: {n} {'goes' if is_one else 'go'} on; the next run takes {them} back{kept}"
    end = f"interrupt again (Ctrl-C) to cancel {'it' if is_one else 'them'}"
    return f"interrupted: waiting for {n} to end{kept}; {end}"


def terminated_words(n_live: int, notice: float) -> str:
    """What is said after SIGTERM."""
    has = "has" if n_live == 1 else "have"
    return f"terminated: {counted(n_live, 'running trial')} {has} {notice:g} s to end"
