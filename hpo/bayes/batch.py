"""One suggestion after another: each knows of all in flight and of those chosen before it.

What is in flight has no result, and none is invented: the mean of the models comes from completed trials alone. Their
variance falls as if the points had been measured, and the improvement of the objective is averaged over joint draws of
what the points in flight may turn out to be (Snoek et al., NeurIPS 2012, section 3.2; Wilson et al., NeurIPS 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.bayes.acquisition import Acquisition, LogEI, Surrogate, Utility
from hpo.bayes.gp import GP, condition, sample_at
from hpo.bayes.kernel import Array

N_FANTASIES = 16
MOST_FANTASIZED = 64
"""Points in flight beyond which only the variance knows of them."""


@dataclass(frozen=True, eq=False)
class Target:
    """What the next trial is chosen for: improve the objective over `best`, and meet every limit.

    `objective` is None while nothing feasible is known: then only the limits count. `limits` holds a model and
    the log probability of what it must meet, for each limited metric and for success itself.
    """

    objective: GP | None
    best: float
    limits: Sequence[tuple[GP, Utility]]


def acquisition(target: Target, in_flight: Array, normals: Array) -> Acquisition:
    """Log EI + sum of log probabilities of the limits, given points in flight `[p, d]`.

    `normals [>= p, s]`: standard normals, the same for every point of a batch, so that they differ only by what they
    add. With several limits and nothing feasible yet, the log probabilities alone remain: the most probably feasible
    point (Gelbart et al., UAI 2014).
    """
    limits: list[tuple[Surrogate, Utility]] = [
        (condition(gp, in_flight) if len(in_flight) else gp, probability) for gp, probability in target.limits
    ]
    if target.objective is None:
        return Acquisition(limits)
    return Acquisition([improvement(target, in_flight, normals), *limits])


def improvement(target: Target, in_flight: Array, normals: Array) -> tuple[GP, LogEI]:
    """The objective's model and its log EI, averaged over draws of what is in flight."""
    gp = target.objective
    assert gp is not None
    if not len(in_flight):
        return gp, LogEI(target.best)
    if len(in_flight) > MOST_FANTASIZED:
        return condition(gp, in_flight), LogEI(target.best)
    draws = sample_at(gp, in_flight, normals[: len(in_flight)])
    fantasy = condition(gp, in_flight, draws)
    reached = fantasy.posterior(in_flight)[0]  # [s, p]: the noise-free values the draws stand for
    if target.limits:
        probable = sum(p(*_moments(model, in_flight))[0] for model, p in target.limits) > np.log(0.5)
        reached = np.where(probable, reached, -np.inf)
    return fantasy, LogEI(np.maximum(reached.max(axis=1, keepdims=True), target.best))


def _moments(gp: GP, X: Array) -> tuple[Array, Array]:
    mean, variance = gp.posterior(X)
    return mean, np.sqrt(variance)
