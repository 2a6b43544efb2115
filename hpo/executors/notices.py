"""What a person should be told of the machines: each thing once, until it changes."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger(__name__)


class Notices:
    """Sentences that wait to be shown, by what they are about. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: list[str] = []
        self._said: dict[str, str] = {}

    def say(self, about: str, text: str) -> None:
        """Show `text`, unless it is what was said last about this."""
        with self._lock:
            if self._said.get(about) != text:
                self._said[about] = text
                self._add(text)

    def end(self, about: str, text: str = "") -> None:
        """It is over: show `text` if anything was said about it. What is said next is news."""
        with self._lock:
            if self._said.pop(about, None) and text:
                self._add(text)

    def take(self) -> list[str]:
        """What was said since the last call."""
        with self._lock:
            new, self._new = self._new, []
            return new

    def _add(self, text: str) -> None:
        log.warning("%s", text)
        self._new.append(text)
