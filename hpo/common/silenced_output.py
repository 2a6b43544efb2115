"""Silenced output: keeps what a library of C prints off the standard output, and leaves everything else there."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_ONE_AT_A_TIME = Lock()


@contextmanager
def c_output_dropped() -> Iterator[None]:
    """Within it, what C code of this process prints to its `stdout` is dropped; Python's own output and that of child
    processes is not touched, in no thread. Where the C library does not let `stdout` be exchanged, nothing happens."""
    streams = _streams()
    if streams is None:
        yield
        return
    stdout, nowhere = streams
    with _ONE_AT_A_TIME:
        kept, stdout.value = stdout.value, nowhere
        try:
            yield
        finally:
            stdout.value = kept


@functools.cache
def _streams() -> tuple[ctypes.c_void_p, int] | None:
    """The variable that holds C's standard output, and a stream that goes nowhere."""
    if sys.platform == "darwin":
        name = "__stdoutp"
    elif platform.libc_ver()[0] == "glibc":  # others keep it in memory that cannot be written
        name = "stdout"
    else:
        return None
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    nowhere = library.fopen(os.devnull.encode(), b"w")
    return (ctypes.c_void_p.in_dll(library, name), nowhere) if nowhere else None
