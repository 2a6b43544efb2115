"""What the next trial is chosen for: be feasible, improve on the best, or, where that has stalled, explore."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hpo.bayes.acquisition.feasibility import LikelySuccess
from hpo.bayes.acquisition.pending import AcquisitionTerms, ConstraintTerms
from hpo.bayes.data import TrainingData
from hpo.bayes.gp.fit import LARGE
from hpo.bayes.gp.gp import GP
from hpo.bayes.gp.transforms import leave_one_out_normal, log_density
from hpo.bayes.models import MetricModel, Models
from hpo.common.arrays import Mask

_STALLED = 3e-3  # share of what separates the best from the median result
_EXPLORE = 1.0  # prior standard deviations above the best
_INFORMATIVE = 1.0  # standard errors by which a model must predict better than the average does
_NOISY = 0.1  # noise variance / variance of the function, from which on noise may hide the function


@dataclass(frozen=True, eq=False)
class AcquisitionTarget:
    """The target of the acquisition function, and the words for it.

    `stall_threshold`: an expected improvement, in the model's units, that is not worth a trial.
    """

    terms: AcquisitionTerms
    is_feasibility: bool
    stall_threshold: float = 0.0
    alternatives: tuple[AcquisitionTerms, ...] = ()
    """The same target under alternative models of the objective."""
    is_uninformative: bool = False
    """Whether the objective's model sees noise, and does not predict results better than their average does."""

    @property
    def exploring(self) -> AcquisitionTerms:
        """The same with a mark well above the best: only where little is known can it be reached."""
        assert self.terms.objective is not None
        margin = _EXPLORE * float(np.sqrt(self.terms.objective.theta.outputscale))
        return replace(self.terms, margin=margin)


def target_of(data: TrainingData, models: Models, risk_margin: float) -> AcquisitionTarget:
    """Improve on the best feasible trial; while there is none, be feasible.

    The best is judged by the model's mean at the trials, so that a lucky measurement does not set the mark. A single
    objective's own threshold is no limit here: to improve is to approach it. `risk_margin`: see feasibility.risk_margin.
    """
    limits: ConstraintTerms = [(m.gp, limit) for m in models.constraints if (limit := m.limit)]
    if models.success:
        limits = [*limits, (models.success, LikelySuccess(models.calibration, risk_margin))]
    meets = meets_constraints(data)
    if not models.objectives or not meets.any():
        return AcquisitionTarget(AcquisitionTerms(None, -np.inf, limits), is_feasibility=True)

    def improve(gp: GP) -> AcquisitionTerms:
        return AcquisitionTerms(gp, float(gp.posterior_mean(data.X[meets]).max()), limits)

    first = models.objectives[0]
    y = first.series.y
    size = max(float(np.abs(y).max()), 1e-290)  # dividing by it keeps sums finite
    gap = float((y[meets] / size).max() - np.median(y / size))
    slope = size * float(first.transform.slope(y[meets].max(keepdims=True))[0])
    return AcquisitionTarget(
        improve(first.gp),
        is_feasibility=False,
        stall_threshold=_STALLED * max(gap, 0.0) * slope,
        alternatives=tuple(improve(gp) for gp in first.alternatives),
        is_uninformative=len(models.objectives) == 1 and _is_uninformative(first),
    )


def _is_uninformative(model: MetricModel) -> bool:
    """Whether there is noise, and what is left out is predicted better by the model than by the mean and variance of the
    rest only within chance: the log density gained is below its own standard error (Vehtari, Gelman and Gabry 2017,
    section 5.1).

    Never of fewer than three results, nor of more than `LARGE`.
    """
    t, theta = model.transform.forward(model.series.y), model.gp.theta
    if not 3 <= len(t) <= LARGE or theta.noise <= _NOISY * theta.outputscale:
        return False
    gained = log_density(t, *model.gp.leave_one_out()) - log_density(t, *leave_one_out_normal(t))
    return bool(gained.sum() < _INFORMATIVE * gained.std() * np.sqrt(len(t)))


def meets_constraints(data: TrainingData) -> Mask:
    """Which completed trials `[n]` meet every constraint as measured; the objectives' own thresholds are not looked at."""
    meets = np.ones(len(data.X), dtype=bool)
    for series in data.constraints:
        meets &= (series.y >= series.lower) & (series.y <= series.upper)
    return meets
