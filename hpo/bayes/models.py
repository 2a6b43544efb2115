"""One surrogate per metric, fitted to transformed values, and what it predicts in the metric's own unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.bayes.acquisition import LogProbability
from hpo.bayes.data import Series, TrainingData
from hpo.bayes.gp import GP, fit
from hpo.bayes.kernel import Array, Theta
from hpo.bayes.likelihood import Prior
from hpo.bayes.transforms import Bilog, Transform, YeoJohnson, choose

_NARROWEST = 1e-6  # width of an interval that rounding has closed
_SUCCESS_PRIOR = Prior(
    lengthscale_location=float(np.log(0.5)), lengthscale_scale=0.4, noise_location=float(np.log(0.1)), noise_scale=0.5
)
SUCCESS = "success"
"""Key of the success model's hyperparameters. Those of metrics begin with `metric:`."""


@dataclass(frozen=True, eq=False)
class MetricModel:
    """The surrogate of one metric: `gp` models `transform.forward(series.y)`."""

    series: Series
    transform: Transform
    gp: GP
    fits: Mapping[str, GP]
    """Every GP fitted on the way to the choice of the transform, by the transform's name: the next fits start there."""

    @property
    def limit(self) -> LogProbability | None:
        """The probability that the metric meets its limits, as a utility of `gp`; None without limits."""
        ends = np.array([self.series.lower, self.series.upper])
        if not np.isfinite(ends).any():
            return None
        inside = np.where(np.isfinite(ends), self.transform.forward(np.where(np.isfinite(ends), ends, 0.0)), ends)
        lower, upper = float(inside[0]), float(inside[1])
        return LogProbability(lower, max(upper, lower + _NARROWEST))

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Mean and standard deviation `[b]` of the metric at `X [b, d]`, in its own unit and direction."""
        mean, variance = self.gp.posterior(X)
        mean, sd = self.transform.moments(mean, np.sqrt(variance))
        return self.series.sign * mean, sd


@dataclass(frozen=True, eq=False)
class Models:
    """The surrogates of a study: objectives, constraints, and success where trials have failed."""

    objectives: tuple[MetricModel, ...]
    constraints: tuple[MetricModel, ...]
    success: GP | None

    @property
    def by_metric(self) -> tuple[MetricModel, ...]:
        """All but success."""
        return (*self.objectives, *self.constraints)

    def fitted(self) -> dict[str, list[float]]:
        """Hyperparameters by metric, for the next fit to start from. Plain numbers."""
        out = {
            _key(m.series, transform): gp.theta.to_list() for m in self.by_metric for transform, gp in m.fits.items()
        }
        return {**out, SUCCESS: self.success.theta.to_list()} if self.success else out


def fit_models(data: TrainingData, fitted: Mapping[str, Sequence[float]]) -> Models:
    """Fit every surrogate, each starting from what the last fit found (`fitted`, empty at first).

    Before any trial has completed there is only success to model.
    """
    success = _success_model(data, fitted) if len(data.X_failed) else None
    if not len(data.X):
        return Models((), (), success)
    objectives = tuple(_metric_model(data, s, None, fitted) for s in data.objectives)
    constraints = tuple(_metric_model(data, s, _constraint_transform(s), fitted) for s in data.constraints)
    return Models(objectives, constraints, success)


def _metric_model(
    data: TrainingData, series: Series, transform: Transform | None, fitted: Mapping[str, Sequence[float]]
) -> MetricModel:
    """The metric's surrogate; without a given transform, under the one that predicts best what is left out."""
    fits: dict[str, GP] = {}

    def fitted_under(candidate: Transform) -> GP:
        name = type(candidate).__name__
        if name not in fits:
            fits[name] = fit(
                data.X,
                candidate.forward(series.y),
                groups=data.encoder.groups,
                noise=_known_noise(series, candidate),
                start=_start(fitted.get(_key(series, name)), data),
            )
        return fits[name]

    chosen = transform or choose(series.y, lambda candidate: fitted_under(candidate).leave_one_out())
    return MetricModel(series, chosen, fitted_under(chosen), fits)


def _key(series: Series, transform: str) -> str:
    return f"metric:{series.metric.name}:{transform}"


def _constraint_transform(series: Series) -> Transform:
    """Around a single limit the bilog keeps what decides feasibility and tames what is far from it; between two limits
    the values are only made symmetric."""
    limits = [end for end in (series.lower, series.upper) if np.isfinite(end)]
    return Bilog.of(series.y, limits[0]) if len(limits) == 1 else YeoJohnson.of(series.y)


def _known_noise(series: Series, transform: Transform) -> Array | None:
    """Told variances in transformed units, by the slope of the transform; unknown ones are left to the learned noise."""
    if np.isnan(series.noise).all():
        return None
    return np.nan_to_num(series.noise) * transform.slope(series.y) ** 2


def _success_model(data: TrainingData, fitted: Mapping[str, Sequence[float]]) -> GP:
    """A GP of the labels 1 (completed) and -1 (failed): success is where it is above 0.

    Labels jump, and the likelihood alone would answer with ever shorter lengthscales and a border that overshoots on
    both sides. The prior keeps the border smooth and lets the noise take up the jump.
    """
    X = np.concatenate([data.X, data.X_failed])
    y = np.concatenate([np.ones(len(data.X)), -np.ones(len(data.X_failed))])
    start = _start(fitted.get(SUCCESS), data)
    return fit(X, y, groups=data.encoder.groups, start=start, prior=_SUCCESS_PRIOR)


def _start(vector: Sequence[float] | None, data: TrainingData) -> Theta | None:
    n_groups = int(data.encoder.groups.max()) + 1
    return None if vector is None else Theta.from_vector(vector, n_groups)
