"""Many suggestions at once, or many points in flight: choose from a pool of candidates by joint draws.

One joint draw says what every candidate and every point in flight may turn out to be, all consistent with one another.
Over s draws F, the next of a batch is the candidate that raises the average best by most,

    gain(i) = p_i 1/s sum_j max(F_ij - reach_j, 0),

with p_i its chance to meet every limit (lower where success is doubtful, see `feasibility.py`) and reach_j what is attained
in draw j already: by completed trials, points in flight and the batch so far. That is the greedy batch expected
improvement, which loses at most 1/e of the best batch's (Wilson et al., NeurIPS 2018, section 4), for the price of one
factorization however large the batch. When every draw's best is taken nothing is gained any more; the rest are Thompson
samples: the best of one draw each, in turn.
Shapes: c candidates, p points in flight, s draws.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpo.bayes.acquisition.log_ei import Acquisition, LogProbability
from hpo.bayes.acquisition.pending import AcquisitionTerms, probable
from hpo.bayes.gp.gp import GP, sample_at
from hpo.bayes.several_objectives import Front
from hpo.common.arrays import Array, Mask

_DRAWS = 256
_MAX_IN_FLIGHT = 1000
_EXHAUSTED = 1e-6  # share of the first gain at which the draws have nothing more to tell


def greedy(draws: Array, reach: Array, chance: Array) -> Iterator[int]:
    """Indices of candidates, the most useful first, each once.

    Args:
        draws: [c, s] of the value to be raised.
        reach: [s] attained already, which may be -inf.
        chance: [c] of meeting every limit; a candidate raises the reach for the next only if it is 1/2 or more.
    """
    if not len(draws):
        return
    left, lowest = np.ones(len(draws), dtype=bool), draws.min(axis=0)
    reach = np.maximum(reach, lowest)  # without anything attained yet, the worst candidate is the mark
    gains = chance * np.maximum(draws - reach, 0.0).mean(axis=1)
    first = gains.max(initial=0.0)
    while left.any():
        i = int(np.argmax(np.where(left, gains, -np.inf)))
        if not gains[i] > _EXHAUSTED * first:
            break
        left[i] = False
        yield i
        raised = (draws[i] > reach) if chance[i] >= 0.5 else np.zeros(len(reach), dtype=bool)
        if raised.any():
            before = np.maximum(draws[:, raised] - reach[raised], 0.0)
            reach[raised] = draws[i, raised]
            after = np.maximum(draws[:, raised] - reach[raised], 0.0)
            gains -= chance * (before - after).sum(axis=1) / len(reach)
    yield from _thompson(draws, chance, left)


def _thompson(draws: Array, chance: Array, left: Mask) -> Iterator[int]:
    """The best remaining candidate of one draw after another; among those likely to meet the limits while there are any."""
    likely = chance >= min(0.5, float(chance.max(initial=0.0)))
    for turn in range(int(left.sum())):
        among = left & likely if (left & likely).any() else left
        i = int(np.argmax(np.where(among, draws[:, turn % draws.shape[1]], -np.inf)))
        left[i] = False
        yield i


def pool_draws(
    target: AcquisitionTerms, front: Front | None, X: Array, in_flight: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """What `greedy` needs for candidates X [c, d] and points in flight [p, d]: draws [c, s], reach [s], chance [c].

    The value drawn is that of the objective; with several, the volume along one direction a draw (see `hypervolume.py`);
    while nothing feasible is known, minus the distance from meeting all limits, in the models' units. Of more than 1000
    points in flight those with the best prospects count.
    """
    ones = np.ones(len(X))
    if target.objective is None:
        models = [(gp, utility if isinstance(utility, LogProbability) else _SUCCEEDS) for gp, utility in target.limits]
        both = np.concatenate([in_flight[-_MAX_IN_FLIGHT:], X])
        missed = [_shortfall(_drawn(gp, both, rng), limit) for gp, limit in models]
        value, p = -np.sum(missed, axis=0), len(both) - len(X)
        return value[p:], value[:p].max(axis=0, initial=-np.inf), ones
    if len(in_flight) > _MAX_IN_FLIGHT:
        mean, variance = target.objective.posterior(in_flight)
        prospects = mean + 2.0 * np.sqrt(variance)
        in_flight = in_flight[np.sort(np.argsort(-prospects, kind="stable")[:_MAX_IN_FLIGHT])]
    both, p = np.concatenate([in_flight, X]), len(in_flight)
    if front is None:
        value, reach = _drawn(target.objective, both, rng), np.full(_DRAWS, target.best)
    else:
        drawn = np.stack([_drawn(m.gp, both, rng) for m in front.models.objectives], axis=-1)  # [p + c, s, m]
        value, reach = front.volumes(drawn)
    counts = probable(target.limits, in_flight)
    reach = np.maximum(reach, value[:p][counts].max(axis=0, initial=-np.inf))
    chance = np.exp(Acquisition(target.limits).value(X)) if target.limits else ones
    return value[p:], reach, chance


_SUCCEEDS = LogProbability(lower=0.0)


def _drawn(gp: GP, X: Array, rng: np.random.Generator) -> Array:
    return sample_at(gp, X, rng.standard_normal((len(X), _DRAWS)), observed=False)


def _shortfall(values: Array, limit: LogProbability) -> Array:
    return np.maximum(np.maximum(limit.lower - values, values - limit.upper), 0.0)
