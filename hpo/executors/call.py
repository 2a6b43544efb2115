"""One call of the user's function, turned into an outcome: the same in this thread, in a thread, in a process."""

from __future__ import annotations

import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from hpo.executors.base import Function, Kind, Outcome, Task, plain

MESSAGE_CHARACTERS = 1000
TAIL_LINES = 20
TAIL_CHARACTERS = 4000
_OUR_FRAMES = (__file__, str(Path(__file__).parents[1] / "running" / "objective.py"))
"""Files between a pool and the user's function."""


def call(function: Function, task: Task) -> Outcome:
    """Call `function(task.payload)` and say how it ended; never raises.

    A function may fork. A child that comes back from it ends here, with the exit code it would have as a program: it is a
    copy of whatever called the function, and must not do that one's task a second time.

    SystemExit is an error like any other: a training that calls `sys.exit` must not end its driver.
    KeyboardInterrupt becomes "cancelled".
    """
    started_at, start = time.time(), time.perf_counter()
    value, kind, message, log_tail = None, None, "", ""
    process = os.getpid()
    try:
        value = _plain_value(function(plain(task.payload)))
    except BaseException as error:
        if os.getpid() != process:
            _leave(error)
        kind, message, log_tail = kind_of(error), describe(error), traceback_tail(error)
        if kind == "cancelled":
            message = "interrupted while it ran"
    if os.getpid() != process:
        _leave(None)
    return Outcome(
        id=task.id,
        value=value,
        kind=kind,
        message=message,
        log_tail=log_tail,
        started_at=started_at,
        seconds=time.perf_counter() - start,
    )


def _leave(error: BaseException | None) -> NoReturn:
    """End this process, a child of the function's, as an interpreter would end; but what its parent left to be done at the
    end is not this child's to do."""
    code = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            if code == 1 and error.code != 1:
                sys.stderr.write(f"{error.code}\n")
        elif error is not None:
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    finally:
        os._exit(code & 0xFF)


def _plain_value(value: object) -> dict[str, object]:
    """The function's result as plain JSON; raises TypeError with what to return instead."""
    try:
        return plain(value)
    except TypeError as error:
        raise TypeError(f"the function's result {error}; return a mapping of names to numbers") from None


def kind_of(error: BaseException) -> Kind:
    """The kind of failure an exception stands for. Accelerator libraries name theirs OutOfMemoryError."""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled"
    if isinstance(error, MemoryError) or any(base.__name__ == "OutOfMemoryError" for base in type(error).__mro__):
        return "oom"
    return "error"


def describe(error: BaseException) -> str:
    """`ValueError: text` in one line of bearable length."""
    return " ".join("".join(traceback.format_exception_only(error)).split())[:MESSAGE_CHARACTERS]


def traceback_tail(error: BaseException) -> str:
    """The traceback from the user's function on: our own frames say nothing to its reader. Of a long one the first lines,
    where the function is, and the last."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OUR_FRAMES:
        trace = trace.tb_next
    lines = "".join(traceback.format_exception(type(error), error, trace)).rstrip().splitlines()
    if len(lines) > TAIL_LINES:
        half = TAIL_LINES // 2
        lines = [*lines[: half - 1], "  ...", *lines[-half:]]
    return tail("\n".join(lines))


def tail(text: str) -> str:
    """The last lines of `text`, for a message."""
    return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]
