"""Ctrl-C and SIGTERM, turned into what a run can look at between two steps."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupts:
    """How often Ctrl-C was pressed, and since when the process is asked to go."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self.terminated_at: float | None = None
        """When SIGTERM came, on the monotonic clock."""
        self._say = say

    @contextmanager
    def watched(self, on_first: Callable[[], str], on_term: Callable[[], str]) -> Iterator[None]:
        """Meanwhile the first Ctrl-C and SIGTERM only say what these answer; a second Ctrl-C raises KeyboardInterrupt.
        Only the main thread gets signals; in others nothing is changed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_interrupt(*_: object) -> None:
            self.count += 1
            if self.count > 1:
                raise KeyboardInterrupt
            self._say(on_first())

        def on_terminate(*_: object) -> None:
            if self.terminated_at is None:
                self.terminated_at = time.monotonic()
                self._say(on_term())

        before = signal.signal(signal.SIGINT, on_interrupt), signal.signal(signal.SIGTERM, on_terminate)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
