"""Contracts of metrics: declared ranges, and the goal that nobody gave."""

from __future__ import annotations

import dataclasses
import math
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import MetricError
from hpo.problem.json_format import metric_from_json, metric_to_json
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import (
    Constraint,
    Metric,
    Objective,
    Tracked,
    is_feasible,
    is_in_range,
    limit_words,
    range_words,
    shortfall,
)
from hpo.problem.parameters import Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SPACE = Space({"x": Float(0, 1)})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((0, 1), (0.0, 1.0)),
        ([0, 1], (0.0, 1.0)),
        (np.array([0, 1]), (0.0, 1.0)),
        ((0, None), (0.0, None)),
        ((None, np.float32(1)), (None, 1.0)),
        ((0, math.inf), (0.0, None)),
        ((-math.inf, 1), (None, 1.0)),
        ((0, 10**400), (0.0, None)),
    ],
)
def test_ranges_are_pairs_with_or_without_ends(given: Any, stored: Any) -> None:
    for metric in (
        Objective("y", range=given),
        Constraint("y", upper=0.5, range=given),
        Tracked("y", range=given),
    ):
        assert metric.range == stored
        data = metric_to_json(metric)
        assert metric_from_json(data) == metric
        assert eval(repr(metric)) == metric


@pytest.mark.parametrize(
    "given",
    [(1, 0), (1, 1), (0,), (0, 1, 2), "01", 5, (math.nan, 1), (0, math.nan), (None, None), ("a", 1), (False, True), ()],
)
def test_what_is_no_range_is_refused(given: Any) -> None:
    with pytest.raises(MetricError, match=r"^metric 'y': range=.*range=\(0, 1\)"):
        Objective("y", range=given)


def test_limits_lie_within_the_range() -> None:
    with pytest.raises(
        MetricError, match=r"^metric 'y': the limit 90 is outside its range 0\.\.1\. Do both have the same"
    ):
        Objective("y", threshold=90, range=(0, 1))
    with pytest.raises(MetricError, match="the limit -1 is outside its range at least 0"):
        Constraint("y", lower=-1, upper=5, range=(0, None))
    assert Constraint("y", lower=0, upper=1, range=(0, 1)).range == (0, 1)


def test_a_range_is_part_of_the_definition_where_there_is_one() -> None:
    plain, ranged = (Problem(SPACE, [Objective("y", range=r)]) for r in (None, (0, 1)))
    assert plain.hash == "fe336e1679f67281", "as before there were ranges"
    assert ranged.hash != plain.hash
    assert plain.differences(ranged) == ["y.range: stored nothing, given 0.0, 1.0"]
    assert "range" not in metric_to_json(plain.metrics[0])


@given(st.tuples(FINITE, FINITE).filter(lambda ends: ends[0] < ends[1]), FINITE)
def test_ends_belong_to_the_range(ends: tuple[float, float], value: float) -> None:
    metric = Tracked("y", range=ends)
    if ends[0] <= value <= ends[1]:
        assert is_in_range(metric, value)
    elif all(abs(value - end) > (1e-8 * abs(end) or 1e-14) for end in ends):
        assert not is_in_range(metric, value), "not even by rounding"
    assert is_in_range(metric, ends[0])
    assert is_in_range(metric, ends[1])
    assert is_in_range(Tracked("y"), value)


@given(FINITE, FINITE, FINITE)
def test_shortfalls_are_finite_and_0_exactly_where_the_limits_are_met(a: float, b: float, value: float) -> None:
    metric: Metric = Constraint("c", lower=min(a, b), upper=max(a, b))
    missed = shortfall(metric, value)
    assert 0 <= missed <= sys.float_info.max
    assert (missed == 0) == (min(a, b) <= value <= max(a, b))
    assert is_feasible([metric], {"c": Measurement(value)}) == (missed == 0)


LESS = (
    *("loss", "val_loss", "logloss", "log_loss", "RMSE", "testErrorRate", "mean squared error", "mae", "MSE", "err"),
    *("latency_ms", "fit-time", "train.perplexity", "cost", "valLoss", "RMSELog", "regret", "NLL", "word_error_rate"),
)
MORE = (
    *(
        "accuracy",
        "score",
        "y",
        "lossless_ratio",
        "neg_log_loss",
        "neg_mean_squared_error",
        "-loss",
        "1 - error",
        "timely",
    ),
    *(
        "time_saved",
        "error_free_rate",
        "runtimes_ok",
        "negRMSE",
        "frames_per_time",
        "glossy",
        "flossing",
        "terror",
        "auc",
    ),
)


@pytest.mark.parametrize("name", LESS)
def test_a_goal_that_the_name_speaks_against_is_asked_for(name: str) -> None:
    with pytest.warns(
        UserWarning, match=r"is maximized, as no goal is given, and by its name less is better"
    ) as caught:
        metric = Objective(name)
    assert str(caught[0].message).startswith(f"objective {name!r} is maximized")
    assert str(caught[0].message).endswith('Write goal="minimize", or goal="maximize" if more is meant')
    assert caught[0].filename == __file__, "the line that defines it is shown"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for said in (Objective(name, "maximize"), Objective(name, goal="minimize")):
            assert said.name == name
        again = [
            pickle.loads(pickle.dumps(metric)),
            dataclasses.replace(metric, unit="s"),
            metric_from_json(metric_to_json(metric)),
        ]
    assert [m.goal for m in again] == ["maximize"] * 3


@pytest.mark.parametrize("name", MORE)
def test_other_names_are_not_asked_about(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Objective(name) == Objective(name, "maximize")


def test_a_goal_that_nobody_gave_is_the_plain_word() -> None:
    unsaid, said = Objective("y"), Objective("y", "maximize")
    assert unsaid == said
    assert repr(unsaid) == repr(said)
    assert type(unsaid.goal) is str
    assert hash(unsaid) == hash(said)
    assert metric_to_json(unsaid) == metric_to_json(said) == {"role": "objective", "name": "y", "goal": "maximize"}


@pytest.mark.parametrize(
    ("metric", "limits", "words"),
    [
        (Objective("y", threshold=0.9), (0.9, None), ">= 0.9"),
        (Objective("y", "minimize", threshold=3, unit="ms"), (None, 3.0), "<= 3 ms"),
        (Objective("y"), (None, None), ""),
        (Constraint("c", lower=0.123456, upper=2), (0.123456, 2.0), "0.1235..2"),
        (Constraint("c", lower=1, upper=2, unit="s"), (1.0, 2.0), "1..2 s"),
        (Constraint("c", lower=0), (0.0, None), ">= 0"),
        (Constraint("c", upper=np.float32(0.1)), (None, pytest.approx(0.1)), "<= 0.1"),  # type: ignore[arg-type]
        (Tracked("z", unit="s"), (None, None), ""),
    ],
)
def test_limits_and_their_words(metric: Metric, limits: tuple[float | None, float | None], words: str) -> None:
    assert metric.limits == limits
    assert limit_words(metric) == words


def test_limits_in_words_have_as_many_digits_as_asked_for() -> None:
    metric = Constraint("c", lower=0.123456, upper=1.23456)
    assert [limit_words(metric, n) for n in (2, 6)] == ["0.12..1.2", "0.123456..1.23456"]


@pytest.mark.parametrize(
    ("given", "words"),
    [((0, 1), "0..1"), ((0.5, None), "at least 0.5"), ((None, 2), "at most 2"), (None, "")],
)
def test_ranges_in_words(given: Any, words: str) -> None:
    assert range_words(Tracked("y", range=given)) == words


@pytest.mark.parametrize(
    ("metric", "value", "is_in"),
    [
        (Tracked("y", range=(0, 2)), 2.0 * (1 + 0.9e-9), True),
        (Tracked("y", range=(0, 2)), 2.0 * (1 + 1.1e-9), False),
        (Tracked("y", range=(0, 2)), -0.9e-15, True),
        (Tracked("y", range=(0, 2)), -1.1e-15, False),
        (Tracked("y", range=(-2, 0)), 0.9e-15, True),
        (Tracked("y", range=(-2, 0)), -2.0 * (1 + 0.9e-9), True),
        (Tracked("y", range=(-2, 0)), -2.0 * (1 + 1.1e-9), False),
        (Tracked("y", range=(None, 0)), -1e300, True),
        (Tracked("y", range=(0, None)), 1e300, True),
    ],
)
def test_a_billionth_beyond_the_range_is_rounding_and_more_is_not(metric: Metric, value: float, is_in: bool) -> None:
    assert is_in_range(metric, value) is is_in


def test_a_metric_that_is_absent_meets_no_limit_and_one_without_limits_needs_none() -> None:
    metrics: list[Metric] = [Objective("y"), Constraint("c", upper=1)]
    assert is_feasible(metrics, {"c": Measurement(1.0)})
    assert not is_feasible(metrics, {"y": Measurement(1.0)})
    assert is_feasible([], {})


@pytest.mark.parametrize(
    ("metric", "value", "missed"),
    [
        (Constraint("c", lower=1, upper=2), 0.25, 0.75),
        (Constraint("c", lower=1, upper=2), 2.5, 0.5),
        (Objective("y", threshold=2), 0.5, 1.5),
        (Objective("y", "minimize", threshold=2), 0.5, 0.0),
        (Objective("y", "minimize", threshold=2), 2.5, 0.5),
        (Constraint("c", upper=-sys.float_info.max), sys.float_info.max, sys.float_info.max),
        (Tracked("z"), 5.0, 0.0),
    ],
)
def test_shortfalls_are_in_the_metrics_unit(metric: Metric, value: float, missed: float) -> None:
    assert shortfall(metric, value) == missed


AN_OBJECTIVE: Any = Objective  # given what type checkers refuse
A_CONSTRAINT: Any = Constraint
A_TRACKED: Any = Tracked


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: A_CONSTRAINT("c"),
            "constraint 'c' has no limit. Give lower=, upper= or both, or use Tracked('c')",
        ),
        (lambda: A_CONSTRAINT("c", lower=2, upper=1), "constraint 'c': lower=2 is above upper=1; did you swap them?"),
        (
            lambda: AN_OBJECTIVE("y", "max"),
            "objective 'y': goal 'max' is not 'maximize' or 'minimize'. Write goal='maximize'",
        ),
        (
            lambda: AN_OBJECTIVE("y", "Minimum"),
            "objective 'y': goal 'Minimum' is not 'maximize' or 'minimize'. Write goal='minimize'",
        ),
        (lambda: AN_OBJECTIVE("y", "up"), "objective 'y': goal 'up' is not 'maximize' or 'minimize'."),
        (
            lambda: A_TRACKED("z", "min"),
            "tracked metric 'z': goal 'min' is not 'maximize' or 'minimize'. Write goal='minimize'",
        ),
        (lambda: A_TRACKED(""), "metric name '' is not a plain non-empty text"),
        (lambda: A_TRACKED(" z"), "metric name ' z' is not a plain non-empty text"),
        (lambda: A_TRACKED("  "), "metric name '  ' is not a plain non-empty text"),
        (lambda: A_TRACKED(3), "metric name 3 is not a plain non-empty text"),
        (
            lambda: A_CONSTRAINT("c", upper="5"),
            "metric 'c': upper='5' is not a finite number. Limits are numbers in the metric's unit: upper=5, unit=\"ms\"",
        ),
        (
            lambda: A_CONSTRAINT("c", lower=True),
            "metric 'c': lower=True is not a finite number. Limits are numbers in the metric's unit: lower=5, unit=\"ms\"",
        ),
        (
            lambda: AN_OBJECTIVE("y", threshold=math.inf),
            "metric 'y': threshold=inf is not a finite number. Limits are numbers in the metric's unit: "
            'threshold=5, unit="ms"',
        ),
    ],
)
def test_metrics_that_cannot_be(make: Callable[[], Metric], words: str) -> None:
    with pytest.raises(MetricError) as caught:
        make()
    assert str(caught.value) == words


def test_equal_limits_are_a_limit() -> None:
    assert Constraint("c", lower=1, upper=1).limits == (1.0, 1.0)
    assert [type(limit) for limit in Constraint("c", lower=1, upper=2).limits] == [float, float]


def test_what_is_tracked_is_no_business_unless_said() -> None:
    assert not Tracked("z").business
    assert Tracked("z", business=True).business


@pytest.mark.parametrize(("metric", "n_in_place"), [(Objective, 2), (Constraint, 1), (Tracked, 2)])
def test_what_is_not_plain_from_its_place_is_given_by_name(metric: type[Metric], n_in_place: int) -> None:
    kinds = [f.kw_only for f in dataclasses.fields(metric)]
    assert kinds == [False] * n_in_place + [True] * (len(kinds) - n_in_place)


@pytest.mark.parametrize(
    "metric",
    [Constraint("m", lower=0.1, upper=0.3), Objective("m", threshold=0.3), Objective("m", "minimize", threshold=0.3)],
)
def test_limits_are_inclusive_to_the_last_digit(metric: Metric) -> None:
    """What is feasible is what meets the limits as floats compare: nothing is forgiven beyond."""
    lower, upper = metric.limits
    for limit, beyond in ((lower, -math.inf), (upper, math.inf)):
        if limit is not None:
            assert is_feasible([metric], {"m": Measurement(limit)})
            assert not is_feasible([metric], {"m": Measurement(math.nextafter(limit, beyond))})
