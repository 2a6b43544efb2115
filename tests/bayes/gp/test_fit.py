"""Fits against another optimizer, on data whose hyperparameters are known, and on parts of many observations."""

import numpy as np
import pytest
from scipy.optimize import minimize

from hpo.bayes.gp.fit import LARGE, _subset, fit, usual_theta
from hpo.bayes.gp.gp import build
from hpo.bayes.gp.kernel import Layout, Theta
from hpo.bayes.gp.likelihood import Observations, Prior, bounds, log_marginal_likelihood
from hpo.common.arrays import Array
from tests.bayes.gp.made_data import data, likelihood_of


def test_columns_of_one_group_share_a_lengthscale_and_are_exchangeable() -> None:
    rng = np.random.default_rng(0)
    one_hot = np.eye(3)[rng.integers(3, size=20)]
    X = np.column_stack([rng.random(20), one_hot])
    gp = fit(X, X[:, 0] + one_hot @ np.array([0.0, 1.0, -1.0]), groups=[0, 1, 1, 1])
    assert len(gp.theta.log_lengthscales) == 2
    swapped = build(gp.theta, X[:, [0, 3, 1, 2]], gp.y, groups=[0, 1, 1, 1])
    assert likelihood_of(swapped) == pytest.approx(likelihood_of(gp))


@pytest.mark.parametrize("d", [2, 6])
def test_fit_reaches_the_optimum_another_optimizer_finds(d: int) -> None:
    X, y = data(30, d)
    gp, layout, prior = fit(X, y), Layout.of(d), Prior()
    seen = Observations(X, y, np.zeros(30))

    def loss(vector: Array) -> tuple[float, Array]:
        likelihood, by_likelihood = log_marginal_likelihood(vector, seen, layout)
        density, by_density = prior.log_density(vector, layout)
        return -(likelihood + density), -(by_likelihood + by_density)

    lower, upper = bounds(layout)
    rng = np.random.default_rng(0)
    best = min(
        float(
            minimize(
                loss, rng.uniform(-2, 1, layout.n_theta), jac=True, bounds=list(zip(lower, upper, strict=True))
            ).fun
        )
        for _ in range(8)
    )
    assert loss(gp.theta.vector)[0] <= best + 1e-3


def test_fit_finds_what_matters_and_how_noisy_it_is() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((120, 3))
    gp = fit(X, np.sin(8.0 * X[:, 1]) + 0.3 * rng.normal(size=120))
    assert gp.theta.log_lengthscales[1] + 1.5 < min(gp.theta.log_lengthscales[0], gp.theta.log_lengthscales[2])
    assert np.sqrt(gp.theta.noise) == pytest.approx(0.3, rel=0.25)
    inputs = np.linspace(0.05, 0.95, 10)
    Xq = np.full((10, 3), 0.5)
    Xq[:, 1] = inputs
    np.testing.assert_allclose(gp.posterior(Xq)[0], np.sin(8.0 * inputs), atol=0.3)


def test_known_noise_takes_the_place_of_learned_noise() -> None:
    rng = np.random.default_rng(1)
    X = rng.random((80, 2))
    y = np.sin(6.0 * X[:, 0]) + 0.5 * rng.normal(size=80)
    assert fit(X, y, noise=np.full(80, 0.25)).theta.noise < 0.2 * fit(X, y).theta.noise


def test_warm_and_cold_fits_agree_and_are_repeatable() -> None:
    X, y = data(40, 3)
    cold, again = fit(X, y), fit(X, y)
    assert cold.theta == again.theta
    warm = fit(X, y, start=fit(X[:-1], y[:-1]).theta)
    np.testing.assert_allclose(warm.theta.vector, cold.theta.vector, atol=0.1)
    of_another_shape = Theta((0.0,), 0.0, 0.0)
    assert fit(X, y, start=of_another_shape).theta == cold.theta


def test_many_observations_are_fitted_on_a_subset_and_polished_on_all() -> None:
    X, y = data(620, 2)
    gp = fit(X, y)
    assert len(gp.X) == 620
    by_all = fit(X, y, start=gp.theta)  # further steps on all data find little more
    assert likelihood_of(by_all) - likelihood_of(gp) < 2.0


def test_a_smooth_noiseless_function_is_interpolated() -> None:
    X = np.random.default_rng(0).random((40, 2))
    y = np.sin(4 * X[:, 0]) * np.cos(3 * X[:, 1])
    y = (y - y.mean()) / y.std()
    gp = fit(X, y)
    mean, variance = gp.posterior(X)
    assert np.abs(mean - y).max() < 0.02
    assert np.sqrt(variance.max()) < 0.05


def test_the_subset_is_the_best_half_and_an_even_choice_of_the_rest() -> None:
    y = np.random.default_rng(0).permutation(750).astype(float)
    ranks = np.sort((749 - y[_subset(y)]).astype(int))
    np.testing.assert_array_equal(ranks[:150], np.arange(150))
    np.testing.assert_array_equal(ranks[150:], 150 + np.linspace(0, 599, 150).round())
    assert list(_subset(y)) == sorted(_subset(y))


def test_a_rough_fit_is_that_of_the_subset() -> None:
    X, y = data(LARGE + 1, 2)
    subset = _subset(y)
    rough = fit(X, y, is_rough=True, max_iterations=1).theta
    assert rough == fit(X[subset], y[subset], max_iterations=1).theta
    assert rough != fit(X, y, max_iterations=1).theta


def test_a_search_begins_at_half_the_diagonal_of_the_cube() -> None:
    theta = usual_theta(4)
    np.testing.assert_allclose(np.exp(theta.log_lengthscales), 0.5 * np.sqrt(4))
    assert (theta.outputscale, theta.log_noise) == (1.0, -5.0)
