"""Signals that wait until a step is done.

Python calls the handler of a signal between any two instructions of the main thread, and that of Ctrl-C raises. Inside a
transaction it would come in the middle of what SQLAlchemy and the driver of a database do, leave a connection out with
its locks, or a commit whose outcome is unknown. So meanwhile a signal is only noted, and its handler is
called when the step is over, or at a place that waits for another and can stop there. The second one does not wait.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]

_DEFERRED = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGBREAK")
    if hasattr(signal, name)
)


@contextmanager
def deferred() -> Iterator[None]:
    """Handlers are called at the end, and where the step inside says `heed` or `stopped_by`. In a thread that is not the
    main one, which gets no signals, and inside another step that defers them, it changes nothing."""
    step = _Step()
    try:
        try:
            step.begin()
            yield
        finally:
            step.end()
    finally:
        step.end()  # for what interrupted even that, and is no signal


class _Step:
    def __init__(self) -> None:
        self._before: dict[int, Handler] = {}
        self._came: list[int] = []
        self.stop: Callable[[], None] | None = None
        self._is_over = False
        self.thread = threading.get_ident()

    def begin(self) -> None:
        """From now on handlers are not called."""
        global _now
        if _now is not None or threading.current_thread() is not threading.main_thread():
            return
        _now = self
        for number in _DEFERRED:
            handler = signal.getsignal(number)
            if callable(handler):
                self._before[number] = handler
                with suppress(ValueError):  # in an interpreter beside the main one, which gets no signals either
                    signal.signal(number, functools.update_wrapper(functools.partial(self._note), handler))

    def end(self) -> None:
        """Call the handlers of what came, now and from now on at once. To be called again if it was interrupted."""
        self.forget()
        self.heed()

    def forget(self) -> None:
        """Defer nothing any more."""
        global _now
        if _now is self:
            _now = None
        if self._is_over:
            return
        for number, handler in self._before.items():
            with suppress(ValueError):
                signal.signal(number, handler)
        self._is_over = True

    def heed(self) -> None:
        """Call the handlers of what has come: the step can stop here. What they raise is raised."""
        while self._came:
            number = self._came.pop(0)
            self._before[number](number, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_over or number in self._came:  # a second one does not wait
            self._before[number](number, frame)
            return
        self._came.append(number)
        if self.stop is not None:
            self.stop()

    @property
    def has_come(self) -> bool:
        """Whether a signal waits."""
        return bool(self._came)


_now: _Step | None = None
"""That of the main thread."""


def heed() -> None:
    """Call the handlers of what has come meanwhile. For places that wait, and where what was begun can be abandoned."""
    if (step := _mine()) is not None:
        step.heed()


@contextmanager
def stopped_by(stop: Callable[[], None]) -> Iterator[None]:
    """While the main thread waits for something that `stop` breaks off, a signal does so."""
    step = _mine()
    if step is None:
        yield
        return
    step.heed()
    step.stop = stop
    try:
        if step.has_come:  # since
            stop()
        yield
    finally:
        step.stop = None


def _mine() -> _Step | None:
    return _now if threading.current_thread() is threading.main_thread() else None


def _after_fork() -> None:
    """Where another thread has forked, the step of the main thread is not in the child, and never ends there."""
    if _now is not None and _now.thread != threading.get_ident():
        _now.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
