"""The demo's task: a support vector machine that reads handwritten digits, in a file of at most 100 kB.

Its three parameters interact: the best gamma depends on C and on the number of components, and all three decide how many
support vectors the model keeps, which is its size. Runs in worker processes; imports scikit-learn when called.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Float, Int
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.trials.trial import Trial

HELD_OUT = 0.4
"""Share of the 1797 images that are not trained on."""


def problem() -> Problem:
    """Three parameters of two stages, one objective, one limit."""
    space = Space(
        {
            "data.components": Int(
                2, 64, log=True, default=64, description="principal components kept of the 64 pixels"
            ),
            "model.C": Float(1e-3, 1e3, log=True, default=1.0, description="how much a wrong digit costs"),
            "model.gamma": Float(1e-6, 1e-1, log=True, description="how local the model is"),
        }
    )
    accuracy = Objective("accuracy", goal="maximize", description="digits read correctly, of those not trained on")
    size = Constraint("size_kb", upper=100.0, unit="kB", description="the model, pickled")
    return Problem(space, [accuracy, size])


@dataclass(frozen=True)
class Train:
    """The objective, on one split of the images."""

    split: int
    """Seed of the split."""

    def __call__(self, trial: Trial) -> Mapping[str, float]:
        """One training run, measured."""
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC

        X_train, X_valid, y_train, y_valid = _digits(self.split)
        p = trial.params
        model = make_pipeline(PCA(p["data.components"], svd_solver="full"), SVC(C=p["model.C"], gamma=p["model.gamma"]))
        model.fit(X_train, y_train)
        return {"accuracy": float(model.score(X_valid, y_valid)), "size_kb": len(pickle.dumps(model)) / 1000}


@cache
def _digits(split: int) -> Any:
    """Images `[n, 64]` to train on and to validate on, and their labels `[n]`."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    return train_test_split(*load_digits(return_X_y=True), test_size=HELD_OUT, random_state=split)
