"""Replay: derive every suggestion of a study again from what its ask saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hpo.common.randomness import generator
from hpo.errors import SpaceExhausted, StudyDamaged
from hpo.problem.problem import Problem
from hpo.problem.space import key
from hpo.strategies.base import AnytimeStrategy, Strategy
from hpo.strategies.registry import from_json
from hpo.trials.deadline import ReplayedDeadline
from hpo.trials.events import Event, StudyState


@dataclass(frozen=True)
class Replay:
    """What came of a replay: how many suggestions were derived again, and the first that came out otherwise."""

    n_checked: int
    first_difference: int | None = None
    """Number of the first trial whose params differ."""
    stored: str = ""
    derived: str = ""

    @property
    def is_identical(self) -> bool:
        """Whether every suggestion came out as stored."""
        return self.first_difference is None

    def __str__(self) -> str:
        if self.is_identical:
            return f"{self.n_checked} suggestions derived again, all identical"
        return (
            f"trial {self.first_difference} differs after {self.n_checked} identical suggestions: "
            f"stored {self.stored}, derived {self.derived}. Other versions of numpy, scipy or hpo may round otherwise"
        )


def replay(
    problem: Problem, seed: int, events: Sequence[Event], strategy_of: Callable[[object], Strategy] = from_json
) -> Replay:
    """Walk the log and ask each strategy again with the history its ask saw.

    `problem` is the definition as first given; edits are part of the log. `strategy_of` makes a strategy of what is stored
    of it.
    """
    study_state = StudyState(problem, seed)
    checked = 0
    for (saw, drawn, n), batch in _batches(events):
        study_state.apply(events[study_state.seq : saw])
        try:
            strategy, rng = strategy_of(batch[0].data.get("strategy")), generator(seed, "suggest", drawn)
            if isinstance(strategy, AnytimeStrategy):
                recorded = ReplayedDeadline([event.data.get("why", {}) for event in batch])
                again = strategy.suggest_within(study_state.history(), n, rng, recorded)
            else:
                again = strategy.suggest(study_state.history(), n, rng)
        except SpaceExhausted:
            again = []
        for i, event in enumerate(batch):
            derived = key(again[i].params) if i < len(again) else "nothing"
            if derived != key(event.data["params"]):
                return Replay(checked, event.number, key(event.data["params"]), derived)
            checked += 1
    return Replay(checked)


def _batches(events: Sequence[Event]) -> list[tuple[tuple[int, int, int], list[Event]]]:
    """The suggestions of each ask, and what they followed from: the last event that it saw, the first number at that time,
    and how many were asked for. In the order in which they were made, which need not be that in which they were stored."""
    found: dict[tuple[int, int], tuple[tuple[int, int, int], list[Event]]] = {}
    for event in events:
        if event.kind != "asked":
            continue
        try:
            first, n = map(int, event.data["batch"])
            made = int(event.data["saw"]), int(event.data.get("drawn", first)), n
        except (LookupError, TypeError, ValueError) as error:
            raise StudyDamaged(f"event {event.seq} (asked) is damaged: it does not say what it saw") from error
        found.setdefault((first, n), (made, []))[1].append(event)
    return sorted(found.values(), key=lambda batch: batch[0][0])
