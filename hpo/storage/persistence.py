"""Going on after a server was away: the same step again, until it is done or patience ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from hpo.errors import ConnectionLost
from hpo.storage.base import PATIENCE

T = TypeVar("T")
log = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.05, 2.0


_patience: ContextVar[float] = ContextVar("patience", default=PATIENCE)


@contextmanager
def patient(seconds: float) -> Iterator[None]:
    """Meanwhile `persistently` gives up after so many seconds, in this thread: for who comes back later by himself, and for
    who can wait for long."""
    before = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(before)


def persistently(step: Callable[[bool], T]) -> T:
    """What `step(again)` returns. It is called again, with True, each time it raises ConnectionLost, after growing pauses;
    the error is raised when the patience is over: a minute, or as `patient` says. A step that may have been stored
    before the connection broke must look whether it was."""
    end, pause, again = time.monotonic() + _patience.get(), _SHORTEST, False
    while True:
        try:
            return step(again)
        except ConnectionLost as error:
            if time.monotonic() + pause > end:
                raise
            is_told = _patience.get() < PATIENCE  # by a caller that comes back, again and again
            log.log(logging.INFO if is_told else logging.WARNING, "%s Trying again", error)
        time.sleep(pause)
        pause, again = min(2.0 * pause, _LONGEST), True
