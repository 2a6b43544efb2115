"""Laws of output transforms on any finite data, and Yeo-Johnson against scipy's."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import yeojohnson, yeojohnson_llf

from hpo.bayes.gp import transforms
from hpo.bayes.gp.fit import fit
from hpo.bayes.gp.transforms import Bilog, HalfRank, Standardize, Transform, YeoJohnson, choose, leave_one_out_normal
from hpo.common.arrays import Array

KINDS = ("standardize", "yeo-johnson", "bilog", "half-rank")


def estimate(kind: str, y: Array, threshold: float = 0.25) -> Transform:
    if kind == "standardize":
        return Standardize.of(y)
    if kind == "yeo-johnson":
        return YeoJohnson.of(y)
    if kind == "bilog":
        return Bilog.of(y, threshold)
    return HalfRank.of(y)


ordinary = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30).map(np.array)
wild = st.one_of(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12),
    st.lists(st.sampled_from([0.0, 1.0, -1.0, 1e300, -1e300, 1e-300, 1.7e308, -1.7e308]), min_size=1, max_size=12),
).map(np.array)


@pytest.mark.parametrize("kind", KINDS)
@given(y=wild)
@example(y=np.array([1.7e308, -1.7e308]))
@example(y=np.array([3.0]))
@example(y=np.full(5, 1e300))
@example(y=np.array([5e-324, 0.0]))
@example(y=np.append(np.arange(10.0), -1e300))
def test_any_finite_data_gives_finite_moderate_values(kind: str, y: Array) -> None:
    transform = estimate(kind, y)
    t = transform.forward(y)
    assert np.all(np.isfinite(t))
    assert np.abs(t).max() < 1e7
    assert np.all(np.isfinite(transform.inverse(t)))
    mean, sd = transform.moments(t, np.ones(len(t)))
    assert np.all(np.isfinite(mean))
    assert np.all(np.isfinite(sd) & (sd >= 0.0))


@pytest.mark.parametrize("kind", KINDS)
@given(y=wild)
def test_order_is_kept_on_any_data(kind: str, y: Array) -> None:
    t = estimate(kind, y).forward(np.sort(y))
    assert np.all(np.diff(t) >= -1e-12 * np.abs(t).max())


@pytest.mark.parametrize("kind", KINDS)
@given(y=ordinary, at=st.floats(-1e4, 1e4))
def test_inverse_undoes_forward(kind: str, y: Array, at: float) -> None:
    y = np.round(y, 2)  # so that distinct values are apart by more than rounding
    transform = estimate(kind, y)
    points = np.append(y, at)
    # Where the curve is flat, a last digit of t is many digits of y.
    tolerance = 1e-9 * (1.0 + np.abs(points).max()) + 1e-14 / transform.slope(points)
    assert np.all(np.abs(transform.inverse(transform.forward(points)) - points) <= tolerance)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6))
def test_slope_is_the_derivative(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=15) * np.exp(rng.normal())
    transform = estimate(kind, y)
    at, h = rng.normal(size=20), 1e-7
    kinks = np.concatenate([y, [np.median(y), 0.25]])
    at = at[np.abs(at[:, None] - kinks).min(axis=1) > 1e-5]
    numeric = (transform.forward(at + h) - transform.forward(at - h)) / (2 * h)
    np.testing.assert_allclose(transform.slope(at), numeric, rtol=1e-4)


@pytest.mark.parametrize("kind", ["standardize", "yeo-johnson"])
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-300, 1e-8, 1.0, 1e12, 1e290]))
def test_transformed_outputs_have_mean_zero_and_variance_one(kind: str, seed: int, scale: float) -> None:
    y = scale * np.random.default_rng(seed).lognormal(size=25)
    t = estimate(kind, y).forward(y)
    assert t.mean() == pytest.approx(0.0, abs=1e-9)
    assert t.std() == pytest.approx(1.0)


@given(y=wild, threshold=st.floats(-1e300, 1e300))
def test_bilog_maps_the_threshold_to_zero_and_keeps_sides(y: Array, threshold: float) -> None:
    bilog = Bilog.of(y, threshold)
    assert bilog.forward(np.array([threshold]))[0] == 0.0
    assert bilog.inverse(np.array([0.0]))[0] == threshold
    t = bilog.forward(y)
    assert np.all(t[y >= threshold] >= 0.0)
    assert np.all(t[y <= threshold] <= 0.0)


def test_bilog_has_unit_spread_without_centring() -> None:
    y = np.random.default_rng(0).normal(3.0, 1.0, 40)
    assert Bilog.of(y, 0.0).forward(y).std() == pytest.approx(1.0)


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.7, 1.0, 2.0, 3.0])
def test_yeo_johnson_is_scipys(exponent: float) -> None:
    z = np.linspace(-4.0, 4.0, 33)
    identity = Standardize(0.0, 1.0)
    ours = YeoJohnson(identity, exponent, identity)
    np.testing.assert_allclose(ours.forward(z), yeojohnson(z, lmbda=exponent), rtol=1e-12)
    np.testing.assert_allclose(ours.inverse(ours.forward(z)), z, rtol=1e-9, atol=1e-12)


def test_exponent_is_the_most_likely_one() -> None:
    y = -np.random.default_rng(5).lognormal(sigma=0.8, size=60)
    transform = YeoJohnson.of(y)
    z = transform.robust.forward(y)
    grid = np.linspace(-1.0, 3.0, 4001)
    likelihood = np.array([yeojohnson_llf(p, z) for p in grid]) - 0.5 * (grid - 1.0) ** 2
    assert transform.exponent == pytest.approx(grid[likelihood.argmax()], abs=0.01)


def test_symmetric_data_keep_their_shape_and_skewed_data_lose_their_skew() -> None:
    def skew(t: Array) -> float:
        return float(np.mean(((t - t.mean()) / t.std()) ** 3))

    rng = np.random.default_rng(2)
    assert YeoJohnson.of(rng.normal(size=200)).exponent == pytest.approx(1.0, abs=0.25)
    y = -rng.lognormal(size=200)
    assert skew(y) < -2.0
    assert abs(skew(YeoJohnson.of(y).forward(y))) < 0.5


def test_a_prediction_beyond_the_ceiling_of_a_power_stays_finite() -> None:
    transform = YeoJohnson.of(np.random.default_rng(0).lognormal(sigma=2.0, size=50))
    assert transform.exponent < 0.5
    mean, sd = transform.moments(np.array([0.0, 50.0]), np.array([1.0, 20.0]))
    assert np.all(np.isfinite(mean) & np.isfinite(sd))
    assert mean[1] >= mean[0]


def test_half_rank_ignores_how_bad_an_outlier_is() -> None:
    good = np.linspace(0.0, 1.0, 11)
    mild, extreme = HalfRank.of(np.append(good, -2.0)), HalfRank.of(np.append(good, -1e9))
    np.testing.assert_allclose(mild.forward(np.append(good, -2.0)), extreme.forward(np.append(good, -1e9)))
    better = good[good > 0.45]  # the median of all twelve
    assert np.ptp(np.diff(mild.forward(better))) < 1e-12  # the better half stays linear


@pytest.mark.parametrize("outlier", [-1e13, -1e20, -1e100])
def test_an_outlier_however_bad_leaves_good_results_apart(outlier: float) -> None:
    good = np.linspace(0.0, 1.0, 11)
    mild, extreme = HalfRank.of(np.append(good, -2.0)), HalfRank.of(np.append(good, outlier))
    np.testing.assert_allclose(extreme.forward(good), mild.forward(good), rtol=1e-9)
    y = np.append(np.sin(6.0 * good), outlier)
    assert isinstance(
        choose(y, lambda transform: model(transform.forward(y), np.linspace(0, 1, 12)[:, None])), HalfRank
    )


def model(t: Array, X: Array) -> tuple[Array, Array]:
    return fit(X, t).leave_one_out()


def test_choose_prefers_the_simple_transform_for_plain_data() -> None:
    X = np.random.default_rng(0).random((20, 1))
    y = np.sin(6.0 * X[:, 0])
    assert isinstance(choose(y, lambda transform: model(transform.forward(y), X)), Standardize)


def test_choose_straightens_a_skewed_function() -> None:
    X = np.random.default_rng(1).random((30, 2))
    y = -np.exp(4.0 * np.sin(5.0 * X[:, 0]) + 2.0 * X[:, 1])
    assert isinstance(choose(y, lambda transform: model(transform.forward(y), X)), YeoJohnson)


def test_choose_cuts_a_tail_that_no_power_tames() -> None:
    X = np.random.default_rng(2).random((30, 1))
    y = np.sin(6.0 * X[:, 0])
    y[3] = -1e12
    assert isinstance(choose(y, lambda transform: model(transform.forward(y), X)), HalfRank)


def heaviness(y: Array) -> float:
    """How many deviations of the better half the worst value lies below the median, under the most likely power."""
    power = YeoJohnson.of(y)
    t = yeojohnson(power.robust.forward(y), lmbda=power.exponent)
    median = float(np.median(t))
    better = t[t >= median] - median
    return (median - float(t.min())) / float(np.sqrt(better @ better / len(better)))


def test_a_tail_is_heavy_from_six_deviations_of_the_better_half_on() -> None:
    def tailed(worst: float) -> Array:
        return np.append(np.linspace(-1.0, 1.0, 40), worst)

    def unclear(transform: Transform) -> tuple[Array, Array]:
        return np.zeros(41), np.ones(41)

    light, heavy = -1e6, -1e8
    for _ in range(20):
        middle = 0.5 * (light + heavy)
        light, heavy = (middle, heavy) if heaviness(tailed(middle)) < 6.0 else (light, middle)
    assert 6.0 - 1e-3 < heaviness(tailed(light)) < 6.0 < heaviness(tailed(heavy)) < 6.0 + 1e-3
    assert not isinstance(choose(tailed(light), unclear), HalfRank)
    assert isinstance(choose(tailed(heavy), unclear), HalfRank)


@pytest.mark.parametrize("y", [np.array([1.0]), np.ones(6), np.array([1e300, -1e300, 0.0, 1.0])])
def test_choose_survives_degenerate_data(y: Array) -> None:
    X = np.linspace(0.0, 1.0, len(y))[:, None]
    chosen = choose(y, lambda transform: model(transform.forward(y), X))
    assert np.all(np.isfinite(chosen.forward(y)))


def test_leave_one_out_of_a_normal_is_what_the_others_say() -> None:
    t = np.random.default_rng(4).normal(size=9)
    mean, variance = leave_one_out_normal(t)
    for i in range(9):
        others = np.delete(t, i)
        assert mean[i] == pytest.approx(others.mean())
        assert variance[i] == pytest.approx(others.var(ddof=1) * (1 + 1 / 8))


def test_every_transform_is_tested_here_and_found_again_by_the_name_that_is_stored() -> None:
    y = np.array([1.0, 2.0, 4.0])
    defined = {
        cls for cls in vars(transforms).values() if isinstance(cls, type) and cls.__module__ == transforms.__name__
    }
    assert {type(estimate(kind, y)) for kind in KINDS} == defined - {Transform}, "KINDS leaves one out"
    assert {name: type(of(y)) for name, of in transforms.BY_NAME.items()} == {
        cls.__name__: cls for cls in defined - {Transform, Bilog}
    }, "BY_NAME holds all but Bilog, which a limit comes with"
