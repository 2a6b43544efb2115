"""Statistics over runs, against cases worked out by hand, other libraries, and coverage counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import compare
from benchmarks.compare import FEWEST_SEEDS, Interval
from tests.benchmarks.fakes import a_run


def curve(*values: float) -> compare.Array:
    return np.array(values)


def test_runs_are_arranged_by_mode_and_problem() -> None:
    runs = [
        a_run(contender=c, mode=m, problem=p, seed=s) for c in "xy" for m in ("q1", "q8") for p in "ab" for s in (0, 1)
    ]
    arranged = compare.arranged(runs, ["a"], "q8")
    assert {c: {p: sorted(seeds) for p, seeds in each.items()} for c, each in arranged.items()} == {
        "x": {"a": [0, 1]},
        "y": {"a": [0, 1]},
    }
    assert arranged["x"]["a"][1].cell == ("x", "q8", "a", 1)


def test_finals_and_areas() -> None:
    given = compare.curves({"a": {0: a_run(total=4, curve=((2, 0.5), (4, 0.1)))}})
    assert compare.finals(given) == {"a": {0: 0.1}}
    assert compare.areas(given)["a"][0] == pytest.approx((1 + 0.5 + 0.5 + 0.1) / 4)


def test_areas_in_time_end_with_the_slowest() -> None:
    """The loss of fast: 1 until 2 s, then 0.5 until 10 s, the end of slow."""
    given = {
        "fast": {"a": {0: a_run(clock=((2.0, 0.5),), simulated=4.0)}},
        "slow": {"a": {0: a_run(clock=((8.0, 0.0),), simulated=10.0)}},
    }
    areas = compare.time_areas(given)
    assert areas["fast"]["a"][0] == pytest.approx((2 + 8 * 0.5) / 10)
    assert areas["slow"]["a"][0] == pytest.approx(0.8)


def test_the_mean_weighs_problems_equally() -> None:
    losses = {"a": {0: 0.0, 1: 0.2, 2: 0.4}, "b": {0: 0.6}}
    assert compare.mean(losses) == pytest.approx(0.4)
    assert math.isnan(compare.mean({}))


def test_logarithms_have_a_floor() -> None:
    assert compare.log_mean({"a": {0: 0.0, 1: 1e-2}}) == pytest.approx((-6 - 2) / 2)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    """Problems differ, and seeds within them: the mean over all problems there might be is 0."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        means = rng.normal(size=15)
        losses = {str(p): dict(enumerate(m + 0.5 * rng.normal(size=10))) for p, m in enumerate(means)}
        interval = compare.bootstrap(losses, rng)
        covered += interval.low <= 0 <= interval.high
    assert 176 <= covered <= 198  # 95 % nominal; a percentile bootstrap of 15 problems falls a little short of it


def test_the_interval_of_one_problem_is_that_of_its_seeds() -> None:
    """Against scipy's percentile bootstrap of the mean."""
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).random(30)
    got = compare.bootstrap({"a": dict(enumerate(values))}, np.random.default_rng(2))
    other = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(3)).confidence_interval
    assert (got.low, got.high) == pytest.approx((other.low, other.high), abs=0.01)  # its own Monte Carlo error is 0.004
    assert got.mean == pytest.approx(values.mean())


def test_an_interval_without_losses_is_not_a_number() -> None:
    assert math.isnan(compare.bootstrap({}, np.random.default_rng(0)).mean)


def test_ranks_average_ties() -> None:
    losses = {"x": {"a": {0: 0.1}, "b": {0: 0.5}}, "y": {"a": {0: 0.1}, "b": {0: 0.1}}, "z": {"a": {0: 0.2}}}
    assert compare.mean_ranks(losses) == {"x": (1.5 + 2) / 2, "y": (1.5 + 1) / 2, "z": 3.0}


def test_ranks_by_seed_see_what_the_mean_hides() -> None:
    """The first is best on two of three seeds, and far off on the third."""
    losses = {"x": {"a": {0: 0.1, 1: 0.1, 2: 1.0}}, "y": {"a": {0: 0.2, 1: 0.2, 2: 0.2}}}
    assert compare.mean_ranks(losses) == {"x": 2.0, "y": 1.0}
    assert compare.paired_ranks(losses) == pytest.approx({"x": 4 / 3, "y": 5 / 3})


def test_ranks_by_seed_leave_out_seeds_that_some_lack() -> None:
    """Alone on seed 1, anybody would be the first."""
    assert compare.paired_ranks({"x": {"a": {0: 0.3, 1: 0.9}}, "y": {"a": {0: 0.2}}}) == {"x": 2.0, "y": 1.0}
    assert compare.paired_ranks({"x": {"a": {0: 0.3}}, "y": {"a": {1: 0.2}}}) == {}


def test_differences_are_of_common_problems_and_seeds() -> None:
    ours = {"a": {0: 0.25, 1: 0.5}, "b": {0: 0.5}}
    theirs = {"a": {1: 0.25, 2: 1.0}, "c": {0: 0.5}, "b": {3: 0.5}}
    assert compare.difference(ours, theirs) == {"a": {1: 0.25}}


def test_shares_needed_by_hand() -> None:
    ours = {
        "halfway": {0: curve(1, 0.5, 0.1, 0.1), 1: curve(1, 0.3, 0.1, 0.1), 2: curve(1, 0.9, 0.1, 0.1)},
        "never": {0: curve(1, 1, 1, 0.3)},
        "both there": {0: curve(1, 0, 0, 0)},
        "alone": {0: curve(1, 0, 0, 0)},
    }
    theirs = {
        "halfway": {0: curve(1, 1, 1, 0.6), 1: curve(1, 1, 1, 0.5), 2: curve(1, 1, 1, 0.4)},
        "never": {0: curve(0.2, 0.2, 0.2, 0.2)},
        "both there": {0: curve(1, 1, 1, 0)},
    }
    assert compare.shares_needed(ours, theirs) == {"both there": 2 / 4, "halfway": 2 / 4, "never": math.inf}


def test_reaching_the_best_known_alone_counts_by_their_final_loss() -> None:
    assert compare.shares_needed({"a": {0: curve(1, 0.5, 0, 0)}}, {"a": {0: curve(1, 1, 1, 0.5)}}) == {"a": 2 / 4}
    assert compare.shares_needed({"a": {0: curve(1, 1, 1, 0.5)}}, {"a": {0: curve(1, 1, 0, 0)}}) == {"a": math.inf}


def test_a_peer_that_found_nothing_is_reached_by_finding_something() -> None:
    nothing = {"a": {0: curve(1, 1, 1, 1)}}
    assert compare.shares_needed({"a": {0: curve(1, 1, 0.9, 0.5)}}, nothing) == {"a": 3 / 4}
    assert compare.shares_needed(nothing, nothing) == {"a": math.inf}


def test_the_difference_of_medians_needs_enough_seeds() -> None:
    few = dict.fromkeys(range(FEWEST_SEEDS - 1), 0.5)
    assert compare.median_difference(few, few, np.random.default_rng(0)) is None


def test_the_difference_of_medians_is_paired() -> None:
    """Every seed is 0.1 worse, and far more spread than that: pairing sees it."""
    theirs = dict(enumerate(np.random.default_rng(0).random(15)))
    ours = {seed: loss + 0.1 for seed, loss in theirs.items()} | {99: 0.0}
    result = compare.median_difference(ours, theirs, np.random.default_rng(1))
    assert result is not None
    assert (result.mean, result.low, result.high) == pytest.approx((0.1, 0.1, 0.1))
    assert result.verdict == 1


@pytest.mark.parametrize(("low", "high", "verdict"), [(-0.2, -0.1, -1), (0.1, 0.2, 1), (-0.1, 0.1, 0), (0.0, 0.1, 0)])
def test_the_verdict_wants_zero_outside(low: float, high: float, verdict: int) -> None:
    assert Interval(0.0, low, high).verdict == verdict


def test_restricted_leaves_out_who_has_nothing() -> None:
    runs = {"x": {"a": {0: a_run()}, "b": {0: a_run()}}, "y": {"b": {0: a_run()}}}
    assert {c: list(each) for c, each in compare.restricted(runs, ["a"]).items()} == {"x": ["a"]}
