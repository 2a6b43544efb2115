"""Screens: a terminal, a notebook, and anything else that takes lines. Each keeps lines, and live ones have one at the
bottom that is redrawn."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from hpo.common.text import shown

_WIDTH = 80
"""Columns where nobody knows how many there are."""
_NOTEBOOK_WIDTH = 120


class Screen(Protocol):
    """Used from one thread."""

    @property
    def is_live(self) -> bool:
        """Whether a line can be redrawn."""
        ...

    def open(self) -> None:
        """Get ready."""

    def keep(self, text: str) -> None:
        """Show lines that stay."""

    def draw(self, text: str) -> None:
        """Put `text` in the place of what was drawn before; nothing where that cannot be."""

    def close(self) -> None:
        """Leave what was drawn last."""


def screen_on(stream: TextIO) -> Screen:
    """The screen behind a stream: the notebook this runs in, a terminal, or lines of text."""
    if _is_in_notebook():
        return Notebook(stream)
    can_draw = _is_terminal(stream) and os.name == "posix" and os.environ.get("TERM") != "dumb"
    return Terminal(stream) if can_draw and not _drawing.locked() else Lines(stream)


class Lines:
    """Any stream of text."""

    is_live = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def open(self) -> None:
        """Nothing to do."""

    def keep(self, text: str) -> None:
        """Write it, with an escape for what the encoding does not have."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(shown(text, lines=True).encode(encoding, "backslashreplace").decode(encoding) + "\n")
        if hasattr(self._stream, "flush"):  # programs put streams of their own there
            self._stream.flush()

    def draw(self, text: str) -> None:
        """Nothing is redrawn."""

    def close(self) -> None:
        """Nothing to do."""


_drawing = threading.Lock()
"""Held by the terminal that is drawn on: two runs at a time would wipe out each other's line."""


class Terminal:
    """A line at the bottom of a terminal, below all that is printed meanwhile.

    While it is drawn, what Python writes to a terminal (print, logging, warnings) first takes the line away, and goes out
    as it is. The line comes back below it; not while a printed line is still to be ended, such as a progress bar's, and
    not while somebody reads single keys, as debuggers and shells do.
    """

    is_live = True

    def __init__(self, stream: TextIO) -> None:
        self._fd, self._encoding = stream.fileno(), stream.encoding
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._n_drawn = 0
        self._drawn = ""
        self._is_midline = False
        self._patched: list[TextIO] = []
        self._was_raw = _is_raw(self._fd)
        self._is_mine = False

    def open(self) -> None:
        """Let everything that is printed pass by here."""
        self._is_mine = _drawing.acquire(blocking=False)
        for stream in {id(s): s for s in (sys.stdout, sys.stderr) if _is_terminal(s)}.values():
            if hasattr(stream, "__dict__") and "write" not in vars(stream):
                vars(stream)["write"] = self._passing(stream.write)
                self._patched.append(stream)

    def keep(self, text: str) -> None:
        """Write it above the line."""
        with self._lock:
            self._erase()
            self._write(shown(text, lines=True) + "\n")

    def draw(self, text: str) -> None:
        """Redraw the line; one that is too long is broken between its parts."""
        with self._lock:
            rows = broken(shown(text, lines=True), self._columns() - 1)
            lines = "\n".join(rows)
            if self._is_midline or lines == self._drawn or (_is_raw(self._fd) and not self._was_raw):
                return
            self._erase()
            self._write(lines)
            self._drawn, self._n_drawn = lines, len(rows)

    def close(self) -> None:
        """End the line."""
        for stream in self._patched:
            vars(stream).pop("write", None)
        self._patched.clear()
        try:
            with self._lock:
                if self._n_drawn:
                    self._write("\n")
                self._n_drawn, self._drawn = 0, ""
        finally:
            if self._is_mine:
                _drawing.release()
                self._is_mine = False

    def _passing(self, write: Callable[[str], int]) -> Callable[[str], int]:
        def passing(text: str, /) -> int:
            if os.getpid() != self._pid:  # forked while another thread drew: its lock is never given back there
                return write(text)
            with self._lock:
                self._erase()
                self._is_midline = not text.endswith("\n") if text else self._is_midline
                return write(text)

        return passing

    def _erase(self) -> None:
        if self._n_drawn:
            self._write("\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._n_drawn - 1))
            self._n_drawn, self._drawn = 0, ""

    def _write(self, text: str) -> None:
        """Past the stream's own buffer, whose lock a fork would copy."""
        data = text.encode(self._encoding, "backslashreplace")
        while data:
            data = data[os.write(self._fd, data) :]

    def _columns(self) -> int:
        told = os.environ.get("COLUMNS", "")
        if told.isdecimal() and int(told):
            return int(told)
        try:
            return os.get_terminal_size(self._fd).columns or _WIDTH
        except OSError:
            return _WIDTH


class Notebook:
    """One output of the cell, which is updated, and what stays on standard error."""

    is_live = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = Lines(stream)
        self._drawn = ""
        self._handle: Any = None

    def open(self) -> None:
        """Make the output now: in this thread the cell is known."""
        display = importlib.import_module("IPython.display").display
        self._handle = display(_plain(" "), raw=True, display_id=True)

    def keep(self, text: str) -> None:
        """Write it to the cell."""
        self._stream.keep(text)

    def draw(self, text: str) -> None:
        """Update the output."""
        lines = "\n".join(broken(shown(text, lines=True), _NOTEBOOK_WIDTH))
        if lines != self._drawn:
            self._drawn = lines
            self._handle.update(_plain(lines), raw=True)

    def close(self) -> None:
        """Nothing to do: the output stays."""


def broken(line: str, columns: int) -> list[str]:
    """`line` in rows of at most so many columns, broken before a ` | `; a part that is longer is cut."""
    rows: list[str] = []
    for part in line.split(" | "):
        if rows and _columns_of(f"{rows[-1]} | {part}") <= columns:
            rows[-1] += f" | {part}"
        else:
            rows.append(_cut(part, columns))
    return rows


def _cut(text: str, columns: int) -> str:
    if _columns_of(text) <= columns:
        return text
    while text and _columns_of(text) > columns - 3:
        text = text[:-1]
    return f"{text}..."


def _columns_of(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}


def _is_terminal(stream: TextIO | None) -> bool:
    """False too for what has been closed, and for a program's own streams that cannot say."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError, OSError):
        return False


def _is_raw(fd: int) -> bool:
    """Whether somebody reads single keys from this terminal."""
    import termios

    try:
        return not termios.tcgetattr(fd)[3] & termios.ICANON
    except termios.error:
        return False


def _is_in_notebook() -> bool:
    """Whether this is the kernel of a notebook, without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return any(base.__name__ == "ZMQInteractiveShell" for base in type(shell).__mro__)
