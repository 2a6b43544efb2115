"""Several objectives: the expected gain in dominated hypervolume, in log space, under constraints and noise.

    a(x) = log 1/s sum_i HV(F_i with f_i(x)) - HV(F_i),    F_i: the feasible front of draw i

qLogNEHVI of Daulton et al. (NeurIPS 2021) and Ament et al. (NeurIPS 2023), as BoTorch computes it. The front itself is
drawn from the models, so a lucky measurement does not set the mark. Points in flight take part in every draw.
Volume counts above the reference point: the objectives' thresholds, in the models' units; where there is none, a little
below the worst of the front.
Shapes: n completed trials, p points in flight, b candidates, d columns, m objectives, s draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from botorch.acquisition.multi_objective import IdentityMCMultiOutputObjective
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.utils import (
    get_default_partitioning_alpha,
    prune_inferior_points_multi_objective,
)
from botorch.models import ModelListGP
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point

from hpo.bayes.acquisition import LogProbability
from hpo.bayes.kernel import Array
from hpo.bayes.models import Models
from hpo.bayes.torch.isolation import isolated
from hpo.bayes.torch.loading import load, tensor
from hpo.pareto import is_non_dominated

_DRAWS = {2: 64}  # the front of every draw is cut into boxes, ever more of them with more objectives
_FEWEST_DRAWS = 32
_ROWS = 64  # candidates at once; bounds the memory at draws x rows x boxes
_SUCCEEDS = LogProbability(lower=0.0)

_Slack = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Front:
    """What is known of the best trade-offs, and the models that tell what a candidate would add.

    Attributes:
        X: [k, d] the trials of the front, by the models' means.    Y: [k, m] those means, in the models' units.
        reference: [m].    baseline: [r, d] trials that may belong to the front.    seed: of the draws.
    """

    X: Array
    Y: Array
    reference: Array
    baseline: Array
    models: Models
    loaded: ModelListGP
    slacks: Sequence[_Slack]
    seed: int

    @classmethod
    def of(cls, models: Models, X: Array, feasible: npt.NDArray[np.bool_], seed: int) -> Front:
        """The front of completed trials `X [n, d]`, of which those `feasible [n]` meet the constraints as measured; of
        all where none does."""
        rows = np.flatnonzero(feasible) if feasible.any() else np.arange(len(X))
        Y = means(models, X[rows])
        best = is_non_dominated(Y)
        front_X, front_Y = X[rows[best]], Y[best]
        limits = [limit for m in models.constraints if (limit := m.limit)]
        gps = [m.gp for m in models.by_metric]
        if models.success:
            limits, gps = [*limits, _SUCCEEDS], [*gps, models.success]
        m = len(models.objectives)
        slacks = [slack for i, limit in enumerate(limits) for slack in _slacks(m + i, limit)]
        with isolated(seed), torch.no_grad():
            reference = reference_point(models, front_Y)
            loaded = ModelListGP(*[load(gp) for gp in gps])
            baseline = prune_inferior_points_multi_objective(
                model=loaded,
                X=tensor(np.unique(X, axis=0)),
                ref_point=tensor(reference),
                objective=_objectives(m),
                constraints=slacks or None,
            ).numpy()
        return cls(front_X, front_Y, reference, baseline, models, loaded, slacks, seed)

    def improvement(self, in_flight: Array) -> HypervolumeImprovement:
        """The acquisition function, given points in flight `[p, d]`."""
        m = len(self.reference)
        with isolated(self.seed):
            function = qLogNoisyExpectedHypervolumeImprovement(
                model=self.loaded,
                ref_point=tensor(self.reference),
                X_baseline=tensor(self.baseline),
                X_pending=tensor(np.unique(in_flight, axis=0)) if len(in_flight) else None,
                sampler=SobolQMCNormalSampler(torch.Size([_DRAWS.get(m, _FEWEST_DRAWS)]), seed=self.seed),
                objective=_objectives(m),
                constraints=list(self.slacks) or None,
                alpha=get_default_partitioning_alpha(m),
            )
        return HypervolumeImprovement(function, self.seed)

    def spread(self, k: int) -> Array:
        """At most `k` trials of the front `[<= k, d]`, evenly from its one end to the other."""
        order = np.argsort(self.Y[:, 0], kind="stable")
        places = np.unique(np.linspace(0, len(order) - 1, k).round().astype(np.intp))
        return self.X[order[places]]

    def dominates(self, x: Array) -> bool:
        """Whether some trial of the front is predicted at least as good as `x [1, d]` everywhere and better somewhere."""
        y = means(self.models, x)
        return bool(np.any(np.all(y <= self.Y, axis=1) & np.any(y < self.Y, axis=1)))


@dataclass(frozen=True, eq=False)
class HypervolumeImprovement:
    """Log expected hypervolume improvement of one candidate; a `maximize.Climbable`."""

    function: qLogNoisyExpectedHypervolumeImprovement
    seed: int

    def value(self, X: Array) -> Array:
        """Values [b] at X [b, d]."""
        with isolated(self.seed), torch.no_grad():
            return np.concatenate([self.function(tensor(rows)[:, None]).numpy() for rows in _chunks(X)])

    def __call__(self, X: Array) -> tuple[Array, Array]:
        """Values [b] and gradients [b, d] at X [b, d]."""
        values, gradients = [], []
        with isolated(self.seed), torch.enable_grad():
            for rows in _chunks(X):
                inputs = tensor(rows).requires_grad_(True)
                value = self.function(inputs[:, None])
                (gradient,) = torch.autograd.grad(value.sum(), inputs)
                values.append(value.detach().numpy())
                gradients.append(gradient.numpy())
        return np.concatenate(values), np.concatenate(gradients)


def reference_point(models: Models, front: Array) -> Array:
    """`[m]`, in the models' units: the objectives' thresholds; where there is none, a tenth of the range of the front
    `[k, m]` below its worst (Ishibuchi et al., GECCO 2011)."""
    lower = np.array([m.series.lower for m in models.objectives])
    given = np.isfinite(lower)
    known = [
        float(m.transform.forward(np.array([m.series.lower]))[0]) if ok else np.nan
        for m, ok in zip(models.objectives, given, strict=True)
    ]
    inferred = infer_reference_point(tensor(front), max_ref_point=tensor(np.array(known)) if given.any() else None)
    return np.where(given, known, inferred.numpy())


def means(models: Models, X: Array) -> Array:
    """Posterior means of the objectives `[n, m]` at X [n, d], in the models' units."""
    return np.stack([m.gp.posterior(X)[0] for m in models.objectives], axis=1)


def _chunks(X: Array) -> list[Array]:
    return [X[i : i + _ROWS] for i in range(0, len(X), _ROWS)]


def _objectives(m: int) -> IdentityMCMultiOutputObjective:
    return IdentityMCMultiOutputObjective(outcomes=list(range(m)))


def _slacks(output: int, limit: LogProbability) -> list[_Slack]:
    """What BoTorch calls constraints: functions of draws `[..., outputs]` that are negative where the limit is met."""

    def below(draws: torch.Tensor) -> torch.Tensor:
        return limit.lower - draws[..., output]

    def above(draws: torch.Tensor) -> torch.Tensor:
        return draws[..., output] - limit.upper

    return [f for f, end in ((below, limit.lower), (above, limit.upper)) if np.isfinite(end)]
