"""What a long run shows: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

EVERY = 15.0
"""Seconds between two lines where no terminal is."""


class Display:
    """Runs done and to do, per contender and in all. Use as a context manager; `advance` after every run."""

    def __init__(
        self, to_do: Mapping[str, int], seconds_left: Callable[[], float | None], out: TextIO | None = None
    ) -> None:
        self._to_do = dict(to_do)
        self._done = dict.fromkeys(to_do, 0)
        self._seconds_left = seconds_left
        self._out = out = out or sys.stdout
        self._last = time.monotonic()
        self._lock = threading.Lock()
        console = Console(file=out)
        self._bars = (
            Progress(TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), console=console)
            if console.is_terminal
            else None
        )
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
            self._rows = {name: self._bars.add_task(name, total=n) for name, n in self._to_do.items()}
            self._rows[""] = self._bars.add_task("all", total=sum(self._to_do.values()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        self.say(self.words())

    def advance(self, contender: str) -> None:
        """One more run of this contender has ended."""
        with self._lock:
            self._done[contender] += 1
            if self._bars is not None:
                self._bars.advance(self._rows[contender])
                self._bars.update(self._rows[""], advance=1, description=f"all, {self._left()}")
            elif time.monotonic() - self._last > EVERY:
                self._last = time.monotonic()
                self.say(self.words())

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._bars is not None and self._bars.live.is_started:
            self._bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self._out, flush=True)

    def words(self) -> str:
        """Where things stand."""
        each = ", ".join(f"{name} {self._done[name]}/{n}" for name, n in self._to_do.items())
        return f"{sum(self._done.values())}/{sum(self._to_do.values())} runs, {self._left()}: {each}"

    def _left(self) -> str:
        seconds = self._seconds_left()
        if seconds is None:
            return "time left unknown"
        return f"{seconds / 3600:.1f} h left" if seconds > 5400 else f"{seconds / 60:.0f} min left"
