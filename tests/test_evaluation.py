"""What an objective may return: a mapping, or the one number that the problem requires."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import ExecutorError, NotANumber, NotFinite

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
    with pytest.raises(NotANumber, match=r"trial 0 reported 0.5; .* like \{'y': ..., 'z': ...\}"):
        hpo.run(s, lambda trial: 0.5, budget=hpo.Budget(trials=1))
    with pytest.raises(NotANumber, match=r"trial 1 reported 0.5; .* like \{'y': ..., 'z': ...\}"):
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
    s = study(ALONE)
    hpo.run(s, lambda trial: read(trial).items.x, budget=hpo.Budget(trials=1))
    hpo.run(s, lambda trial: {}.x, budget=hpo.Budget(trials=2))  # type: ignore[attr-defined]
    assert not any("params are a mapping" in t.message for t in s.trials)
