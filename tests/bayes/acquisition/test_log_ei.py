"""Acquisition functions against high-precision arithmetic, Monte Carlo and finite differences."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from hpo.bayes.acquisition.log_ei import (
    Acquisition,
    LogEI,
    LogProbability,
    Surrogate,
    Utility,
    log_h,
    log_normal_cdf,
    log_normal_interval,
)
from hpo.bayes.gp.fit import fit
from hpo.bayes.gp.gp import GP, condition, sample_at
from hpo.common.arrays import Array

getcontext().prec = 60
STEP = 1e-6
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)


def upper_tail(z: Decimal) -> Decimal:
    """P(Z > z) / phi(z) for z >= 1 by its continued fraction, to many digits."""
    fraction = z
    for k in range(600, 0, -1):
        fraction = z + Decimal(k) / fraction
    return 1 / fraction


def log_density(z: Decimal) -> Decimal:
    return -z * z / 2 - (2 * Decimal("3.14159265358979323846264338327950288419716939937510")).ln() / 2


@pytest.mark.parametrize("z", [-1.5, -3.0, -10.0, -37.0, -200.0, -999.0, -1001.0, -1e5, -1e8])
def test_log_h_and_log_cdf_in_the_far_tail(z: float) -> None:
    x = -Decimal(z)
    tail = upper_tail(x)
    exact_h = log_density(x) + (1 - x * tail).ln()  # phi + z Phi = phi (1 - x tail)
    exact_cdf = log_density(x) + tail.ln()
    value, slope = log_h(np.array([z]))
    assert value[0] == pytest.approx(float(exact_h), rel=1e-9)
    assert slope[0] == pytest.approx(float(tail / (1 - x * tail)), rel=2e-6)
    value, slope = log_normal_cdf(np.array([z]))
    assert value[0] == pytest.approx(float(exact_cdf), rel=1e-12)
    assert slope[0] == pytest.approx(float(1 / tail), rel=1e-9)


def test_log_h_in_the_middle_is_its_formula() -> None:
    z = np.linspace(-5.0, 8.0, 100)
    h = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) + z * ndtr(z)
    np.testing.assert_allclose(log_h(z)[0], np.log(h), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(log_h(z)[1], ndtr(z) / h, rtol=1e-9)


def test_log_h_is_smooth_where_its_branches_meet() -> None:
    for seam in (-1.0, -1e3):
        below, above = np.nextafter(seam, -np.inf), np.nextafter(seam, np.inf)
        value, slope = log_h(np.array([below, above]))
        assert value[0] == pytest.approx(value[1], rel=1e-10)
        assert slope[0] == pytest.approx(slope[1], rel=1e-6)


@given(a=st.floats(-30.0, 30.0), width=st.floats(1e-3, 20.0))
def test_interval_agrees_with_quadrature_and_finite_differences(a: float, width: float) -> None:
    b = a + width
    z = 0.5 * (a + b) + 0.5 * width * NODES
    top = -0.5 * np.min(np.abs(z)) ** 2
    exact = np.log(0.5 * width * WEIGHTS @ np.exp(-0.5 * z * z - top)) + top - 0.5 * np.log(2 * np.pi)
    value, by_a, by_b = log_normal_interval(np.array([a]), np.array([b]))
    assert value[0] == pytest.approx(exact, rel=1e-8, abs=1e-9)
    densities = np.exp(-0.5 * np.array([a, b]) ** 2 - 0.5 * np.log(2 * np.pi) - exact)
    np.testing.assert_allclose([by_a[0], by_b[0]], [-densities[0], densities[1]], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"), [(-1e-9, 1e-9), (5.0, 5.0 + 1e-8), (-1e6, -1e6 + 1.0), (1e6, 1e6 + 1.0), (-1e4, 1e4)]
)
def test_extreme_intervals_are_finite_and_mirror(a: float, b: float) -> None:
    value, by_a, by_b = log_normal_interval(np.array([a]), np.array([b]))
    mirrored, by_minus_b, by_minus_a = log_normal_interval(np.array([-b]), np.array([-a]))
    assert np.isfinite([value[0], by_a[0], by_b[0]]).all()
    assert value[0] == pytest.approx(mirrored[0], rel=1e-12)
    assert (by_a[0], by_b[0]) == pytest.approx((-by_minus_a[0], -by_minus_b[0]))


@pytest.fixture(scope="module")
def surrogates() -> dict[str, GP]:
    rng = np.random.default_rng(0)
    X, pending, normals = rng.random((25, 3)), rng.random((3, 3)), rng.normal(size=(2, 3, 8))
    y = np.sin(5 * X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=25)
    c = np.cos(4 * X[:, 2]) * X[:, 0] + 0.1 * rng.normal(size=25)
    objective, limit = fit(X, (y - y.mean()) / y.std()), fit(X, c / c.std())
    return {
        "objective": objective,
        "limit": limit,
        "objective+": condition(objective, pending, sample_at(objective, pending, normals[0])),
        "limit+": condition(limit, pending, sample_at(limit, pending, normals[1])),
        "objective~": condition(objective, pending),
    }


BESTS = np.linspace(0.8, 1.2, 8)[:, None]
TERMS: dict[str, list[tuple[str, Utility]]] = {
    "log EI": [("objective", LogEI(1.0))],
    "log PI": [("objective", LogProbability(lower=1.0))],
    "lower limit": [("limit", LogProbability(lower=0.5))],
    "upper limit": [("limit", LogProbability(upper=-3.0))],
    "two limits": [("limit", LogProbability(0.2, 0.6))],
    "two far limits": [("limit", LogProbability(5.0, 5.5))],
    "log EI and limits": [
        ("objective", LogEI(1.0)),
        ("limit", LogProbability(lower=0.5)),
        ("limit", LogProbability(-1, 2)),
    ],
    "fantasies": [("objective+", LogEI(BESTS))],
    "fantasies and limits": [("objective+", LogEI(BESTS)), ("limit+", LogProbability(lower=0.5))],
    "fantasies of one of two": [("objective+", LogEI(1.0)), ("limit", LogProbability(upper=0.5))],
    "variance of points in flight": [("objective~", LogEI(1.0))],
}


def build(name: str, surrogates: dict[str, GP]) -> Acquisition:
    return Acquisition([(surrogates[model], utility) for model, utility in TERMS[name]])


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_the_slopes(name: str, surrogates: dict[str, GP]) -> None:
    acquisition = build(name, surrogates)
    X = 0.02 + 0.96 * np.random.default_rng(1).random((12, 3))
    value, gradient = acquisition(X)
    np.testing.assert_allclose(acquisition.value(X), value, rtol=1e-9, atol=1e-9)
    numeric = [(acquisition.value(X + h) - acquisition.value(X - h)) / (2 * STEP) for h in STEP * np.eye(3)]
    size = np.abs(gradient).max(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient / size, np.transpose(numeric) / size, atol=2e-5)


def moments(gp: GP, X: Array) -> tuple[Array, Array]:
    mean, variance = gp.posterior(X)
    return mean, np.sqrt(variance)


def test_values_agree_with_monte_carlo(surrogates: dict[str, GP]) -> None:
    rng = np.random.default_rng(2)
    X, n = rng.random((6, 3)), 400_000
    (mean, sd), (limit_mean, limit_sd) = moments(surrogates["objective"], X), moments(surrogates["limit"], X)
    best = float(mean.mean())
    f, c = mean + sd * rng.normal(size=(n, 6)), limit_mean + limit_sd * rng.normal(size=(n, 6))
    drawn = np.maximum(f - best, 0.0) * ((c >= -1.0) & (c <= 0.7))
    terms: list[tuple[Surrogate, Utility]] = [
        (surrogates["objective"], LogEI(best)),
        (surrogates["limit"], LogProbability(-1.0, 0.7)),
    ]
    exact = np.exp(Acquisition(terms).value(X))
    frequent = exact > 1e-3  # elsewhere too few draws count for a normal error
    assert frequent.sum() >= 2
    allowed = 5.0 * drawn.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(drawn.mean(axis=0) - exact)[frequent] < allowed[frequent])


def test_fantasies_average_the_product_not_the_factors(surrogates: dict[str, GP]) -> None:
    X = np.random.default_rng(3).random((5, 3))
    product = np.zeros(5)
    for i in range(8):
        mean, sd = (m[i] if m.ndim == 2 else m for m in moments(surrogates["objective+"], X))
        limit_mean, limit_sd = (m[i] if m.ndim == 2 else m for m in moments(surrogates["limit+"], X))
        z = (mean - BESTS[i, 0]) / sd
        improvement = sd * (np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) + z * ndtr(z))
        product += improvement * ndtr((limit_mean - 0.5) / limit_sd) / 8
    np.testing.assert_allclose(np.exp(build("fantasies and limits", surrogates).value(X)), product, rtol=1e-8)


def test_fantasies_lower_the_worth_of_points_in_flight(surrogates: dict[str, GP]) -> None:
    pending = surrogates["objective+"].X[-3:]
    before = Acquisition([(surrogates["objective"], LogEI(1.0))]).value(pending)
    best = np.maximum(surrogates["objective+"].posterior(pending)[0].max(axis=1, keepdims=True), 1.0)
    after = Acquisition([(surrogates["objective+"], LogEI(best))]).value(pending)
    assert np.all(after < before)


def test_twelve_hopeless_limits_still_have_a_slope(surrogates: dict[str, GP]) -> None:
    # The product of the probabilities is far below the smallest float.
    limits = Acquisition([(surrogates["limit"], LogProbability(lower=40.0 + i)) for i in range(12)])
    value, gradient = limits(np.random.default_rng(4).random((5, 3)))
    assert np.all(value < -1000)
    assert np.all(np.isfinite(value))
    assert np.all(np.abs(gradient).max(axis=1) > 1e-3)
