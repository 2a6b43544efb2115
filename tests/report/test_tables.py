from __future__ import annotations

import tomllib
from ast import literal_eval

from hypothesis import given
from hypothesis import strategies as st

from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Objective
from hpo.problem.parameters import Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.report.html import answer
from hpo.report.tables import (
    as_python,
    as_toml,
    best_so_far,
    chosen,
    edit_rows,
    failure_rows,
    front_header,
    front_rows,
    limit_rows,
    margin_rows,
    trial_header,
    trial_rows,
    used_rows,
)
from hpo.study.open_study import open_study
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState
from tests.report.results import LATENCY, history


def test_the_curve_holds_feasible_values_only_and_counts_failures() -> None:
    results = ((0.9, 99.0), (0.5, 15.0), None, (0.4, 1.0), (0.6, 15.1), (0.7, 2.0))
    assert best_so_far(history("maximize", *results)) == (None, 0.5, 0.5, 0.5, 0.5, 0.7)
    assert best_so_far(history("minimize", *results)) == (None, 0.5, 0.5, 0.4, 0.4, 0.4)


def test_limits_say_how_near_the_nearest_came() -> None:
    (row,) = limit_rows(history("maximize", (0.5, 18.0), (0.9, 15.5)))
    assert row[:4] == ["latency_ms", "<= 15 ms", "2/2", "none met it; nearest 15.5 ms"]
    (row,) = limit_rows(history("maximize", (0.5, 18.0), (0.9, 15.0)))
    assert row == ["latency_ms", "<= 15 ms", "1/2", "1 met it", "15 ms"]


def test_the_time_of_lost_attempts_was_spent_too() -> None:
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("accuracy")])
    ended = Trial(0, {"x": 0.1}, TrialState.FAILED, 0, kind="oom", attempt=2, seconds=30.0, earlier_seconds=10.0)
    waiting = Trial(1, {"x": 0.2}, TrialState.WAITING, 1, attempt=2, earlier_seconds=20.0)
    never_started = Trial(2, {"x": 0.3}, TrialState.WAITING, 2)
    rows = used_rows(History(problem, 1, (ended, waiting, never_started)))
    assert ["evaluation time", "60 s, 30 s a trial"] in rows
    assert not any("evaluation time" in row for row in used_rows(History(problem, 1, (never_started,))))


def test_rows_name_what_was_broken_and_why_a_trial_failed() -> None:
    rows = trial_rows(history("maximize", (0.5, 18.44), None, (0.5, 1.0)))
    assert [(row.state, row.note) for row in rows] == [
        ("infeasible", "latency_ms 18.44 > 15 ms"),
        ("failed", "oom: too big"),
        ("feasible", ""),
    ]
    assert rows[0].cells[:2] == ("0.5", "18.44"), "metrics come first, under their headings"
    assert trial_header(history("maximize")) == ["accuracy", "latency_ms", "x", "seconds"]


def test_of_many_trials_the_best_and_the_latest_are_kept() -> None:
    results = [(0.5, 1.0), (0.9, 1.0), (0.95, 99.0), None, (0.8, 1.0), (0.1, 1.0), (0.2, 1.0), (0.3, 1.0), (0.4, 1.0)]
    assert [row.number for row in trial_rows(history("maximize", *results), most=4 * 4)] == [1, 4, 7, 8]
    assert [row.number for row in trial_rows(history("minimize", *results), most=5 * 4)] == [0, 5, 6, 7, 8]
    assert len(trial_rows(history("maximize", *results))) == 9


def test_equal_failures_stand_together() -> None:
    rows = failure_rows(history("maximize", None, (0.5, 1.0), None))
    assert rows == [["oom", "2", "#0, #2", "too big"]]


def test_margins_say_how_far_and_how_sure() -> None:
    trials = history("maximize", (0.5, 18.5), (0.5, 12.0), (0.5, 15.0))
    margins = [
        margin_rows(trials, t, {"latency_ms": p})[0]
        for t, p in zip(trials.completed, (0.001, 0.7, 0.9999), strict=True)
    ]
    assert margins == [["misses by 3.5 ms", "below 1 %"], ["3 ms (20 %)", "70 %"], ["none: on its limit", "above 99 %"]]
    assert margin_rows(trials, trials.completed[1], {}) == [["3 ms (20 %)", "-"]]


def test_with_several_objectives_no_trial_is_the_best() -> None:
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("a"), Objective("b", "minimize", unit="s")])
    values = [(1.0, 1.0), (2.0, 2.0), (0.5, 3.0)]
    trials = [
        Trial(i, {"x": i / 4}, TrialState.COMPLETED, i, {"a": Measurement(a), "b": Measurement(b)})
        for i, (a, b) in enumerate(values)
    ]
    found = History(problem, 1, tuple(trials))
    assert chosen(found) is None
    assert front_header(found) == ["trial", "a", "b", "x"]
    assert front_rows(found) == [["#1", "2", "2 s", "0.25"], ["#0", "1", "1 s", "0"]]
    assert front_rows(found, most=1) == [["#1", "2", "2 s", "0.25"]]


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1),
        st.one_of(
            st.booleans(),
            st.integers(-(2**62), 2**62),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        ),
        max_size=4,
    )
)
def test_configurations_to_paste_are_exact(params: dict[str, object]) -> None:
    trial = Trial(0, params, TrialState.COMPLETED, 0)
    assert literal_eval(as_python(trial)) == params
    names = [name for name in params if "\x7f" not in name]
    plain = Trial(0, {name: params[name] for name in names}, TrialState.COMPLETED, 0)
    assert tomllib.loads(as_toml(plain)) == dict(plain.params)


def test_none_is_a_comment_in_toml() -> None:
    trial = Trial(0, {"a": None, "b": 1}, TrialState.COMPLETED, 0)
    assert as_toml(trial) == '# "a" is None\n"b" = 1'


def test_what_is_set_aside_is_said_and_is_neither_feasible_nor_infeasible() -> None:
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("accuracy", range=(0, 1)), LATENCY])
    study = open_study("aside", problem, storage=":memory:", seed=1)
    study.tell(study.ask(), {"accuracy": 93, "latency_ms": 20})
    assert (
        answer(study.history)
        == "No trial has a result that counts; set aside: #0: accuracy 93 is outside its range 0..1."
    )
    study.tell(study.ask(), {"accuracy": 0.5, "latency_ms": 5})
    study.tell(study.ask(), {"accuracy": 50, "latency_ms": 5})
    rows = trial_rows(study.history)
    assert [row.state for row in rows] == ["set aside", "feasible", "set aside"]
    assert rows[0].note == "latency_ms 20 > 15 ms; accuracy 93 is outside its range 0..1"
    assert ["set aside", "2 results, the last #2: accuracy 50 is outside its range 0..1"] in used_rows(study.history)
    study.accept(2, reason="in percent")
    assert edit_rows(study)[-1][1:] == ["result of trial 2 accepted", "in percent"]
    assert answer(study.history).startswith("Best feasible accuracy 50 (#2)")
