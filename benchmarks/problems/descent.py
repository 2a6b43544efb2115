"""Gradient descent with momentum on a ridge regression: a training that diverges when its steps are too long."""

from __future__ import annotations

import numpy as np

import hpo
from benchmarks.problems.base import Array
from benchmarks.problems.formula import generator

STEPS = 60
CURVATURE = np.logspace(0, 2, 10)
"""Eigenvalues of the training loss `[10]`."""
DIVERGED = 100.0
"""A loss of this many times the one at the start counts as diverged, at any step."""

_RNG = generator("diverge_lr")
GOAL = _RNG.normal(size=10)
"""Weights that generalize best `[10]`."""
FITTED = GOAL + _RNG.normal(size=10) / np.sqrt(CURVATURE)
"""Weights that the training data ask for `[10]`: off by more where they say less."""

DESCENT_SPACE = hpo.Space(
    {
        "lr": hpo.Float(1e-4, 1.0, log=True),
        "momentum": hpo.Float(0.0, 0.99),
        "weight_decay": hpo.Float(1e-4, 1e2, log=True),
        "final_lr": hpo.Float(1e-3, 1.0, log=True),
    }
)
"""`final_lr` is the last learning rate as a share of the first; in between it falls geometrically."""


def descent_loss(x: Array) -> Array:
    """Validation loss sum_i c_i (w_i - goal_i)^2 / 2 after STEPS steps from w = 0; infinite where it diverged.

    v <- momentum v - lr_t (c (w - fitted) + decay w), w <- w + v (B. T. Polyak, "Some methods of speeding up the
    convergence of iteration methods", USSR Computational Mathematics and Mathematical Physics 4 (1964)). With a constant
    rate it converges if lr (c + decay) < 2 (1 + momentum) for every curvature. x `[..., 4]` as DESCENT_SPACE.
    """
    lr, momentum, decay, final = (np.asarray(column)[..., None] for column in np.moveaxis(x, -1, 0))
    pull, target = CURVATURE + decay, CURVATURE * FITTED
    rates = lr * final ** np.linspace(0, 1, STEPS)
    path = np.empty((STEPS, *x.shape[:-1], len(CURVATURE)))
    w = v = np.zeros(path.shape[1:])
    # What diverges grows by less than 300 a step: sixty steps and a square stay within double precision.
    for t in range(STEPS):
        v = momentum * v - rates[..., t, None] * (pull * w - target)
        w = path[t] = w + v
    losses = (path - GOAL) ** 2 @ CURVATURE / 2
    start = np.sum(CURVATURE * GOAL**2) / 2
    return np.asarray(np.where(losses.max(axis=0) > DIVERGED * start, np.inf, losses[-1]))
