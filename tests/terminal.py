"""A program on a pseudo-terminal, as a person sees and interrupts it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 60.0
"""Seconds after which a text that does not come is a failure."""


class Terminal:
    """A command, or `python -c program`, with a terminal of `columns` as its three streams; Ctrl-C reaches it as it does by
    hand."""

    def __init__(self, program: str | Sequence[str], folder: Path, columns: int = 200) -> None:
        self.shown = ""
        """All that was written, escape codes included."""
        self._fd, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program] if isinstance(program, str) else program,
            cwd=folder,
            env={**env, "TERM": "xterm"},
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
        )
        os.close(there)

    def until(self, text: str) -> str:
        """All that was shown, as soon as `text` was."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was never shown, but {self.shown!r}"
            assert self._read(), f"{text!r} was not shown before the end, but {self.shown!r}"
        return self.shown

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read on until the program ends; its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"it does not end: {self.shown!r}"
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def _read(self) -> bool:
        """Take what there is, for a moment; False at the end."""
        if select.select([self._fd], [], [], 0.1)[0]:
            chunk = b""
            with contextlib.suppress(OSError):  # how a pseudo-terminal says that its other end is gone
                chunk = os.read(self._fd, 1 << 16)
            self.shown += chunk.decode()
            return bool(chunk)
        return True


def screen(shown: str) -> list[str]:
    """The lines that stand on the terminal in the end: carriage returns, erased lines and moves up are done."""
    rows, at = [""], 0
    for piece in shown.replace("\r\n", "\n").replace("\x1b[2K", "\x00").replace("\x1b[1A", "\x01"):
        if piece == "\n":
            at += 1
            rows += [""] * (at == len(rows))
        elif piece == "\x00":
            rows[at] = ""
        elif piece == "\x01":
            at -= 1
        elif piece != "\r":
            rows[at] += piece
    return [row for row in rows if row]
