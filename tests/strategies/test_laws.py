"""What holds for every suggestion of every strategy: inside, distinct, repeatable."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hpo
from hpo.problem.space import Space, key
from hpo.strategies import Bayesian, Grid, OneAtATime, Random, Sobol, Strategy
from tests.random_spaces import spaces

STRATEGIES = [Bayesian(), Bayesian(n_initial=2), Grid(budget=20), OneAtATime(3), Random(), Sobol()]


def measure(space: Space, params: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """Some function of the params, with a constraint that about half of them meet."""
    position = [space[n].position(v) for n, v in params.items()]
    return {"y": float(np.sin(5 * np.array(position)).sum() + 0.1 * rng.normal()), "c": float(np.mean(position))}


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
@given(space=spaces(), batches=st.lists(st.integers(1, 5), min_size=2, max_size=5), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_suggestions_are_inside_and_no_two_live_trials_are_alike(
    strategy: Strategy, space: Space, batches: list[int], seed: int
) -> None:
    problem = hpo.Problem(space, [hpo.Objective("y"), hpo.Constraint("c", upper=0.5)])
    study = hpo.open_study("law", problem, storage=":memory:", seed=seed, strategy=strategy)
    rng = np.random.default_rng(seed)
    for n in batches:
        try:
            trials = study.ask(n)
        except hpo.SpaceExhausted:
            break
        assert 1 <= len(trials) <= n
        for trial in trials:
            assert space.fault(trial.params) is None
            ending = rng.random()
            if ending < 0.6:
                study.tell(trial, measure(space, trial.params, rng))
            elif ending < 0.75:
                study.fail(trial, "oom")
            elif ending < 0.8:
                study.fail(trial, "infra")
    keys = [key(t.params) for t in study.trials]
    assert len(set(keys)) == len(keys)
    assert study.replay().is_identical


def test_sobol_fills_a_batch_where_constraints_are_narrow() -> None:
    """A thousandth of the square: the sequence gives little of it, chance the rest."""
    sides = {"a": hpo.Float(0.0, 1.0), "b": hpo.Float(0.0, 1.0)}
    space = hpo.Space(sides, constraints=["a - b <= 0.0005", "a - b >= -0.0005"])
    study = hpo.open_study("s", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=0, strategy=Sobol())
    trials = study.ask(8)
    assert len({key(t.params) for t in trials}) == 8
    assert {t.why["role"] for t in trials} == {"explore", "fallback"}


@given(space=spaces(most=3), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_a_finite_space_is_given_out_completely(space: Space, seed: int) -> None:
    size = space.size(25)
    if size is None:
        return
    study = hpo.open_study("all", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(size):
        trial = study.ask()
        study.tell(trial, {"y": measure(space, trial.params, rng)["y"]})
    with pytest.raises(hpo.SpaceExhausted):
        study.ask()
    assert len({key(t.params) for t in study.trials}) == size


CONDITIONAL = """
import json, sys
import hpo
space = hpo.Space({
    "kind": hpo.Categorical(["svm", "tree"]),
    "c": hpo.Float(1e-3, 1e3, log=True, active_if={"kind": ["svm"]}),
    "depth": hpo.Int(1, 12, active_if={"kind": ["tree"]}),
    "size": hpo.Int(8, 512, log=True), "drop": hpo.Float(0, 0.9, step=0.1),
}, constraints=["depth + 10*drop <= 15"])
problem = hpo.Problem(space, [hpo.Objective("y"), hpo.Constraint("m", upper=300)])
study = hpo.open_study("twice", problem, storage=":memory:", seed=int(sys.argv[1]))
for i in range(14):
    for t in study.ask(1 + i % 3):
        p = t.params
        study.tell(t, {"y": (p["kind"] == "tree") * 0.3 + p["drop"] - abs(p["size"] - 200) / 300, "m": p["size"]})
print(json.dumps([t.params for t in study.trials]))
"""


def test_same_seed_and_history_give_the_same_suggestions_in_another_process() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", CONDITIONAL, seed], capture_output=True, text=True, check=True).stdout
        for seed in ("7", "7", "8")
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(json.loads(runs[0])) == 27


def test_asking_moves_no_global_randomness() -> None:
    np.random.seed(3)
    before = repr(np.random.get_state())
    study = hpo.open_study(
        "g", hpo.Problem(hpo.Space({"a": hpo.Float(0, 1)}), [hpo.Objective("y")]), storage=":memory:"
    )
    for _ in range(8):
        trial = study.ask()
        study.tell(trial, {"y": trial.params["a"]})
    assert repr(np.random.get_state()) == before


def test_the_grid_fills_its_budget_evenly() -> None:
    space = Space({"a": hpo.Float(0, 1), "b": hpo.Int(1, 2), "c": hpo.Categorical(["x", "y", "z"])})
    assert Grid(budget=30).levels_of(space) == {"a": 5, "b": 2, "c": 3}
    assert Grid(levels={"a": 4}).levels_of(space) == {"a": 4, "b": 1, "c": 1}
    points = list(Grid(levels=2).points(space))
    assert len(points) == 8
    assert sorted({p["a"] for p in points}) == [0.25, 0.75]


def test_one_at_a_time_keeps_the_best_of_each_sweep() -> None:
    space = Space({"a": hpo.Float(0, 1), "b": hpo.Float(0, 1)})
    study = hpo.open_study(
        "oat", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=0, strategy=OneAtATime(5)
    )
    for _ in range(10):
        trial = study.ask()
        study.tell(trial, {"y": -((trial.params["a"] - 0.7) ** 2) - (trial.params["b"] - 0.1) ** 2})
    params = [t.params for t in study.trials]
    assert params[0] == {"a": 0.5, "b": 0.5}
    assert {p["b"] for p in params[:5]} == {0.5}, "the first sweep moves a alone"
    assert {p["a"] for p in params[5:9]} == {0.7}, "the second keeps the best a"
    assert study.best.params == {"a": 0.7, "b": 0.1}
