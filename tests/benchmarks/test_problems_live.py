"""Real training runs: deterministic, remembered, and the numbers are what the same training gives when written out."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.problems import BY_NAME
from benchmarks.problems.live import FOLDS, LIVE, SAMPLE, accuracy, data, gbdt_diabetes, remembered, svc_digits
from benchmarks.problems.scale import entries


def test_a_configuration_is_trained_once() -> None:
    trained = []

    def train(params: object) -> float:
        trained.append(params)
        return 0.5

    truth = remembered(train, "accuracy")
    assert truth({"C": 1.0}) == truth({"C": 1.0}) == {"accuracy": 0.5}
    assert truth({"C": 2.0}) == {"accuracy": 0.5}
    assert len(trained) == 2


@pytest.mark.parametrize("name", [bench.name for bench in LIVE])
def test_the_best_is_reached(name: str) -> None:
    bench = BY_NAME[name]
    objective = bench.problem.objectives[0].name
    assert bench.truth(entries()[name]["at"])[objective] == pytest.approx(bench.best, rel=1e-6)


def test_trainings_are_deterministic() -> None:
    params = {"trees": 20, "learning_rate": 0.1, "depth": 2, "leaf": 3, "subsample": 0.7, "features": 0.5}
    assert gbdt_diabetes(params) == gbdt_diabetes(params)


def test_the_support_vector_machine_written_out() -> None:
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    X, y = data("digits")
    assert X.shape == (SAMPLE, 64)
    C, gamma, k = 3.0, 0.01, 20
    right = []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(X, y):
        mean, sd = X[train].mean(axis=0), X[train].std(axis=0)
        sd[sd == 0] = 1.0
        Z = (X - mean) / sd
        axes = np.linalg.svd(Z[train] - Z[train].mean(axis=0), full_matrices=False)[2][:k]
        P = (Z - Z[train].mean(axis=0)) @ axes.T
        right.append(np.mean(SVC(C=C, gamma=gamma).fit(P[train], y[train]).predict(P[test]) == y[test]))
    assert svc_digits({"C": C, "gamma": gamma, "components": k}) == pytest.approx(np.mean(right), abs=0.005)


def test_the_choice_of_the_model_activates_its_own_parameters() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    bench = BY_NAME["cash_wine_digits"]
    params = {"model": "neighbors", "neighbors.k": 5, "neighbors.weights": "distance"}
    assert bench.problem.space.contains(params)
    both = [accuracy(KNeighborsClassifier(5, weights="distance"), name) for name in ("wine", "digits")]
    assert bench.truth(params)["accuracy"] == pytest.approx(np.mean(both))


@pytest.mark.parametrize("model", ["svc", "forest", "neighbors", "logistic"])
def test_every_model_can_be_trained(model: str) -> None:
    bench = BY_NAME["cash_wine_digits"]
    rng = np.random.default_rng(0)
    params = next(p for p in iter(lambda: bench.problem.space.sample(rng, 1)[0], None) if p["model"] == model)
    assert 0.05 < bench.truth(params)["accuracy"] <= 1.0
