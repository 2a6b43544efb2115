"""The demo's task: a small network that reads handwritten digits, small and fast enough for a small device.

A training gives the accuracy on digits not trained on, and two things measured of what would be deployed: how long it
takes over a page of digits compared with the network in production, and how many bytes it has. Runs in worker
processes; imports scikit-learn when called.
"""

from __future__ import annotations

import itertools
import pickle
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import TrialFailed
from hpo.problem.metrics import Constraint, Objective, Tracked
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.trials.trial import Trial

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

Array = np.ndarray[Any, np.dtype[np.float32]]

EPOCHS = 12
PAGE = 128
"""Digits on a page: the batch whose reading is timed."""
FOLDS = 3

_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda z: np.maximum(z, 0.0, out=z),
    "tanh": lambda z: np.tanh(z, out=z),
    "logistic": lambda z: 0.5 + 0.5 * np.tanh(0.5 * z),  # 1 / (1 + exp(-z)) without its overflow
}


def problem() -> Problem:
    """Ten parameters of three stages; the defaults are scikit-learn's own. One objective, two limits."""
    space = Space(
        {
            "data.components": Int(4, 64, default=64, description="principal components kept of the 64 pixels"),
            "data.scale": Categorical(["none", "standard"], default="none", description="pixels to unit variance"),
            "model.hidden": Int(8, 256, log=True, default=100, description="units in each hidden layer"),
            "model.layers": Int(1, 3, default=1),
            "model.activation": Categorical(["relu", "tanh", "logistic"], default="relu"),
            "train.optimizer": Categorical(["adam", "sgd"], default="adam"),
            "train.lr": Float(1e-5, 1.0, log=True, default=1e-3, description="learning rate"),
            "train.momentum": Float(0.0, 0.99, default=0.9, active_if={"train.optimizer": ["sgd"]}),
            "train.batch": Int(16, 512, log=True, default=200),
            "train.alpha": Float(1e-6, 1.0, log=True, default=1e-4, description="L2 penalty"),
        }
    )
    accuracy = Objective(
        "accuracy", goal="maximize", description=f"digits read correctly, {FOLDS}-fold cross-validation"
    )
    # A ratio to a fixed network, timed in turns with it, so that the limit means the same on every machine.
    latency = Constraint("latency", upper=0.8, description="time to read a page, in units of what production takes")
    size = Constraint("size_kb", upper=16.0, unit="kB", description="what is deployed, pickled")
    latency_us = Tracked("latency_us", unit="us", description=f"time to read a page of {PAGE} digits, one thread")
    return Problem(space, [accuracy, latency, size, latency_us])


def train(trial: Trial) -> Mapping[str, float]:
    """One training, measured. Raises TrialFailed("diverged") when the weights are not finite."""
    from sklearn.model_selection import StratifiedKFold

    X, y = _digits()
    right = 0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for fitted, held_out in folds.split(X, y):
        reader = fit(trial.params, X[fitted], y[fitted], trial.seed)
        right += int(np.sum(reader(X[held_out]) == y[held_out]))
    own, production = seconds(reader, _production(), X[:PAGE])
    return {
        "accuracy": right / len(y),
        "latency": own / production,
        "size_kb": len(pickle.dumps(reader, protocol=5)) / 1000,
        "latency_us": own * 1e6,
    }


@dataclass(frozen=True)
class Reader:
    """What is deployed: affine maps in float32 with an activation between them. The first map is the preprocessing;
    scaling and projection are both linear, so together they are one matrix, and the network's first map another."""

    maps: tuple[tuple[Array, Array], ...]
    activation: str

    @classmethod
    def of(cls, maps: Iterable[tuple[Any, Any]], activation: str) -> Reader:
        """The reader of these maps (W, b) in any precision. Raises TrialFailed when float32 cannot hold them."""
        with np.errstate(over="ignore"):
            small = tuple((np.asarray(W, np.float32), np.asarray(b, np.float32)) for W, b in maps)
        if not all(np.isfinite(W).all() and np.isfinite(b).all() for W, b in small):
            raise TrialFailed("diverged", "the weights are beyond what float32 holds")
        return cls(small, activation)

    def __call__(self, images: Array) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The digit on each image: `images [n, 64]` to `[n]`."""
        (W, b), *network = self.maps
        z = images @ W + b
        for i, (W, b) in enumerate(network):
            z = (_ACTIVATIONS[self.activation](z) if i else z) @ W + b
        digits: np.ndarray[Any, np.dtype[np.intp]] = np.argmax(z, axis=1)
        return digits


def fit(params: Mapping[str, Any], X: Array, y: Array, seed: int) -> Reader:
    """A network trained on images `X [n, 64]` with labels `y [n]`."""
    from sklearn.decomposition import PCA

    scale = np.ones(X.shape[1])
    if params["data.scale"] == "standard":
        deviation = X.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)  # pixels in the corners are always blank
    pca = PCA(params["data.components"], svd_solver="full").fit(X / scale)
    network = _network(params, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the epochs are too few, and overflows on the way to divergence
        try:
            network.fit(pca.transform(X / scale), y)
        except ValueError as error:
            if "non-finite" not in str(error):
                raise
            raise TrialFailed("diverged", "the weights grew beyond all numbers") from error
    first = (pca.components_ / scale).T, -pca.mean_ @ pca.components_.T
    return Reader.of([first, *zip(network.coefs_, network.intercepts_, strict=True)], params["model.activation"])


def seconds(reader: Reader, other: Reader, images: Array, repeats: int = 300) -> tuple[float, float]:
    """How long each of two readers takes over `images`: the lower quartiles of `repeats` readings after a warm-up,
    in turns, so that what else the machine does falls on both alike and is mostly not counted."""
    times = np.empty((repeats, 2))
    for i in range(-repeats // 10, repeats):
        for j, read in enumerate((reader, other)):
            start = time.perf_counter()
            read(images)
            times[i, j] = time.perf_counter() - start  # the warm-up's are overwritten
    own, others = np.quantile(times, 0.25, axis=0)
    return float(own), float(others)


@cache
def _production() -> Reader:
    """A network of the default shape. Its weights are arbitrary: it is here to be timed."""
    start = problem().space.start()
    rng = np.random.default_rng(0)
    widths = [64, start["data.components"], *[start["model.hidden"]] * start["model.layers"], 10]
    maps = [(rng.normal(size=(m, n)) / m, np.zeros(n)) for m, n in itertools.pairwise(widths)]
    return Reader.of(maps, start["model.activation"])


def _network(params: Mapping[str, Any], seed: int) -> MLPClassifier:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        hidden_layer_sizes=(params["model.hidden"],) * params["model.layers"],
        activation=params["model.activation"],
        solver=params["train.optimizer"],
        learning_rate_init=params["train.lr"],
        momentum=params.get("train.momentum", 0.9),
        batch_size=params["train.batch"],
        alpha=params["train.alpha"],
        max_iter=EPOCHS,
        n_iter_no_change=EPOCHS,
        random_state=seed,
    )


@cache
def _digits() -> tuple[Array, Array]:
    """The 1797 images `[n, 64]`, pixels from 0 to 16, and their labels `[n]`."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y
