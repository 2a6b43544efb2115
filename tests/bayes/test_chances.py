"""How sure it is that a measured trial meets its limits."""

from __future__ import annotations

import numpy as np

from hpo.bayes.chances import LEAST, chances
from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.study.open_study import open_study
from hpo.study.study import Study

PROBLEM = Problem(Space({"x": Float(0, 1)}), [Objective("y"), Constraint("c", upper=0.5)])


def measured(n: int, noise: float) -> Study:
    """C is x, with noise."""
    study, rng = open_study("s", PROBLEM, storage=":memory:", seed=1), np.random.default_rng(1)
    for x in np.linspace(0, 1, n):
        study.add({"x": float(x)}, {"y": float(x), "c": float(x + noise * rng.normal())})
    return study


def test_a_trial_on_its_limit_is_as_likely_as_not_and_others_are_sure() -> None:
    history = measured(21, 0.02).history
    found = [chances(history, history.completed[i])["c"] for i in (2, 10, 18)]
    assert found[0] > 0.99
    assert 0.1 < found[1] < 0.9
    assert found[2] < 0.01


def test_a_lucky_measurement_is_seen_through() -> None:
    study = measured(21, 0.02)
    lucky = study.add({"x": 0.85}, {"y": 0.85, "c": 0.4})
    assert chances(study.history, lucky)["c"] < 0.5


def test_without_a_model_nothing_is_said() -> None:
    few = measured(LEAST - 1, 0.0).history
    assert chances(few, few.completed[0]) == {}
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("y")])
    study = open_study("s", problem, storage=":memory:", seed=1)
    for i in range(9):
        study.add({"x": i / 9}, {"y": 1.0})
    assert chances(study.history, study.best) == {}
