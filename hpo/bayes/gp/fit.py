"""Hyperparameters for a GP: theta by L-BFGS on log marginal likelihood + log prior.

Everything is deterministic: equal data and start give equal results. Shapes: n observations, d columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpo.bayes.gp.gp import GP, build_from
from hpo.bayes.gp.kernel import Layout, Theta
from hpo.bayes.gp.likelihood import Observations, Prior, bounds, log_marginal_likelihood
from hpo.bayes.optimize.lbfgs import maximize_rows
from hpo.common.arrays import Array

_SUBSET = 300  # observations theta is first fitted to when there are more than LARGE
LARGE = 500
"""Beyond so many observations, theta is searched for on some of them."""
_SCOUTING = 8  # steps of both cold starts before the better one goes on alone
_POLISH = 5  # steps on all observations after the subset


def fit(
    X: Array,
    y: Array,
    *,
    groups: npt.ArrayLike | None = None,
    noise: Array | None = None,
    warp: npt.ArrayLike | None = None,
    start: Theta | None = None,
    prior: Prior | None = None,
    max_iterations: int = 60,
    is_rough: bool = False,
) -> GP:
    """The GP whose theta maximizes log marginal likelihood + log prior, by L-BFGS with analytic gradients.

    Args:
        X: [n, d] in [0, 1].
        y: [n], about unit variance.
        groups: [d], lengthscale index per column (one each by default).
        noise: [n], known noise variance per observation, in units of y squared, added to the learned one.
        warp: [d] bool, columns with Kumaraswamy warping (none by default).
        start: hyperparameters of an earlier fit to similar data; makes the search short. Ignored if its shape differs.
        prior: of theta; `Prior()` by default.
        max_iterations: steps of the search.
        is_rough: leave out the polish.

    A cold start tries the usual and short lengthscales and follows the better one. Beyond LARGE observations theta is
    fitted to 300 of them (half the best, half spread over the rest) and polished by a few steps on all.
    """
    layout = Layout.of(X.shape[1], groups, warp)
    seen = Observations.of(X, y, noise)
    prior = Prior() if prior is None else prior
    is_large = len(y) > LARGE
    few = seen.take(_subset(y)) if is_large else seen
    if start is not None and len(start.vector) == layout.n_theta:
        vector = _search(start.vector, few, layout, prior, max_iterations).vector
    else:
        vector = _search_cold(few, layout, prior, max_iterations)
    if is_large and not is_rough:
        vector = _search(vector, seen, layout, prior, _POLISH).vector
    return build_from(vector, seen, layout)


def usual_theta(n_groups: int) -> Theta:
    """Where a search begins when nothing is known: lengthscales of half the cube's diagonal, little noise."""
    return Theta(
        log_lengthscales=(float(np.log(0.5 * np.sqrt(n_groups))),) * n_groups, log_outputscale=0.0, log_noise=-5.0
    )


def _subset(y: Array) -> npt.NDArray[np.intp]:
    """Indices of the best half-subset and of as many spread evenly, by rank, over the rest."""
    order = np.argsort(-y, kind="stable")
    best, rest = order[: _SUBSET // 2], order[_SUBSET // 2 :]
    spread = np.linspace(0, len(rest) - 1, _SUBSET - len(best)).round().astype(np.intp)
    return np.sort(np.concatenate([best, rest[spread]]))


@dataclass(frozen=True, eq=False)
class _Found:
    """Where a search for theta ended, and the log posterior there."""

    vector: Array
    value: float


def _search_cold(seen: Observations, layout: Layout, prior: Prior, max_iterations: int) -> Array:
    """Theta's vector from lengthscales of half the cube's diagonal, and of a tenth of it where that looks better.

    The second start climbs a little; it goes on only if it is then ahead of where the first one ended.
    """
    usual, short = np.zeros((2, layout.n_theta))
    known = usual_theta(layout.n_groups).vector
    usual[: len(known)] = short[: len(known)] = known
    short[: layout.n_groups] += np.log(0.2)
    first = _search(usual, seen, layout, prior, max_iterations)
    second = _search(short, seen, layout, prior, _SCOUTING)
    if second.value > first.value:
        return _search(second.vector, seen, layout, prior, max_iterations).vector
    return first.vector


def _search(start: Array, seen: Observations, layout: Layout, prior: Prior, max_iterations: int) -> _Found:
    """Climb log marginal likelihood + log prior from `start`, theta's vector."""
    lower, upper = bounds(layout)

    def log_posterior(vectors: Array) -> tuple[Array, Array]:
        (vector,) = vectors
        likelihood, by_likelihood = log_marginal_likelihood(vector, seen, layout)
        density, by_density = prior.log_density(vector, layout)
        return np.array([likelihood + density]), (by_likelihood + by_density)[None]

    with np.errstate(over="ignore", invalid="ignore"):  # absurd outputs make the likelihood -inf, not an error
        inside = np.clip(start, lower, upper)[None]
        end = maximize_rows(log_posterior, inside, lower, upper, max_iterations=max_iterations, first_step=0.5)
    return _Found(end.X[0], float(end.value[0]))
