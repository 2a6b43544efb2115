"""run(): the same on every executor, within its budget, and refused at once where nothing can be run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import SettingsError
from hpo.executors import Inline, Processes, Subprocess, Threads
from hpo.running.progress import Progress
from hpo.strategies import Random
from hpo.trials.trial import TrialState
from tests.running.runs import measure, study


@pytest.mark.parametrize("executor", [Inline(), Threads(3), Processes(2)], ids=repr)
def test_the_same_objective_on_every_executor(executor: Any) -> None:
    s = study()
    steps: list[Progress] = []
    end = hpo.run(s, measure, budget=hpo.Budget(trials=9), executor=executor, progress=steps.append)
    assert end.reason == "9 trials, the budget, have been run"
    assert [t.state for t in s.trials] == [TrialState.COMPLETED] * 9
    assert sum(step.ended is not None for step in steps) == 9
    assert all(t.seconds is not None and t.values["y"].sem == 0.01 for t in s.trials)
    assert s.replay().is_identical


def test_a_command_in_any_language(tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text('echo starting with $HPO_PARAM_X, seed $HPO_SEED\necho "{\\"y\\": $1, \\"c\\": 0.5}"\n')
    s = study()
    hpo.run(s, executor=Subprocess(["sh", str(script), "{x}"], 2), budget=hpo.Budget(trials=5))
    assert all(t.values["y"].value == pytest.approx(t.params["x"]) for t in s.history.completed)
    assert len(s.history.completed) == 5


def test_stopping_at_a_target() -> None:
    s = study()
    end = hpo.run(s, lambda t: {"y": t.number, "c": 0.1}, budget=hpo.Budget(trials=50, target=5))
    assert (end.reason, len(s.trials)) == ("the target of 5 is reached", 6)


def test_going_on_uses_what_is_left() -> None:
    s = study()
    hpo.run(s, measure, budget=hpo.Budget(trials=4))
    hpo.run(s, measure, budget=hpo.Budget(trials=7))
    assert len(s.trials) == 7
    hpo.run(s, measure, budget=hpo.Budget(trials=7))
    assert len(s.trials) == 7


def test_enqueued_trials_are_run() -> None:
    s = study()
    s.enqueue({"x": 0.25})
    hpo.run(s, measure, budget=hpo.Budget(trials=3))
    assert [t.state for t in s.trials] == [TrialState.COMPLETED] * 3
    assert s.trials[0].params == {"x": 0.25}


def test_random_search_in_parallel_never_overdraws() -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Tracked("price")])
    s = hpo.open_study("p", problem, storage=":memory:", seed=0, strategy=Random())
    budget = hpo.Budget(cost=10.0, reserve=1.0, cost_of="price")
    hpo.run(s, lambda t: {"y": 0.0, "price": t.params["x"]}, budget=budget, executor=Threads(4))
    paid = sum(t.values["price"].value for t in s.trials)
    assert 9.0 < paid <= 10.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": 5}, r"give a Budget, such as hpo.Budget\(trials=5\)"),
        ({"executor": 4}, "give an executor"),
        ({"executor": Threads}, "give an executor"),
        ({"objective": None}, "no objective"),
        ({"timeout": "10s"}, "must be numbers"),
        ({"timeout": -1}, "timeout must be above 0"),
        ({"executor": Threads(2), "timeout": 5.0}, "neither stop nor limit a running trial, .* timeout"),
        ({"budget": hpo.Budget(wall=1, overtime=1)}, "cannot keep to budget.overtime"),
        ({"notice": "1min"}, "notice='1min' must be a number of seconds"),
        ({"lease": 0}, "lease=0 must be a number of seconds, above 0"),
    ],
)
def test_what_nothing_can_be_run_with_is_refused_before_a_trial_is_given_out(wrong: Any, message: str) -> None:
    s = study()
    with pytest.raises(SettingsError, match=message):
        hpo.run(s, **{"objective": measure, "budget": hpo.Budget(trials=2), **wrong})
    assert s.trials == ()
