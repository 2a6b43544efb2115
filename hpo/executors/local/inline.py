"""Inline: works run one after another in the thread that waits for them. For debugging, tests and cheap functions."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.executors.base import CloseMode, Function, Outcome, Pool, Work, only_function, refuse_detach, refuse_limits
from hpo.executors.call import call
from hpo.executors.work_queue import Ledger


@dataclass(frozen=True)
class Inline:
    """Run each work inside `wait`, in the caller's thread: breakpoints and print work as ever.

    A running function cannot be stopped or limited: `timeout`, `memory` and `env` are refused with ExecutorError.
    """

    @property
    def isolated(self) -> bool:
        """No: the work runs in this process."""
        return False

    def start(self, function: Function | None = None) -> Pool:
        """Open a pool that calls `function`."""
        return InlinePool(only_function(function, self))


class InlinePool(Pool):
    """Runs the next work when somebody waits; the timeout of `wait` cannot interrupt it."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._ledger = Ledger()
        self._turn = threading.Lock()

    @property
    def capacity(self) -> int:
        """One."""
        return 1

    def submit(self, *works: Work) -> None:
        """Queue `works` for the next `wait`."""
        refuse_limits(works, "Inline")
        self._ledger.add(works)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Run one work, unless outcomes are there already; [] if nothing is in flight."""
        outcomes = self._ledger.deliver()
        if outcomes or not self._turn.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            return outcomes
        try:
            self._run_next()
        finally:
            self._turn.release()
        return self._ledger.deliver()

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End queued works as cancelled."""
        self._ledger.cancel_waiting(ids)

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Run what is queued, or cancel it."""
        refuse_detach(mode, "Inline")
        self._ledger.close()
        if mode is CloseMode.KILL:
            self.cancel(self._ledger.in_flight())
        with self._turn:
            while self._run_next():
                pass
        return self._ledger.deliver()

    def _run_next(self) -> bool:
        work = self._ledger.take()
        if work is None:
            return False
        outcome = call(self._function, work)
        self._ledger.end(outcome)
        if outcome.kind == "cancelled":  # Ctrl-C fell into the function: it is meant for the caller too
            raise KeyboardInterrupt
        return True
