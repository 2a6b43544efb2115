"""Ctrl-C and SIGTERM, turned into what a run can look at between two steps."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupts:
    """How often Ctrl-C was pressed, and since when the process is asked to go.

    A signal comes between any two instructions of the main thread, in the middle of a write too. So what it means is
    only noted then, and is acted on in `waiting`, where nothing is half done.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self.terminated_at: float | None = None
        """When SIGTERM came, on the monotonic clock."""
        self._say = say
        self._unsaid: deque[Callable[[], str]] = deque()
        self._is_waiting = self._is_saying = False
        self._hurry: Callable[[], None] | None = None
        self._most = 2
        """Ctrl-Cs that are noted; those beyond raise where they come."""

    @contextmanager
    def watched(self, on_first: Callable[[], str], on_term: Callable[[], str]) -> Iterator[None]:
        """Meanwhile the first Ctrl-C and SIGTERM only say what these answer; a second Ctrl-C raises KeyboardInterrupt
        in the next `waiting`, a third wherever it comes. Only the main thread gets signals; in others nothing is
        changed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_interrupt(*_: object) -> None:
            self.count += 1
            if self.count == 1:
                self._unsaid.append(on_first)
            self._come()

        def on_terminate(*_: object) -> None:
            if self.terminated_at is None:
                self.terminated_at = time.monotonic()
                self._unsaid.append(on_term)
                self._come()

        before = signal.signal(signal.SIGINT, on_interrupt), signal.signal(signal.SIGTERM, on_terminate)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the run only waits, signals are acted on as they come; those that came before, at once."""
        self._is_waiting = True
        try:
            self._act()
            yield
        finally:
            self._is_waiting = False

    def cleaning_up(self, hurry: Callable[[], None]) -> None:
        """From now on the run ends what it has started: the next Ctrl-C calls `hurry`, in a separate thread, and only
        one more than that breaks it off."""
        self._most = self.count + 1
        self._hurry = hurry

    def _come(self) -> None:
        if self.count > self._most:
            raise KeyboardInterrupt
        if self._hurry is not None:
            threading.Thread(target=self._hurry, name="hpo-hurry", daemon=True).start()
        elif self._is_waiting and not self._is_saying:
            self._act()

    def _act(self) -> None:
        self._is_saying = True
        try:
            while self._unsaid:
                self._say(self._unsaid.popleft()())
        finally:
            self._is_saying = False
        if self.count > 1:
            raise KeyboardInterrupt
