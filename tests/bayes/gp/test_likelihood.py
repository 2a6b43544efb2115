"""The likelihood and the prior of hyperparameters against scipy's densities and finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm, multivariate_normal, norm

from hpo.bayes.gp.kernel import Layout, matern52, scale, squared_distances
from hpo.bayes.gp.likelihood import Observations, Prior, bounds, log_marginal_likelihood
from hpo.common.arrays import Array

LAYOUTS = [
    Layout.of(4),
    Layout.of(4, [0, 1, 1, 2], [True, False, False, True]),
    Layout.of(4, [0, 0, 0, 0]),
]
WARPED = LAYOUTS[1]


def data(n: int, seed: int = 0) -> Observations:
    rng = np.random.default_rng(seed)
    X = rng.random((n, 4))
    return Observations(X, np.sin(5.0 * X[:, 0]) + X[:, 1] + 0.1 * rng.normal(size=n), np.linspace(0.0, 0.2, n))


def some_vector(layout: Layout, seed: int) -> Array:
    vector = 0.5 * np.random.default_rng(seed).normal(size=layout.n_theta)
    vector[layout.n_groups + 1] = -3.0
    return vector


def check_gradient(function: Callable[[Array], tuple[float, Array]], at: Array) -> None:
    step = 1e-6
    numeric = [(function(at + h)[0] - function(at - h)[0]) / (2 * step) for h in step * np.eye(len(at))]
    np.testing.assert_allclose(function(at)[1], numeric, rtol=1e-5, atol=1e-6)


# -- Observations -----------------------------------------------------------------------------------------------------


def test_without_known_noise_none_is_assumed() -> None:
    X, y = np.zeros((3, 2)), np.arange(3.0)
    np.testing.assert_array_equal(Observations.of(X, y, None).noise, np.zeros(3))
    np.testing.assert_array_equal(Observations.of(X, y, y).noise, y)


def test_rows_are_taken_together() -> None:
    seen = data(9)
    rows = np.array([7, 2])
    taken = seen.take(rows)
    for part, whole in ((taken.X, seen.X), (taken.y, seen.y), (taken.noise, seen.noise)):
        np.testing.assert_array_equal(part, whole[rows])


def test_nothing_seen_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"^a GP needs at least one observation"):
        Observations.of(np.empty((0, 2)), np.empty(0), None)


@pytest.mark.parametrize(("n_y", "n_noise"), [(2, 3), (3, 2), (2, 2)])
def test_as_many_outputs_and_noises_as_inputs(n_y: int, n_noise: int) -> None:
    with pytest.raises(AssertionError):
        Observations(np.zeros((3, 2)), np.zeros(n_y), np.zeros(n_noise))


# -- Prior ------------------------------------------------------------------------------------------------------------


def entries(layout: Layout, entry: int, values: Array) -> Array:
    """Prior log density where one entry of theta takes these values."""
    vectors = np.tile(some_vector(layout, seed=1), (len(values), 1))
    vectors[:, entry] = values
    return np.array([Prior().log_density(vector, layout)[0] for vector in vectors])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lengthscales_and_noise_have_lognormal_densities_of_their_own(layout: Layout) -> None:
    """Densities in the lengthscale and the noise, not in their logarithms: equal up to a constant."""
    at, g = np.linspace(-4.0, 3.0, 15), layout.n_groups
    location = np.sqrt(2.0) + 0.5 * np.log(g)
    for entry, m, s in ((0, location, np.sqrt(3.0)), (g - 1, location, np.sqrt(3.0)), (g + 1, -4.0, 1.0)):
        expected = lognorm(s, scale=np.exp(m)).logpdf(np.exp(at))
        found = entries(layout, entry, at)
        np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-9, atol=1e-9)


def test_output_scale_and_warping_are_drawn_towards_one() -> None:
    at, g = np.linspace(-2.0, 2.0, 9), WARPED.n_groups
    for entry, s in ((g, 0.75), *((g + 2 + i, 0.5) for i in range(4))):
        expected, found = norm(0.0, s).logpdf(at), entries(WARPED, entry, at)
        np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_of_the_prior(layout: Layout) -> None:
    check_gradient(lambda v: Prior().log_density(v, layout), some_vector(layout, seed=5))


def test_the_calm_term_of_the_prior_has_the_gradient_it_says() -> None:
    layout, prior = Layout.of(3), Prior(smooth=0.1)
    at = np.array([-2.0, 0.3, -0.7, 0.1, -4.0])
    value, _ = prior.log_density(at, layout)
    assert value == pytest.approx(Prior().log_density(at, layout)[0] - 0.1 * np.exp(-2.0 * at[:3]).sum())
    check_gradient(lambda v: prior.log_density(v, layout), at)


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_the_box_is_the_documented_one() -> None:
    lower, upper = bounds(WARPED)
    np.testing.assert_allclose(np.exp(lower), [*[0.02] * 3, np.exp(-3), 1e-6, *[np.exp(-2)] * 4])
    np.testing.assert_allclose(np.exp(upper), [*[1000.0] * 3, np.exp(4), 2.0, *[np.exp(2)] * 4])


# -- likelihood -------------------------------------------------------------------------------------------------------


def covariance(vector: Array, seen: Observations, layout: Layout) -> Array:
    Z, g = scale(seen.X, vector, layout).Z, layout.n_groups
    noise = np.exp(vector[g + 1]) + seen.noise
    return np.asarray(np.exp(vector[g]) * matern52(squared_distances(Z, Z)) + np.diag(noise))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_likelihood_is_a_normal_density_at_the_most_likely_mean(layout: Layout) -> None:
    seen, vector = data(12), some_vector(layout, seed=3)
    K = covariance(vector, seen, layout)
    weights = np.linalg.solve(K, np.ones(12))
    m = weights @ seen.y / weights.sum()
    value, _ = log_marginal_likelihood(vector, seen, layout)
    assert value == pytest.approx(multivariate_normal(np.full(12, m), K).logpdf(seen.y), rel=1e-9)
    for other in (m - 0.1, m + 0.1):
        assert value > multivariate_normal(np.full(12, other), K).logpdf(seen.y)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_of_the_likelihood(layout: Layout) -> None:
    seen = data(15)
    check_gradient(lambda v: log_marginal_likelihood(v, seen, layout), some_vector(layout, seed=5))


@given(shift=st.floats(-100.0, 100.0), seed=st.integers(0, 10**6))
def test_a_constant_added_to_all_outputs_changes_nothing(shift: float, seed: int) -> None:
    seen, vector = data(8, seed), some_vector(WARPED, seed)
    moved = Observations(seen.X, seen.y + shift, seen.noise)
    value, gradient = log_marginal_likelihood(vector, seen, WARPED)
    again, by_moved = log_marginal_likelihood(vector, moved, WARPED)
    assert again == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(by_moved, gradient, atol=1e-7)


def test_no_covariance_has_no_likelihood() -> None:
    """Three times one point without any noise: a matrix of ones."""
    seen = Observations.of(np.full((3, 4), 0.5), np.arange(3.0), None)
    vector = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -1000.0])
    value, gradient = log_marginal_likelihood(vector, seen, LAYOUTS[0])
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, np.zeros(6))


def test_outputs_whose_squares_overflow_have_no_likelihood() -> None:
    seen = Observations.of(data(4).X, 1e200 * np.arange(4.0), None)
    vector = some_vector(WARPED, seed=0)
    with np.errstate(over="ignore"):
        value, gradient = log_marginal_likelihood(vector, seen, WARPED)
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, np.zeros_like(vector))
