"""Picks from a pool: against brute force, against the plain algorithm, and what they are drawn from."""

from itertools import combinations, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.bayes.acquisition.feasibility import LikelySuccess
from hpo.bayes.acquisition.log_ei import Acquisition, LogEI, LogProbability, Utility
from hpo.bayes.acquisition.pending import AcquisitionTerms, ConstraintTerms
from hpo.bayes.candidate_pool import greedy, pool_draws
from hpo.bayes.data import MetricData
from hpo.bayes.gp.gp import GP, build
from hpo.bayes.gp.kernel import Theta
from hpo.bayes.gp.transforms import Standardize
from hpo.bayes.models import Found, MetricModel, Models
from hpo.bayes.several_objectives import Front
from hpo.common.arrays import Array
from hpo.problem.metrics import Objective

SEEDS = st.integers(0, 2**32 - 1)
NOBODY = np.empty((0, 2))


def worth(draws: Array, reach: Array, batch: list[int]) -> float:
    """What a batch raises the average best by."""
    return float(np.maximum(draws[batch].max(axis=0) - reach, 0.0).mean())


def surrogate(f: str) -> GP:
    X = np.random.default_rng(1).random((12, 2))
    y = {"wave": np.sin(5.0 * X[:, 0]) + X[:, 1], "slope": X[:, 1] - X[:, 0], "hill": -((X - 0.4) ** 2).sum(axis=1)}[f]
    return build(Theta((-0.7, -0.7), 0.0, -4.0), X, (y - y.mean()) / y.std())


def grid(n: int = 6) -> Array:
    u = (np.arange(n) + 0.5) / n
    return np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


# -- greedy -----------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, c=st.integers(1, 30), s=st.integers(1, 12), is_known=st.booleans())
def test_every_candidate_comes_once(seed: int, c: int, s: int, is_known: bool) -> None:
    g = np.random.default_rng(seed)
    reach = g.normal(size=s) if is_known else np.full(s, -np.inf)
    assert sorted(greedy(g.normal(size=(c, s)).round(1), reach, g.random(c))) == list(range(c))


def test_of_no_candidates_none_comes() -> None:
    assert list(greedy(np.empty((0, 8)), np.zeros(8), np.empty(0))) == []


@given(seed=SEEDS)
def test_it_is_the_plain_algorithm(seed: int) -> None:
    """All gains computed anew after each pick; beyond the last gain, the best of one draw after another."""
    g = np.random.default_rng(seed)
    draws, reach, chance = g.normal(size=(12, 10)), g.normal(size=10) + 0.5, g.random(12)
    expected: list[int] = []
    attained = np.maximum(reach, draws.min(axis=0))
    first = (chance * np.maximum(draws - attained, 0.0).mean(axis=1)).max()
    while left := [i for i in range(12) if i not in expected]:
        gains = [chance[i] * np.maximum(draws[i] - attained, 0.0).mean() for i in left]
        if max(gains) <= 1e-6 * first:
            break
        expected.append(left[int(np.argmax(gains))])
        if chance[expected[-1]] >= 0.5:
            attained = np.maximum(attained, draws[expected[-1]])
    for turn in range(len(left)):
        likely = [i for i in left if chance[i] >= min(0.5, chance.max())] or left
        best = max(likely, key=lambda i: draws[i, turn % 10])
        expected.append(best)
        left.remove(best)
    assert list(greedy(draws, reach, chance)) == expected


@given(seed=SEEDS, size=st.integers(1, 4))
def test_a_batch_is_worth_at_least_its_share_of_the_best(seed: int, size: int) -> None:
    """1 - 1/e of it, as for every greedy choice under diminishing returns (Nemhauser et al. 1978)."""
    g = np.random.default_rng(seed)
    draws, reach = g.normal(size=(9, 8)), g.normal(size=8)
    batch = list(islice(greedy(draws, reach, np.ones(9)), size))
    best = max(worth(draws, reach, list(other)) for other in combinations(range(9), size))
    assert worth(draws, reach, batch) >= (1.0 - np.exp(-1.0)) * best - 1e-12


def test_only_a_likely_pick_leaves_its_twin_nothing_to_gain() -> None:
    """What probably misses a limit attains nothing."""
    draws = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    assert list(greedy(draws, np.zeros(2), np.ones(3)))[:2] == [0, 2]
    assert list(greedy(draws, np.zeros(2), np.full(3, 0.49)))[:2] == [0, 1]


def test_after_the_last_gain_draws_take_turns() -> None:
    draws = np.array([[5.0, 5.0, 5.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 3.0, 0.0], [0.9, 2.9, 1.9]])
    assert list(greedy(draws, np.zeros(3), np.ones(5))) == [0, 1, 3, 2, 4]


def test_among_what_is_left_the_likely_come_first() -> None:
    draws, chance = np.array([[5.0], [4.0], [3.0], [2.0]]), np.array([1.0, 0.1, 0.6, 0.2])
    assert list(greedy(draws, np.full(1, 4.5), chance)) == [0, 2, 1, 3]


def test_before_anything_is_attained_the_worst_is_the_mark() -> None:
    draws = np.array([[1.0, 9.0], [6.0, 5.0], [0.0, 0.0]])
    assert list(greedy(draws, np.full(2, -np.inf), np.ones(3))) == [1, 0, 2]


# -- what is drawn ----------------------------------------------------------------------------------------------------


def test_draws_are_those_of_the_model() -> None:
    gp, X = surrogate("wave"), grid()
    draws, reach, chance = pool_draws(AcquisitionTerms(gp, 0.7, []), None, X, NOBODY, rng())
    mean, covariance = gp.joint(X)
    n = draws.shape[1]
    deviation = np.sqrt(covariance.diagonal())
    assert np.all(np.abs(draws.mean(axis=1) - mean) < 5.0 * deviation / np.sqrt(n) + 1e-3)
    scatter = np.cov(draws)
    error = 5.0 * np.sqrt((covariance**2 + np.outer(deviation, deviation) ** 2) / n)  # of a normal sample's covariance
    assert np.all(np.abs(scatter - covariance) < error + 1e-3)
    np.testing.assert_array_equal(reach, 0.7)
    np.testing.assert_array_equal(chance, 1.0)


def test_the_first_pick_has_about_the_largest_expected_improvement() -> None:
    """About: over 256 draws, a gain that comes in one of ten has a standard error of a fifth."""
    target, X = AcquisitionTerms(surrogate("wave"), 1.0, [(surrogate("slope"), LogProbability(0.0))]), grid(12)
    first = next(greedy(*pool_draws(target, None, X, NOBODY, rng())))
    terms: list[tuple[GP, Utility]] = [(surrogate("wave"), LogEI(1.0)), (surrogate("slope"), LogProbability(0.0))]
    exact = np.exp(Acquisition(terms).value(X))
    assert exact[first] > 0.8 * exact.max()
    assert (exact > 0.8 * exact.max()).sum() < 0.2 * len(X)


def test_chances_are_the_product_of_all_limits() -> None:
    limits: ConstraintTerms = [
        (surrogate("slope"), LogProbability(0.0)),
        (surrogate("hill"), LogProbability(-1.0, 0.5)),
    ]
    _, _, chance = pool_draws(AcquisitionTerms(surrogate("wave"), 0.0, limits), None, grid(), NOBODY, rng())
    each = [np.exp(Acquisition([limit]).value(grid())) for limit in limits]
    np.testing.assert_allclose(chance, each[0] * each[1])


def test_what_is_in_flight_already_gains_nothing_a_second_time() -> None:
    X, in_flight = grid(), grid()[[3, 17]]
    best = float(surrogate("wave").posterior(in_flight)[0].max())
    draws, reach, _ = pool_draws(AcquisitionTerms(surrogate("wave"), best, []), None, X, in_flight, rng())
    assert np.all(reach >= best)
    assert reach.max() > best + 0.01
    # The same function is drawn at both; the jitter of the factorization lets them differ by a hundredth.
    assert np.maximum(draws[[3, 17]] - reach, 0.0).mean() < 0.01
    hopeless: ConstraintTerms = [(surrogate("slope"), LogProbability(lower=50.0))]
    _, unmoved, _ = pool_draws(AcquisitionTerms(surrogate("wave"), best, hopeless), None, X, in_flight, rng())
    np.testing.assert_array_equal(unmoved, best)


def test_of_many_in_flight_the_most_promising_count() -> None:
    target, X = AcquisitionTerms(surrogate("wave"), 0.0, []), grid(3)
    in_flight = np.random.default_rng(5).random((1010, 2))
    mean, variance = surrogate("wave").posterior(in_flight)
    prospects = mean + 2.0 * np.sqrt(variance)
    promising = in_flight[prospects > np.sort(prospects)[9]]
    assert len(promising) == 1000
    for got, wanted in zip(
        pool_draws(target, None, X, in_flight, rng()), pool_draws(target, None, X, promising, rng()), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def test_several_objectives_are_drawn_as_volumes() -> None:
    X = np.random.default_rng(1).random((12, 2))
    names = ["wave", "slope", "hill"]
    nothing = np.zeros(12)
    models = Models(
        tuple(
            MetricModel(
                MetricData(Objective(name), 1.0, nothing, nothing, -np.inf, np.inf),
                Standardize.of(np.array([-1.0, 1.0])),
                surrogate(name),
                Found(12, "", {}),
            )
            for name in names
        ),
        (),
        None,
    )
    front = Front.of(models, X, np.ones(12, dtype=bool))
    target = AcquisitionTerms(surrogate("wave"), 0.0, [])
    draws, reach, _ = pool_draws(target, front, grid(), NOBODY, rng())
    assert draws.shape == (36, 256)
    np.testing.assert_allclose(reach, (front.reach**3)[np.arange(256) % len(front.reach)])
    # A trial of the front is where the front is, but for what is uncertain about it.
    at_front, _, _ = pool_draws(target, front, front.X, NOBODY, rng())
    assert np.maximum(at_front - reach, 0.0).mean() < np.maximum(draws - reach, 0.0).mean(axis=1).max()
    again, raised, _ = pool_draws(target, front, grid(), grid()[:4], rng())
    assert np.all(raised >= reach)
    assert np.maximum(again[:4] - raised, 0.0).mean() < 0.01


@pytest.mark.parametrize("n_in_flight", [0, 2])
def test_while_nothing_is_feasible_the_shortfall_is_drawn(n_in_flight: int) -> None:
    limits: ConstraintTerms = [
        (surrogate("slope"), LogProbability(lower=1.0)),
        (surrogate("hill"), LogProbability(-0.5, 0.2)),
        (surrogate("wave"), LikelySuccess()),
    ]
    X, in_flight = grid(), grid()[:n_in_flight]
    draws, reach, chance = pool_draws(AcquisitionTerms(None, -np.inf, limits), None, X, in_flight, rng())
    assert np.all(draws <= 0.0)
    np.testing.assert_array_equal(chance, 1.0)
    g, n = np.random.default_rng(9), 20_000
    expected = np.zeros(len(X))
    for (gp, _), (lower, upper) in zip(limits, [(1.0, np.inf), (-0.5, 0.2), (0.0, np.inf)], strict=True):
        mean, variance = gp.posterior(X)
        value = mean[:, None] + np.sqrt(variance)[:, None] * g.standard_normal((len(X), n))
        expected -= (np.clip(lower - value, 0.0, None) + np.clip(value - upper, 0.0, None)).mean(axis=1)
    error = draws.std(axis=1) / np.sqrt(draws.shape[1])
    assert np.all(np.abs(draws.mean(axis=1) - expected) < 5.0 * error + 1e-2)
    if n_in_flight:
        assert np.all(np.isfinite(reach))
        assert np.maximum(draws[:2] - reach, 0.0).mean() < 0.01
    else:
        np.testing.assert_array_equal(reach, -np.inf)
