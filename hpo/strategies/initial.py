"""The first configurations: the one in production, then points that fill the space."""

from __future__ import annotations

from collections.abc import Iterator, Set

import numpy as np

from hpo.common.randomness import generator
from hpo.problem.space import Params
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion, distinct, missing


def initial_design(
    history: History, n: int, rng: np.random.Generator, taken: Set[str] | None = None
) -> list[Suggestion]:
    """Up to `n` configurations that need no model, none of them in `taken` (those of the history by default). The
    sequence is one per study and goes on from ask to ask. Raises SpaceExhausted."""
    from hpo.bayes.optimize.halton import halton

    space = history.problem.space
    taken = history.taken if taken is None else taken
    start = space.start()

    def sequence() -> Iterator[Params]:
        yield start
        points = halton(200 + 20 * (len(history.trials) + n), len(space), generator(history.seed, "initial design"))
        for u in points:
            params = space.at(u)
            if all(c.holds(params) for c in space.linear):
                yield params

    # Narrow constraints, or nearly everything taken: the rest by chance.
    points = distinct(sequence(), taken, n)
    points += missing(points, space, taken, n, rng)
    words = "the configuration in production" if space.has_defaults else "the middle of the space"
    return [
        Suggestion(params, {"role": "initial", "how": words if params == start else "fills the space evenly"})
        for params in points
    ]
