"""Leaps: slips of units are found, honest progress is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator

from hpo.trials.leaps import FEWEST, is_near, leap

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def flagged(values: Iterable[float], goal: str) -> list[float]:
    """Those that leap off all that came before them."""
    values = [float(v) for v in values]
    return [v for i, v in enumerate(values) if leap(v, values[:i], goal)]


SLIPS: list[tuple[str, Callable[[Generator], Sequence[float]], str, float]] = [
    ("percent", lambda r: list(r.uniform(0.6, 0.95, 20)), "maximize", 100.0),
    ("rounded percent", lambda r: list(np.round(r.uniform(0.95, 0.97, 20), 2)), "maximize", 100.0),
    ("a few results", lambda r: list(r.uniform(0.6, 0.95, FEWEST + 1)), "maximize", 100.0),
    ("sign", lambda r: list(r.uniform(0.5, 2.0, 20)), "minimize", -100.0),
    ("thousands", lambda r: list(r.uniform(20, 60, 20)), "maximize", 1000.0),
    ("seconds among milliseconds", lambda r: list(r.normal(120, 2, 20)), "minimize", 1e-3),
    ("the same, maximized", lambda r: list(r.normal(-120, 2, 20)), "maximize", 1e-3),
    ("near the largest float", lambda r: list(1e305 * r.uniform(0.6, 0.9, 20)), "maximize", 100.0),
    ("near the smallest float", lambda r: list(-1e-3 * r.uniform(0.6, 0.9, 20)), "maximize", -1e4),
]


@pytest.mark.parametrize(("series", "goal", "slip"), [s[1:] for s in SLIPS], ids=[s[0] for s in SLIPS])
def test_a_slip_of_a_unit_is_a_leap(series: Any, goal: str, slip: float) -> None:
    for seed in range(50):
        values = series(np.random.default_rng(seed))
        assert leap(slip * values[-1], values[:-1], goal) > 30


def traces(r: Generator) -> dict[tuple[str, str], Any]:
    """Honest series of results, in the order in which they came."""
    stuck = r.random(40) < 0.8
    return {
        ("losses that fall by decades", "minimize"): 10 ** (r.normal(-1, 1, 40) - 0.15 * np.arange(40)),
        ("losses from 1 to 1e-5", "minimize"): [1.0, 0.9, 1.1, 0.8, 1.0, 1.2, 0.9, 1.0, 0.1, 1e-5, 1e-9, 0.0],
        ("at chance level, then not", "maximize"): np.where(stuck, r.normal(0.01, 0.001, 40), r.uniform(0.3, 0.97, 40)),
        ("the same in percent", "maximize"): np.where(stuck, r.normal(10, 0.3, 40), r.uniform(30, 97, 40)),
        ("in percent of a hundred classes", "maximize"): np.where(stuck, r.normal(1, 0.03, 40), r.uniform(10, 97, 40)),
        ("in percent of a thousand", "maximize"): np.where(stuck, r.normal(0.1, 0.004, 40), r.uniform(21, 80, 40)),
        ("loss of chance, then not", "minimize"): np.where(
            stuck, r.normal(0.69, 0.003, 40), 10 ** r.uniform(-4, 0, 40)
        ),
        ("cross entropy of chance, then not", "minimize"): np.where(
            stuck, r.normal(2.303, 0.003, 40), 10 ** r.uniform(-2, 0, 40)
        ),
        ("errors of a mean, then not", "minimize"): np.where(stuck, r.normal(50, 1, 40), 10 ** r.uniform(0, 1.7, 40)),
        ("latencies", "minimize"): np.exp(r.normal(4.7, 0.5, 40)),
        ("an exact fit", "minimize"): [*r.normal(50, 1, 20), 0.0],
        ("coefficient of determination", "maximize"): 1 - 10 ** r.normal(0, 2, 40),
        ("negative errors", "maximize"): -(10 ** r.normal(0, 2, 40)),
        ("throughput over decades", "maximize"): 10 ** r.uniform(0, 4, 40),
        ("log-likelihood", "maximize"): -2000 + np.abs(r.normal(0, 300, 40)) * r.choice([0.01, 1, 3], 40),
        ("growth", "maximize"): 1000 * np.exp(np.cumsum(r.exponential(0.2, 40))),
        ("returns around 0", "maximize"): r.normal(0, 0.5, 40) + 0.05 * np.arange(40),
        ("all the same, then not", "maximize"): [*[-200.0] * 20, -110.0, 500.0],
        ("nearly always 0", "maximize"): [*[0.0] * 12, 1.0, 0.0, 50.0, 500.0],
        ("constant", "minimize"): [5.0] * 40,
    }


@pytest.mark.parametrize("key", traces(np.random.default_rng(0)), ids=lambda key: key[0])
def test_honest_progress_is_no_leap(key: tuple[str, str]) -> None:
    for seed in range(100):
        assert flagged(traces(np.random.default_rng(seed))[key], key[1]) == []


@given(st.lists(FINITE, max_size=20), FINITE, st.sampled_from(["maximize", "minimize"]))
def test_laws_of_leaps(others: list[float], value: float, goal: str) -> None:
    far = leap(value, others, goal)
    assert far >= 0
    other_goal = "minimize" if goal == "maximize" else "maximize"
    assert leap(-value, [-o for o in others], other_goal) == far, "signs do not matter"
    assert leap(value, others[::-1], goal) == pytest.approx(far), "nor does the order"
    if far:
        sign = 1 if goal == "maximize" else -1
        assert len(others) >= FEWEST
        assert sign * value > max(sign * o for o in others)
        sizes = [abs(o) for o in others]
        assert abs(value) > 10 * max(sizes) or 300 * abs(value) < min(sizes)
        assert not leap(value, [*others, value], goal), "what has been reached before is none"


def test_a_leap_needs_so_many_others() -> None:
    others = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97]
    assert len(others) == FEWEST
    assert leap(93.0, others, "maximize") > 0
    assert leap(93.0, others[1:], "maximize") == 0
    assert leap(0.0, others, "minimize") == 0
    assert leap(500.0, [0.0] * FEWEST, "maximize") == 0


def test_how_far_it_leaps_is_counted_in_robust_deviations() -> None:
    """Of 91 to 99 by ones the median is 95, and the median distance from it 2."""
    others = [float(v) for v in range(91, 100)]
    assert leap(9500.0, others, "maximize") == pytest.approx((9500 - 99) / (1.4826 * 2))
    assert leap(0.1, others, "minimize") == pytest.approx((91 - 0.1) / (1.4826 * 2))
    assert leap(9500.0, others, "minimize") == 0, "in the bad direction nothing is set aside"
    uneven = [91.0, 92.0, 93.0, 94.0, 95.0, 97.0, 98.0, 99.0, 100.0]  # median 95, median distance 3
    assert leap(9500.0, uneven, "maximize") == pytest.approx((9500 - 100) / (1.4826 * 3))
    even = [91.0, 92.0, 93.0, 94.0, 96.0, 97.0, 98.0, 105.0]  # median 95, distances 1 1 2 2 3 3 4 10
    assert leap(9500.0, even, "maximize") == pytest.approx((9500 - 105) / (1.4826 * 2.5))


@pytest.mark.parametrize(
    ("value", "goal", "is_leap"),
    [
        (991.0, "maximize", True),
        (989.0, "maximize", False),  # not ten times the largest
        (0.30, "minimize", True),
        (0.31, "minimize", False),  # not a 300th of the smallest
    ],
)
def test_ten_times_the_largest_or_a_300th_of_the_smallest_are_the_least_leaps(
    value: float, goal: str, is_leap: bool
) -> None:
    others = [95.0 + 0.1 * i for i in range(40)] + [99.0, 91.5]
    assert (leap(value, others, goal) > 0) is is_leap


@pytest.mark.parametrize("value", [1.0, 0.99])
def test_numbers_up_to_1_are_not_looked_at(value: float) -> None:
    others = [0.010 + 0.0001 * i for i in range(10)]
    assert leap(value, others, "maximize") == 0
    assert leap(0.001, [0.9 + 0.001 * i for i in range(10)], "minimize") == 0


@pytest.mark.parametrize(("worst", "is_leap"), [(0.0, False), (-1.0, True)])
def test_an_accuracy_in_percent_leaves_chance_level_also_where_one_was_0(worst: float, is_leap: bool) -> None:
    near_chance = [worst, *(1.0 + 0.002 * i for i in range(12))]
    assert (leap(45.0, near_chance, "maximize") > 0) is is_leap


def test_near_is_up_to_ten_times_and_down_to_a_300th() -> None:
    assert is_near(10.0, -1.0)
    assert not is_near(10.1, 1.0)
    assert is_near(1.0, 300.0)
    assert not is_near(1.0, 301.0)
