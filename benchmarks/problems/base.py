"""BenchProblem: a problem whose answer is known, and the formula that evaluates it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hpo

Array = NDArray[np.float64]
Formula = Callable[[Array], Mapping[str, Array]]
"""x `[..., d]`, in the units and order of the space -> every metric `[...]`."""


@dataclass(frozen=True)
class BenchProblem:
    """A public problem.

    `optimum` is the best known feasible value of the objective, `budget` the number of evaluations of a run. `noise` is
    the standard deviation of what is added to the objective at each evaluation.
    """

    name: str
    problem: hpo.Problem
    formula: Formula
    optimum: float
    budget: int
    noise: float = 0.0

    def array(self, params: Mapping[str, Any]) -> Array:
        """`params` as one row x `[d]`; a choice is its index."""
        parameters = self.problem.space.parameters
        return np.array(
            [p.index(params[n]) if isinstance(p, hpo.Categorical) else params[n] for n, p in parameters.items()],
            dtype=float,
        )

    def evaluate(self, params: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
        """What a training with `params` would report. `rng` draws the noise, where there is some."""
        values = {name: float(value) for name, value in self.formula(self.array(params)).items()}
        if self.noise > 0:
            values[self.problem.objectives[0].name] += float(rng.normal(scale=self.noise))
        return values

    def uniform(self, rng: np.random.Generator, n: int) -> Array:
        """`n` uniform points x `[n, d]` of the box of a purely continuous problem."""
        bounds = []
        for name, p in self.problem.space.parameters.items():
            if not isinstance(p, hpo.Float) or p.log or p.step is not None:
                raise ValueError(f"{self.name}: {name} is {p!r}; only plain Float parameters make a box")
            bounds.append((p.low, p.high))
        low, high = np.array(bounds).T
        return np.asarray(low + rng.random((n, len(bounds))) * (high - low))


def box(bounds: Mapping[str, tuple[float, float]]) -> hpo.Space:
    """A space of plain Float parameters."""
    return hpo.Space({name: hpo.Float(low, high) for name, (low, high) in bounds.items()})


def minimized(space: hpo.Space) -> hpo.Problem:
    """One objective `f`, to be minimised, on `space`."""
    return hpo.Problem(space, [hpo.Objective("f", goal="minimize")])
