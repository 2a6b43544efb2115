"""One BLAS thread inside `ask`: matrices of a few hundred rows gain nothing from more; training runs need the cores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import scipy.linalg  # noqa: F401 - brings a BLAS of its own, which must be there before the look-up
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_controller: ThreadpoolController | None = None
_inside = 0  # how many are limited now, in all threads
_outside = contextlib.ExitStack()  # puts back what the first of them found


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Limit the process's BLAS libraries to one thread and restore the caller's settings on the way out: where several
    threads are inside at once, the last one out does.

    The libraries are looked up once: those loaded later (by a training) are left alone.
    """
    global _controller, _inside
    with _lock:
        if _controller is None:
            _controller = ThreadpoolController()
        if not _inside:
            _outside.enter_context(_controller.limit(limits=1, user_api="blas"))
        _inside += 1
    try:
        with _controller.limit(limits=1, user_api="openmp"):  # a setting of each thread's own
            yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _outside.close()
