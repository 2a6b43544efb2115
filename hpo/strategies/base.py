"""Strategy: what suggests configurations. A frozen value; a suggestion is a pure function of its arguments."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from hpo.trials.deadline import TimeLimit
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion

__all__ = ["AnytimeStrategy", "Strategy", "Suggestion"]


class Strategy(Protocol):
    """What suggests configurations. Write a frozen dataclass, so that its settings can be stored by name.

    `hpo.testing.strategies.StrategyContract` tests a strategy of your own.

    Example:
        >>> import hpo
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Middle:
        ...     def suggest(self, history, n, rng):
        ...         if history.trials:
        ...             raise hpo.SpaceExhausted("the middle has been tried")
        ...         return [hpo.strategies.Suggestion(history.problem.space.start(), {"role": "initial"})]
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("middle", problem, storage=":memory:", strategy=Middle())
        >>> study.ask().params
        {'x': 0.5}
    """

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """Up to `n` configurations, at least one: inside the space and its constraints, different from one another
        and from all in `history.taken`. `history` holds the problem, and the trials completed, failed and in flight.

        Raises SpaceExhausted when every configuration is taken.
        """
        ...


@runtime_checkable
class AnytimeStrategy(Strategy, Protocol):
    """A strategy that can do with less time."""

    def suggest_within(
        self, history: History, n: int, rng: np.random.Generator, time_limit: TimeLimit
    ) -> list[Suggestion]:
        """As `suggest`, skipping what `time_limit` has no time for; what was skipped is in `why["skipped"]`."""
        ...
