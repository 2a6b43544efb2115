"""The GP against textbook linear algebra, finite differences and brute force."""

import numpy as np
import pytest

from hpo.bayes.gp.fit import fit
from hpo.bayes.gp.gp import GP, build, condition, sample_at
from hpo.bayes.gp.kernel import Layout, Theta
from hpo.common.arrays import Array
from tests.bayes.gp.made_data import data

STEP = 1e-6


def some_theta(layout: Layout, seed: int) -> Theta:
    vector = 0.5 * np.random.default_rng(seed).normal(size=layout.n_theta)
    vector[layout.n_groups + 1] = -3.0
    return Theta.from_vector(vector, layout.n_groups)


def plain_kernel(X1: Array, X2: Array, theta: Theta, groups: list[int], warped: list[bool]) -> Array:
    """The covariance by its definition, one pair at a time."""
    lengthscales = np.exp(np.array(theta.log_lengthscales))[groups]
    a, b = np.ones(len(groups)), np.ones(len(groups))
    a[warped], b[warped] = np.exp(theta.log_warp_a), np.exp(theta.log_warp_b)

    def bend(x: Array) -> Array:
        x = np.where(warped, 1e-6 + (1 - 2e-6) * x, x)
        return np.where(warped, 1 - (1 - x**a) ** b, x)

    K = np.empty((len(X1), len(X2)))
    for i, x1 in enumerate(X1):
        for j, x2 in enumerate(X2):
            r = np.sqrt(np.sum(((bend(x1) - bend(x2)) / lengthscales) ** 2))
            K[i, j] = theta.outputscale * (1 + np.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-np.sqrt(5) * r)
    return K


def gradients(gp: GP, X: Array) -> tuple[Array, Array, Array, Array]:
    """Mean [b], variance [b] and their gradients [b, d]; mean [s, b] and its gradient [s, b, d] with fantasies."""
    mean, variance, pullback = gp.posterior_pullback(X)
    zero, one = np.zeros(len(X)), np.ones(len(X))
    if mean.ndim == 1:
        d_mean = pullback(one, zero)
    else:
        d_mean = np.stack([pullback(np.eye(len(mean))[:, [i]] * one, zero) for i in range(len(mean))])
    return mean, variance, d_mean, pullback(np.zeros_like(mean), one)


LAYOUTS = [
    ([0, 1, 2, 3], [False, False, False, False]),
    ([0, 1, 1, 2], [True, False, False, True]),
    ([0, 0, 0, 0], [False, False, False, False]),
]


@pytest.mark.parametrize(("groups", "warped"), LAYOUTS)
def test_the_posterior_is_the_textbook_formulas(groups: list[int], warped: list[bool]) -> None:
    X, y = data(12, 4)
    Xq, noise = np.random.default_rng(1).random((5, 4)), np.random.default_rng(2).random(12) * 0.1
    theta = some_theta(Layout.of(4, groups, warped), seed=3)
    gp = build(theta, X, y, groups=groups, noise=noise, warp=warped)

    K = plain_kernel(X, X, theta, groups, warped) + np.diag(theta.noise + noise)
    k = plain_kernel(Xq, X, theta, groups, warped)
    inverse, ones = np.linalg.inv(K), np.ones(12)
    m = ones @ inverse @ y / (ones @ inverse @ ones)
    mean = m + k @ inverse @ (y - m)
    covariance = plain_kernel(Xq, Xq, theta, groups, warped) - k @ inverse @ k.T

    np.testing.assert_allclose(gp.posterior(Xq)[0], mean, rtol=1e-9)
    np.testing.assert_array_equal(gp.posterior_mean(Xq), gp.posterior(Xq)[0])
    np.testing.assert_allclose(gp.posterior(Xq)[1], np.diag(covariance), rtol=1e-9)
    np.testing.assert_allclose(gp.joint(Xq)[0], mean, rtol=1e-9)
    np.testing.assert_allclose(gp.joint(Xq)[1], covariance, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("groups", "warped"), LAYOUTS)
@pytest.mark.parametrize("n_fantasies", [0, 4])
def test_gradient_of_the_posterior(groups: list[int], warped: list[bool], n_fantasies: int) -> None:
    X, y = data(15, 4)
    gp = build(some_theta(Layout.of(4, groups, warped), seed=6), X, y, groups=groups, warp=warped)
    if n_fantasies:
        pending = np.random.default_rng(7).random((2, 4))
        gp = condition(gp, pending, np.random.default_rng(8).normal(size=(2, n_fantasies)))
    Xq = 0.05 + 0.9 * np.random.default_rng(9).random((6, 4))
    mean, variance, d_mean, d_variance = gradients(gp, Xq)
    np.testing.assert_allclose(mean, gp.posterior(Xq)[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(variance, gp.posterior(Xq)[1], rtol=1e-8)
    assert mean.shape == ((n_fantasies, 6) if n_fantasies else (6,))
    for j, h in enumerate(STEP * np.eye(4)):
        (mean_up, variance_up), (mean_down, variance_down) = gp.posterior(Xq + h), gp.posterior(Xq - h)
        np.testing.assert_allclose(d_mean[..., j], (mean_up - mean_down) / (2 * STEP), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(d_variance[..., j], (variance_up - variance_down) / (2 * STEP), rtol=1e-5, atol=1e-6)


def without(gp: GP, i: int) -> GP:
    keep = np.arange(len(gp.y)) != i
    smaller = build(gp.theta, gp.X[keep], gp.y[keep], noise=gp.noise[keep])
    # leave_one_out holds the mean of all observations
    W = smaller.inverse_factor
    return GP(**{**smaller.__dict__, "mean": gp.mean, "alpha": W.T @ (W @ (smaller.y - gp.mean))})


def test_leave_one_out_is_leaving_one_out() -> None:
    X, y = data(12, 3)
    noise = np.linspace(0.0, 0.1, 12)
    gp = fit(X, y, noise=noise)
    mean, variance = gp.leave_one_out()
    for i in range(12):
        expected_mean, latent = without(gp, i).posterior(X[i : i + 1])
        assert mean[i] == pytest.approx(expected_mean[0], rel=1e-7)
        assert variance[i] == pytest.approx(latent[0] + gp.theta.noise + noise[i], rel=1e-7)


def test_points_in_flight_lower_the_variance_and_leave_the_mean() -> None:
    X, y = data(20, 3)
    gp, rng = fit(X, y), np.random.default_rng(0)
    pending, Xq = rng.random((4, 3)), rng.random((30, 3))
    both = condition(gp, pending)
    np.testing.assert_allclose(both.posterior(Xq)[0], gp.posterior(Xq)[0], rtol=1e-12)
    as_if_observed = build(gp.theta, np.concatenate([X, pending]), np.zeros(24))
    np.testing.assert_allclose(both.posterior(Xq)[1], as_if_observed.posterior(Xq)[1], rtol=1e-8)
    assert np.all(both.posterior(pending)[1] < gp.posterior(pending)[1])
    np.testing.assert_allclose(both.leave_one_out()[0], gp.leave_one_out()[0], rtol=1e-9)


def test_fantasies_are_what_observing_them_would_give() -> None:
    X, y = data(20, 3)
    gp, rng = fit(X, y), np.random.default_rng(0)
    pending, Xq = rng.random((4, 3)), rng.random((10, 3))
    draws = sample_at(gp, pending, rng.normal(size=(4, 5)))
    assert draws.shape == (4, 5)
    fantasy = condition(gp, pending, draws)
    in_two_steps = condition(condition(gp, pending[:1], draws[:1]), pending[1:], draws[1:])
    mean, variance = fantasy.posterior(Xq)
    np.testing.assert_allclose(in_two_steps.posterior(Xq)[0], mean, rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(fantasy.posterior_mean(Xq), mean)
    for i in range(5):
        observed = build(gp.theta, np.concatenate([X, pending]), np.concatenate([y, draws[:, i]]))
        W = observed.inverse_factor
        observed = GP(**{**observed.__dict__, "mean": gp.mean, "alpha": W.T @ (W @ (observed.y - gp.mean))})
        np.testing.assert_allclose(mean[i], observed.posterior(Xq)[0], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(variance, observed.posterior(Xq)[1], rtol=1e-8)


@pytest.mark.parametrize("observed", [True, False])
def test_draws_have_the_posterior_mean_and_covariance(observed: bool) -> None:
    X, y = data(15, 2)
    gp, rng = fit(X, y, noise=np.full(15, 0.1)), np.random.default_rng(0)
    Xq, n = rng.random((3, 2)), 40_000
    draws = sample_at(gp, Xq, rng.normal(size=(3, n)), observed=observed)
    mean, covariance = gp.joint(Xq)
    covariance = covariance + observed * gp.theta.noise * np.eye(3)
    sd = np.sqrt(np.diag(covariance))
    assert np.all(np.abs(draws.mean(axis=1) - mean) < 5 * sd / np.sqrt(n))
    np.testing.assert_allclose(np.cov(draws), covariance, atol=5 * np.sqrt(2 / n) * sd.max() ** 2)


DEGENERATE = {
    "one point": (np.array([[0.3, 0.6]]), np.array([1.5])),
    "constant outputs": (np.random.default_rng(0).random((8, 2)), np.zeros(8)),
    "one point many times": (np.full((40, 2), 0.5), np.random.default_rng(0).normal(size=40)),
    "duplicates that disagree": (np.repeat(np.random.default_rng(1).random((5, 2)), 4, axis=0), np.arange(20.0) % 3),
    "huge outputs": (np.random.default_rng(2).random((6, 2)), 1e300 * np.arange(6.0)),
    "tiny outputs": (np.random.default_rng(2).random((6, 2)), 1e-300 * np.arange(6.0)),
    "corners": (np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0.0, 1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("warp", [False, True])
def test_degenerate_data_give_a_model(case: str, warp: bool) -> None:
    X, y = DEGENERATE[case]
    gp = fit(X, y, warp=[warp, warp])
    assert np.all(np.isfinite(gp.theta.vector))
    for model in (gp, condition(gp, X[:1]), condition(gp, X[:1], np.zeros((1, 3)))):
        mean, variance, d_mean, d_variance = gradients(model, np.concatenate([X, [[0.1, 0.9]]]))
        assert np.all(np.isfinite(mean))
        assert np.all(np.isfinite(variance) & (variance > 0))
        assert np.all(np.isfinite(d_mean))
        assert np.all(np.isfinite(d_variance))
    draws = sample_at(gp, np.repeat(X[:1], 5, axis=0), np.ones((5, 2)), observed=False)
    assert np.all(np.isfinite(draws))
