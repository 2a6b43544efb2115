"""Going on after a server was away: the same step again, until it is done or patience ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from hpo.errors import ConnectionLost
from hpo.storage.base import PATIENCE

T = TypeVar("T")
log = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.05, 2.0


def persistently(step: Callable[[bool], T], patience: float = PATIENCE) -> T:
    """What `step(again)` returns. It is called again, with True, each time it raises ConnectionLost, after growing pauses;
    the error is raised when `patience`, in seconds, is over. A step that may have been stored before the connection
    broke must look whether it was."""
    end, pause, again = time.monotonic() + patience, _SHORTEST, False
    while True:
        try:
            return step(again)
        except ConnectionLost as error:
            if time.monotonic() + pause > end:
                raise
            log.warning("%s Trying again", error)
        time.sleep(pause)
        pause, again = min(2.0 * pause, _LONGEST), True
