"""A plain BoTorch loop, written as BoTorch's closed-loop tutorial writes it.

Ten scrambled Sobol points; then, at each step, a SingleTaskGP on standardised values fitted by maximum marginal
likelihood, qLogNoisyExpectedImprovement with 256 quasi-random samples, and `optimize_acqf` with 10 restarts from 512
raw samples. Everything else is BoTorch's default. The inputs are normalised to the unit cube by the encoding below:
whole numbers are relaxed and rounded, a choice is one-hot and the largest column wins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms.outcome import Standardize
from botorch.optim import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.sampling import draw_sobol_samples
from gpytorch.mlls import ExactMarginalLogLikelihood

import hpo

INITIAL_POINTS = 10
MC_SAMPLES = 256
RESTARTS = 10
RAW_SAMPLES = 512


class BotorchLoop:
    """One objective, no constraint, no condition between parameters."""

    def __init__(self, problem: hpo.Problem, seed: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        if len(problem.objectives) != 1 or problem.constraints:
            raise ValueError("the plain BoTorch loop takes one objective and no constraint")
        self._space = problem.space
        self._objective = problem.objectives[0]
        self._seed = seed
        self._bounds = torch.tensor([[0.0], [1.0]], dtype=torch.float64).repeat(1, n_columns(problem.space))
        self._initial = draw_sobol_samples(self._bounds, n=INITIAL_POINTS, q=1, seed=seed).squeeze(1).tolist()
        self._X: list[list[float]] = []
        self._Y: list[float] = []

    def ask(self) -> dict[str, Any]:
        """A Sobol point while there are fewer than ten results, then the maximiser of the acquisition function."""
        if len(self._Y) < INITIAL_POINTS:
            return decoded(self._space, self._initial[len(self._Y)])
        X = torch.tensor(self._X, dtype=torch.float64)
        Y = torch.tensor(self._Y, dtype=torch.float64).unsqueeze(-1)
        model = SingleTaskGP(X, Y, outcome_transform=Standardize(m=1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        acquisition = qLogNoisyExpectedImprovement(
            model, X_baseline=X, sampler=SobolQMCNormalSampler(torch.Size([MC_SAMPLES]), seed=self._seed)
        )
        candidate, _ = optimize_acqf(acquisition, self._bounds, q=1, num_restarts=RESTARTS, raw_samples=RAW_SAMPLES)
        return decoded(self._space, candidate[0].tolist())

    def tell(self, params: Mapping[str, Any], values: Mapping[str, float]) -> None:
        """One more row of data, maximised."""
        value = values[self._objective.name]
        self._X.append(encoded(self._space, params))
        self._Y.append(value if self._objective.goal == "maximize" else -value)


def n_columns(space: hpo.Space) -> int:
    """Columns of the encoding: one a number, one a choice of each categorical."""
    return sum(len(p.choices) if isinstance(p, hpo.Categorical) else 1 for p in space.parameters.values())


def encoded(space: hpo.Space, params: Mapping[str, Any]) -> list[float]:
    """`params` in the unit cube."""
    row: list[float] = []
    for name, p in space.parameters.items():
        if isinstance(p, hpo.Categorical):
            row += [float(i == p.index(params[name])) for i in range(len(p.choices))]
        elif p.log:
            row.append(math.log(params[name] / p.low) / math.log(p.high / p.low))
        else:
            row.append((params[name] - p.low) / (p.high - p.low))
    return row


def decoded(space: hpo.Space, row: list[float]) -> dict[str, Any]:
    """The params nearest to a point of the unit cube."""
    params: dict[str, Any] = {}
    columns = iter(row)
    for name, p in space.parameters.items():
        if isinstance(p, hpo.Categorical):
            heights = [next(columns) for _ in p.choices]
            params[name] = p.choices[heights.index(max(heights))]
        else:
            u = next(columns)
            params[name] = p.snap(p.low * (p.high / p.low) ** u if p.log else p.low + u * (p.high - p.low))
    return params
