"""Announcer: what a run says and shows, from the history as it was last read. It never waits for the storage."""

from __future__ import annotations

import logging
from collections.abc import Callable

from hpo.executors import Outcome
from hpo.running.budget import Budget
from hpo.running.display import Display
from hpo.running.progress import Progress
from hpo.study.study import Study
from hpo.trials.history import History
from hpo.trials.trial import Trial

log = logging.getLogger(__name__)


class Announcer:
    """Makes steps of what happens in one run, for its display.

    elapsed: seconds since the run began. delay: why nothing is started or stored at the moment, if so.
    """

    def __init__(
        self, study: Study, budget: Budget, display: Display, elapsed: Callable[[], float], delay: Callable[[], str]
    ) -> None:
        self._study, self._budget, self._display = study, budget, display
        self._elapsed, self._delay = elapsed, delay
        self._known: History | None = None
        """As the storage was last read."""

    @property
    def is_live(self) -> bool:
        """Whether the display shows trials as they start."""
        return self._display.wants_starts

    def read(self) -> History:
        """The history as it is now. Raises StorageError."""
        return self.keep(self._study.history)

    def keep(self, history: History) -> History:
        """This is the newest that is known."""
        self._known = history
        return history

    def shown(self) -> History:
        """The history for what is shown: read only where nothing is known yet."""
        return self._known or self.read()

    def begin(self) -> None:
        """The run begins."""
        self._display.begin(self._state())

    def update(self) -> None:
        """Show how things stand, where the display shows that."""
        if self.is_live and self._known is not None:
            self._display.show(self._state())

    def ended(self, trial: Trial, outcome: Outcome, trace: str) -> None:
        """A trial has ended. trace: of a failure whose traceback is to be shown."""
        history, elapsed = self.shown(), self._elapsed()
        room, log_file = self._budget.room(history, elapsed), outcome.logs[-1] if trial.kind and outcome.logs else ""
        self._display.show(
            Progress(history, elapsed, trial, outcome.id, room=room, log=log_file, trace=trace, delay=self._delay())
        )

    def say(self, message: str) -> None:
        """Show a message; before anything is known of the study it is logged."""
        if self._known is None:
            log.warning("%s", message)
        else:
            self._display.show(Progress(self._known, self._elapsed(), message=message, delay=self._delay()))

    def _state(self) -> Progress:
        history, elapsed = self.shown(), self._elapsed()
        return Progress(history, elapsed, room=self._budget.room(history, elapsed), delay=self._delay())
