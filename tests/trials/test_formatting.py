"""Numbers, misses and lengths of time as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Constraint, Metric, Objective, Tracked, shortfall
from hpo.trials.formatting import (
    ago,
    aside_words,
    best_words,
    duration,
    goal_words,
    measured,
    miss,
    misses,
    short,
    with_unit,
)
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState

LATENCY = Constraint("latency_ms", upper=15, unit="ms")
ACCURACY = Objective("accuracy")
SPACE = hpo.Space({"x": hpo.Float(0, 1)})
NOW = datetime(2026, 1, 1, 12, 5, tzinfo=UTC)


def history(metrics: list[Metric], *rows: list[float], aside: tuple[int, ...] = (), kind: str = "range") -> History:
    trials = [
        Trial(
            *(
                i,
                {"x": 0.5},
                TrialState.COMPLETED,
                1,
                {m.name: Measurement(v) for m, v in zip(metrics, row, strict=True)},
            ),
            set_aside=kind if i in aside else "",
            notes=(f"{metrics[0].name} {row[0]:g} is odd", "and so on") if i in aside else (),
        )
        for i, row in enumerate(rows)
    ]
    return History(hpo.Problem(SPACE, metrics), 1, tuple(trials))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.14159, "3.142"),
        (0.5, "0.5"),
        (1e-5, "1e-05"),
        (123456.0, "1.235e+05"),
        (2.0, "2"),
        (123456, "123456"),
        (True, "True"),
        (None, "None"),
        ("adam", "adam"),
    ],
)
def test_floats_have_four_digits_and_other_values_are_as_they_are(value: object, text: str) -> None:
    assert short(value) == text


def test_a_unit_follows_where_there_is_one() -> None:
    assert with_unit(LATENCY, 3.14159) == "3.142 ms"
    assert with_unit(ACCURACY, 0.5) == "0.5"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (Measurement(3.14159, 0.2), "3.142 ± 0.2 ms"),
        (Measurement(3.14159, 0.0), "3.142 ms"),
        (Measurement(3.14159), "3.142 ms"),
        (None, "-"),
    ],
)
def test_what_was_measured_has_its_standard_error_where_there_is_one(told: Measurement | None, text: str) -> None:
    assert measured(LATENCY, told) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        (LATENCY, 18.44, "latency_ms 18.44 > 15 ms"),
        (LATENCY, 15.0, ""),
        (LATENCY, -3.0, ""),
        (LATENCY, 15.000001, "latency_ms 15.000001 > 15 ms"),
        (Constraint("c", lower=0.1, upper=0.3), 0.05, "c 0.05 < 0.1"),
        (Constraint("c", lower=0.1, upper=0.3), 0.35, "c 0.35 > 0.3"),
        (Constraint("c", lower=0.1, upper=0.3), 0.1, ""),
        (Objective("y", threshold=0.9), 0.89999, "y 0.89999 < 0.9"),
        (Objective("y", "minimize", threshold=0.9), 0.91, "y 0.91 > 0.9"),
        (Constraint("c", upper=0.1), 0.1 + 1e-16, "c 0.1000000000000001 > 0.1"),
        (Constraint("c", upper=0.1), math.nextafter(0.1, 1), "c 0.10000000000000002 > 0.10000000000000001"),
        (Tracked("z"), 5.0, ""),
    ],
)
def test_a_miss_shows_value_and_limit_with_as_many_digits_as_tell_them_apart(
    metric: Metric, value: float, text: str
) -> None:
    assert miss(metric, value) == text


def test_a_trial_has_one_miss_for_each_limit_it_broke() -> None:
    metrics = (Objective("accuracy", threshold=0.9), LATENCY, Constraint("price", upper=1), Tracked("z"))
    values = {"accuracy": Measurement(0.5), "latency_ms": Measurement(20.0), "z": Measurement(1.0)}
    trial = Trial(0, {}, TrialState.COMPLETED, 0, values)
    assert misses(metrics, trial) == ["accuracy 0.5 < 0.9", "latency_ms 20 > 15 ms"]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (Objective("y", threshold=0.9), "maximize, >= 0.9"),
        (Objective("y", "minimize", threshold=2, unit="s"), "minimize, <= 2 s"),
        (ACCURACY, "maximize"),
        (LATENCY, "<= 15 ms"),
        (Tracked("z", "minimize"), "minimize"),
    ],
)
def test_goals_in_words(metric: Metric, words: str) -> None:
    assert goal_words(metric) == words


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (history([ACCURACY, LATENCY]), "no result yet"),
        (history([ACCURACY]), "no result yet"),
        (history([ACCURACY], [93.0], aside=(0,)), "no result that counts yet"),
        (history([ACCURACY, LATENCY], [93.0, 1.0], aside=(0,)), "no result that counts yet"),
        (history([ACCURACY], [93.0], aside=(0,), kind="leap"), "no result that counts yet"),
        (history([ACCURACY, LATENCY], [0.5, 20.0]), "nothing feasible yet"),
        (history([ACCURACY, LATENCY], [0.5, 20.0], [0.97721, 2.0]), "best feasible accuracy 0.9772 (#1)"),
        (history([ACCURACY], [0.5], [0.25]), "best accuracy 0.5 (#0)"),
        (history([Objective("t", "minimize", unit="s")], [0.5], [0.25]), "best t 0.25 s (#1)"),
        (history([LATENCY], [20.0], [2.0]), "feasible: #1"),
        (history([ACCURACY, Objective("t")], [1.0, 0.0], [0.0, 1.0]), "Pareto front of 2 trials"),
        (history([ACCURACY, Objective("t", threshold=1)], [1.0, 0.0], [0.0, 1.0]), "Pareto front of 1 feasible trial"),
    ],
)
def test_the_best_in_words_speaks_of_feasible_trials_where_there_are_limits(found: History, words: str) -> None:
    assert best_words(found) == words


def test_what_is_set_aside_is_said_with_the_reasons_of_the_last() -> None:
    assert aside_words(history([ACCURACY], [93.0], [0.5], aside=(0,))) == "#0: accuracy 93 is odd; and so on"
    assert (
        aside_words(history([ACCURACY], [93.0], [94.0], aside=(0, 1)))
        == "2 results, the last #1: accuracy 94 is odd; and so on"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.0004, "0 ms"),
        (0.04, "40 ms"),
        (0.099, "99 ms"),
        (0.0996, "0.1 s"),
        (0.8, "0.8 s"),
        (9.94, "9.9 s"),
        (10.0, "10 s"),
        (42.4, "42 s"),
        (89.4, "89 s"),
        (90.0, "2 min"),
        (95, "2 min"),
        (360.0, "6 min"),
        (89.4 * 60, "89 min"),
        (90.0 * 60, "1 h 30 min"),
        (7500, "2 h 5 min"),
        (119.6 * 60, "2 h 0 min"),
        (47 * 3600 + 59 * 60, "47 h 59 min"),
        (48 * 3600, "2.0 days"),
        (400_000, "4.6 days"),
    ],
)
def test_lengths_of_time_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_longer_times_never_read_shorter(a: float, b: float) -> None:
    assert (_seconds(duration(a)) <= _seconds(duration(b))) or a >= b


@given(st.floats(1.0, 1e7))
def test_what_is_read_is_within_a_third_of_what_it_is(seconds: float) -> None:
    assert _seconds(duration(seconds)) == pytest.approx(seconds, rel=1 / 3)


def _seconds(text: str) -> float:
    units = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0}
    words = text.split()
    return sum(float(n) * units[unit] for n, unit in zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-01-01T10:00:00+00:00", "2 h 5 min ago"),
        ("2026-01-01T13:00:00+01:00", "5 min ago"),
        ("2026-01-01T12:05:03+00:00", "0.0 s ago"),  # a clock that is ahead
        ("", ""),
    ],
)
def test_how_long_ago(at: str, text: str) -> None:
    assert ago(at, NOW) == text


def test_without_a_time_to_compare_with_it_is_now() -> None:
    assert ago((datetime.now(UTC) - timedelta(days=10)).isoformat()) == "10.0 days ago"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_miss_never_shows_two_equal_numbers(value: float, limit: float) -> None:
    for metric in (Constraint("y", upper=limit), Constraint("y", lower=limit)):
        words = miss(metric, value)
        assert bool(words) == (shortfall(metric, value) > 0)
        if words:
            _, shown, sign, against = words.split()
            assert eval_sign(float(shown), sign, float(against))


def eval_sign(a: float, sign: str, b: float) -> bool:
    return a < b if sign == "<" else a > b
