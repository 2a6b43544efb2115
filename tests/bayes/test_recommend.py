"""What is recommended under noise is truly better than what measured best; without noise it is the best."""

import math
from typing import Literal

import numpy as np
import pytest

import hpo

SPACE = hpo.Space({"x": hpo.Float(0, 1), "y": hpo.Float(0, 1)})


def study_of(*metrics: hpo.Objective | hpo.Constraint, name: str = "r", seed: int = 0) -> hpo.Study:
    problem = hpo.Problem(SPACE, metrics or [hpo.Objective("v")])
    return hpo.open_study(name, problem, storage=":memory:", seed=seed)


def hill(x: float, y: float) -> float:
    return 1.0 - (x - 0.4) ** 2 - (y - 0.6) ** 2


def true_value(trial: hpo.Trial) -> float:
    return hill(trial.params["x"], trial.params["y"])


def places(seed: int, n: int) -> list[dict[str, float]]:
    return SPACE.sample(np.random.default_rng(seed), n)


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_under_noise_it_is_truly_better_than_the_best_measured(goal: Literal["maximize", "minimize"]) -> None:
    """Noise of a third of the hill's own spread, 60 results, 25 studies: the mean gain is three standard errors above 0,
    and more than half of what the truly best trial would gain."""
    sign = 1.0 if goal == "maximize" else -1.0
    gained, possible = [], []
    for seed in range(25):
        study = study_of(hpo.Objective("v", goal), seed=seed)
        noise = 0.05 * np.random.default_rng(100 + seed).standard_normal(60)
        for p, e in zip(places(seed, 60), noise, strict=True):
            study.add(p, {"v": sign * (hill(p["x"], p["y"]) + float(e))})
        by_luck = true_value(study.best)
        gained.append(true_value(study.recommended) - by_luck)
        possible.append(max(true_value(t) for t in study.trials) - by_luck)
    assert np.mean(gained) > 3.0 * np.std(gained) / math.sqrt(25)
    assert np.mean(gained) > 0.5 * np.mean(possible)


@pytest.mark.parametrize("seed", range(5))
def test_without_noise_on_a_smooth_function_it_is_the_best(seed: int) -> None:
    """The model passes through the results up to its least noise; the runner-up is told apart by more than that."""
    study = study_of(seed=seed)
    for p in places(seed, 30):
        study.add(p, {"v": hill(p["x"], p["y"])})
    first, second = sorted((true_value(t) for t in study.trials), reverse=True)[:2]
    assert first - second > 1e-4
    assert study.recommended == study.best


def test_a_number_told_to_be_uncertain_is_not_believed() -> None:
    study = study_of()
    for p in places(1, 20):
        study.add(p, {"v": hpo.Measurement(hill(p["x"], p["y"]), sem=0.001)})
    lucky = study.add({"x": 0.95, "y": 0.05}, {"v": hpo.Measurement(2.0, sem=1.0)})
    assert study.best == lucky
    assert study.recommended != lucky
    assert true_value(study.recommended) == max(true_value(t) for t in study.trials)


def test_it_meets_the_limits_where_the_best_met_them_by_luck() -> None:
    """The objective rises beyond the limit, so what is measured best often lies beyond it in truth."""
    beyond_best, beyond_recommended = 0, 0
    for seed in range(15):
        study = study_of(hpo.Objective("v"), hpo.Constraint("c", upper=0.5), seed=seed)
        noise = 0.15 * np.random.default_rng(200 + seed).standard_normal(30)
        for p, e in zip(places(seed, 30), noise, strict=True):
            study.add(p, {"v": p["x"] + 0.1 * p["y"], "c": p["x"] + float(e)})
        beyond_best += study.best.params["x"] > 0.5
        beyond_recommended += study.recommended.params["x"] > 0.5
    assert beyond_best >= 8
    assert beyond_recommended <= beyond_best / 2


def test_a_limit_missed_by_bad_luck_is_no_bar() -> None:
    study = study_of(hpo.Objective("v"), hpo.Constraint("c", upper=0.5))
    for p in places(8, 20):
        study.add(p, {"v": hill(p["x"], p["y"]), "c": hpo.Measurement(0.2 + 0.01 * p["x"], sem=0.01)})
    unlucky = study.add({"x": 0.4, "y": 0.6}, {"v": 1.0, "c": hpo.Measurement(0.6, sem=0.5)})
    assert unlucky not in study.history.feasible
    assert study.recommended == unlucky


def test_without_noise_it_meets_the_limits() -> None:
    study = study_of(hpo.Objective("v"), hpo.Constraint("c", upper=0.5))
    for p in places(3, 30):
        study.add(p, {"v": p["x"] + 0.1 * p["y"], "c": p["x"]})
    assert study.recommended.params["x"] <= 0.5
    assert study.recommended.values["v"].value >= study.best.values["v"].value - 0.05


def test_a_threshold_of_the_objective_is_a_limit_like_any_other() -> None:
    study = study_of(hpo.Objective("v", threshold=0.5))
    for p in places(4, 20):
        study.add(p, {"v": hill(p["x"], p["y"])})
    assert study.recommended == study.best


def test_where_no_trial_probably_meets_the_limits_those_that_did_as_measured_count() -> None:
    study = study_of(hpo.Objective("v"), hpo.Constraint("c", upper=0.5))
    for p in places(5, 15):
        study.add(p, {"v": hill(p["x"], p["y"]), "c": hpo.Measurement(1.0 + 0.01 * p["x"], sem=0.01)})
    lucky = study.add({"x": 0.9, "y": 0.9}, {"v": 0.1, "c": hpo.Measurement(0.49, sem=0.6)})
    assert study.history.feasible == (lucky,)
    assert study.recommended == lucky


def test_one_result_is_enough() -> None:
    study = study_of()
    only = study.add({"x": 0.5, "y": 0.5}, {"v": 1.0})
    assert study.recommended == only


def test_without_an_objective_it_is_the_first_feasible() -> None:
    study = study_of(hpo.Constraint("c", upper=0.5))
    for p in places(6, 8):
        study.add(p, {"c": p["x"]})
    assert study.recommended == study.best == study.history.feasible[0]


def test_it_leaves_no_trace() -> None:
    study = study_of()
    for p in places(7, 12):
        study.add(p, {"v": hill(p["x"], p["y"])})
    before = study.events()
    assert study.recommended == study.recommended
    assert study.events() == before


@pytest.mark.parametrize("case", ["nothing", "infeasible", "several"])
def test_it_raises_what_best_raises(case: str) -> None:
    several = [hpo.Objective("v"), hpo.Objective("w")]
    study = study_of(*(several if case == "several" else [hpo.Objective("v"), hpo.Constraint("c", upper=-1.0)]))
    if case != "nothing":
        study.add({"x": 0.5, "y": 0.5}, {"v": 1.0, "w": 1.0} if case == "several" else {"v": 1.0, "c": 1.0})
    with pytest.raises(hpo.NoFeasibleTrial) as by_best:
        _ = study.best
    with pytest.raises(hpo.NoFeasibleTrial) as by_recommended:
        _ = study.recommended
    assert str(by_recommended.value) == str(by_best.value)
