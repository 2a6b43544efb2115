"""How long an evaluation takes on the simulated clock, where the problem itself does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import hpo
from benchmarks.problems.base import Array, Outcome
from benchmarks.problems.formula import Report, array, generator, limits

SPREAD = 0.75
"""Standard deviation of the logarithm of the seconds over the box: nine in ten lie between 0.3 and 3.5 s."""
_WAVES = 32


def smooth_seconds(name: str, u: Array) -> Array:
    """Seconds `[...]` at u `[..., d]` in the unit cube: about log-normal with median 1, smooth in u, fixed by `name`.

    exp(SPREAD g(u)), g(u) = sqrt(2 / K) sum_k cos(w_k . u + b_k): a draw of a Gaussian process by K random Fourier
    features (A. Rahimi, B. Recht, "Random features for large-scale kernel machines", NeurIPS 20 (2007)).
    """
    rng = generator(f"{name} seconds")
    d = u.shape[-1]
    w = rng.normal(scale=8 / np.sqrt(d), size=(d, _WAVES))
    b = rng.uniform(0, 2 * np.pi, _WAVES)
    return np.asarray(np.exp(SPREAD * np.sqrt(2 / _WAVES) * np.cos(u @ w + b).sum(axis=-1)))


def timed(name: str, space: hpo.Space) -> Report:
    """A report of the truth that takes `smooth_seconds`."""
    low, high = limits(space)

    def report(params: Mapping[str, Any], values: dict[str, float], _rng: np.random.Generator) -> Outcome:
        u = (array(space, params) - low) / (high - low)
        return Outcome(values, seconds=float(smooth_seconds(name, u)))

    return report
