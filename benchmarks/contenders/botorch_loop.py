"""A plain BoTorch loop, written as BoTorch's closed-loop tutorials write it.

Ten scrambled Sobol points; then SingleTaskGP on standardized values, one model per metric, fitted by maximum marginal
likelihood, unordered choices one-hot; qLogNoisyExpectedImprovement, or qLogNoisyExpectedHypervolumeImprovement for several
objectives; and `optimize_acqf` with 10 restarts from 512 raw samples and at most 200 steps, where anything is discrete
`optimize_acqf_mixed_alternating` from as many, one point of a batch after the other. All else is BoTorch's default, also
that whole numbers of more than 20 values are relaxed and rounded. Inactive parameters stand at their middle and are
dropped. On a finite space it may ask for a point again. (Its own model for choices, MixedSingleTaskGP, took up to 25
seconds a fit of 30 results on these problems, this one 2.)

Constraints: modeled, and handed to the acquisition function. Failures: the worst value seen of every objective, nothing
for the constraints. Trials in flight: `X_pending`. The reference point of several objectives: their thresholds, while
results are better than them; else BoTorch's `infer_reference_point`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms.input import NumericToCategoricalEncoding
from botorch.models.transforms.outcome import Standardize
from botorch.optim import optimize_acqf
from botorch.optim.optimize_mixed import optimize_acqf_mixed_alternating
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.mlls import ExactMarginalLogLikelihood, SumMarginalLogLikelihood
from torch import Tensor
from torch.nn.functional import one_hot

from benchmarks.contenders.base import NOT_THE_PARAMS, Adapter, Opening, Proposal, Result, best_feasible
from benchmarks.contenders.cube import decoded, encoded, from_unit, top, values
from benchmarks.contenders.spec import Params, Spec

INITIAL_POINTS = 10
MC_SAMPLES = 256
MC_SAMPLES_SEVERAL = 128
RESTARTS = 10
RAW_SAMPLES = 512
OPTIONS = {"maxiter": 200}
"""Steps of L-BFGS-B, as in the tutorials."""

Limit = Callable[[Tensor], Tensor]
"""Samples of all modeled metrics `[..., m]` -> `[...]`, below 0 where the limit is met."""


class BotorchLoop(Adapter):
    """The loop; its only state is the points in flight and the place in the Sobol sequence."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        torch.set_num_threads(1)
        self._sobol = torch.quasirandom.SobolEngine(len(self.spec.free), scramble=True, seed=opening.seed)  # type: ignore[no-untyped-call]
        self._in_flight: list[Params] = []

    def ask(self, n: int) -> Sequence[Proposal]:
        """Sobol points up to the tenth trial and while fewer than two have results, then the acquisition's maximizers."""
        complete = sum(r.values is not None for r in self.results)
        n_sobol = n if complete < 2 else min(n, max(0, INITIAL_POINTS - len(self.results) - len(self._in_flight)))
        rows = self._sobol.draw(n_sobol, dtype=torch.float64).tolist() if n_sobol else []
        chosen = [decoded(self.spec, from_unit(self.spec, row)) for row in rows]
        if n > n_sobol:
            pending = [*self._in_flight, *chosen]
            candidates = maximizers(self.spec, self.results, pending, n - n_sobol, self.opening.seed)
            chosen += [decoded(self.spec, row) for row in candidates.tolist()]
        self._in_flight += chosen
        return [Proposal(params) for params in chosen]

    def tell(self, proposal: Proposal, result: Result) -> None:
        """No longer in flight; the results themselves are all the data there is."""
        self._in_flight.remove(proposal.params)

    def add(self, result: Result) -> None:
        """Nothing: the results themselves are all the data there is."""

    def recommend(self) -> Params | None:
        """Of the configurations tried, the one whose posterior mean is best among those whose posterior means meet all
        limits; where there is no model, or none that meets them, the best observed."""
        complete = [r for r in self.results if r.values is not None]
        if len(self.spec.objectives) > 1 or len(complete) < 2:
            return best_feasible(self.spec, self.results)
        X = cube(self.spec, [r.params for r in complete])
        means = fitted(self.spec, self.results).posterior(X).mean.detach()
        met = torch.ones(len(X), dtype=torch.bool)
        for limit in limits(self.spec):
            met &= limit(means) <= 0
        if not met.any():
            return best_feasible(self.spec, self.results)
        best = int(means[:, 0].masked_fill(~met, -torch.inf).argmax())
        return complete[best].params


def maximizers(spec: Spec, results: Sequence[Result], pending: Sequence[Params], n: int, seed: int) -> Tensor:
    """The next points `[n, d]` of the box of `benchmarks.contenders.cube`, greedily one after the other."""
    model = fitted(spec, results)
    X = cube(spec, [r.params for r in results if r.values is not None])
    X_pending = cube(spec, pending) if pending else None
    acquisition: AcquisitionFunction
    if len(spec.objectives) == 1:
        acquisition = qLogNoisyExpectedImprovement(
            model,
            X_baseline=X,
            sampler=SobolQMCNormalSampler(torch.Size([MC_SAMPLES]), seed=seed),
            objective=GenericMCObjective(_first) if spec.constraints else None,
            constraints=limits(spec) or None,
            X_pending=X_pending,
        )
    else:
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model,
            reference_point(spec, results),
            X_baseline=X,
            sampler=SobolQMCNormalSampler(torch.Size([MC_SAMPLES_SEVERAL]), seed=seed),
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(len(spec.objectives)))),
            constraints=limits(spec) or None,
            X_pending=X_pending,
            prune_baseline=True,
        )
    tops = torch.tensor([top(p) for p in spec.free], dtype=torch.float64)
    bounds = torch.stack([torch.zeros_like(tops), tops])
    discrete = {j: values(p) for j, p in enumerate(spec.free) if p.axis.kind != "real"}
    choices = {j: discrete.pop(j) for j in choice_columns(spec)}
    candidates: Tensor
    if discrete or choices:
        candidates = optimize_acqf_mixed_alternating(
            acquisition, bounds, discrete, choices, q=n, num_restarts=RESTARTS, raw_samples=RAW_SAMPLES
        )[0]
    else:
        candidates = optimize_acqf(
            acquisition, bounds, q=n, num_restarts=RESTARTS, raw_samples=RAW_SAMPLES, options=OPTIONS, sequential=True
        )[0]
    return candidates


def choice_columns(spec: Spec) -> list[int]:
    """The columns that hold the index of an unordered choice."""
    return [j for j, p in enumerate(spec.free) if p.axis.kind == "choice"]


def fitted(spec: Spec, results: Sequence[Result]) -> ModelListGP | SingleTaskGP:
    """Models of all objectives, maximized, then of all constrained metrics, in their units."""
    complete = [r for r in results if r.values is not None]
    failed = [r for r in results if r.values is None and r.failure not in NOT_THE_PARAMS]
    X = cube(spec, [r.params for r in complete])
    X_all = cube(spec, [r.params for r in (*complete, *failed)])
    models = []
    for column in gains(spec, complete).T:
        y = torch.cat([column, column.min().expand(len(failed))])
        models.append(_gp(spec, X_all, y))
    for constraint in spec.constraints:
        y = torch.tensor([r.values[constraint.name] for r in complete if r.values], dtype=torch.float64)
        models.append(_gp(spec, X, y))
    if len(models) == 1:
        fit_gpytorch_mll(ExactMarginalLogLikelihood(models[0].likelihood, models[0]))
        return models[0]
    model = ModelListGP(*models)
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    return model


def _gp(spec: Spec, X: Tensor, y: Tensor) -> SingleTaskGP:
    sizes = {j: spec.free[j].axis.size or 1 for j in choice_columns(spec)}
    encoders = {j: partial(one_hot, num_classes=size) for j, size in sizes.items()}
    encoding = NumericToCategoricalEncoding(X.shape[-1], sizes, encoders) if sizes else None
    return SingleTaskGP(X, y.unsqueeze(-1), outcome_transform=Standardize(m=1), input_transform=encoding)


def reference_point(spec: Spec, results: Sequence[Result]) -> Tensor:
    """The reference point `[m]` of the objectives, maximized."""
    complete = [r for r in results if r.values is not None]
    feasible = [r for r in complete if r.values and all(excess <= 0 for excess in spec.excesses(r.values))]
    Y = gains(spec, feasible or complete)
    thresholds = torch.tensor(
        [
            torch.nan if o.threshold is None else -sign * o.threshold
            for o, sign in zip(spec.objectives, spec.signs, strict=True)
        ],
        dtype=torch.float64,
    )
    point: Tensor = infer_reference_point(Y[is_non_dominated(Y)], max_ref_point=thresholds)
    return point


def limits(spec: Spec) -> list[Limit]:
    """One function for every one-sided limit."""
    column = {c.name: len(spec.objectives) + i for i, c in enumerate(spec.constraints)}
    return [_limit(column[name], sign, bound) for name, sign, bound in spec.limits]


def gains(spec: Spec, complete: Sequence[Result]) -> Tensor:
    """The objectives `[n, m]`, maximized."""
    return -torch.tensor([spec.losses(r.values) for r in complete if r.values], dtype=torch.float64)


def cube(spec: Spec, configurations: Sequence[Params]) -> Tensor:
    """Points `[n, d]` of the box of `benchmarks.contenders.cube`."""
    return torch.tensor([encoded(spec, params) for params in configurations], dtype=torch.float64)


def _limit(column: int, sign: float, bound: float) -> Limit:
    return lambda samples: sign * (samples[..., column] - bound)


def _first(samples: Tensor, X: Tensor | None = None) -> Tensor:  # noqa: ARG001  BoTorch passes both
    return samples[..., 0]
