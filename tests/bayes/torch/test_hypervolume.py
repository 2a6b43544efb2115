"""Several objectives: gradients, reference points, constraints, batches, and the hypervolume reached."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.bayes.data import training_data
from hpo.bayes.kernel import Array
from hpo.bayes.models import Models, fit_models
from hpo.bayes.torch.hypervolume import Front, reference_point
from hpo.encoding import Encoder, key
from hpo.pareto import hypervolume, is_non_dominated

ROOT = Path(__file__).parents[3]


def branin_currin(p: Mapping[str, Any]) -> dict[str, float]:
    """Two objectives to minimise (Belakaria et al. 2019)."""
    x, y = float(p["x"]), float(p["y"])
    u, v = 15 * x - 5, 15 * y
    branin = (v - 5.1 / (4 * np.pi**2) * u**2 + 5 / np.pi * u - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(u) + 10
    shrink = 1 - np.exp(-1 / (2 * max(y, 1e-9)))
    currin = shrink * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)
    return {"branin": float(branin), "currin": float(currin)}


def square(*, thresholds: tuple[float | None, float | None] = (18.0, 6.0)) -> hpo.Problem:
    return hpo.Problem(
        space=hpo.Space({"x": hpo.Float(0, 1), "y": hpo.Float(0, 1)}),
        metrics=[
            hpo.Objective("branin", "minimize", threshold=thresholds[0]),
            hpo.Objective("currin", "minimize", threshold=thresholds[1]),
        ],
    )


def mixed() -> hpo.Problem:
    return hpo.Problem(
        space=hpo.Space(
            {
                "kind": hpo.Categorical(["a", "b", "c"]),
                "x": hpo.Float(0, 1),
                "k": hpo.Int(1, 9),
                "y": hpo.Float(0, 1, active_if={"kind": ["a", "b"]}),
            },
            constraints=["k + 4*x <= 11"],
        ),
        metrics=[
            hpo.Objective("gain"),
            hpo.Objective("cost", "minimize", threshold=8.0),
            hpo.Constraint("size", upper=8.0),
            hpo.Constraint("ratio", lower=0.1, upper=0.9),
        ],
    )


def mixed_result(p: Mapping[str, Any]) -> dict[str, float]:
    y = p.get("y", 0.5)
    return {
        "gain": p["x"] + 0.1 * p["k"] - (y - 0.3) ** 2 + (p["kind"] == "b") * 0.2,
        "cost": 3 * p["x"] ** 2 + 0.5 * p["k"] + y,
        "size": p["k"] + 2 * p["x"],
        "ratio": 0.2 + 0.6 * p["x"],
    }


def study_of(problem: hpo.Problem, result: Any, n: int, seed: int = 0) -> hpo.Study:
    study = hpo.open_study("several", problem, storage=":memory:", seed=seed)
    rng = np.random.default_rng(seed)
    for params in problem.space.sample(rng, n):
        study.add(params, result(params))
    return study


def models_of(study: hpo.Study) -> tuple[Models, Array]:
    data = training_data(study.history, Encoder(study.problem.space))
    return fit_models(data, {}), data.X


@pytest.mark.parametrize("n_in_flight", [0, 2])
def test_gradient_by_finite_differences(n_in_flight: int) -> None:
    study = study_of(mixed(), mixed_result, 14)
    models, X = models_of(study)
    front = Front.of(models, X, np.ones(len(X), dtype=bool), seed=1)
    rng = np.random.default_rng(2)
    function = front.improvement(rng.random((n_in_flight, X.shape[1])))
    at, step = rng.random((3, X.shape[1])), 1e-6
    value, gradient = function(at)
    np.testing.assert_allclose(function.value(at), value, rtol=1e-9)
    for j in range(X.shape[1]):
        shift = np.zeros(X.shape[1])
        shift[j] = step
        slope = (function.value(at + shift) - function.value(at - shift)) / (2 * step)
        np.testing.assert_allclose(gradient[:, j], slope, rtol=1e-3, atol=1e-4)


def test_thresholds_are_the_reference_and_what_lacks_one_lies_below_the_front() -> None:
    study = study_of(square(thresholds=(18.0, None)), branin_currin, 12)
    models, X = models_of(study)
    front = Front.of(models, X, np.ones(len(X), dtype=bool), seed=0)
    first, second = models.objectives
    # Inside, all is maximised: a threshold of at most 18 is a least value of -18.
    assert first.transform.inverse(front.reference)[0] == pytest.approx(-18.0)
    assert front.reference[1] < front.Y[:, 1].min()
    assert second.series.lower == -np.inf
    assert len(front.Y) == is_non_dominated(front.Y).sum()
    np.testing.assert_array_equal(reference_point(models, front.Y), front.reference)


def test_thresholds_nobody_reaches_still_pull() -> None:
    study = study_of(square(thresholds=(-1e3, -1e3)), branin_currin, 8)
    models, X = models_of(study)
    front = Front.of(models, X, np.ones(len(X), dtype=bool), seed=0)
    assert not len(front.baseline)
    for in_flight in (np.empty((0, 2)), np.array([[0.5, 0.5]])):
        value, gradient = front.improvement(in_flight)(np.array([[0.2, 0.8], [0.9, 0.1]]))
        assert np.isfinite(value).all()
        assert np.abs(gradient).max() > 0


def test_batches_and_trials_in_flight_are_distinct_and_valid() -> None:
    study = study_of(mixed(), mixed_result, 14)
    pending = study.ask(2)
    batch = study.ask(3)
    keys = [key(t.params) for t in study.trials]
    assert len(set(keys)) == len(keys) == 14 + 5
    for trial in [*pending, *batch]:
        assert study.problem.space.contains(trial.params)
        assert trial.why["role"] in ("explore", "exploit")
        assert set(trial.why["predicted"]) == {"gain", "cost", "size", "ratio"}
        assert set(trial.why["p_meets"]) == {"cost", "size", "ratio"}
    spread = np.ptp(Encoder(study.problem.space).encode([t.params for t in [*pending, *batch]]), axis=0)
    assert spread.max() > 0.05


def test_constraints_come_first_until_one_trial_meets_them() -> None:
    problem = hpo.Problem(
        space=mixed().space,
        metrics=[hpo.Objective("gain"), hpo.Objective("cost", "minimize"), hpo.Constraint("size", upper=-5.0)],
    )
    study = study_of(problem, lambda p: {n: mixed_result(p)[n] for n in ("gain", "cost", "size")}, 10)
    assert study.ask().why["role"] == "feasibility"


def test_failed_regions_are_avoided_and_the_success_model_takes_part() -> None:
    study = study_of(square(), branin_currin, 8)
    for _ in range(3):
        study.fail(study.ask(), "diverged")
    assert 0.0 <= study.ask().why["p_success"] <= 1.0


_OTHER = """
import json, sys
sys.path.insert(0, {root!r})
import importlib.util
spec = importlib.util.spec_from_file_location("t", {file!r})
t = importlib.util.module_from_spec(spec); spec.loader.exec_module(t)
import torch; torch.rand(3)
study = t.study_of(t.square(), t.branin_currin, 10)
print(json.dumps([x.params for x in study.ask(2)]))
"""


def test_another_process_suggests_the_same() -> None:
    here = [t.params for t in study_of(square(), branin_currin, 10).ask(2)]
    code = _OTHER.format(root=str(ROOT), file=__file__)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert json.loads(done.stdout) == here


def test_a_run_covers_more_than_random_search() -> None:
    reference = np.array([-18.0, -6.0])

    def covered(results: list[dict[str, float]]) -> float:
        return hypervolume(-np.array([[r["branin"], r["currin"]] for r in results]), reference)

    reached, by_chance = [], []
    for seed in range(2):
        study = hpo.open_study(f"run-{seed}", square(), storage=":memory:", seed=seed)
        hpo.run(study, lambda trial: branin_currin(trial.params), budget=hpo.Budget(trials=14))
        reached.append(covered([branin_currin(t.params) for t in study.trials]))
        drawn = study.problem.space.sample(np.random.default_rng(seed), 14 * 5)
        by_chance += [covered([branin_currin(p) for p in drawn[i::5]]) for i in range(5)]
        assert {t.number for t in study.pareto_front} <= {t.number for t in study.trials}
    assert min(reached) > max(by_chance)


def test_a_study_replays() -> None:
    study = hpo.open_study("again", square(), storage=":memory:", seed=3)
    hpo.run(study, lambda trial: branin_currin(trial.params), budget=hpo.Budget(trials=7))
    assert [t.why["role"] for t in study.trials].count("initial") < 7
    replay = study.replay()
    assert replay.n_checked == 7
    assert replay.is_identical, str(replay)
