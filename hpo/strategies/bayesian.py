"""Bayesian optimization: a surrogate of every metric, and the configuration that promises most.

    initial     the configuration in production (or the middle), then points that fill the space
    feasibility while nothing meets every limit: where all limits are most probably met
    explore     best expected improvement, worse than the best on average but uncertain
    exploit     best expected improvement, better than the best on average
    fallback    the model could not be used; drawn at random

The mathematics: docs/explanation/suggestions.md.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpo.boundary.public import public_class
from hpo.errors import SpaceExhausted
from hpo.problem.space import key
from hpo.strategies.grid import at_least_one
from hpo.trials.deadline import SPREAD, NoTimeLimit, TimeLimit
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion, random_distinct
from hpo.trials.trial import DATA, LEARNED_KINDS

log = logging.getLogger(__name__)


@public_class
@dataclass(frozen=True)
class Bayesian:
    """Bayesian optimization of all parameters together: the default.

    One suggestion takes milliseconds to tenths of a second. It never raises for numerical reasons: what cannot be
    modeled is suggested at random, and labeled `fallback`.

    Args:
        n_initial: How many configurations are tried before the models are asked. None: one more than there are
            parameters, but at least 6 and at most 10.

    Raises:
        SettingsError: `n_initial` is below 1.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> strategy = hpo.strategies.Bayesian(n_initial=4)
        >>> study = hpo.open_study("parabola", problem, storage=":memory:", seed=1, strategy=strategy)
        >>> study.ask().why["role"]
        'initial'
    """

    n_initial: int | None = None

    def __post_init__(self) -> None:
        if self.n_initial is not None:
            object.__setattr__(self, "n_initial", at_least_one("n_initial", self.n_initial))

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """See Strategy.suggest."""
        return self.suggest_within(history, n, rng, NoTimeLimit())

    def suggest_within(
        self, history: History, n: int, rng: np.random.Generator, time_limit: TimeLimit
    ) -> list[Suggestion]:
        """See AnytimeStrategy.suggest_within."""
        from hpo.strategies.initial import initial_design

        n_modeled = n - self._n_designed(history, n)
        out = _modeled(history, n_modeled, rng, time_limit) if n_modeled else []
        if len(out) == n:
            return out
        try:
            spread = initial_design(history, n - len(out), rng, history.taken | {key(s.params) for s in out})
        except SpaceExhausted:
            if out:
                return out
            raise
        n_late = n_modeled - len(out)
        return [*out, *(Suggestion(s.params, _LATE) for s in spread[:n_late]), *spread[n_late:]]

    def _n_designed(self, history: History, n: int) -> int:
        """How many of the next `n` trials belong to the initial design: all until a model has something to learn from."""
        if not self._is_ready(history):
            return n
        n_tried = sum(t.set_aside != DATA for t in history.trials)
        return min(max(self._n_initial(history) - n_tried, 0), n)

    def _n_initial(self, history: History) -> int:
        return self.n_initial or min(max(len(history.problem.space) + 1, 6), 10)

    def _is_ready(self, history: History) -> bool:
        """Whether a model has something to learn from: two results, or failures to keep away from."""
        learned = sum(t.kind in LEARNED_KINDS for t in history.failed)
        return len(history.completed) >= 2 or (learned >= 2 and not history.in_flight)


_LATE = {"role": "fallback", "how": "no time for a model: fills the space evenly", "skipped": [SPREAD]}


def _modeled(history: History, n: int, rng: np.random.Generator, time_limit: TimeLimit) -> list[Suggestion]:
    """What the model promises most of; fewer than `n` when the time limit ends, random ones when the model fails."""
    from hpo.bayes.blas_threads import single_threaded
    from hpo.bayes.propose import propose

    try:
        with single_threaded():
            out = propose(history, n, rng, time_limit)
        if not all(_is_finite(s.why) and _is_finite(s.fitted) for s in out):
            raise FloatingPointError("what it says is not finite")
        return out
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        log.exception("the model failed; suggesting at random")
        why = {"role": "fallback", "how": f"drawn at random: the model failed ({error})"}
        return [Suggestion(params, why) for params in random_distinct(history.problem.space, history.taken, n, rng)]


def _is_finite(told: object) -> bool:
    """Whether every number in mappings and lists is."""
    if isinstance(told, Mapping):
        return all(map(_is_finite, told.values()))
    if isinstance(told, list | tuple):
        return all(map(_is_finite, told))
    return not isinstance(told, float) or math.isfinite(told)
