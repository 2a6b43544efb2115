"""Real training runs with scikit-learn on the data it ships: cross-validated, deterministic, under a second each.

scikit-learn is imported at the first evaluation. A configuration is trained once a process: asked again, its value is
remembered. The best values were found by a search recorded in `scales.json` (see `scales.py`); there may be better ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem
from benchmarks.problems.scale import scale
from hpo.problem.space import key

SAMPLE = 500
"""Images of the digits that are trained on; the 178 wines and 442 patients are all used."""
FOLDS = 3
_MAX_ITERATIONS = 300


def remembered(
    function: Callable[[Mapping[str, Any]], float], metric: str
) -> Callable[[Mapping[str, Any]], dict[str, float]]:
    """`function` as a truth of one metric that trains each configuration once."""
    known: dict[str, float] = {}

    def truth(params: Mapping[str, Any]) -> dict[str, float]:
        at = key(params)
        if at not in known:
            known[at] = function(params)
        return {metric: known[at]}

    return truth


@cache
def data(name: str) -> tuple[Array, Array]:
    """Rows and targets of a bundled data set, shuffled with a fixed seed; at most SAMPLE rows of the digits."""
    from sklearn import datasets
    from sklearn.utils import shuffle

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    X, y = shuffle(X, y, random_state=0)
    return (X[:SAMPLE], y[:SAMPLE]) if name == "digits" else (X, y)


def accuracy(model: Any, name: str) -> float:
    """Mean accuracy over FOLDS stratified folds of standardized data."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = data(name)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return float(np.mean(cross_val_score(make_pipeline(StandardScaler(), model), X, y, cv=folds)))


SVC_SPACE = hpo.Space(
    {
        "C": hpo.Float(1e-3, 1e4, log=True),
        "gamma": hpo.Float(1e-6, 1e1, log=True),
        "components": hpo.Int(2, 60),
    }
)


def svc_digits(params: Mapping[str, Any]) -> float:
    """Accuracy on the digits of a support vector machine after a projection to principal components."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    projection = PCA(params["components"], svd_solver="full")
    return accuracy(make_pipeline(projection, SVC(C=params["C"], gamma=params["gamma"])), "digits")


GBDT_SPACE = hpo.Space(
    {
        "trees": hpo.Int(10, 200, log=True),
        "learning_rate": hpo.Float(1e-3, 1.0, log=True),
        "depth": hpo.Int(1, 6),
        "leaf": hpo.Int(1, 50, log=True),
        "subsample": hpo.Float(0.3, 1.0),
        "features": hpo.Float(0.1, 1.0),
    }
)


def gbdt_diabetes(params: Mapping[str, Any]) -> float:
    """Root mean squared error on the diabetes patients of boosted trees, from out-of-fold predictions."""
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    model = GradientBoostingRegressor(
        n_estimators=params["trees"],
        learning_rate=params["learning_rate"],
        max_depth=params["depth"],
        min_samples_leaf=params["leaf"],
        subsample=params["subsample"],
        max_features=params["features"],
        random_state=0,
    )
    X, y = data("diabetes")
    predicted = cross_val_predict(model, X, y, cv=KFold(FOLDS, shuffle=True, random_state=0))
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


CASH_SPACE = hpo.Space(
    {
        "model": hpo.Categorical(["svc", "forest", "neighbors", "logistic"]),
        "svc.C": hpo.Float(1e-3, 1e4, log=True, active_if={"model": ["svc"]}),
        "svc.gamma": hpo.Float(1e-6, 1e1, log=True, active_if={"model": ["svc"]}),
        "forest.trees": hpo.Int(5, 60, log=True, active_if={"model": ["forest"]}),
        "forest.depth": hpo.Int(1, 16, active_if={"model": ["forest"]}),
        "forest.features": hpo.Float(0.05, 1.0, active_if={"model": ["forest"]}),
        "neighbors.k": hpo.Int(1, 50, log=True, active_if={"model": ["neighbors"]}),
        "neighbors.weights": hpo.Categorical(["uniform", "distance"], active_if={"model": ["neighbors"]}),
        "logistic.C": hpo.Float(1e-4, 1e2, log=True, active_if={"model": ["logistic"]}),
    }
)


def cash_wine_digits(params: Mapping[str, Any]) -> float:
    """Mean of the accuracies on wine and on digits of one of four models with its own parameters."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    own = {name.partition(".")[2]: value for name, value in params.items() if "." in name}
    build: Mapping[str, Callable[[], Any]] = {
        "svc": lambda: SVC(C=own["C"], gamma=own["gamma"]),
        "forest": lambda: RandomForestClassifier(
            own["trees"], max_depth=own["depth"], max_features=own["features"], random_state=0
        ),
        "neighbors": lambda: KNeighborsClassifier(own["k"], weights=own["weights"]),
        "logistic": lambda: LogisticRegression(C=own["C"], max_iter=_MAX_ITERATIONS),
    }
    return float(np.mean([accuracy(build[params["model"]](), name) for name in ("wine", "digits")]))


def _live(
    name: str, space: hpo.Space, objective: hpo.Objective, function: Callable[[Mapping[str, Any]], float], budget: int
) -> BenchProblem:
    best, typical = scale(name)
    problem = hpo.Problem(space, [objective])
    return BenchProblem(name, "mixed", problem, remembered(function, objective.name), best, typical, budget)


LIVE = (
    _live("svc_digits", SVC_SPACE, hpo.Objective("accuracy"), svc_digits, 40),
    _live("gbdt_diabetes", GBDT_SPACE, hpo.Objective("rmse", goal="minimize"), gbdt_diabetes, 40),
    _live("cash_wine_digits", CASH_SPACE, hpo.Objective("accuracy"), cash_wine_digits, 40),
)
