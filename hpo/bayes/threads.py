"""One BLAS thread inside `ask`: matrices of a few hundred rows gain nothing from more, and trainings share the cores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import scipy.linalg  # noqa: F401 - brings a BLAS of its own, which must be there before the look-up
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_controller: ThreadpoolController | None = None


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Limit the process's BLAS libraries to one thread and restore the caller's settings on the way out.

    The libraries are looked up once: those loaded later (by a training) are left alone.
    """
    global _controller
    with _lock:
        if _controller is None:
            _controller = ThreadpoolController()
    with _controller.limit(limits=1):
        yield
