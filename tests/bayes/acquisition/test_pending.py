"""Points in flight: against models that were told what the draws say, and formulas written out."""

import numpy as np
import pytest
from scipy.special import ndtr

from hpo.bayes.acquisition.feasibility import LikelySuccess
from hpo.bayes.acquisition.log_ei import Acquisition, LogEI, LogProbability
from hpo.bayes.acquisition.pending import (
    N_FANTASIES,
    AcquisitionTerms,
    ConstraintTerms,
    acquisition,
    conditioned,
    improvement,
    probable,
)
from hpo.bayes.gp.gp import GP, build, sample_at
from hpo.bayes.gp.kernel import Theta
from hpo.common.arrays import Array

NOBODY = np.empty((0, 2))
IN_FLIGHT = np.array([[0.3, 0.9], [0.7, 0.5]])
NORMALS = np.random.default_rng(7).normal(size=(5, 40))
X = np.random.default_rng(8).random((20, 2))


def surrogate(slope: float, noise: float = -4.0) -> GP:
    """Of a plane that rises by `slope` along the second column, with a wave along the first."""
    X = np.random.default_rng(1).random((14, 2))
    return build(Theta((-0.7, -0.7), 0.0, noise), X, 0.5 * np.sin(5.0 * X[:, 0]) + slope * (X[:, 1] - 0.5))


GAIN, SIZE = surrogate(2.0), surrogate(-2.0)
LIMITS: ConstraintTerms = [(SIZE, LogProbability(upper=0.4)), (surrogate(1.0), LikelySuccess())]


def told(gp: GP, outputs: Array) -> GP:
    """As if `outputs` had been measured where trials are in flight, the mean m as it was."""
    grown = build(gp.theta, np.concatenate([gp.X, IN_FLIGHT]), np.concatenate([gp.y, outputs]))
    W = grown.inverse_factor
    return GP(**{**grown.__dict__, "mean": gp.mean, "alpha": W.T @ (W @ (grown.y - gp.mean))})


def expected_improvement(gp: GP, best: float) -> Array:
    mean, variance = gp.posterior(X)
    sd = np.sqrt(variance)
    z = (mean - best) / sd
    return np.asarray(sd * (np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) + z * ndtr(z)))


# -- nothing in flight ------------------------------------------------------------------------------------------------


def test_with_nothing_in_flight_it_is_log_ei_and_the_limits() -> None:
    value = acquisition(AcquisitionTerms(GAIN, 0.5, LIMITS), NOBODY, NORMALS).value(X)
    np.testing.assert_array_equal(value, Acquisition([(GAIN, LogEI(0.5)), *LIMITS]).value(X))


def test_the_margin_is_added_to_what_is_to_be_improved() -> None:
    value = acquisition(AcquisitionTerms(GAIN, 0.5, (), margin=0.3), NOBODY, NORMALS).value(X)
    np.testing.assert_array_equal(value, Acquisition([(GAIN, LogEI(0.5 + 0.3))]).value(X))


@pytest.mark.parametrize("in_flight", [NOBODY, IN_FLIGHT])
def test_while_nothing_is_feasible_only_the_limits_count(in_flight: Array) -> None:
    limits = conditioned(LIMITS, in_flight)
    assert limits is not None
    value = acquisition(AcquisitionTerms(None, -np.inf, LIMITS), in_flight, NORMALS).value(X)
    np.testing.assert_array_equal(value, limits.value(X))


# -- conditioned ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_flight", [NOBODY, IN_FLIGHT])
def test_without_limits_there_is_nothing_to_condition(in_flight: Array) -> None:
    assert conditioned((), in_flight) is None


def test_limits_know_where_trials_are_in_flight_and_invent_no_result() -> None:
    found = conditioned(LIMITS, IN_FLIGHT)
    assert found is not None
    assert [utility for _, utility in found.terms] == [utility for _, utility in LIMITS]
    for (after, _), (before, _) in zip(found.terms, LIMITS, strict=True):
        np.testing.assert_allclose(after.posterior(X)[0], before.posterior(X)[0], rtol=1e-9)
        assert np.all(after.posterior(IN_FLIGHT)[1] < 0.5 * before.posterior(IN_FLIGHT)[1])


# -- in flight --------------------------------------------------------------------------------------------------------


def test_the_improvement_is_averaged_over_models_that_were_told_the_draws() -> None:
    best, margin = 0.2, 0.1
    draws = sample_at(GAIN, IN_FLIGHT, NORMALS[:2, :N_FANTASIES])
    worth = np.zeros(len(X))
    for outputs in draws.T:
        model = told(GAIN, outputs)
        reached = max(best, model.posterior_mean(IN_FLIGHT).max())
        worth += expected_improvement(model, reached + margin) / 16
    value = acquisition(AcquisitionTerms(GAIN, best, (), margin), IN_FLIGHT, NORMALS).value(X)
    np.testing.assert_allclose(np.exp(value), worth, rtol=1e-6, atol=1e-12)


def test_limits_lower_what_an_improvement_is_worth() -> None:
    free = acquisition(AcquisitionTerms(GAIN, 0.2, ()), IN_FLIGHT, NORMALS).value(X)
    limits = conditioned(LIMITS, IN_FLIGHT)
    assert limits is not None
    bound = acquisition(AcquisitionTerms(GAIN, 5.0, LIMITS), IN_FLIGHT, NORMALS).value(X)
    alone = acquisition(AcquisitionTerms(GAIN, 5.0, ()), IN_FLIGHT, NORMALS).value(X)
    np.testing.assert_allclose(bound, alone + limits.value(X), rtol=1e-9)
    assert np.all(free > alone)


def test_a_second_trial_where_one_is_in_flight_is_worth_little() -> None:
    target = AcquisitionTerms(GAIN, 0.2, ())
    before = acquisition(target, NOBODY, NORMALS).value(IN_FLIGHT)
    after = acquisition(target, IN_FLIGHT, NORMALS).value(IN_FLIGHT)
    assert np.all(after < before - 1.0)


def test_trials_in_flight_that_probably_miss_a_limit_raise_no_bar() -> None:
    hopeless: ConstraintTerms = [(SIZE, LogProbability(lower=50.0))]
    _, raised = improvement(AcquisitionTerms(GAIN, -9.0, ()), IN_FLIGHT, NORMALS)
    _, unmoved = improvement(AcquisitionTerms(GAIN, -9.0, hopeless), IN_FLIGHT, NORMALS)
    assert np.all(raised.best > -9.0)
    np.testing.assert_array_equal(unmoved.best, np.full((16, 1), -9.0))


def test_points_of_a_batch_share_their_draws() -> None:
    """So they differ only by what they add: the first in flight has the same draws alone and in company."""
    alone, _ = improvement(AcquisitionTerms(GAIN, 0.2, ()), IN_FLIGHT[:1], NORMALS)
    together, _ = improvement(AcquisitionTerms(GAIN, 0.2, ()), IN_FLIGHT, NORMALS)
    seen = [gp.posterior_mean(IN_FLIGHT[:1]) for gp in (alone, together)]
    assert seen[0].shape == (N_FANTASIES, 1) == (16, 1)
    np.testing.assert_allclose(seen[0], seen[1], atol=0.2)  # each draw is measured with noise, and so is its neighbor


# -- probable ---------------------------------------------------------------------------------------------------------


def test_without_limits_everything_probably_meets_them() -> None:
    np.testing.assert_array_equal(probable((), X), np.ones(20, dtype=bool))


def test_probable_is_more_probable_than_not_that_all_limits_are_met() -> None:
    lower, upper = LogProbability(lower=-0.3), LogProbability(upper=0.4)
    chance = np.ones(len(X))
    for limit in (lower, upper):
        mean, variance = SIZE.posterior(X)
        sd = np.sqrt(variance)
        chance *= ndtr((limit.upper - mean) / sd) if np.isfinite(limit.upper) else ndtr((mean - limit.lower) / sd)
    found = probable([(SIZE, lower), (SIZE, upper)], X)
    np.testing.assert_array_equal(found, chance > 0.5)
    assert 0 < found.sum() < 20


def test_success_counts_by_its_utility_not_its_probability() -> None:
    gp = surrogate(1.0)
    mean, variance = gp.posterior(X)
    chance = ndtr(mean / np.sqrt(variance))
    found = probable([(gp, LikelySuccess())], X)
    np.testing.assert_array_equal(found[chance > 0.8], True)
    np.testing.assert_array_equal(found[chance < 0.7], False)
    assert np.any((chance > 0.5) & (chance < 0.7))
