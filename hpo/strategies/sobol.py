"""Scrambled Sobol search: points that fill the space evenly, in a sequence that goes on from ask to ask."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpo.boundary.public import public_class
from hpo.problem.space import Params
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion, distinct, missing


@public_class
@dataclass(frozen=True)
class Sobol:
    """Points that fill the space evenly: one scrambled Sobol sequence per study (Owen, J. Complexity 14, 1998).

    Points that a constraint forbids, or that are taken, are skipped.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("even", problem, storage=":memory:", seed=1, strategy=hpo.strategies.Sobol())
        >>> sorted(int(4 * trial.params["x"]) for trial in study.ask(4))
        [0, 1, 2, 3]
    """

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """See Strategy.suggest."""
        space = history.problem.space

        def sequence() -> Iterator[Params]:
            from scipy.stats import qmc

            sampler = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(history.seed))
            if history.trials:
                sampler.fast_forward(len(history.trials))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The balance properties of Sobol")
                for _ in range(50):
                    for u in sampler.random(max(n, 8)):
                        params = space.at(u)
                        if all(c.holds(params) for c in space.linear):
                            yield params

        points = distinct(sequence(), history.taken, n)
        drawn = missing(points, space, history.taken, n, rng)
        why = {"role": "explore", "how": "next point of the Sobol sequence"}
        fallback = {"role": "fallback", "how": "drawn at random: the Sobol sequence gave nothing new"}
        return [*(Suggestion(params, why) for params in points), *(Suggestion(params, fallback) for params in drawn)]
