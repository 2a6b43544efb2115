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
_SOON, _LATER = 2.0, 20.0
"""Seconds of trying after which somebody is told, and between two such words."""
_NEWCOMER = 15.0
"""Seconds for which an opening goes on where nobody answers: a server that restarts is back, and a wrong address is not
waited for much longer."""

_patience: ContextVar[float | None] = ContextVar("patience", default=None)


@contextmanager
def patient(seconds: float) -> Iterator[None]:
    """Meanwhile `retrying` gives up after so many seconds, in this thread: for who comes back later by himself, and for
    who can wait for long."""
    before = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(before)


def retrying(step: Callable[[bool], T], *, patience: float = PATIENCE, is_opening: bool = False) -> T:
    """What `step(again)` returns. It is called again, with True, each time it raises ConnectionLost, after growing pauses;
    the error is raised when the patience is over: a minute, or as `patient` says. A step that may have been stored
    before the connection broke must look whether it was.

    What is waited for is logged, as a warning, after two seconds. With `is_opening` an address where nobody answers is
    named at once, and given up after 15 s unless `patient` says otherwise.
    """
    given, begun = _patience.get(), time.monotonic()
    end, told_at, is_told = begun + (patience if given is None else given), begun + _SOON, False
    pause, again = _SHORTEST, False
    while True:
        try:
            answer = step(again)
        except ConnectionLost as error:
            now = time.monotonic()
            is_newcomer = is_opening and error.is_unanswered
            if is_newcomer and given is None:
                end = min(end, begun + _NEWCOMER)
            if now + pause > end:
                if again:
                    error.args = (f"{error} (tried again for {now - begun:.0f} s)",)
                raise
            if now >= told_at or (is_newcomer and not is_told):
                what = str(error).partition(". ")[0]  # what to do is for those who give up
                log.warning("%s. Trying again, for %.0f s more at most", what, end - now)
                told_at, is_told = now + _LATER, True
        else:
            if is_told:
                log.warning("going on after %.0f s of waiting", time.monotonic() - begun)
            return answer
        time.sleep(pause)
        pause, again = min(2.0 * pause, _LONGEST), True
