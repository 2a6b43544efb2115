"""Answers of a history, whatever finite numbers were measured."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import shortfall
from hpo.report import tables
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState

LARGEST = sys.float_info.max
FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([LARGEST, -LARGEST, 1e308, -1e308, 5e-324])
SPACE = hpo.Space({"x": hpo.Float(0, 1)})


def history(metrics: list[hpo.Objective | hpo.Constraint], rows: list[list[float]]) -> History:
    names = [m.name for m in metrics]
    trials = [
        Trial(i, {"x": 0.5}, TrialState.COMPLETED, 1, dict(zip(names, map(Measurement, row), strict=True)))
        for i, row in enumerate(rows)
    ]
    return History(hpo.Problem(SPACE, metrics), 1, tuple(trials))


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=8), FINITE, FINITE, FINITE)
def test_whatever_finite_numbers_there_are_closest_is_a_trial_and_violations_are_finite(
    rows: list[tuple[float, float]], a: float, b: float, threshold: float
) -> None:
    limited = hpo.Constraint("c", lower=min(a, b), upper=max(a, b))
    for objective in (hpo.Objective("y", "minimize"), hpo.Objective("y", threshold=threshold)):
        h = history([objective, limited], [list(row) for row in rows])
        violations = h.violations()
        assert np.isfinite(violations).all()
        assert (violations >= 0).all()
        assert h.closest() in h.completed
        assert h.pareto_front == tuple(t for t in h.feasible if t in h.pareto_front)
        assert bool(h.pareto_front) == h.has_best
        assert tables.limit_rows(h)
        assert tables.trial_rows(h)
        assert len(h.records()) == len(rows)


@given(st.lists(FINITE, min_size=1, max_size=8), FINITE, st.booleans())
def test_with_one_limit_the_closest_misses_it_by_least(values: list[float], limit: float, is_upper: bool) -> None:
    metric = hpo.Constraint("c", upper=limit) if is_upper else hpo.Constraint("c", lower=limit)
    h = history([metric], [[v] for v in values])
    least = min(shortfall(metric, v) for v in values)
    assert shortfall(metric, h.closest().values["c"].value) == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize(
    ("limit", "values"),
    [
        (hpo.Constraint("c", upper=-1e308), [1.7e308, 1e308, 1.5e308]),
        (hpo.Constraint("c", lower=1e308), [-1.7e308, -1e308, -1.5e308]),
        (hpo.Constraint("c", lower=-LARGEST, upper=-1.7e308), [LARGEST, 1e308, 1.7e308]),
        (hpo.Constraint("c", upper=0.0), [2e300, 1e300, 2e300, 2e300, 2e300]),
        (hpo.Constraint("c", upper=0.0), [1.5e-323, 5e-324, 1e-323]),
        (hpo.Constraint("c", upper=0.0), [LARGEST, 5e-324, 1e-323, 1e-323, 1e-323, 1e-323]),
    ],
)
def test_misses_of_every_size_are_in_order(limit: hpo.Constraint, values: list[float]) -> None:
    assert history([limit], [[v] for v in values]).closest().number == 1


def test_ordinary_violations_are_shortfalls_in_units_of_the_interquartile_range() -> None:
    h = history([hpo.Constraint("c", upper=1.0), hpo.Constraint("d", lower=0.0)], [[3.0, 1.0], [1.0, -1.0], [2.0, 0.5]])
    assert h.violations().tolist() == [2.0, 1 / 1.0, 1.0]


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=6))
def test_no_trial_of_the_front_is_dominated_near_the_largest_float(rows: list[tuple[float, float]]) -> None:
    h = history([hpo.Objective("a"), hpo.Objective("b", "minimize")], [list(row) for row in rows])
    points = [(t.values["a"].value, -t.values["b"].value) for t in h.pareto_front]
    for p, q in itertools.permutations(points, 2):
        assert not (q[0] >= p[0] and q[1] >= p[1] and q != p)


def test_a_result_near_the_largest_float_breaks_no_ask() -> None:
    problem = hpo.Problem(SPACE, [hpo.Objective("y", "minimize"), hpo.Constraint("c", upper=-1e308)])
    study = hpo.open_study("s", problem, storage=":memory:", seed=1)
    for i in range(12):
        study.tell(study.ask(), {"y": (-1.0) ** i * LARGEST, "c": LARGEST if i % 3 else -LARGEST})
    assert {t.why["role"] for t in study.trials[6:]} <= {"feasibility", "explore", "exploit"}
    assert study.best.values["c"] <= -1e308


def test_a_history_and_a_failed_trial_are_shown_in_one_line() -> None:
    s = hpo.open_study("s", hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")]), storage=":memory:", seed=0)
    s.tell(s.ask(), 1.0)
    failed = s.fail(s.ask(), "error", "ValueError: bad" + 200 * "!")
    s.ask()
    assert repr(s.history) == "<History: 3 trials, 1 in flight, best #0>"
    assert repr(s) == "<Study 's': 3 trials, 1 in flight, best #0>"
    assert "(error: ValueError: bad!!" in repr(failed)
    assert len(repr(failed)) < 160
