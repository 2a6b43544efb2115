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


def data() -> tuple[Any, Any]:
    """Images and labels."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y


def test_the_defaults_are_those_of_the_library_that_trains() -> None:
    from sklearn.neural_network import MLPClassifier

    start, network = demo_task.problem().space.start(), MLPClassifier()
    assert network.hidden_layer_sizes == (start["model.hidden"],) * start["model.layers"]
    assert (network.activation, network.solver) == (start["model.activation"], start["train.optimizer"])
    assert (network.learning_rate_init, network.alpha) == (start["train.lr"], start["train.alpha"])
    assert start["train.batch"] == min(200, 2 * 1797 // 3)


@pytest.mark.parametrize("scale", ["none", "standard"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_what_is_deployed_reads_like_what_was_trained(scale: str, activation: str) -> None:
    """Against a pipeline of scikit-learn's own stages, trained from the same seed."""
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = data()
    changes = {"data__components": 20, "model__hidden": 24, "model__layers": 2, "train__lr": 0.01}
    params = trial(data__scale=scale, model__activation=activation, **changes).params
    reader = demo_task.fit(params, X[:1200], y[:1200], seed=7)
    network = MLPClassifier(
        (24, 24), activation=activation, learning_rate_init=0.01, max_iter=demo_task.EPOCHS, random_state=7
    )
    stages = [StandardScaler(with_mean=False)] if scale == "standard" else []
    pipeline = make_pipeline(*stages, PCA(20, svd_solver="full"), network)
    with pytest.warns(match="Maximum iterations"):
        pipeline.fit(X[:1200].astype(float), y[:1200])
    expected = pipeline.predict(X[1200:].astype(float))
    assert np.mean(reader(X[1200:]) == expected) > 0.98  # trained in single and in double precision
    assert np.mean(reader(X[1200:]) == y[1200:]) > 0.8


def test_a_training_measures_the_reader_it_made() -> None:
    told = demo_task.train(trial(data__components=20, model__hidden=16, train__lr=0.01))
    read = told["accuracy"] * 1797
    assert read == pytest.approx(round(read), abs=1e-9)
    assert told["accuracy"] > 0.85
    weights = 64 * 20 + 20 + 20 * 16 + 16 + 16 * 10 + 10
    assert 4 * weights < told["size_kb"] * 1000 < 4 * weights + 2000
    assert set(told) == {m.name for m in demo_task.problem().metrics}


def test_the_seed_decides_the_accuracy() -> None:
    quick = {"data__components": 8, "model__hidden": 8}
    first, second = (demo_task.train(trial(**quick)) for _ in range(2))
    assert (first["accuracy"], first["size_kb"]) == (second["accuracy"], second["size_kb"])


def test_production_takes_as_long_as_production() -> None:
    """The network the times are divided by has the shape of the default, so the default's own ratio is about one, and
    sixteen times the multiplications take longer. Wide margins: other processes run at the same time."""
    X, y = data()
    default = demo_task.fit(trial().params, X[:300], y[:300], seed=0)
    production = demo_task._production()
    assert [W.shape for W, _ in default.maps] == [W.shape for W, _ in production.maps]
    own, other = demo_task.seconds(default, production, X[:128])
    assert 0.5 < own / other < 2.0
    wide = demo_task.fit(trial(model__hidden=256, model__layers=3).params, X[:300], y[:300], seed=0)
    own, other = demo_task.seconds(wide, production, X[:128])
    assert own > other


def test_the_default_misses_the_limit_of_size() -> None:
    X, y = data()
    size = len(pickle.dumps(demo_task.fit(trial().params, X[:300], y[:300], seed=0)))
    upper = demo_task.problem().metric("size_kb").limits[1]
    assert upper is not None
    assert size / 1000 > upper


def test_divergence_is_a_failure_with_its_kind() -> None:
    wild = trial(
        train__optimizer="sgd", train__lr=1.0, train__momentum=0.99, train__batch=16, model__layers=3, train__alpha=1.0
    )
    with pytest.raises(hpo.TrialFailed, match="beyond") as failure:
        demo_task.train(wild)
    assert failure.value.kind == "diverged"
    with pytest.raises(hpo.TrialFailed, match="beyond what float32 holds"):
        demo_task.Reader.of([(np.full((2, 2), 1e300), np.zeros(2))], "relu")
