"""InFlight: what a run holds, from the start of a task until its study knows how it ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from hpo.executors import Outcome, Task
from hpo.trials.trial import Trial


class InFlight:
    """Trials of one run, by the ids of their tasks.

    State:
        held: what the study has not been told the end of.
        found: what was found running, and is not known yet to be this driver's.
        ended: what the pool has delivered and the study has not been told yet, with whether a loss counts.
        lost: tasks whose trials another driver has taken over, or that have ended otherwise.
    """

    def __init__(self) -> None:
        self.held: dict[str, Trial] = {}
        self.found: dict[str, Trial] = {}
        self.ended: deque[tuple[Outcome, bool]] = deque()
        self.lost: set[str] = set()
        self._unseen: set[str] = set()
        """Those lost of which it is not known yet who has them."""

    @property
    def n_live(self) -> int:
        """How many tasks have not ended."""
        return len(self.held) - len(self.ended)

    def start(self, tasks: Sequence[Task], trials: Sequence[Trial]) -> None:
        """These are handed to the pool."""
        self.held.update({task.id: trial for task, trial in zip(tasks, trials, strict=True)})

    def arrive(self, outcome: Outcome) -> Trial:
        """The trial of an outcome, which may come before it is known whose it is."""
        if outcome.id in self.found:
            self.held[outcome.id] = self.found.pop(outcome.id)
        return self.held[outcome.id]

    def find(self, trials: Mapping[str, Trial]) -> None:
        """These were found running."""
        self.found.update(trials)

    def adopt(self, mine: Iterable[str]) -> None:
        """Hold what was found; all but `mine` is another driver's."""
        self.held.update(self.found)
        self.lost |= self.found.keys() - set(mine)
        self.found.clear()

    def lose(self, ids: Iterable[str], now: Callable[[], Sequence[Trial]]) -> list[str]:
        """Other drivers have taken these over, or they have ended otherwise. Returns the tasks to be ended: those that no
        other driver watches. `now` gives the study's trials; where it raises, the next call looks again."""
        self._unseen |= set(ids) & self.held.keys()
        self.lost |= self._unseen
        if not self._unseen:
            return []
        trials = now()
        lost = {id: trial for id, trial in self.held.items() if id in self._unseen}
        self._unseen.clear()
        return [id for id, trial in lost.items() if trials[trial.number].attempt != trial.attempt]

    def forget(self, id: str) -> None:
        """The study knows how the first of `ended` ended."""
        del self.held[id]
        self.ended.popleft()

    def take_untold(self) -> list[tuple[Trial, Outcome]]:
        """What has ended and cannot be told; the run no longer holds it."""
        untold = [(self.held.pop(outcome.id), outcome) for outcome, _ in self.ended]
        self.ended.clear()
        return untold
