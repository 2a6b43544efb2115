"""Watched: a connection to PostgreSQL whose every wait for the server ends.

Neither TCP's keepalives nor the server's own time-outs see a middleman that takes packets and forwards none: a firewall, a
load balancer that has forgotten the connection, the host of a machine that was moved away.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen


class Watched(psycopg.Connection[Any]):
    """After `silence` seconds without a byte from the server the line is cut, as if the server had gone; 0 is for ever."""

    silence = 0.0
    heard_at = 0.0
    """When the server last answered, by the monotonic clock."""

    def wait(self, gen: PQGen[RV], *args: Any, **named: Any) -> RV:
        """Have `gen` done, which talks to the server."""
        return super().wait(self._heard(gen), *args, **named)

    @contextmanager
    def hearing(self, silence: float) -> Iterator[None]:
        """Meanwhile the line is cut after so many seconds of silence."""
        before, self.silence = self.silence, silence
        try:
            yield
        finally:
            self.silence = before

    def _heard(self, gen: PQGen[RV]) -> Generator[Any, Any, RV]:
        """The driver resumes a generator when the line is ready, and with nothing several times a second until then."""
        try:
            wanted, since = next(gen), 0.0
            while True:
                ready = yield wanted
                if ready:
                    self.heard_at = time.monotonic()
                    wanted, since = gen.send(ready), 0.0
                    continue
                now = time.monotonic()
                since = since or now
                if 0.0 < self.silence <= now - since:
                    self.close()
                    raise psycopg.OperationalError(f"no answer for {self.silence:g} s, so the connection was given up")
        except StopIteration as done:
            answer: RV = done.value
            return answer
