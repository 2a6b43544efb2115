"""Scores on cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

import hpo
from benchmarks.score import SMALLEST_REGRET, is_feasible, paired, quartiles, regrets

SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0)})
CHEAP = hpo.Problem(SPACE, [hpo.Objective("cost", goal="minimize"), hpo.Constraint("size", upper=2.0)])
GOOD = hpo.Problem(SPACE, [hpo.Objective("accuracy", goal="maximize")])


def test_regret_is_of_the_best_feasible_so_far() -> None:
    results = [
        {"cost": 1.0, "size": 2.5},
        {"cost": 7.0, "size": 2.0},
        {"cost": 3.0, "size": 2.1},
        {"cost": 5.0, "size": 1.0},
        {"cost": 6.0, "size": 1.0},
    ]
    assert regrets(CHEAP, results, optimum=4.0) == [None, 3.0, 3.0, 1.0, 1.0]


def test_regret_of_what_is_maximised() -> None:
    assert regrets(GOOD, [{"accuracy": 0.5}, {"accuracy": 0.75}], optimum=1.0) == [0.5, 0.25]


def test_regret_is_never_negative() -> None:
    assert regrets(GOOD, [{"accuracy": 1.0 + 1e-12}], optimum=1.0) == [0.0]


def test_limits_are_inclusive() -> None:
    assert is_feasible(CHEAP, {"cost": 0.0, "size": 2.0})
    assert not is_feasible(CHEAP, {"cost": 0.0, "size": np.nextafter(2.0, 3.0)})


def test_quartiles() -> None:
    assert quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (2.0, 3.0, 4.0)


def test_about_a_tenth_of_the_regret_is_about_one_decade_better() -> None:
    ours, theirs = list(10 ** np.linspace(-1.2, -0.8, 21)), [1.0] * 21
    result = paired(ours, theirs, np.random.default_rng(0))
    assert (result.n, result.wins, result.ties, result.losses) == (21, 21, 0, 0)
    assert result.median == pytest.approx(-1.0)
    assert -1.2 < result.low < -1.0 < result.high < -0.8
    assert result.p == pytest.approx(2 * 0.5**21)  # every sign the same: two of 2^21 equally likely outcomes
    assert result.p_worse == pytest.approx(1.0)
    assert result.verdict == "better"
    assert paired(theirs, ours, np.random.default_rng(0)).verdict == "worse"


def test_equal_contenders_show_no_difference() -> None:
    regret = [0.1, 0.2, 0.3, 0.0]
    result = paired(regret, regret, np.random.default_rng(0))
    assert (result.ties, result.p, result.median) == (4, 1.0, 0.0)
    assert result.verdict == "no difference shown"


def test_regrets_below_the_precision_of_the_optimum_are_equal() -> None:
    result = paired([0.0, SMALLEST_REGRET / 5], [SMALLEST_REGRET / 2, 0.0], np.random.default_rng(0))
    assert (result.ties, result.median) == (2, 0.0)


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        difference = rng.normal(size=20)
        result = paired(list(10**difference), [1.0] * 20, rng)
        covered += result.low <= 0 <= result.high
    assert 175 <= covered <= 200  # 95 % nominal; a percentile bootstrap of 20 medians is near it


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_unpaired_results_are_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired(ours, theirs, np.random.default_rng(0))
