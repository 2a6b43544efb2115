"""What an objective may return: a mapping, or the one number that the problem requires."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import ExecutorError, NotANumber, NotFinite, SettingsError
from hpo.running.objective import Evaluate

SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0)})
ALONE = hpo.Problem(SPACE, [hpo.Objective("y"), hpo.Tracked("epochs")])
SEVERAL = hpo.Problem(SPACE, [hpo.Objective("y"), hpo.Constraint("z", upper=1.0)])

NUMBERS = [
    0.5,
    1,
    np.float64(0.5),
    np.float32(0.5),
    np.int64(1),
    np.array(0.5),
    Fraction(1, 2),
    hpo.Measurement(0.5),
    hpo.Measurement(0.5, sem=0.1),
]
NO_NUMBERS = [None, "0.5", True, np.bool_(True), 0.5j, [0.5], (0.5, {"z": 1.0}), np.array([0.5, 0.6])]


def study(problem: hpo.Problem) -> hpo.Study:
    """An empty study in memory."""
    return hpo.open_study("s", problem, storage=":memory:", seed=0)


def read(trial: hpo.Trial) -> Any:
    """Its params, of which a type checker knows nothing."""
    return trial.params


def numbers(given: Any) -> hpo.Measurement:
    """As it is to be stored."""
    return given if isinstance(given, hpo.Measurement) else hpo.Measurement(float(given))


@pytest.mark.parametrize("executor", [hpo.executors.Inline(), hpo.executors.Processes(1)], ids=["inline", "processes"])
@pytest.mark.parametrize("given", NUMBERS, ids=repr)
def test_one_number_is_the_one_metric(given: Any, executor: Any) -> None:
    s = study(ALONE)
    hpo.run(s, lambda trial: given, budget=hpo.Budget(trials=1), executor=executor)
    assert s.trials[0].values == {"y": numbers(given)}


@pytest.mark.parametrize("given", NUMBERS, ids=repr)
def test_one_number_is_told(given: Any) -> None:
    s = study(ALONE)
    assert s.tell(s.ask(), given).values == {"y": numbers(given)}
    assert s.add({"x": 0.5}, given).values == {"y": numbers(given)}
    s.tell(0, {"y": given})  # the same result once more
    with pytest.raises(hpo.HpoError, match="already has"):
        s.tell(0, 0.7)


@pytest.mark.parametrize("given", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(given: Any) -> None:
    s = study(ALONE)
    with pytest.raises(NotANumber, match="return a mapping of metric name to number, or the number alone"):
        hpo.run(s, lambda trial: given, budget=hpo.Budget(trials=1))
    with pytest.raises(NotANumber, match=r"a result is a mapping of metric name to number, like \{'y': ..."):
        s.tell(s.ask(), given)
    assert not s.history.completed


def test_where_several_metrics_are_required_they_are_named() -> None:
    s = study(SEVERAL)
    with pytest.raises(NotANumber, match=r"0\.5 alone; .*\{'y': ..., 'z': ...\}"):
        hpo.run(s, lambda trial: 0.5, budget=hpo.Budget(trials=1))
    with pytest.raises(NotANumber, match=r"0\.5; .*\{'y': ..., 'z': ...\}"):
        s.tell(s.ask(), 0.5)


@pytest.mark.parametrize(
    "given", [float("nan"), float("inf"), np.float32("nan"), hpo.Measurement(float("nan"))], ids=repr
)
def test_a_number_that_is_not_finite_is_a_divergence(given: Any) -> None:
    s = study(ALONE)
    hpo.run(s, lambda trial: given, budget=hpo.Budget(trials=1))
    assert (s.trials[0].kind, s.trials[0].state) == ("diverged", hpo.TrialState.FAILED)
    with pytest.raises(NotFinite):
        s.tell(s.ask(), given)


def test_params_as_names_are_explained() -> None:
    s = study(ALONE)
    with pytest.raises(
        ExecutorError, match=r"has no attribute 'x' \(params are a mapping: write trial.params\[\"x\"\]\)"
    ):
        hpo.run(s, lambda trial: read(trial).x, budget=hpo.Budget(trials=10))


def test_other_attribute_errors_are_left_alone() -> None:
    for objective in (lambda trial: read(trial).items.x, lambda trial: {}.x, lambda trial: read(trial).y):  # type: ignore[attr-defined]
        with pytest.raises(AttributeError) as caught:
            Evaluate(objective)({"number": 0, "params": {"x": 0.5}, "seed": 1})
        assert not getattr(caught.value, "__notes__", [])


class Trainer:
    """An objective with a memory."""

    def __call__(self, trial: hpo.Trial) -> float:
        """The value."""
        return 0.5

    def train(self, trial: hpo.Trial, epochs: int = 3) -> float:
        """The value."""
        return 0.5


@pytest.mark.parametrize(
    "objective",
    [Trainer(), Trainer().train, partial(Trainer().train, epochs=1), lambda *given: 0.5, lambda trial, k=2: 0.5],
)
def test_what_takes_a_trial_is_an_objective(objective: Any) -> None:
    s = study(ALONE)
    hpo.run(s, objective, budget=hpo.Budget(trials=1))
    assert s.best.values["y"].value == 0.5


class Later:
    async def __call__(self, trial: hpo.Trial) -> float:
        return 1.0


async def later(trial: hpo.Trial) -> float:
    """Nothing awaits it."""
    return 0.5


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (0.5, "the objective is 0.5, which cannot be called. Give the function itself: run(study, train, ...)"),
        (
            {"y": 0.5},
            "the objective is {'y': 0.5}, which cannot be called. Give the function itself: run(study, train, ...)",
        ),
        (Later(), "the objective is async, and nothing awaits it here"),
        (later, "the objective is async, and nothing awaits it here. Write def train(trial)"),
        (lambda: 0.5, "does not fit <lambda>(): too many positional arguments"),
        (lambda lr, layers: 0.5, "does not fit <lambda>(lr, layers): missing a required argument: 'layers'"),
        (lambda **params: 0.5, "does not fit <lambda>(**params): too many positional arguments"),
        (Trainer, "does not fit Trainer(): too many positional arguments"),
        (Trainer.train, "missing a required argument: 'trial'"),
    ],
)
def test_what_cannot_be_called_with_a_trial_costs_no_trial(objective: Any, said: str) -> None:
    s = study(ALONE)
    with pytest.raises(SettingsError) as caught:
        hpo.run(s, objective, budget=hpo.Budget(trials=1))
    assert said in str(caught.value)
    assert not s.trials
