"""The words of a run's progress."""

from __future__ import annotations

from pathlib import Path

import pytest

import hpo
from hpo.running.budget import Room
from hpo.running.progress import Estimate, Progress, log_words, progress_line, resume_words, spending_words
from hpo.trials.history import History


def study() -> hpo.Study:
    problem = hpo.Problem(
        hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Constraint("ms", upper=5, unit="ms")]
    )
    return hpo.open_study("words", problem, storage=":memory:", seed=1)


def step(history: History, elapsed: float, rest: float, ended: hpo.Trial | None = None) -> Progress:
    return Progress(history, elapsed, ended, room=Room(rest))


def test_the_line_says_all_there_is() -> None:
    s = study()
    assert progress_line(s.history, 60) == "trial 0/60"
    s.add({"x": 0.5}, {"y": 0.1, "ms": 1.0}, "from elsewhere, which is no trial of a run")
    s.tell(s.ask(), {"y": 0.9, "ms": 4.0})
    s.tell(s.ask(), {"y": 0.95, "ms": 6.0})
    s.fail(s.ask(), "oom")
    s.ask()
    assert progress_line(s.history, 60, 300.0) == (
        "trial 3/60 | 1 running | best feasible y 0.9 (#1) | best infeasible 0.95 (#2: ms 6 > 5 ms) | "
        "limits missed: ms 1/3 | 1 failed | ~5 min left"
    )
    assert resume_words(s.history) == "resuming: 5 trials, 1 failed, best feasible y 0.9 (#1)"


def test_the_time_left_grows_shorter_while_a_trial_runs() -> None:
    s, estimate = study(), Estimate(hpo.Budget(trials=10))
    assert estimate.seconds(step(s.history, 3.0, 10)) is None, "nothing tells before the first end"
    trial = s.tell(s.ask(), {"y": 0.9, "ms": 4.0})
    estimate.count(step(s.history, 10.0, 9, trial))
    assert estimate.seconds(step(s.history, 10.0, 9)) == 90.0
    assert estimate.seconds(step(s.history, 14.0, 9)) == 86.0
    assert estimate.seconds(step(s.history, 500.0, 9)) == 0.0
    wall = Estimate(hpo.Budget(wall=60))
    assert wall.seconds(step(s.history, 20.0, float("inf"))) == 40.0


def test_the_cost_that_is_left_counts_what_runs_in_full() -> None:
    s, budget = study(), hpo.Budget(cost=10, reserve=2)
    assert spending_words(hpo.Budget(trials=3), s.history) == ""
    assert spending_words(budget, s.history) == "cost left 10 of 10"
    s.ask()
    assert spending_words(budget, s.history) == "cost left 8 of 10"


def test_a_log_is_named_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "a.err"
    history = study().history
    assert log_words(Progress(history, 0.0)) == ""
    assert log_words(Progress(history, 0.0, log=str(log))) == ""
    log.touch()
    assert log_words(Progress(history, 0.0, log=str(log))) == f" (log: {log})"
    monkeypatch.chdir(tmp_path)
    assert log_words(Progress(history, 0.0, log=str(log))) == " (log: logs/a.err)"


def test_without_limits_nothing_is_called_feasible() -> None:
    s = hpo.open_study("s", hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")]), storage=":memory:", seed=0)
    s.fail(s.ask(), "error", "ValueError")
    assert resume_words(s.history) == "resuming: 1 trial, 1 failed, no result yet"
    assert progress_line(s.history) == "1 trial ended | 1 failed"
    s.tell(s.ask(), 1.0)
    assert resume_words(s.history) == "resuming: 2 trials, 1 failed, best y 1 (#1)"
    assert progress_line(s.history, 9) == "trial 2/9 | best y 1 (#1) | 1 failed"
