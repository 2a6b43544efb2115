from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.cli import demo_task
from hpo.trials.trial import TrialState


def trial(**changes: Any) -> hpo.Trial:
    """A trial of the default configuration with some parameters changed; `__` in a name stands for its dot."""
    params = {**demo_task.problem().space.start(), **{k.replace("__", "."): v for k, v in changes.items()}}
    return hpo.Trial(number=0, params=params, state=TrialState.RUNNING, seed=7)


def test_a_training_run_measures_the_model_that_it_made() -> None:
    """Against projection and classification by hand, on the same split."""
    from sklearn.svm import SVC

    told = demo_task.Train(0)(trial(data__components=12, model__gamma=1e-3))
    X_train, X_valid, y_train, y_valid = demo_task._digits(0)
    center = X_train.mean(axis=0)
    axes = np.linalg.svd(X_train - center, full_matrices=False)[2][:12].T
    model = SVC(C=1.0, gamma=1e-3).fit((X_train - center) @ axes, y_train)
    assert told["accuracy"] == pytest.approx(model.score((X_valid - center) @ axes, y_valid), abs=0.003)
    assert told["size_kb"] > len(pickle.dumps(model.support_vectors_)) / 1000
    assert set(told) == {m.name for m in demo_task.problem().metrics}


def test_the_split_decides_the_result() -> None:
    first, again, other = (demo_task.Train(split)(trial(data__components=8)) for split in (0, 0, 1))
    assert first == again
    assert first["accuracy"] != other["accuracy"]


def test_the_default_misses_the_limit_and_a_small_model_meets_it() -> None:
    limit = demo_task.problem().metric("size_kb")
    assert demo_task.Train(0)(trial())["size_kb"] > limit.limits[1]  # type: ignore[operator]
    assert demo_task.Train(0)(trial(data__components=10, model__gamma=1e-3))["size_kb"] < limit.limits[1]  # type: ignore[operator]


def test_the_best_gamma_depends_on_the_number_of_components() -> None:
    gammas = (1e-4, 1e-3, 1e-2)

    def best(components: int) -> float:
        return max(
            gammas, key=lambda g: demo_task.Train(0)(trial(data__components=components, model__gamma=g))["accuracy"]
        )

    assert best(4) > best(64)


def test_what_is_sent_to_processes_is_small() -> None:
    assert len(pickle.dumps(demo_task.Train(3))) < 200
