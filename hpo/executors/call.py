"""One call of the user's function, turned into an outcome: the same in this thread, in a thread, in a process."""

from __future__ import annotations

import time
import traceback
from types import TracebackType

from hpo.executors.base import Function, Kind, Outcome, Work, plain

MESSAGE_CHARACTERS = 1000
TAIL_LINES = 20
TAIL_CHARACTERS = 4000


def call(function: Function, work: Work) -> Outcome:
    """Call `function(work.payload)` and say how it ended; never raises.

    SystemExit is an error like any other: a training that calls `sys.exit` must not end its driver.
    KeyboardInterrupt becomes "cancelled".
    """
    started_at, start = time.time(), time.perf_counter()
    value, kind, message, log_tail = None, None, "", ""
    try:
        value = plain_value(function(plain(work.payload)))
    except BaseException as error:
        kind, message, log_tail = kind_of(error), describe(error), traceback_tail(error)
    return Outcome(
        id=work.id,
        value=value,
        kind=kind,
        message=message,
        log_tail=log_tail,
        started_at=started_at,
        seconds=time.perf_counter() - start,
    )


def plain_value(value: object) -> dict[str, object]:
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
    """The last lines of the traceback, from the function on: the frame of `call` says nothing to its reader."""
    trace: TracebackType | None = error.__traceback__
    lines = traceback.format_exception(type(error), error, trace.tb_next if trace else None)
    return tail("".join(lines))


def tail(text: str) -> str:
    """The last lines of `text`, for a message."""
    return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]
