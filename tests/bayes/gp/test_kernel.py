"""The kernel against Bessel functions, brute-force distances and finite differences."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import gamma, kv

from hpo.bayes.gp.kernel import (
    Layout,
    Theta,
    kumaraswamy,
    matern52,
    matern52_with_slope,
    scale,
    squared_distances,
)
from hpo.common.arrays import Array

STEP = 1e-6

# -- Theta ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 99))
def test_theta_survives_json_and_its_vector(lengthscales: list[float], n_warped: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theta = Theta(
        tuple(lengthscales), *rng.normal(size=2).tolist(), *map(tuple, rng.normal(size=(2, n_warped)).tolist())
    )
    assert Theta.from_vector(json.loads(json.dumps(theta.to_list())), len(lengthscales)) == theta
    assert Theta.from_vector(theta.vector, len(lengthscales)) == theta


def test_the_vector_is_lengthscales_output_scale_noise_a_and_b() -> None:
    theta = Theta((1.0, 2.0), 3.0, 4.0, (5.0, 6.0), (7.0, 8.0))
    assert theta.to_list() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert theta.outputscale == pytest.approx(np.e**3)
    assert theta.noise == pytest.approx(np.e**4)


@pytest.mark.parametrize(
    ("n", "message"),
    [(3, r"^a theta vector has g \+ 2 \+ 2w entries"), (5, "^a theta vector has one a and one b per warped column")],
)
def test_a_vector_that_fits_no_layout_is_refused(n: int, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        Theta.from_vector(np.zeros(n), 2)


# -- Layout -----------------------------------------------------------------------------------------------------------


def test_by_default_every_column_has_its_own_lengthscale_and_none_is_warped() -> None:
    layout = Layout.of(3)
    assert (layout.groups.tolist(), layout.warped.tolist()) == ([0, 1, 2], [False] * 3)
    assert (layout.n_groups, layout.n_warped, layout.n_theta) == (3, 0, 5)


def test_a_layout_counts_groups_and_warped_columns() -> None:
    layout = Layout.of(5, [0, 1, 1, 2, 0], [True, False, False, True, True])
    assert (layout.n_groups, layout.n_warped, layout.n_theta) == (3, 3, 3 + 2 + 6)
    np.testing.assert_array_equal(layout.sum_by_group(np.array([1.0, 2.0, 4.0, 8.0, 16.0])), [17.0, 6.0, 8.0])


@pytest.mark.parametrize("groups", [[0, 2], [1, 2], [-1, 0]])
def test_groups_with_gaps_are_refused(groups: list[int]) -> None:
    with pytest.raises(AssertionError, match=r"^groups must be numbered 0\.\.g-1"):
        Layout.of(2, groups)


# -- inputs -----------------------------------------------------------------------------------------------------------


def test_without_warping_inputs_are_divided_by_the_lengthscales_of_their_groups() -> None:
    X = np.random.default_rng(0).random((6, 3))
    scaled = scale(X, Theta((np.log(0.5), np.log(4.0)), 9.0, 9.0).vector, Layout.of(3, [0, 1, 0]))
    np.testing.assert_allclose(scaled.Z, X / [0.5, 4.0, 0.5], rtol=1e-12)
    np.testing.assert_allclose(scaled.by_input, [2.0, 0.25, 2.0], rtol=1e-12)
    assert scaled.by_a is None
    assert scaled.by_b is None


def test_derivatives_of_warped_and_scaled_inputs_are_their_slopes() -> None:
    layout = Layout.of(3, [0, 1, 0], [True, False, True])
    vector = np.array([-0.4, 0.7, 0.1, -3.0, 0.3, -0.5, -0.2, 0.6])
    X = 0.05 + 0.9 * np.random.default_rng(0).random((7, 3))

    def slope(by_x: float, by_vector: Array) -> Array:
        up, down = (scale(X + s * by_x, vector + s * by_vector, layout).Z for s in (STEP, -STEP))
        return (up - down) / (2.0 * STEP)

    scaled, unit = scale(X, vector, layout), np.eye(8)
    assert scaled.by_a is not None
    assert scaled.by_b is not None
    np.testing.assert_allclose(scaled.by_input, slope(1.0, np.zeros(8)), rtol=1e-7)
    np.testing.assert_allclose(scaled.by_a, slope(0.0, unit[4] + unit[5])[:, layout.warped], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaled.by_b, slope(0.0, unit[6] + unit[7])[:, layout.warped], rtol=1e-6, atol=1e-9)


def test_kumaraswamy_is_its_formula_and_the_identity_at_one() -> None:
    x, a, b = np.linspace(0.0, 1.0, 21), np.array(0.6), np.array(2.5)
    inner = 1e-6 + (1 - 2e-6) * x
    np.testing.assert_allclose(kumaraswamy(x, a, b)[0], 1 - (1 - inner**a) ** b, rtol=1e-12)
    np.testing.assert_allclose(kumaraswamy(x, np.array(1.0), np.array(1.0))[0], inner, rtol=1e-9)
    assert np.all(np.diff(kumaraswamy(x, a, b)[0]) > 0)


@given(x=st.floats(0.01, 0.99), a=st.floats(0.3, 4.0), b=st.floats(0.3, 4.0))
def test_derivatives_of_kumaraswamy_are_its_slopes(x: float, a: float, b: float) -> None:
    at = np.array([x, a, b])
    _, *slopes = kumaraswamy(*at)
    for slope, step in zip(slopes, STEP * np.eye(3), strict=True):
        numeric = (kumaraswamy(*(at + step))[0] - kumaraswamy(*(at - step))[0]) / (2.0 * STEP)
        assert slope == pytest.approx(numeric, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(("log_a", "log_b"), [(-2.0, -2.0), (-2.0, 2.0), (2.0, -2.0), (2.0, 2.0)])
def test_warping_is_finite_at_the_ends_where_its_slope_is_not(log_a: float, log_b: float) -> None:
    warped = kumaraswamy(np.array([0.0, 1.0]), np.exp(log_a), np.exp(log_b))
    assert np.isfinite(warped).all()


# -- the kernel -------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), n1=st.integers(1, 6), n2=st.integers(1, 6), d=st.integers(1, 5))
def test_squared_distances_are_those_of_each_pair(seed: int, n1: int, n2: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    Z1, Z2 = 5.0 * rng.normal(size=(n1, d)), 5.0 * rng.normal(size=(n2, d))
    np.testing.assert_allclose(squared_distances(Z1, Z2), cdist(Z1, Z2, "sqeuclidean"), atol=1e-11)


def test_no_squared_distance_is_negative_by_rounding() -> None:
    Z = 1e3 * np.random.default_rng(0).random((50, 4))
    assert squared_distances(Z, Z).min() == 0.0


def bessel_matern(r: Array) -> Array:
    """Matern correlation of smoothness 5/2 at distances r > 0 by its general formula."""
    x = np.sqrt(2 * 2.5) * r
    return np.asarray(2 ** (1 - 2.5) / gamma(2.5) * x**2.5 * kv(2.5, x))


def test_the_kernel_is_materns_with_smoothness_five_halves() -> None:
    r = np.geomspace(1e-3, 30.0, 60)
    np.testing.assert_allclose(matern52(r**2), bessel_matern(r), rtol=1e-9)
    np.testing.assert_allclose(matern52_with_slope(r**2)[0], bessel_matern(r), rtol=1e-9)
    assert matern52(np.zeros(1)) == 1.0


def test_the_slope_of_the_kernel_is_minus_twice_its_derivative_by_the_squared_distance() -> None:
    D = np.geomspace(1e-2, 50.0, 40)
    h = 1e-6 * D
    numeric = (matern52(D + h) - matern52(D - h)) / (2.0 * h)
    np.testing.assert_allclose(matern52_with_slope(D)[1], -2.0 * numeric, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(matern52_with_slope(np.zeros(1))[1], 5.0 / 3.0)
