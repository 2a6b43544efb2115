"""Where a run shows its progress: a line that is kept up to date on a terminal and in a notebook, plain lines elsewhere.

One thread writes. It wakes once in a while to move the clock on, and reads only what steps hold, which is frozen. So the
line ticks while the objective runs in the main thread; a signal that comes in the middle of a write never writes itself;
and what cannot be written (a closed pipe, a full disk, an encoding) is said once in the log and stops nothing.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self, TextIO

from hpo.errors import SettingsError
from hpo.running.budget import Budget
from hpo.running.failures import Repeats, is_told
from hpo.running.progress import (
    Estimate,
    Progress,
    clock_words,
    log_words,
    progress_line,
    resume_words,
    spending_words,
    trial_words,
)
from hpo.running.screens import Screen, screen_on
from hpo.trials.formatting import duration
from hpo.trials.trial import Trial, TrialState

log = logging.getLogger(__name__)

Show = Callable[[Progress], None]

TICK = 0.5
"""Seconds between two looks at the clock."""
_PAUSE = 0.1
"""Seconds between two redraws, at the least."""
_PATIENCE = 1.0
"""Seconds for which a run waits for a step to be on the screen."""


class Display:
    """Shows the steps of a run, for as long as the block lasts. This one shows nothing."""

    wants_starts = False
    """Whether it is shown steps without an end or a message: trials have started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def begin(self, step: Progress) -> None:
        """Called by the run before its first step, with how things stand."""

    def show(self, step: Progress) -> None:
        """Called by the run after each step."""

    def end(self, words: str) -> None:
        """Called with how the run ended."""


class Called(Display):
    """A function of the user's, called in the thread of the run."""

    def __init__(self, function: Show) -> None:
        self._function: Show | None = function

    def show(self, step: Progress) -> None:
        """Call it. What it raises ends the run, unless its output could not be written."""
        if self._function is None:
            return
        try:
            self._function(step)
        except OSError as error:
            self._function = None
            log.warning("progress is not shown any more: it could not be written: %s", error)


class Pace:
    """Limits plain lines: one for each trial that ends, but of thousands of short trials only one a second."""

    def __init__(self, burst: int = 100) -> None:
        self._left, self._most, self._at = float(burst), burst, time.monotonic()

    def allows(self) -> bool:
        """Whether one more may be written now."""
        now = time.monotonic()
        self._left, self._at = min(self._left + now - self._at, self._most), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Unshown(logging.Handler):
    """Warnings that nobody handles, while a display shows a run: what it does not show itself goes to standard error, as it
    does without a run."""

    _NAMES = ("hpo.storage", "hpo.running.announcer", "hpo.running.run_loop", "hpo.running.untold_results")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, unless it is shown or somebody has it."""
        handlers = [*logging.getLogger("hpo").handlers, *logging.getLogger().handlers]
        is_first = next((h for h in handlers if isinstance(h, Unshown)), None) is self
        has_handler = any(not isinstance(h, Unshown) for h in handlers)
        if is_first and not has_handler and record.name.startswith(self._NAMES) and logging.lastResort:
            logging.lastResort.handle(record)


class Shown(Display):
    """The progress in words, on a screen."""

    def __init__(self, screen: Screen, budget: Budget, *, is_whole: bool = True, pace: Pace | None = None) -> None:
        """is_whole: whether tracebacks and how the run ended are shown too; the command line has its own words.
        pace: how many lines are let through; all without it."""
        self.wants_starts = screen.is_live
        self._screen, self._budget, self._is_whole = screen, budget, is_whole
        self._estimate, self._repeats = Estimate(budget), Repeats()
        self._steps: queue.SimpleQueue[tuple[Progress | None, threading.Event]] = queue.SimpleQueue()
        self._last: tuple[Progress, float] | None = None
        """The last step, and when it came on the monotonic clock."""
        self._line = ""
        """Of the last step; empty until it is drawn."""
        self._drawn_at = -math.inf
        self._is_over = False
        self._last_words = ""
        self._pace = None if screen.is_live else pace
        self._skipped: Progress | None = None
        """The last step, where it was not shown."""
        self._is_broken = False
        self._thread = threading.Thread(target=self._serve, name="hpo-display", daemon=True)
        self._mute = Unshown()

    def __enter__(self) -> Self:
        logging.getLogger("hpo").addHandler(self._mute)
        self._guarded(self._screen.open)
        self._guarded(self._thread.start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._skipped is not None:
            self._put(self._skipped)
        self._put(None)
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        self._guarded(self._screen.close)
        if self._last_words and self._is_whole:
            self._guarded(lambda: self._screen.keep(self._last_words))
        logging.getLogger("hpo").removeHandler(self._mute)

    def begin(self, step: Progress) -> None:
        """Say what there is already, and draw the first line."""
        self._put(replace(step, message=resume_words(step.history)) if step.history.trials else step)

    def show(self, step: Progress) -> None:
        """Wait until it is on the screen, but not for long: a terminal may be stopped, and this may be the handler of a
        signal that came in the middle of a write."""
        self._estimate.count(step)
        if step.ended is None or self._pace is None or self._pace.allows():
            self._skipped = None
            self._put(step)
        else:
            self._skipped = step

    def end(self, words: str) -> None:
        """Shown below all else."""
        self._last_words = words

    def _put(self, step: Progress | None) -> None:
        done = threading.Event()
        self._steps.put((step, done))
        if self._thread.is_alive():
            done.wait(_PATIENCE)

    # what follows runs in the thread

    def _serve(self) -> None:
        while True:
            try:
                step, done = self._steps.get(timeout=TICK if self.wants_starts else None)
            except queue.Empty:
                self._guarded(self._draw)
                continue
            self._is_over = step is None
            self._guarded(self._draw if step is None else partial(self._take, step))
            done.set()
            if step is None:
                return

    def _guarded(self, act: Callable[[], None]) -> None:
        """A run goes on whatever becomes of its display."""
        if self._is_broken:
            return
        try:
            act()
        except Exception as error:
            self._is_broken = True
            logging.getLogger("hpo").removeHandler(self._mute)
            log.warning("progress is not shown any more: %s: %s", type(error).__name__, error)

    def _take(self, step: Progress) -> None:
        self._last, self._line = (step, time.monotonic()), ""
        if step.message:
            self._screen.keep(step.message)
        if step.ended is not None:
            self._keep_end(step, step.ended)
        if time.monotonic() - self._drawn_at > _PAUSE:
            self._draw()

    def _keep_end(self, step: Progress, trial: Trial) -> None:
        """What stays on the screen of a trial's end: on a live one only that it has brought no result."""
        words = trial_words(step.history, trial) + log_words(step)
        if not self._screen.is_live:
            line = progress_line(step.history, self._budget.trials, self._estimate.seconds(step))
            count, *rest = line.split(" | ")
            self._screen.keep(" | ".join(filter(None, [count, words, *rest, step.delay])))
        elif trial.state is not TrialState.COMPLETED:
            n = self._repeats.count(trial)
            if is_told(n):
                self._screen.keep(words + (f" ({n} times so far)" if n > 1 else ""))
        if step.trace and not step.log and self._is_whole:
            self._screen.keep("\n".join(f"    {row}" for row in step.trace.splitlines()))

    def _draw(self) -> None:
        if self._last is None or not self._screen.is_live:
            return
        step, at = self._last
        if not self._line:
            self._line = progress_line(step.history, self._budget.trials)
        now = replace(step, elapsed=step.elapsed + time.monotonic() - at)
        left = None if self._is_over else self._estimate.seconds(now)
        parts = [clock_words(now.elapsed), f"~{duration(left)} left" if left else ""]
        parts = [self._line, *parts, spending_words(self._budget, step.history), step.delay]
        self._screen.draw(" | ".join(filter(None, parts)))
        self._drawn_at = time.monotonic()


def display_of(progress: bool | Show | Display | None, budget: Budget, stream: TextIO | None) -> Display:
    """What shows the progress of a run as its caller has asked: None and True for a display on `stream` or in the
    notebook (True for a line of every trial, however many), False for none, a function to be called. Raises SettingsError
    for anything else."""
    if isinstance(progress, Display):
        return progress
    if progress is None or progress is True:
        pace = Pace() if progress is None else None
        return Display() if stream is None else Shown(screen_on(stream), budget, pace=pace)
    if progress is False:
        return Display()
    if not callable(progress):
        raise SettingsError(
            f"run(progress={progress!r}): give True or False, or a function that is called with each step"
        )
    return Called(progress)
