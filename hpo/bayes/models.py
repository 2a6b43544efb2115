"""One surrogate per metric, fitted to transformed values, and what it predicts in the metric's own unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtr

from hpo.bayes.acquisition.feasibility import calibration
from hpo.bayes.acquisition.log_ei import LogProbability
from hpo.bayes.data import MetricData, TrainingData
from hpo.bayes.gp.fit import LARGE, fit, usual_theta
from hpo.bayes.gp.gp import GP, build
from hpo.bayes.gp.kernel import Theta
from hpo.bayes.gp.likelihood import Prior
from hpo.bayes.gp.transforms import (
    BY_NAME,
    Bilog,
    Standardize,
    Transform,
    YeoJohnson,
    choose,
    choose_by_error,
    loo_log_score,
)
from hpo.common.arrays import Array

_NARROWEST = 1e-6  # width of an interval that rounding has closed
_APART = 1e-12  # and as a share of its lower end, where that is larger
_NOISIEST = 1e30  # a known variance, for outputs of about unit variance; squares of it stay finite
_SUCCESS_PRIOR = Prior(
    lengthscale_location=float(np.log(0.5)), lengthscale_scale=0.4, noise_location=float(np.log(0.1)), noise_scale=0.5
)
_ALWAYS_UP_TO = 100
_GROWTH = 0.05
_CALM, _WARPED = "calm", "warped"
_SMOOTH_PRIOR = Prior(smooth=0.1)
_PREFERENCE = 2.0  # nats that finer structure must gain
SUCCESS = "success"
"""Key of what was found for the success model. Those of metrics begin with `metric:`."""


@dataclass(frozen=True, eq=False)
class Found:
    """What the last search for hyperparameters of one model found, and how many results there were.

    `thetas` by the name of the transform they belong to; `transform` is the chosen one.
    """

    n: int
    transform: str
    thetas: Mapping[str, Theta]

    @classmethod
    def read(cls, data: Mapping[str, Any] | None, n_groups: int) -> Found:
        """Undo `to_json`; nothing found yet where there is no data, or it is damaged: it saves time, and is not needed."""
        try:
            given = data or {"n": 0, "transform": "", "thetas": {}}
            thetas = {name: Theta.from_vector(vector, n_groups) for name, vector in given["thetas"].items()}
            return cls(int(given["n"]), str(given["transform"]), thetas)
        except (LookupError, TypeError, ValueError, AttributeError, AssertionError):
            return cls(0, "", {})

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        thetas = {name: theta.to_list() for name, theta in self.thetas.items()}
        return {"n": self.n, "transform": self.transform, "thetas": thetas}

    def holds(self, n: int) -> bool:
        """Whether hyperparameters found among `self.n` results still serve among `n`: always search up to 100 results,
        then after every twentieth part more. Searching costs ten times what using does, and moves ever less. Results that
        the models leave out count too: those they are built on change as more come."""
        return bool(self.thetas) and n > _ALWAYS_UP_TO and self.n <= n < self.n * (1.0 + _GROWTH)


@dataclass(frozen=True, eq=False)
class MetricModel:
    """The surrogate of one metric: `gp` models `transform.forward(series.y)`.

    `alternatives` model the same outputs under other assumptions and predict them about as well.
    """

    series: MetricData
    transform: Transform
    gp: GP
    found: Found
    alternatives: tuple[GP, ...] = ()

    @property
    def limit(self) -> LogProbability | None:
        """The probability that the metric meets its limits, as a utility of `gp`; None without limits."""
        ends = np.array([self.series.lower, self.series.upper])
        if not np.isfinite(ends).any():
            return None
        inside = np.where(np.isfinite(ends), self.transform.forward(np.where(np.isfinite(ends), ends, 0.0)), ends)
        lower, upper = float(inside[0]), float(inside[1])
        return LogProbability(lower, max(upper, lower + max(_NARROWEST, _APART * abs(lower))))

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
    success_found: Found | None = None
    calibration: float = 1.0
    """Calibration factor of the scores of `success`; see `feasibility.calibration`."""

    @property
    def by_metric(self) -> tuple[MetricModel, ...]:
        """All but success."""
        return (*self.objectives, *self.constraints)

    def p_success(self, X: Array) -> Array | None:
        """Chance that a trial at X [b, d] ends with a result, [b]; None while none has failed."""
        if self.success is None:
            return None
        mean, variance = self.success.posterior(X)
        return np.asarray(ndtr(self.calibration * mean / np.sqrt(variance)))

    def fitted(self) -> dict[str, Any]:
        """What was found by metric, for the next ask to start from. Plain values."""
        out = {_key(m.series): m.found.to_json() for m in self.by_metric}
        return {**out, SUCCESS: self.success_found.to_json()} if self.success_found else out


def fit_models(
    data: TrainingData, fitted: Mapping[str, Any], *, search: bool = True, use_alternatives: bool = False
) -> Models:
    """Fit every surrogate, each starting from what an earlier ask found (`fitted`, empty at first).

    Without `search`, hyperparameters are used as they were found, and the usual ones where none were. Before any trial
    has completed there is only success to model. With `use_alternatives` a single objective gets alternatives.
    """
    n_groups = int(data.encoder.groups.max()) + 1
    success, success_found = None, None
    if len(data.X_failed):
        success, success_found = _success_model(data, Found.read(fitted.get(SUCCESS), n_groups), search)
    belief = calibration(success) if success else 1.0
    if not len(data.X):
        return Models((), (), success, success_found, belief)

    def model(series: MetricData, transform: Transform | None) -> MetricModel:
        before = Found.read(fitted.get(_key(series)), n_groups)
        fitting = _Fitting(data, series, transform, before, use_alternatives and len(data.objectives) == 1)
        return fitting.searched() if search and not before.holds(data.n_completed) else fitting.reused()

    objectives = tuple(model(s, None) for s in data.objectives)
    constraints = tuple(model(s, _constraint_transform(s)) for s in data.constraints)
    return Models(objectives, constraints, success, success_found, belief)


def needs_search(data: TrainingData, fitted: Mapping[str, Any]) -> bool:
    """Whether `fit_models` would search for any hyperparameters."""
    n_groups = int(data.encoder.groups.max()) + 1
    sizes = {_key(s): data.n_completed for s in (*data.objectives, *data.constraints) if len(s.y)}
    if len(data.X_failed):
        sizes[SUCCESS] = data.n_completed + data.n_failed
    return any(not Found.read(fitted.get(name), n_groups).holds(n) for name, n in sizes.items())


@dataclass(frozen=True)
class _Assumptions:
    """What a fit takes for granted: how outputs are transformed, whether the function is smooth and inputs are warped."""

    transform: Transform
    is_smooth: bool = False
    is_warped: bool = False

    @property
    def name(self) -> str:
        """The transform's, and what else is assumed."""
        traits = (_CALM, self.is_smooth), (_WARPED, self.is_warped)
        return ", ".join([type(self.transform).__name__, *(word for word, holds in traits if holds)])

    @classmethod
    def read(cls, name: str, y: Array, transform: Transform | None) -> _Assumptions:
        """Undo `name`, for outputs y [n]; a given transform stands for the one that is named."""
        kind, *traits = name.split(", ")
        return cls(transform or BY_NAME.get(kind, Standardize.of)(y), _CALM in traits, _WARPED in traits)

    def alternatives(self, *, can_warp: bool) -> tuple[_Assumptions, ...]:
        """The same outputs, one of the other assumptions changed."""
        warped = (replace(self, is_warped=not self.is_warped),) if can_warp else ()
        return replace(self, is_smooth=not self.is_smooth), *warped


@dataclass(frozen=True, eq=False)
class _Fitting:
    """One metric on its way to a surrogate: `transform` is None where the choice is free."""

    data: TrainingData
    series: MetricData
    transform: Transform | None
    before: Found
    use_alternatives: bool

    def reused(self) -> MetricModel:
        """With hyperparameters that were found before, or the usual ones."""
        y, thetas = self.series.y, self.before.thetas
        chosen = _Assumptions.read(self.before.transform, y, self.transform)
        usual = usual_theta(int(self.data.encoder.groups.max()) + 1)
        gp = build(thetas.get(chosen.name) or usual, **self._given(chosen))
        built = [build(thetas[a.name], **self._given(a)) for a in self._others(chosen) if a.name in thetas]
        alternatives = self._plausible(built, gp, chosen.transform)
        return MetricModel(self.series, chosen.transform, gp, self.before, alternatives)

    def searched(self) -> MetricModel:
        """Without a given transform, under the one that predicts best what is left out. Of many results, only the chosen
        fit is polished.

        An objective is first taken to be smooth, without structure finer than a third of the space, so that noise is not
        taken for shape; unless what is left out says otherwise.
        """
        y, fits = self.series.y, dict[str, GP]()

        def fitted_under(assumed: _Assumptions, *, is_rough: bool = True) -> GP:
            name = assumed.name
            if name not in fits or not is_rough:
                fits[name] = fit(
                    **self._given(assumed),
                    start=fits[name].theta if name in fits else self.before.thetas.get(name),
                    prior=_SMOOTH_PRIOR if assumed.is_smooth else None,
                    is_rough=is_rough,
                )
            return fits[name]

        choice = choose_by_error if len(self.data.objectives) > 1 else choose
        chosen = _Assumptions(self.transform or choice(y, lambda t: fitted_under(_Assumptions(t)).leave_one_out()))
        if self.transform is None:
            smooth = replace(chosen, is_smooth=True)
            if self._plausible([fitted_under(smooth)], fitted_under(chosen), chosen.transform):
                chosen = smooth
        gp = fitted_under(chosen, is_rough=len(y) <= LARGE)
        others = [fitted_under(other) for other in self._others(chosen)]
        alternatives = self._plausible(others, gp, chosen.transform)
        thetas = {name: fitted.theta for name, fitted in fits.items()}
        found = Found(self.data.n_completed, chosen.name, thetas)
        return MetricModel(self.series, chosen.transform, gp, found, alternatives)

    def _given(self, assumed: _Assumptions) -> dict[str, Any]:
        """What `fit` and `build` are given."""
        encoder = self.data.encoder
        return {
            "X": self.data.X,
            "y": assumed.transform.forward(self.series.y),
            "groups": encoder.groups,
            "noise": _known_noise(self.series, assumed.transform),
            "warp": encoder.is_numeric if assumed.is_warped else None,
        }

    def _others(self, chosen: _Assumptions) -> tuple[_Assumptions, ...]:
        if not self.use_alternatives or self.transform is not None or len(self.series.y) > LARGE:
            return ()
        return chosen.alternatives(can_warp=bool(self.data.encoder.is_numeric.any()))

    def _plausible(self, others: Sequence[GP], gp: GP, shared: Transform) -> tuple[GP, ...]:
        """Those of `others` that predict what is left out as well as `gp`, but for a few nats."""
        if not others:
            return ()
        y = self.series.y
        wanted = loo_log_score(y, shared, *gp.leave_one_out()) - _PREFERENCE
        return tuple(other for other in others if loo_log_score(y, shared, *other.leave_one_out()) > wanted)


def _key(series: MetricData) -> str:
    return f"metric:{series.metric.name}"


def _constraint_transform(series: MetricData) -> Transform:
    """Around a single limit the bilog keeps what decides feasibility and tames what is far from it; between two limits
    the values are only made symmetric."""
    limits = [end for end in (series.lower, series.upper) if np.isfinite(end)]
    return Bilog.of(series.y, limits[0]) if len(limits) == 1 else YeoJohnson.of(series.y)


def _known_noise(series: MetricData, transform: Transform) -> Array | None:
    """Told variances in transformed units, by the slope of the transform; unknown ones are left to the learned noise."""
    if np.isnan(series.sem).all():
        return None
    # Squared apart from their exponents: neither alone needs to be near 1, only their product.
    (sem, by_sem), (slope, by_slope) = np.frexp(np.nan_to_num(series.sem)), np.frexp(transform.slope(series.y))
    with np.errstate(over="ignore"):
        variance: Array = np.ldexp(sem**2 * slope**2, 2 * (by_sem + by_slope))
    return np.minimum(variance, _NOISIEST)


def _success_model(data: TrainingData, before: Found, search: bool) -> tuple[GP, Found]:
    """A GP of the labels 1 (completed) and -1 (failed): success is where it is above 0.

    Labels jump, and the likelihood alone would answer with ever shorter lengthscales and a border that overshoots on
    both sides. The prior keeps the border smooth and lets the noise take up the jump.
    """
    X = np.concatenate([data.X, data.X_failed])
    y = np.concatenate([np.ones(len(data.X)), -np.ones(len(data.X_failed))])
    groups, start, n_ended = data.encoder.groups, before.thetas.get(SUCCESS), data.n_completed + data.n_failed
    if before.holds(n_ended) or not search:
        return build(start or usual_theta(int(groups.max()) + 1), X, y, groups=groups), before
    gp = fit(X, y, groups=groups, start=start, prior=_SUCCESS_PRIOR)
    return gp, Found(n_ended, SUCCESS, {SUCCESS: gp.theta})
