"""Data and a measure that several tests of the GP use."""

import numpy as np

from hpo.bayes.gp.gp import GP
from hpo.bayes.gp.likelihood import Observations, log_marginal_likelihood
from hpo.common.arrays import Array


def data(n: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.random((n, d))
    y = np.sin(5.0 * X[:, 0]) + X.sum(axis=1) ** 2 / d + 0.1 * rng.normal(size=n)
    return X, (y - y.mean()) / (y.std() or 1.0)


def likelihood_of(gp: GP) -> float:
    return log_marginal_likelihood(gp.theta.vector, Observations(gp.X, gp.y, gp.noise), gp.layout)[0]
