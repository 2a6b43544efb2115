"""What is found is kept, serves for a while, and is searched again when enough has come."""

import json
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.bayes import data as data_module
from hpo.bayes import models
from hpo.bayes.data import TrainingData, training_data
from hpo.bayes.gp.fit import fit
from hpo.bayes.gp.kernel import Theta
from hpo.bayes.models import SUCCESS, Found, fit_models
from hpo.problem.encoding import Encoder

THETAS = {
    "Standardize": Theta((-0.1, 1 / 3), 0.7, -4.0),
    "YeoJohnson": Theta((0.3, float(np.log(2.0))), 1e-17, -3.0),
}


def problem() -> hpo.Problem:
    return hpo.Problem(
        hpo.Space({"x": hpo.Float(0, 1), "y": hpo.Float(0, 1)}), [hpo.Objective("v"), hpo.Constraint("c", upper=1.5)]
    )


def add(study: hpo.Study, n: int, seed: int) -> None:
    for p in study.problem.space.sample(np.random.default_rng(seed), n):
        study.add(p, {"v": float(np.sin(5 * p["x"]) - p["y"] ** 2), "c": p["x"] + p["y"]})


def study_of(n: int) -> hpo.Study:
    study = hpo.open_study("m", problem(), storage=":memory:", seed=2)
    add(study, n, seed=1)
    return study


def data_of(study: hpo.Study) -> TrainingData:
    return training_data(study.history, Encoder(study.problem.space))


class Searches(list[int]):
    """How many rows each search for hyperparameters had."""


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    made = Searches()

    def counting(X: Any, *rest: Any, **named: Any) -> Any:
        made.append(len(X))
        return fit(X, *rest, **named)

    monkeypatch.setattr(models, "fit", counting)
    return made


# -- Found ------------------------------------------------------------------------------------------------------------


def test_what_was_found_survives_json_exactly() -> None:
    found = Found(130, "YeoJohnson", THETAS)
    again = Found.read(json.loads(json.dumps(found.to_json())), n_groups=2)
    assert (again.n, again.transform, again.thetas) == (found.n, found.transform, THETAS)


@pytest.mark.parametrize("other", [None, [0.1, 0.2, 0.7, -4.0], [], "theta", 3.0])
def test_data_of_another_form_is_nothing_found(other: Any) -> None:
    found = Found.read(other, n_groups=2)
    assert (found.n, found.transform, dict(found.thetas)) == (0, "", {})
    assert not found.holds(0)
    assert not found.holds(500)


@pytest.mark.parametrize(
    ("n_then", "n_now", "holds"),
    [
        (50, 50, False),
        (99, 100, False),
        (100, 101, True),
        (97, 101, True),
        (96, 101, False),
        (130, 130, True),
        (130, 136, True),
        (130, 137, False),
        (1000, 1049, True),
        (1000, 1050, False),
        (130, 129, False),  # a study that was cut, or another one's
    ],
)
def test_it_holds_beyond_a_hundred_until_a_twentieth_more_came(n_then: int, n_now: int, holds: bool) -> None:
    assert Found(n_then, "Standardize", THETAS).holds(n_now) is holds
    assert not Found(n_then, "Standardize", {}).holds(n_now)


def test_searches_grow_with_the_logarithm_of_results() -> None:
    found, n_searches = Found(0, "", {}), 0
    for n in range(1, 2001):
        if not found.holds(n):
            found, n_searches = Found(n, "Standardize", THETAS), n_searches + 1
    assert 100 < n_searches <= 100 + np.log(2000 / 100) / np.log(1.05)


# -- whole studies ----------------------------------------------------------------------------------------------------


def test_a_study_of_130_searches_again_when_a_twentieth_more_came(searches: Searches) -> None:
    study = study_of(130)
    study.ask()
    assert set(searches) == {130}
    assert len(searches) >= 2, "one a metric at least"
    n = len(searches)
    study.ask()
    add(study, 6, seed=2)
    study.ask()
    reopened = hpo.open_study("m", storage=study.storage)
    reopened.ask(3)
    assert len(searches) == n, "136 results are less than a twentieth more"
    add(reopened, 1, seed=3)
    reopened.ask()
    assert set(searches[n:]) == {137}
    assert reopened.replay().is_identical


def test_a_small_study_searches_at_every_ask(searches: Searches) -> None:
    study = study_of(12)
    for n in (12, 13, 14):
        searches.clear()
        study.ask()
        assert set(searches) == {n}
        add(study, 1, seed=n)


def test_failures_have_their_own_schedule(searches: Searches) -> None:
    study = study_of(101)
    study.fail(study.ask(), "oom")
    study.ask()
    assert searches[-1] == 102, "success is modeled for the first time"
    n = len(searches)
    study.ask()
    assert len(searches) == n


def test_results_beyond_those_that_are_modeled_count(searches: Searches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "MAX_MODELED", 110)
    monkeypatch.setattr(data_module, "MAX_FAILED", 5)
    study = study_of(120)
    for _ in range(6):
        study.fail(study.ask(), "oom")
    study.ask()
    found = study.history.fitted
    assert [found[name]["n"] for name in ("metric:v", "metric:c", SUCCESS)] == [120, 120, 121]
    searches.clear()
    for _ in range(2):
        study.fail(study.ask(), "oom")
    assert not searches, "127 trials that ended are less than a twentieth more"
    study.ask()
    assert searches == [115], "128 are that much more: success is searched on those that are modeled"
    searches.clear()
    add(study, 5, seed=2)
    study.ask()
    assert not searches, "125 results are less than a twentieth more"
    add(study, 1, seed=3)
    study.ask()
    assert set(searches) == {110}, "126 are that much more"
    assert study.replay().is_identical


def test_what_holds_is_built_on_all_results() -> None:
    study = study_of(110)
    first = fit_models(data_of(study), {})
    add(study, 5, seed=2)
    data = data_of(study)
    second = fit_models(data, json.loads(json.dumps(first.fitted())))
    for before, after in zip(first.by_metric, second.by_metric, strict=True):
        assert after.gp.theta == before.gp.theta
        assert after.gp.n_observed == 115
        assert type(after.transform) is type(before.transform)
        mean, _ = after.predict(data.X[-5:])
        np.testing.assert_allclose(mean, after.series.sign * after.series.y[-5:], atol=0.2)
    assert second.fitted() == first.fitted()


def test_what_an_earlier_format_kept_is_ignored() -> None:
    """It was one vector for each metric and transform, and one for success."""
    study = study_of(12)
    study.fail(study.ask(), "oom")
    old = {SUCCESS: [0.0, 0.0, 0.0, -4.0], "metric:v:Standardize": [0.0, 0.0, 0.0, -4.0]}
    fresh, after = fit_models(data_of(study), {}), fit_models(data_of(study), old)
    assert after.fitted() == fresh.fitted()


def waves(wiggles: float) -> TrainingData:
    study = hpo.open_study(
        "calm",
        hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")]),
        storage=":memory:",
        seed=0,
    )
    for x in np.linspace(0.0, 1.0, 60):
        study.add({"x": float(x)}, {"y": float(np.sin(2.0 * np.pi * wiggles * x))})
    return data_of(study)


@pytest.mark.parametrize(("wiggles", "is_smooth"), [(1.0, True), (12.0, False)])
def test_an_objective_is_smooth_until_fine_structure_foretells_better(wiggles: float, is_smooth: bool) -> None:
    found = fit_models(waves(wiggles), {}).objectives[0].found
    assert found.transform.endswith("calm") == is_smooth


def test_rivals_see_the_same_results_under_other_assumptions() -> None:
    study = study_of(12)
    assert fit_models(data_of(study), {}).objectives[0].alternatives == ()
    hedged = fit_models(data_of(study), {}, use_alternatives=True)
    first = hedged.objectives[0]
    finer, warped = first.alternatives
    for alternative in first.alternatives:
        np.testing.assert_array_equal(alternative.y, first.gp.y)
        assert alternative.theta != first.gp.theta
    assert (finer.layout.n_warped, warped.layout.n_warped) == (0, 2)
    assert all(c.alternatives == () for c in hedged.constraints)


def test_a_rival_that_the_results_speak_against_is_none() -> None:
    """Waves of a twelfth of the space are not calm; gentle ones may be taken for either."""
    fine, gentle = (fit_models(waves(wiggles), {}, use_alternatives=True).objectives[0] for wiggles in (12.0, 1.0))
    assert all(alternative.layout.n_warped for alternative in fine.alternatives)
    assert not all(alternative.layout.n_warped for alternative in gentle.alternatives)


def test_only_numbers_can_be_warped() -> None:
    """Where all parameters are choices, a warped rival would be the chosen model once more."""
    space = hpo.Space({name: hpo.Categorical(["a", "b", "c"]) for name in "uvw"})
    study = hpo.open_study("choices", hpo.Problem(space, [hpo.Objective("v")]), storage=":memory:", seed=0)
    for p in space.sample(np.random.default_rng(0), 15):
        study.add(p, {"v": float(list(p.values()).count("a"))})
    objective = fit_models(data_of(study), {}, use_alternatives=True).objectives[0]
    assert objective.found.thetas
    assert not any("warped" in name for name in objective.found.thetas)


def test_rivals_are_built_from_what_was_found() -> None:
    study = study_of(110)
    found = fit_models(data_of(study), {}, use_alternatives=True)
    assert found.objectives[0].alternatives
    add(study, 2, seed=2)
    after = fit_models(data_of(study), json.loads(json.dumps(found.fitted())), use_alternatives=True)
    assert {r.theta for r in after.objectives[0].alternatives} <= {r.theta for r in found.objectives[0].alternatives}
    assert {r.n_observed for r in after.objectives[0].alternatives} == {112}


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        3,
        {"n": 1, "transform": "Bilog"},
        {"n": "x", "transform": "", "thetas": {}},
        {"n": 1, "transform": "", "thetas": {"a": [1.0]}},
    ],
)
def test_what_was_found_is_not_needed(data: Any) -> None:
    found = Found.read(data, 2)
    assert (found.n, found.transform, found.thetas) == (0, "", {})
