"""Answers of a history, whatever finite numbers were measured."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.errors import NoFeasibleTrial
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import shortfall
from hpo.report import tables
from hpo.trials.history import History, summary
from hpo.trials.trial import Trial, TrialState

LARGEST = sys.float_info.max
FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([LARGEST, -LARGEST, 1e308, -1e308, 5e-324])
SPACE = hpo.Space({"x": hpo.Float(0, 1)})


def history(metrics: Sequence[hpo.Objective | hpo.Constraint], rows: list[list[float]]) -> History:
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


@pytest.mark.parametrize(
    ("metric", "misses"),
    [
        (hpo.Constraint("c", upper=1.0), [0.0, 0.0, 1.0, 3.0, 999.0]),
        (hpo.Constraint("c", lower=3.0), [3.0, 2.0, 1.0, 0.0, 0.0]),
        (hpo.Constraint("c", lower=1.5, upper=2.5), [1.5, 0.5, 0.0, 1.5, 997.5]),
        (hpo.Objective("c", threshold=2.0), [2.0, 1.0, 0.0, 0.0, 0.0]),
        (hpo.Objective("c", "minimize", threshold=2.0), [0.0, 0.0, 0.0, 2.0, 998.0]),
    ],
)
def test_one_value_far_off_does_not_change_in_which_unit_misses_are_counted(
    metric: hpo.Objective | hpo.Constraint, misses: list[float]
) -> None:
    """The quartiles of 0, 1, 2, 4 and 1000 are 1 and 4: their distance is 3, and the range 1000."""
    h = history([metric], [[0.0], [1.0], [2.0], [4.0], [1000.0]])
    assert h.violations().tolist() == [miss / 3.0 for miss in misses]


def test_the_closest_of_several_limits_is_the_one_of_the_least_sum_in_units_of_the_spread() -> None:
    """C has quartiles 2 apart and an outlier, d 40: 3 too much of c weighs 1.5, 30 too little of d 0.75."""
    c, d = hpo.Constraint("c", upper=0.0), hpo.Constraint("d", lower=0.0)
    rows = [[3.0, 0.0], [0.0, -30.0], [1.0, -40.0], [1.0, -40.0], [500.0, 0.0]]
    h = history([c, d], rows)
    np.testing.assert_allclose(h.violations(), [1.5, 0.75, 1.5, 1.5, 250.0])
    assert h.closest().number == 1


@pytest.mark.parametrize(
    ("values", "violations"),
    [
        ([8.0, 8.0, 8.0, 8.0, 3.0], [0.625, 0.625, 0.625, 0.625, 0.0]),  # no spread: of the largest value
        ([-4.0, -4.0], [0.0, 0.0]),
    ],
)
def test_without_a_spread_misses_are_counted_in_the_largest_value(values: list[float], violations: list[float]) -> None:
    assert history([hpo.Constraint("c", upper=3.0)], [[v] for v in values]).violations().tolist() == violations


def test_of_zeros_the_miss_itself_is_counted() -> None:
    assert history([hpo.Constraint("c", lower=3.0)], [[0.0], [0.0]]).violations().tolist() == [3.0, 3.0]


def test_tracked_metrics_and_failures_do_not_violate_anything() -> None:
    h = with_trials(["completed", "failed", "running"])
    assert h.violations().shape == (1,)
    assert history([hpo.Constraint("c", upper=1.0)], []).violations().shape == (0,)


# -- which trials are what --------------------------------------------------------------------------------------------


def with_trials(states: list[str], *, metrics: Any = None, **more: list[Any]) -> History:
    """Trials of these states, the completed ones with `y` = 10 - number and `c` = 0; more: further fields of each."""
    problem = hpo.Problem(SPACE, metrics or [hpo.Objective("y"), hpo.Constraint("c", upper=1.0)])
    told = {"y": 10.0, "c": 0.0}
    trials = [
        Trial(
            *(i, {"x": i / 100}, TrialState(state), 1),
            values={n: Measurement(v - i * (n == "y")) for n, v in told.items()} if state == "completed" else {},
            kind="oom" if state == "failed" else None,
            message="too big" if state == "failed" else "",
            **{name: values[i] for name, values in more.items()},
        )
        for i, state in enumerate(states)
    ]
    return History(problem, 1, tuple(trials))


EVERY = ["waiting", "running", "completed", "failed", "stopped", "cancelled"]


def numbers(trials: tuple[Trial, ...]) -> list[int]:
    return [trial.number for trial in trials]


def test_each_answer_holds_the_trials_of_its_states() -> None:
    h = with_trials(EVERY)
    assert [numbers(t) for t in (h.waiting, h.in_flight, h.completed, h.failed)] == [[0], [0, 1], [2], [3]]
    assert (numbers(h.feasible), numbers(h.pareto_front), h.n_started) == ([2], [2], 4)
    assert h.taken == {t.key for t in h.trials[:5]}


def test_what_was_added_from_elsewhere_uses_up_no_trial_of_a_budget() -> None:
    h = with_trials(["completed", "completed", "running"], source=["added", "asked", "enqueued"])
    assert h.n_started == 2


def test_of_what_is_set_aside_a_leap_is_learned_from_and_other_data_may_be_tried_again() -> None:
    h = with_trials(["completed"] * 4, set_aside=["range", "leap", "data", ""])
    assert [numbers(t) for t in (h.set_aside, h.completed, h.feasible)] == [[0, 1, 2], [1, 3], [3]]
    assert h.taken == {h.trials[i].key for i in (0, 1, 3)}
    assert h.best.number == h.closest().number == 3


def test_equal_values_are_won_by_the_first() -> None:
    rows = [[1.0, 0.0], [2.0, 5.0], [2.0, 0.0], [2.0, 0.0]]
    limited = hpo.Constraint("c", upper=1.0)
    assert history([hpo.Objective("y"), limited], rows).best.number == 2
    assert history([hpo.Objective("y", "minimize"), limited], rows).best.number == 0
    assert history([limited], [[0.0], [0.0]]).best.number == 0


def test_the_front_holds_what_no_feasible_trial_dominates_in_the_users_directions() -> None:
    metrics: list[Any] = [hpo.Objective("a"), hpo.Objective("b", "minimize"), hpo.Constraint("c", upper=1.0)]
    rows = [[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [1.0, 2.0, 0.0], [9.0, 0.0, 5.0], [2.0, 2.0, 0.0]]
    h = history(metrics, rows)
    assert numbers(h.pareto_front) == [0, 1, 4]
    with pytest.raises(
        NoFeasibleTrial, match=r"^with several objectives \(a, b\) there is no single best; see pareto_front$"
    ):
        _ = h.best
    assert h.closest().number == 0


def test_rows_are_flat_and_empty_where_there_is_nothing() -> None:
    z = hpo.Tracked("z")
    h = with_trials(
        ["completed", "completed", "failed"],
        metrics=[hpo.Objective("y", threshold=9.5), hpo.Constraint("c", upper=1.0), z],
        why=[{"role": "explore"}, {}, {}],
        seconds=[3.0, None, None],
        notes=[("a", "b"), (), ()],
        set_aside=["", "leap", ""],
    )
    first, second, failed = h.records()
    assert first == {
        **{"number": 0, "state": "completed", "param.x": 0.0, "metric.y": 10.0, "metric.c": 0.0, "metric.z": None},
        **{"ok.y": True, "ok.c": True, "is_feasible": True, "seconds": 3.0, "role": "explore", "kind": None},
        **{"attempt": 1, "seed": 1, "asked_at": "", "ended_at": "", "set_aside": "", "notes": "a; b"},
    }
    assert (second["ok.y"], second["ok.c"], second["is_feasible"], second["set_aside"]) == (False, True, False, "leap")
    assert (failed["ok.y"], failed["metric.y"], failed["is_feasible"], failed["kind"]) == (None, None, None, "oom")
    assert list(first) == list(failed)


def test_misses_are_counted_for_each_limit() -> None:
    limits = [hpo.Constraint("c", upper=1.0), hpo.Constraint("d", lower=0.0)]
    assert history([hpo.Objective("y", threshold=1.0), *limits], [[0.0, 2.0, 0.0], [1.0, 2.0, 0.0]]).misses() == {
        "y": 1,
        "c": 2,
        "d": 0,
    }


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (with_trials([]), "0 trials, 0 in flight"),
        (with_trials(["running"]), "1 trial, 1 in flight"),
        (with_trials(["completed", "waiting"]), "2 trials, 1 in flight, best #0"),
        (with_trials(["completed"], metrics=[hpo.Constraint("c", upper=1.0)]), "1 trial, 0 in flight, best #0"),
        (with_trials(["completed"], metrics=[hpo.Objective("y"), hpo.Objective("c")]), "1 trial, 0 in flight"),
        (with_trials(["completed"], metrics=[hpo.Constraint("c", upper=-1.0)]), "1 trial, 0 in flight"),
    ],
)
def test_a_history_in_one_line(found: History, words: str) -> None:
    assert summary(found) == words


NOTES: list[Any] = [(), ("y 10 is odd", "and so on")]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (with_trials(["running"]), "no trial has completed yet"),
        (
            with_trials(["failed", "failed"]),
            "no trial has completed yet; 2 failed, the last, #1 (oom): too big",
        ),
        (
            with_trials(["failed", "completed"], set_aside=["", "leap"], notes=NOTES),
            "no trial has completed with a result that counts. 1 set aside, the last #1: y 10 is odd; and so on. "
            'If it is right: study.accept(1, reason="...")',
        ),
        (
            history(
                [
                    hpo.Objective("y", threshold=0.5),
                    hpo.Constraint("c", upper=1.0, unit="s"),
                    hpo.Constraint("d", lower=0),
                ],
                [[0.25, 1.23456, 0.0], [1.0, 9.0, 0.0]],
            ),
            "no trial of 2 meets every limit. Closest: #0 (y 0.25, limit >= 0.5; c 1.235, limit <= 1 s). "
            "Missed: y 1/2, c 2/2. See study.closest()",
        ),
        (
            with_trials(
                ["completed"] * 2, metrics=[hpo.Constraint("c", upper=-1.0)], set_aside=["", "range"], notes=NOTES
            ),
            "no trial of 1 meets every limit. Closest: #0 (c 0, limit <= -1). Missed: c 1/1. See study.closest(). "
            '1 set aside, the last #1: y 10 is odd; and so on. If it is right: study.accept(1, reason="...")',
        ),
    ],
)
def test_where_nothing_is_feasible_it_is_said_what_came_closest(found: History, words: str) -> None:
    with pytest.raises(NoFeasibleTrial) as caught:
        _ = found.best
    assert str(caught.value) == words


@pytest.mark.parametrize("states", [[], ["failed"], ["running"]])
def test_of_nothing_completed_nothing_is_closest(states: list[str]) -> None:
    with pytest.raises(NoFeasibleTrial, match=r"^no trial has completed yet"):
        with_trials(states).closest()
