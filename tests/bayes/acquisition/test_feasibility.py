"""Success as a utility, and how far its scores are believed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import hpo
from hpo.bayes.acquisition.feasibility import LikelySuccess, calibration, risk_margin
from hpo.bayes.gp.gp import GP, build
from hpo.bayes.gp.kernel import Theta
from hpo.common.arrays import Array
from hpo.trials.trial import TrialState

SURE = float(norm.ppf(0.8))
"""The score of a chance of 80 %."""


def worth(chance: float, utility: LikelySuccess | None = None) -> float:
    return float((utility or LikelySuccess())(np.array([norm.ppf(chance)]), np.ones(1))[0][0])


# -- LikelySuccess ----------------------------------------------------------------------------------------------------


@given(chance=st.floats(0.8001, 0.9999))
def test_where_success_is_likely_the_utility_is_its_log_probability(chance: float) -> None:
    assert worth(chance) == pytest.approx(np.log(chance), rel=1e-9)


def test_doubt_costs_more_than_the_chance_of_failing() -> None:
    assert worth(0.5) - np.log(0.5) == pytest.approx(-20.0 * SURE**2, rel=1e-4)
    assert round(worth(0.5) - np.log(0.5)) == -14
    assert worth(float(norm.cdf(-1.0))) == pytest.approx(-70.0, abs=1.0)


def test_the_border_between_sure_and_doubtful_is_eighty_percent_unless_told_otherwise() -> None:
    assert LikelySuccess().risk_margin == pytest.approx(SURE, abs=1e-4)
    stricter = LikelySuccess(risk_margin=2.0)
    assert worth(float(norm.cdf(2.0)), stricter) == pytest.approx(norm.logcdf(2.0))
    assert worth(float(norm.cdf(1.5)), stricter) == pytest.approx(norm.logcdf(1.5) - 20.0 * 0.5**2)


@given(mean=st.floats(-3.0, 3.0), sd=st.floats(0.1, 2.0), trust=st.floats(0.1, 1.0))
def test_less_trust_is_more_uncertainty(mean: float, sd: float, trust: float) -> None:
    doubted = LikelySuccess(calibration=trust)(np.array([mean]), np.array([sd]))
    plain = LikelySuccess()(np.array([mean]), np.array([sd / trust]))
    np.testing.assert_allclose(doubted[0], plain[0], rtol=1e-12)
    np.testing.assert_allclose(doubted[1], plain[1], rtol=1e-12)


@given(mean=st.floats(-3.0, 3.0), sd=st.floats(0.2, 2.0), trust=st.floats(0.1, 1.0), margin=st.floats(0.8, 2.0))
def test_derivatives_are_the_slopes(mean: float, sd: float, trust: float, margin: float) -> None:
    """To what the second derivative, which jumps by 40 / sd^2 where doubt begins, makes of a step of 1e-7."""
    utility, h = LikelySuccess(trust, margin), 1e-7

    def value(m: float, s: float) -> float:
        return float(utility(np.array([m]), np.array([s]))[0][0])

    _, by_mean, by_sd = utility(np.array([mean]), np.array([sd]))
    assert by_mean[0] == pytest.approx((value(mean + h, sd) - value(mean - h, sd)) / (2 * h), rel=1e-4, abs=2e-4)
    assert by_sd[0] == pytest.approx((value(mean, sd + h) - value(mean, sd - h)) / (2 * h), rel=1e-4, abs=2e-4)


# -- calibration ------------------------------------------------------------------------------------------------------


def labeled(labels: Array, X: Array, noise: float = 0.1) -> GP:
    return build(Theta((np.log(0.4),) * 2, 0.0, float(np.log(noise))), X, labels)


def test_scores_of_success_are_believed_as_far_as_they_foretell() -> None:
    """Labels that follow a border are foretold by their neighbors; coin flips are not."""
    rng = np.random.default_rng(0)
    X = rng.random((60, 2))
    clear, flips = np.where(X[:, 0] + X[:, 1] > 0.9, 1.0, -1.0), np.where(rng.random(60) > 0.5, 1.0, -1.0)
    assert calibration(labeled(clear, X)) > 0.4
    assert calibration(labeled(flips, X)) < 0.2


@given(seed=st.integers(0, 10**6), flipped=st.floats(0.0, 0.4), noise=st.sampled_from([0.05, 0.3]))
@settings(max_examples=30)
def test_the_factor_is_the_most_probable_one(seed: int, flipped: float, noise: float) -> None:
    """Of thirteen from a tenth to one: no further than half a step from the best of many, by scores without noise."""
    rng = np.random.default_rng(seed)
    X = rng.random((40, 2))
    labels = np.where((X[:, 0] > 0.4) ^ (rng.random(40) < flipped), 1.0, -1.0)
    gp = labeled(labels, X, noise)
    mean, variance = gp.leave_one_out()
    z = labels * mean / np.sqrt(variance - noise)
    fine = np.geomspace(0.1, 1.0, 241)
    best = fine[np.argmax(norm.logcdf(np.outer(fine, z)).sum(axis=1))]
    found = calibration(gp)
    assert 0.1 <= found <= 1.0 + 1e-12
    assert abs(np.log10(found / best)) < 0.6 / 12


def test_where_everything_is_foretold_the_least_trust_is_enough() -> None:
    X = np.repeat(np.random.default_rng(0).random((3, 2)), 10, axis=0)
    assert calibration(labeled(np.ones(30), X, noise=1e-9)) == pytest.approx(0.1)


# -- risk_margin ------------------------------------------------------------------------------------------------------


def ended(failed: bool, n_in_flight: int = 0, kind: str = "oom") -> hpo.Trial:
    state = TrialState.FAILED if failed else TrialState.COMPLETED
    why = {"p_success": 0.8, "n_in_flight": n_in_flight}
    return hpo.Trial(0, {}, state, 0, why=why, kind=kind if failed else None)


def test_failures_of_suggestions_raise_what_is_doubted_and_successes_lower_it() -> None:
    start = risk_margin([])
    assert risk_margin([ended(False)] * 50) == start, "nothing is saved up"
    once, often = risk_margin([ended(True)]), risk_margin([ended(True)] * 50)
    assert start < once < often
    assert risk_margin([ended(True)] * 51) == often, "there is an end to caution"
    assert risk_margin([ended(True), *[ended(False)] * 9]) == pytest.approx(start), "a tenth may fail"
    assert risk_margin([ended(True, n_in_flight=7)]) == start, "the same doubt had chosen those before it"
    assert risk_margin([ended(True, kind="infra")]) == start
    assert risk_margin([hpo.Trial(0, {}, TrialState.FAILED, 0, why={"role": "initial"}, kind="oom")]) == start


def test_a_failure_raises_the_score_nine_times_as_much_as_a_success_lowers_it() -> None:
    start = risk_margin([])
    assert start == pytest.approx(SURE, abs=1e-4)
    assert risk_margin([ended(True)]) == pytest.approx(start + 0.45)
    assert risk_margin([ended(True), ended(False)]) == pytest.approx(start + 0.40)
    assert risk_margin([ended(True)] * 3) == pytest.approx(start + 1.0), "one deviation is the end of caution"


def test_what_is_not_over_says_nothing() -> None:
    running = hpo.Trial(0, {}, TrialState.RUNNING, 0, why={"p_success": 0.8, "n_in_flight": 0})
    assert risk_margin([ended(True), running]) == risk_margin([ended(True)])
