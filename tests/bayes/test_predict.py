"""The objective of a simulation: what the models expect, in the user's unit."""

from collections.abc import Callable

import pytest

import hpo
from hpo.bayes.predict import PosteriorMeanObjective
from hpo.errors import TrialFailed
from hpo.problem.metrics import Metric
from hpo.strategies import Sobol

SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0), "y": hpo.Float(0.0, 1.0)})
Train = Callable[[float, float], dict[str, float] | str]


def loss(x: float, y: float) -> dict[str, float]:
    return {"loss": 300.0 + 20.0 * (x - 0.3) ** 2 + 10.0 * (y - 0.6) ** 2, "size": 1e6 * (x + y), "heat": x}


def study_of(n: int, train: Train, *metrics: Metric) -> hpo.Study:
    """A space-filling study with `n` trials, each trained to values or to a kind of failure."""
    problem = hpo.Problem(SPACE, metrics or [hpo.Objective("loss", goal="minimize"), hpo.Tracked("heat")])
    study = hpo.open_study("known", problem, storage=":memory:", seed=0, strategy=Sobol())
    for trial in study.ask(n):
        end = train(trial.params["x"], trial.params["y"])
        if isinstance(end, str):
            study.fail(trial, end)
        else:
            study.tell(trial, {metric.name: end[metric.name] for metric in study.problem.metrics})
    return study


def test_a_metric_to_minimize_and_a_limit_keep_their_signs_and_units() -> None:
    metrics = hpo.Objective("loss", goal="minimize"), hpo.Constraint("size", upper=1.5e6), hpo.Tracked("heat")
    expected = PosteriorMeanObjective.of(study_of(24, loss, *metrics).history)
    for at in ({"x": 0.3, "y": 0.6}, {"x": 0.9, "y": 0.2}):
        true = loss(**at)
        found = expected.at(at)
        assert set(found) == {"loss", "size"}, "tracked metrics are not modeled"
        assert found["loss"] == pytest.approx(true["loss"], abs=0.3)
        assert found["size"] == pytest.approx(true["size"], rel=0.02)


def test_values_are_plain_numbers() -> None:
    found = PosteriorMeanObjective.of(study_of(6, loss).history).at({"x": 0.5, "y": 0.5})
    assert [type(value) for value in found.values()] == [float]


def test_what_never_failed_is_expected_to_end_well_everywhere() -> None:
    expected = PosteriorMeanObjective.of(study_of(8, loss).history)
    assert expected.kind == "error"
    assert expected.models.p_success(expected.encoder.encode([{"x": 1.0, "y": 1.0}])) is None


def beyond_half(x: float, y: float) -> dict[str, float] | str:
    if x <= 0.5:
        return loss(x, y)
    return "timeout" if y > 0.9 else "oom"


def test_where_more_fail_than_not_a_failure_is_expected_of_the_commonest_kind() -> None:
    expected = PosteriorMeanObjective.of(study_of(32, beyond_half).history)
    at = {"x": 0.95, "y": 0.95}
    chance = expected.models.p_success(expected.encoder.encode([at]))
    assert chance is not None
    assert chance[0] < 0.2
    with pytest.raises(TrialFailed) as failure:
        expected.at(at)
    assert failure.value.kind == "oom"
    assert str(failure.value) == f"expected to fail: {100 * (1 - chance[0]):.0f} % sure"
    assert expected.at({"x": 0.05, "y": 0.5})["loss"] == pytest.approx(301.35, abs=0.5)


def test_the_border_of_expected_failures_is_an_even_chance() -> None:
    expected = PosteriorMeanObjective.of(study_of(32, beyond_half).history)
    outcomes = set()
    for i in range(41):
        at = {"x": 0.4 + 0.005 * i, "y": 0.5}
        chance = expected.models.p_success(expected.encoder.encode([at]))
        assert chance is not None
        try:
            expected.at(at)
            fails = False
        except TrialFailed:
            fails = True
        assert fails == (chance[0] < 0.5)
        outcomes.add(fails)
    assert outcomes == {True, False}


def test_failures_that_are_not_the_trainings_fault_teach_nothing() -> None:
    """Of machines that were lost no model is made, and their kind is not expected again."""

    def train(x: float, y: float) -> dict[str, float] | str:
        return "infra" if x > 0.5 else loss(x, y)

    expected = PosteriorMeanObjective.of(study_of(16, train).history)
    assert expected.kind == "error"
    assert set(expected.at({"x": 0.95, "y": 0.5})) == {"loss"}
