"""Random search: independent draws, each configuration once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpo.boundary.public import public_class
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion, random_distinct


@public_class
@dataclass(frozen=True)
class Random:
    """Random search: uniform draws from the space, log-uniform on log scales (Bergstra and Bengio, JMLR 13, 2012).

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("draws", problem, storage=":memory:", strategy=hpo.strategies.Random())
        >>> study.ask().why["how"]
        'drawn at random'
    """

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """See Strategy.suggest."""
        drawn = random_distinct(history.problem.space, history.taken, n, rng)
        return [Suggestion(params, {"role": "explore", "how": "drawn at random"}) for params in drawn]
