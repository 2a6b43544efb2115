"""One suggestion after another: each knows of all in flight and of those chosen before it.

What is in flight has no result, and none is invented: the mean of the models comes from completed trials alone. Their
variance falls as if the points had been measured, and the improvement of the objective is averaged over joint draws of
what the points in flight may turn out to be (Snoek et al., NeurIPS 2012, section 3.2; Wilson et al., NeurIPS 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.bayes.acquisition.log_ei import Acquisition, LogEI, Utility
from hpo.bayes.gp.gp import GP, condition, sample_at
from hpo.common.arrays import Array, Mask

N_FANTASIES = 16

ConstraintTerms = Sequence[tuple[GP, Utility]]
"""A model and the log probability of what it must meet, for each limited metric and for success itself."""


@dataclass(frozen=True, eq=False)
class AcquisitionTerms:
    """What the next trial is chosen for: improve the objective over `best`, and meet every limit.

    `objective` is None while nothing feasible is known: then only the limits count.
    """

    objective: GP | None
    best: float
    limits: ConstraintTerms
    margin: float = 0.0


def acquisition(target: AcquisitionTerms, in_flight: Array, normals: Array) -> Acquisition:
    """Log EI + sum of log probabilities of the limits, given points in flight `[p, d]`.

    `normals [>= p, s]`: standard normals, the same for every point of a batch, so that they differ only by what they
    add. With several limits and nothing feasible yet, the log probabilities alone remain: the most probably feasible
    point (Gelbart et al., UAI 2014).
    """
    limits = conditioned(target.limits, in_flight)
    if target.objective is None:
        assert limits is not None
        return limits
    terms = () if limits is None else limits.terms
    return Acquisition([improvement(target, in_flight, normals), *terms])


def improvement(target: AcquisitionTerms, in_flight: Array, normals: Array) -> tuple[GP, LogEI]:
    """The objective's model and its log EI, averaged over draws of what is in flight."""
    gp = target.objective
    assert gp is not None
    if not len(in_flight):
        return gp, LogEI(target.best + target.margin)
    draws = sample_at(gp, in_flight, normals[: len(in_flight), :N_FANTASIES])
    fantasy = condition(gp, in_flight, draws)
    reached = fantasy.posterior_mean(in_flight)  # [s, p]: the noise-free values the draws stand for
    reached = np.where(probable(target.limits, in_flight), reached, -np.inf)
    return fantasy, LogEI(np.maximum(reached.max(axis=1, keepdims=True), target.best) + target.margin)


def conditioned(limits: ConstraintTerms, in_flight: Array) -> Acquisition | None:
    """The sum of log probabilities of all limits, their variance fallen at the points in flight; None without any."""
    terms = [(condition(gp, in_flight) if len(in_flight) else gp, probability) for gp, probability in limits]
    return Acquisition(terms) if terms else None


def probable(limits: ConstraintTerms, X: Array) -> Mask:
    """Whether the rows of X [b, d] meet all limits more probably than not, [b]. Success counts by its utility, which is
    less than its probability where that is below 80 % (see `feasibility.py`)."""
    if not limits:
        return np.ones(len(X), dtype=bool)
    return np.asarray(Acquisition(limits).value(X) > np.log(0.5))
