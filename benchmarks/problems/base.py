"""BenchProblem: a problem whose answer is known, and what a training of it would report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import hpo

Array = NDArray[np.float64]
Formula = Callable[[Array], Mapping[str, Array]]
"""x `[..., d]`, in the units and order of the space -> every metric `[...]`."""
Family = Literal["single", "mixed", "constrained", "several", "noisy", "failing", "held_out"]


@dataclass(frozen=True)
class Outcome:
    """How one evaluation ended: with `values` of all metrics, or failed with a kind of `hpo.trials.trial.FAILURE_KINDS`.

    `seconds` is how long it would have taken, on the simulated clock.
    """

    values: Mapping[str, float] | None
    failure: str | None = None
    seconds: float = 1.0


@dataclass(frozen=True)
class BenchProblem:
    """A public problem.

    Attributes:
        name: unique among all problems.    family: what it tests.
        problem: space and metrics, all that a contender is told.
        truth: every metric of a configuration, without noise: what scores are computed from.
        report: what an evaluation reports, given the truth and a generator; the truth itself by default. Adds noise,
            failures and durations.
        best: the best known feasible value of the one objective; with several, the hypervolume of the best known front
            above `reference`.
        typical: the median value of the objective over random feasible configurations; with several, 0. Normalized
            regret is 0 at `best` and 1 at `typical`.
        reference: the reference point, one value per objective, in their own units; empty with one objective.
        budget: evaluations of a run at q = 1.
        edition: to be counted up when what an evaluation gives changes and nothing above does, so that earlier results
            of the problem no longer count.
    """

    name: str
    family: Family
    problem: hpo.Problem
    truth: Callable[[Mapping[str, Any]], dict[str, float]]
    best: float
    typical: float
    budget: int
    reference: tuple[float, ...] = ()
    report: Callable[[Mapping[str, Any], dict[str, float], np.random.Generator], Outcome] | None = None
    edition: int = 1

    def evaluate(self, params: Mapping[str, Any], rng: np.random.Generator) -> Outcome:
        """What a training with `params` reports."""
        values = self.truth(params)
        return Outcome(values) if self.report is None else self.report(params, values, rng)
