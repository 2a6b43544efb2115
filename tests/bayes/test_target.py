"""What the next trial is chosen for, and when a search looks elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import hpo
from hpo.bayes import models
from hpo.bayes.acquisition.feasibility import risk_margin
from hpo.bayes.data import training_data
from hpo.bayes.mode import Mode
from hpo.bayes.models import fit_models
from hpo.bayes.target import AcquisitionTarget, target_of
from hpo.problem.encoding import Encoder

SQUARE = hpo.Space({"x": hpo.Float(0.0, 1.0), "y": hpo.Float(0.0, 1.0)})


def bowl(x: float, y: float) -> float:
    return -((x - 0.3) ** 2) - (y - 0.6) ** 2


def study_of(n: int, scale: float = 1.0, *, constraint: float | None = None) -> hpo.Study:
    metrics: list[hpo.Objective | hpo.Constraint] = [hpo.Objective("gain")]
    if constraint is not None:
        metrics.append(hpo.Constraint("sum", upper=constraint))
    study = hpo.open_study("aim", hpo.Problem(SQUARE, metrics), storage=":memory:", seed=2)
    for _ in range(n):
        trial = study.ask()
        x, y = trial.params["x"], trial.params["y"]
        study.tell(trial, {"gain": scale * bowl(x, y), **({} if constraint is None else {"sum": x + y})})
    return study


def aim_of(study: hpo.Study) -> AcquisitionTarget:
    data = training_data(study.history, Encoder(study.problem.space))
    return target_of(data, fit_models(data, study.history.fitted), risk_margin(study.trials))


def test_next_to_nothing_is_a_share_of_what_was_gained() -> None:
    """In the model's units it does not depend on the metric's unit."""
    first, second = aim_of(study_of(8)).stall_threshold, aim_of(study_of(8, 1e6)).stall_threshold
    assert first == pytest.approx(second, rel=1e-6)
    assert 0 < first < 0.02


def test_without_a_feasible_trial_only_the_limits_count() -> None:
    found = aim_of(study_of(5, constraint=-1.0))
    assert found.is_feasibility
    assert found.terms.objective is None
    assert found.stall_threshold == 0.0


def test_the_bolder_target_lies_one_prior_deviation_higher() -> None:
    found = aim_of(study_of(8))
    assert found.terms.objective is not None
    assert found.exploring.margin == pytest.approx(np.sqrt(found.terms.objective.theta.outputscale))
    assert found.exploring.best == found.terms.best


def looks(study: hpo.Study) -> list[hpo.Trial]:
    return [t for t in study.trials if t.why.get("how") == Mode.IMPROVE_OR_EXPLORE.value]


def study_of_kinds(n: int) -> hpo.Study:
    """Six kinds, each with its own optimum."""
    kinds = {kind: (0.1 + 0.15 * i, 0.9 - 0.14 * i, 1.0 + 0.1 * i) for i, kind in enumerate("abcdef")}
    space = hpo.Space({**SQUARE.parameters, "kind": hpo.Categorical(list(kinds))})
    study = hpo.open_study("kinds", hpo.Problem(space, [hpo.Objective("gain")]), storage=":memory:", seed=5)
    for _ in range(n):
        trial = study.ask()
        x, y, top = kinds[trial.params["kind"]]
        away = (trial.params["x"] - x) ** 2 + (trial.params["y"] - y) ** 2
        study.tell(trial, {"gain": top * float(np.exp(-8.0 * away))})
    return study


def test_a_search_that_has_found_an_optimum_looks_elsewhere_every_second_time() -> None:
    """Polishing the optimum at hand gives way to looking at the others."""
    study = study_of_kinds(44)
    bold = looks(study)
    assert len(bold) >= 5
    assert all(t.number % 2 for t in bold)
    assert all(t.why["role"] == "explore" for t in bold)
    best = study.best.params
    assert sum(t.params["kind"] != best["kind"] for t in bold) >= len(bold) / 2
    assert study.replay().is_identical


def test_nothing_looks_elsewhere_while_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the objective has no rivals, as with many results."""
    monkeypatch.setattr(models, "LARGE", 5)
    study = study_of_kinds(43)
    n = len(looks(study))
    study.ask(8)
    assert [t.number for t in looks(study)[n:]] == [43]


@pytest.mark.parametrize("rough", [lambda x, y: np.sin(40 * x) + np.cos(37 * y)])
def test_one_that_has_not_goes_on(rough: Callable[[float, float], float]) -> None:
    study = hpo.open_study("rough", hpo.Problem(SQUARE, [hpo.Objective("gain")]), storage=":memory:", seed=2)
    for _ in range(14):
        trial = study.ask()
        study.tell(trial, {"gain": float(rough(trial.params["x"], trial.params["y"]))})
    assert not looks(study)


def test_what_is_in_flight_does_not_rely_on_one_model() -> None:
    """Every second one of a batch comes from an alternative model; alone, and while nothing is feasible, none does."""
    study = study_of(8)
    batch = study.ask(4)
    assert [t.why["how"] == Mode.ALTERNATIVE.value for t in batch] == [False, True, False, True]
    assert study.replay().is_identical
    lone = study_of(9)
    assert lone.ask().why["how"] != Mode.ALTERNATIVE.value
    assert not any(t.why["how"] == Mode.ALTERNATIVE.value for t in study_of(8, constraint=-1.0).ask(4))


def test_a_model_that_foretells_nothing_does_not_send_every_trial_to_a_corner() -> None:
    """Of pure noise nothing can be foretold: every second trial is one of a few spread over the space."""
    rng = np.random.default_rng(0)
    space = hpo.Space({f"x{j}": hpo.Float(0.0, 1.0) for j in range(6)})
    study = hpo.open_study("noise", hpo.Problem(space, [hpo.Objective("gain")]), storage=":memory:", seed=0)
    for _ in range(40):
        study.tell(study.ask(), {"gain": float(rng.normal())})
    spread = [t for t in study.trials if t.why.get("how") == Mode.SPACE_FILLING.value]
    assert len(spread) >= 10
    assert all(t.number % 2 for t in spread)
    assert all(0.0 < x < 1.0 for t in spread for x in t.params.values())
    assert study.replay().is_identical
    assert [t.why["how"] == spread[0].why["how"] for t in study.ask(4)] == [False, True, False, True]


def test_a_model_that_foretells_is_not_blind() -> None:
    assert not aim_of(study_of(12)).is_uninformative
