"""Expected hypervolume improvement against BoTorch, Monte Carlo, exact volumes and finite differences."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gamma, ndtri
from scipy.stats import qmc, spearmanr

from hpo.bayes.acquisition.log_ei import LogProbability
from hpo.bayes.acquisition.pending import N_FANTASIES, ConstraintTerms
from hpo.bayes.data import MetricData
from hpo.bayes.gp.gp import GP, build
from hpo.bayes.gp.kernel import Theta
from hpo.bayes.gp.transforms import Standardize, YeoJohnson
from hpo.bayes.models import Found, MetricModel, Models
from hpo.bayes.several_objectives import Front, HypervolumeImprovement, medians, reference_point
from hpo.common.arrays import Array
from hpo.problem.metrics import Objective
from hpo.trials.pareto import hypervolume, is_non_dominated

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importing them uses torch.jit.script
    import torch
    from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
    from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
    from botorch.utils.testing import MockModel, MockPosterior

D = 3
STEP = 1e-6
NOBODY = np.empty((0, D))


def surrogate(X: Array, y: Array) -> GP:
    return build(Theta((0.0,) * D, 0.0, -4.0), X, y)


def metric(X: Array, y: Array, name: str, least: float) -> MetricModel:
    n = len(y)
    series = MetricData(Objective(name), 1.0, y, np.full(n, np.nan), least, np.inf)
    transform = Standardize.of(y)
    return MetricModel(series, transform, surrogate(X, transform.forward(y)), Found(n, "", {}))


def models_of(X: Array, m: int, least: Sequence[float] | None = None) -> Models:
    """Trade-offs: each of `m` objectives is best at another place."""
    tops = np.array([[0.0, 0.2, 0.1], [1.0, 0.8, 0.9], [1.0, 0.1, 0.2], [0.2, 1.0, 0.0], [0.0, 0.1, 0.9], [0.5] * D])[
        :m
    ]
    values = [10.0 - 5.0 * np.sum((X - top) ** 2, axis=1) for top in tops]
    least = least or [-np.inf] * m
    return Models(tuple(metric(X, y, f"y{j}", least[j]) for j, y in enumerate(values)), (), None)


def front_of(m: int, n: int = 10, least: Sequence[float] | None = None) -> Front:
    X = np.random.default_rng(10 + m).random((n, D))
    return Front.of(models_of(X, m, least), X, np.ones(n, dtype=bool))


def improvement(front: Front, in_flight: Array = NOBODY, limits: ConstraintTerms = ()) -> HypervolumeImprovement:
    normals = np.random.default_rng(4).standard_normal((len(in_flight), N_FANTASIES * len(front.reference)))
    return front.improvement(limits, in_flight, normals)


def limits_of(lower: float = 0.0) -> ConstraintTerms:
    X = np.random.default_rng(5).random((8, D))
    return [(surrogate(X, np.sin(6.0 * X[:, 0])), LogProbability(lower)), (surrogate(X, X[:, 1]), LogProbability(0, 2))]


def predicted(front: Front, X: Array) -> tuple[Array, Array]:
    """Means and variances [b, m] in the metrics' units."""
    moments = [m.predict(X) for m in front.models.objectives]
    return np.stack([mean for mean, _ in moments], axis=1), np.stack([sd**2 for _, sd in moments], axis=1)


def modeled(front: Front, Y: Array) -> Array:
    """Values [..., m] in the models' units."""
    return np.stack([m.transform.forward(Y[..., j]) for j, m in enumerate(front.models.objectives)], axis=-1)


def finer(front: Front, n: int = 64) -> Front:
    """The same front seen along n^2 directions: for m <= 3 by maps that keep areas, else normals of a Sobol sequence."""
    m, grid = len(front.reference), (np.arange(n) + 0.5) / n
    if m == 2:
        angle = (np.arange(n**2) + 0.5) / n**2 * np.pi / 2
        u = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    elif m == 3:
        height, angle = (a.ravel() for a in np.meshgrid(grid, grid * np.pi / 2))
        around = np.sqrt(1.0 - height**2)
        u = np.stack([around * np.cos(angle), around * np.sin(angle), height], axis=1)
    else:
        normal = ndtri(0.5 + 0.5 * qmc.Sobol(m, rng=0).random(n**2))
        u = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    heights = (front.Y - front.reference) / front.scale
    return replace(front, directions=u, reach=(heights / u[:, None]).min(axis=2).max(axis=1))


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "tolerance"), [(2, 4e-3), (3, 6e-3)])
def test_value_is_botorch_s_analytic_one(m: int, tolerance: float) -> None:
    """With many directions; what is left is the error of the 6 nodes, and of 160 by 160 directions for m = 3."""
    front, X = finer(front_of(m), 160), np.random.default_rng(1).random((30, D))
    mean, variance = (torch.from_numpy(a)[:, None] for a in predicted(front, X))
    reference = torch.from_numpy(front.reference)
    function = ExpectedHypervolumeImprovement(
        model=MockModel(MockPosterior(mean=mean, variance=variance)),
        ref_point=front.reference.tolist(),
        partitioning=FastNondominatedPartitioning(reference, torch.from_numpy(front.Y)),
    )
    exact = function(torch.from_numpy(X)[:, None]).numpy()
    counts = exact > 1e-2 * exact.max()
    assert counts.sum() > 10
    value = np.concatenate([improvement(front).value(x[None]) for x in X[counts]])
    np.testing.assert_allclose(np.exp(value), exact[counts], rtol=tolerance)


def test_value_of_four_objectives_is_that_of_monte_carlo() -> None:
    """Draws of the objectives, and the exact volume each adds; within four standard errors, and 2 % for the directions."""
    front, X = finer(front_of(4, n=6)), np.random.default_rng(1).random((3, D))
    mean, variance = predicted(front, X)
    draws = mean + np.sqrt(variance) * np.random.default_rng(2).standard_normal((300, *mean.shape))
    before = hypervolume(front.Y, front.reference)
    gains = np.array([[hypervolume(np.vstack([front.Y, y]), front.reference) - before for y in row] for row in draws])
    exact, error = gains.mean(axis=0), gains.std(axis=0) / np.sqrt(len(gains))
    assert np.all(exact > 10 * error)
    assert np.all(np.abs(np.exp(improvement(front).value(X)) - exact) < 0.02 * exact + 4 * error)


def test_volume_is_counted_in_the_metrics_units() -> None:
    """The models see powers of skewed metrics; what is gained is the volume of the metrics, drawn through the transform."""
    X = np.random.default_rng(12).random((10, D))
    values = [np.exp(-4.0 * np.sum((X - top) ** 2, axis=1)) for top in (0.2, 0.8)]
    transforms = [YeoJohnson.of(y) for y in values]
    models = Models(
        tuple(
            replace(metric(X, y, f"y{j}", -np.inf), transform=t, gp=surrogate(X, t.forward(y)))
            for j, (y, t) in enumerate(zip(values, transforms, strict=True))
        ),
        (),
        None,
    )
    front, at = finer(Front.of(models, X, np.ones(10, dtype=bool))), np.random.default_rng(1).random((5, D))
    rng, drawn = np.random.default_rng(2), []
    for m in models.objectives:
        mean, variance = m.gp.posterior(at)
        drawn.append(m.transform.inverse(mean + np.sqrt(variance) * rng.standard_normal((4000, 5))))
    before = hypervolume(front.Y, front.reference)
    gains = np.array(
        [
            [hypervolume(np.vstack([front.Y, y]), front.reference) - before for y in row]
            for row in np.stack(drawn, axis=-1)
        ]
    )
    exact, error = gains.mean(axis=0), gains.std(axis=0) / np.sqrt(len(gains))
    assert np.all(np.abs(np.exp(improvement(front).value(at)) - exact) < 0.02 * exact + 4 * error)
    assert np.all(exact > 8 * error)


@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_few_directions_are_enough_to_rank_by(m: int) -> None:
    """Single values are off by some tenths of a nat; the order of candidates, and which is best, hardly changes."""
    front, X = front_of(m), np.random.default_rng(1).random((200, D))
    few, many = improvement(front).value(X), improvement(finer(front)).value(X)
    assert spearmanr(few, many).statistic > 0.95
    assert many[np.argmax(few)] > many.max() - 0.2
    assert np.median(np.abs(few - many)) < 0.4


def test_limits_multiply() -> None:
    front, X = front_of(2), np.random.default_rng(1).random((6, D))
    limits = limits_of()
    p_meets = sum(utility(mean, np.sqrt(v))[0] for gp, utility in limits for mean, v in [gp.posterior(X)])
    np.testing.assert_allclose(improvement(front, limits=limits).value(X), improvement(front).value(X) + p_meets)


def test_blocks_of_rows_are_no_seam() -> None:
    front, X = front_of(2), np.random.default_rng(1).random((300, D))
    function = improvement(front)
    each = np.concatenate([function.value(x[None]) for x in X])
    np.testing.assert_allclose(function.value(X), each, rtol=1e-9)


# -- slopes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_nodes", "tolerance"), [(6, 0.05), (32, 5e-5)], ids=["as used", "converged"])
@pytest.mark.parametrize("is_limited", [False, True], ids=["free", "limited"])
@pytest.mark.parametrize("n_in_flight", [0, 1, 3])
@pytest.mark.parametrize("m", [2, 3, 5])
def test_gradients_are_the_slopes(
    m: int, n_in_flight: int, is_limited: bool, n_nodes: int, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient is that of the integral. Nodes move with x, and a sum over few of them is not quite the integral; many
    leave out what is beyond exp(-12) of its height."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    monkeypatch.setattr("hpo.bayes.several_objectives._NODES", 0.5 * nodes + 0.5)
    monkeypatch.setattr("hpo.bayes.several_objectives._WEIGHTS", 0.5 * weights)
    in_flight, X = np.random.default_rng(2).random((n_in_flight, D)), np.random.default_rng(3).random((10, D))
    function = improvement(front_of(m), in_flight, limits_of() if is_limited else ())
    value, gradient = function(X)
    np.testing.assert_allclose(function.value(X), value, rtol=1e-9, atol=1e-9)
    numeric = [(function.value(X + h) - function.value(X - h)) / (2 * STEP) for h in STEP * np.eye(D)]
    size = np.abs(gradient).max(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient / size, np.transpose(numeric) / size, atol=tolerance)


@pytest.mark.parametrize("least", [30.0, 1e4, 1e9, 1e12])
@pytest.mark.parametrize("n_in_flight", [0, 2])
def test_thresholds_nobody_reaches_still_pull(n_in_flight: int, least: float) -> None:
    """However far: a limit in the wrong unit must not make all candidates equal."""
    front = front_of(2, least=[least, least])
    in_flight, X = np.random.default_rng(2).random((n_in_flight, D)), np.random.default_rng(3).random((8, D))
    value, gradient = improvement(front, in_flight)(X)
    assert np.all(np.isfinite(value))
    assert value.max() < -10.0 * np.log(least)
    assert np.all(np.abs(gradient).max(axis=1) > 1e-3)


def test_at_measured_trials_far_below_the_front_there_is_a_slope() -> None:
    """Many exact measurements: what is below the front is so for sure, and the volume to gain underflows."""
    front = front_of(3, n=40)
    Y = medians(front.models, front.models.objectives[0].gp.X)
    lowest = np.argsort(Y.sum(axis=1))[:5]
    value, gradient = improvement(front)(front.models.objectives[0].gp.X[lowest] + 1e-3)
    assert np.all(np.isfinite(value))
    assert value.min() < -20
    assert np.all(np.abs(gradient).max(axis=1) > 1e-3)


# -- points in flight -------------------------------------------------------------------------------------------------


def test_a_point_in_flight_is_worth_less_a_second_time() -> None:
    front = front_of(2)
    X = np.random.default_rng(6).random((200, D))
    best = X[np.argsort(-improvement(front).value(X))[:1]]
    assert improvement(front, best).value(best)[0] < improvement(front).value(best)[0] - 1.0


def test_what_probably_misses_a_limit_does_not_raise_the_front() -> None:
    front, in_flight = front_of(2), np.random.default_rng(2).random((2, D))
    hopeless = improvement(front, in_flight, limits_of(lower=50.0))
    np.testing.assert_array_equal(hopeless.reach, front.reach)
    assert np.any(improvement(front, in_flight).reach > front.reach)


def test_each_direction_sees_one_draw_of_what_is_in_flight() -> None:
    """Its reach is the highest multiple of it that the front or a point of that draw dominates."""
    front, in_flight = front_of(3), np.random.default_rng(2).random((2, D))
    function = improvement(front, in_flight)
    pairs = zip(front.models.objectives, function.gps, strict=True)
    drawn = np.stack([m.transform.inverse(gp.posterior(in_flight)[0]) for m, gp in pairs], axis=-1)  # [s, p, m]
    for k, u in enumerate(front.directions):
        points = np.vstack([front.Y, drawn[k % N_FANTASIES]])
        along = ((points - front.reference) / front.scale / u).min(axis=1).max()
        assert function.reach[k] == pytest.approx(along)


# -- the front --------------------------------------------------------------------------------------------------------


def test_the_front_is_that_of_the_medians_among_the_feasible() -> None:
    X = np.random.default_rng(0).random((12, D))
    models, feasible = models_of(X, 2), np.arange(12) % 3 > 0
    Y = medians(models, X)
    front = Front.of(models, X, feasible)
    np.testing.assert_allclose(front.X, X[feasible][is_non_dominated(Y[feasible])])
    np.testing.assert_allclose(front.Y, Y[feasible][is_non_dominated(Y[feasible])])
    nowhere = Front.of(models, X, np.zeros(12, dtype=bool))
    np.testing.assert_array_equal(nowhere.X, X[is_non_dominated(Y)])


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6])
def test_directions_are_positive_units_evenly_spread(m: int) -> None:
    """Of u uniform on the positive orthant of the sphere, E u_i^2 = 1/m and E u_i u_j = 2/(pi m)."""
    u = front_of(m).directions
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1.0)
    assert np.all(u > 0.0)
    uniform = np.full((m, m), 2.0 / (np.pi * m))
    np.fill_diagonal(uniform, 1.0 / m)
    np.testing.assert_allclose(u.T @ u / len(u), uniform, atol=0.1 / m)
    nearest = np.sort(u @ u.T, axis=1)[:, -2]
    assert np.all(nearest < 1.0 - 1e-6), "no two are the same"


def test_the_reference_is_the_thresholds_or_a_tenth_below_the_front() -> None:
    front = front_of(2, least=[7.5, -np.inf])
    assert front.reference[0] == 7.5
    low, high = front.Y[:, 1].min(), front.Y[:, 1].max()
    assert front.reference[1] == pytest.approx(low - 0.1 * (high - low))


def test_a_front_of_one_borrows_its_range_from_the_next_ones() -> None:
    models = front_of(2).models
    Y = np.array([[3.0, 3.0], [2.0, 1.0], [1.0, 2.0], [-9.0, -9.0]])
    # Three are wanted; the first front has one, the second two, and the last is not looked at.
    np.testing.assert_allclose(reference_point(models, Y), [1.0 - 0.2, 1.0 - 0.2])
    np.testing.assert_allclose(reference_point(models, Y[:1]), [3.0 - 0.3, 3.0 - 0.3])  # no range: a tenth of the value


def test_a_front_of_one_trial_can_be_improved_on() -> None:
    X = np.array([[0.5] * D, [0.1] * D])
    models = models_of(X, 2)
    front = Front.of(models, X, np.array([True, False]))
    value, gradient = improvement(front)(np.random.default_rng(0).random((4, D)))
    assert len(front.X) == 1
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("m", [2, 3, 4])
def test_volumes_add_up_to_the_gain_in_hypervolume(m: int) -> None:
    """Every direction sees the same point, so the mean is the integral over directions; 2 % for their number."""
    front = finer(front_of(m))
    points = front.Y.mean(axis=0) + np.random.default_rng(0).random((6, m))
    k = len(front.directions)
    worth, is_front = front.volumes(np.repeat(modeled(front, points)[:, None], k, axis=1))
    ball = np.pi ** (m / 2) / gamma(m / 2 + 1) / 2**m
    gains = ball * np.prod(front.scale) * np.maximum(worth - is_front, 0.0).mean(axis=1)
    before = hypervolume(front.Y, front.reference)
    exact = np.array([hypervolume(np.vstack([front.Y, y]), front.reference) - before for y in points])
    assert exact.max() > 0.1
    np.testing.assert_allclose(gains, exact, atol=0.02 * exact.max())
    np.testing.assert_allclose(ball * np.prod(front.scale) * is_front.mean(), before, rtol=0.02)


def test_what_is_below_the_reference_is_worth_nothing() -> None:
    front = front_of(3)
    worth, _ = front.volumes(modeled(front, front.reference - np.ones((2, 5, 3))))
    np.testing.assert_array_equal(worth, 0.0)


def test_spread_goes_from_end_to_end() -> None:
    front = front_of(2, n=60)
    first = front.X[np.argsort(front.Y[:, 0])]
    assert len(first) >= 5
    np.testing.assert_array_equal(front.spread(3), first[[0, round((len(first) - 1) / 2), -1]])
    np.testing.assert_array_equal(front.spread(1000), first)


def test_dominates_is_the_definition() -> None:
    front, X = front_of(2), np.random.default_rng(8).random((40, D))
    expected = [any(all(f >= v) and any(f > v) for f in front.Y) for v in medians(front.models, X)]
    assert front.dominates(X).tolist() == expected
    assert 0 < sum(expected) < len(X)
    exact = replace(front, Y=medians(front.models, front.X))  # rounded as `dominates` rounds
    assert not exact.dominates(front.X).any(), "what is equal does not dominate"
