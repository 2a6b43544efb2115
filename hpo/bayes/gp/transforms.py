"""Output transforms: monotone maps from a metric's own unit to one a GP can model, and back.

A GP expects about unit variance and a symmetric shape; metrics are skewed, heavy-tailed or off by many orders of
magnitude. Each transform is estimated from the data by its `of`, is then a frozen value, and is non-decreasing, so that
limits can be carried through it. Larger is better by convention of this room. Shapes: n observations, b predictions.

    Standardize   (y - mean) / sd
    YeoJohnson    a power that straightens skew, its exponent by maximum likelihood
    Bilog         around the limit of a constraint, which maps to 0 exactly
    HalfRank      the better half as it is, the worse half by rank: blind to how bad an outlier is

Every transform accepts any finite data: one point, ties, constants, values of 1e300.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from hpo.bayes.gp.likelihood import LOG_2PI
from hpo.common.arrays import Array

_LARGEST = float(np.finfo(float).max)
_WIDEST = 1e6  # no observation lies further out than this many scales, so that powers of it stay finite
_CLIP = 1e9  # nor does any other value put through a transform
_EXPONENTS = (-1.0, 3.0)
_FEW = 5
_PREFERENCE = 2.0  # nats the more complex transform must gain over `Standardize`
_NEARER = 0.9
_HEAVY = 6.0  # standard deviations of the better half below the median that make a tail heavy


class Transform(ABC):
    """A non-decreasing map between user's values y and model's values t, both [n]."""

    @abstractmethod
    def forward(self, y: Array) -> Array:
        """Model's values of user's values."""

    @abstractmethod
    def inverse(self, t: Array) -> Array:
        """User's values of model's values; always finite."""

    @abstractmethod
    def slope(self, y: Array) -> Array:
        """Derivative dt/dy at y; the sum of its logarithm is the log Jacobian."""

    def moments(self, mean: Array, sd: Array) -> tuple[Array, Array]:
        """A normal prediction in t as a central value and a deviation in y, each [b].

        By quantiles, which survive any tail: the median, and half the distance between the 16 % and 84 % points.
        """
        low, high = self.inverse(mean - sd), self.inverse(mean + sd)
        return self.inverse(mean), 0.5 * high - 0.5 * low


@dataclass(frozen=True)
class Standardize(Transform):
    """t = (y - center) / scale."""

    center: float
    scale: float

    @classmethod
    def of(cls, y: Array) -> Standardize:
        """Mean and standard deviation of y [n]; a constant is centered only."""
        size = _size(y)
        unit = y / size
        sd = float(unit.std())
        return cls(center=size * float(unit.mean()), scale=_scale(size, sd))

    def forward(self, y: Array) -> Array:
        return (0.5 * y - 0.5 * self.center) / (0.5 * self.scale)  # halves, since a difference may overflow

    def inverse(self, t: Array) -> Array:
        return _finite(self.center, self.scale, t)

    def slope(self, y: Array) -> Array:
        return np.full(np.shape(y), 1.0 / self.scale)


@dataclass(frozen=True)
class YeoJohnson(Transform):
    """A power transform of robustly standardized values z, standardized again (Yeo and Johnson, Biometrika 2000).

        t ~ sign(z) ((1 + |z|)^p - 1) / p,    p = exponent for z >= 0 and 2 - exponent for z < 0 (log at p = 0)

    Exponents above 1 compress the bad tail and stretch the good one.
    """

    robust: Standardize
    exponent: float
    final: Standardize

    @classmethod
    def of(cls, y: Array) -> YeoJohnson:
        """The most likely exponent in [-1, 3] if t is normal, with a weak normal prior around 1, of sd 1.

        Fewer than 5 values say nothing about shape: the exponent stays 1.
        """
        robust = _robust(y)
        z = robust.forward(y)
        if len(y) < _FEW:
            return cls(robust, 1.0, Standardize.of(z))
        grid, step = np.linspace(*_EXPONENTS, 33), (_EXPONENTS[1] - _EXPONENTS[0]) / 32
        best = grid[_log_likelihood(z, grid).argmax()]
        finer = np.clip(best + step * np.linspace(-1.0, 1.0, 33), *_EXPONENTS)
        exponent = float(finer[_log_likelihood(z, finer).argmax()])
        return cls(robust, exponent, Standardize.of(_power(z, exponent)))

    def forward(self, y: Array) -> Array:
        return self.final.forward(_power(self._z(y), self.exponent))

    def inverse(self, t: Array) -> Array:
        t = self.final.inverse(t)
        p = np.where(t >= 0.0, self.exponent, 2.0 - self.exponent)
        is_log = np.abs(p) < 1e-9
        # Where p < 0 the power has a ceiling 1/|p|, which a prediction may exceed.
        root = np.log1p(np.maximum(p * np.abs(t), np.nextafter(-1.0, 0.0))) / np.where(is_log, 1.0, p)
        log_size = np.minimum(np.where(is_log, np.abs(t), root), np.log1p(_CLIP))
        return self.robust.inverse(np.sign(t) * np.expm1(log_size))

    def slope(self, y: Array) -> Array:
        z = self._z(y)
        power = np.exp(np.sign(z) * (self.exponent - 1.0) * np.log1p(np.abs(z)))
        return power / self.final.scale / self.robust.scale

    def _z(self, y: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.clip(self.robust.forward(y), -_CLIP, _CLIP)


@dataclass(frozen=True)
class Bilog(Transform):
    """t = sign(z) log(1 + |z|) / spread with z = (y - threshold) / unit; the threshold maps to 0 exactly.

    Keeps what decides feasibility and tames what is far from it (Eriksson and Poloczek, AISTATS 2021). Scaling by
    `spread` without centring leaves zero where it is.
    """

    threshold: float
    unit: float
    spread: float

    @classmethod
    def of(cls, y: Array, threshold: float) -> Bilog:
        """Unit: the median distance from the threshold. Spread: the standard deviation of the logarithms."""
        distance = np.abs(0.5 * y - 0.5 * threshold)
        half = float(np.median(distance)) or float(distance.max(initial=0.0)) or 0.5 * _size(np.array([threshold]))
        unit = min(max(2.0 * half, 1e-290), _LARGEST)
        t = cls(float(threshold), unit, 1.0).forward(y)
        return cls(float(threshold), unit, max(float(t.std()), 1e-6 * float(np.abs(t).max(initial=0.0))) or 1.0)

    def forward(self, y: Array) -> Array:
        z = self._z(y)
        return np.sign(z) * np.log1p(np.abs(z)) / self.spread

    def inverse(self, t: Array) -> Array:
        log_size = np.minimum(np.abs(t) * self.spread, np.log(_LARGEST))
        return _finite(self.threshold, self.unit, np.sign(t) * np.expm1(log_size))

    def slope(self, y: Array) -> Array:
        return 1.0 / (1.0 + np.abs(self._z(y))) / self.spread / self.unit

    def _z(self, y: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.clip((0.5 * y - 0.5 * self.threshold) / (0.5 * self.unit), -_LARGEST, _LARGEST)


@dataclass(frozen=True, eq=False)
class HalfRank(Transform):
    """The better half linear, t = (y - median) / scale; the worse half replaced by normal quantiles of its ranks.

    Scale is the root mean square distance of the better half from the median, so both halves are of one spread (the
    label warping of Vizier, Song et al. 2024, arXiv:2408.11527). Between observed values the worse half is
    interpolated; below all of them it goes on with its average slope.

    Attributes:
        size: what y is divided by first; the others are in this unit.
        median: where the halves meet.
        scale: of the better half.
        knots: [k] distinct observed values below the median and the median, ascending.
        ranks: [k] their normal quantiles, ending in 0.
    """

    size: float
    median: float
    scale: float
    knots: Array
    ranks: Array

    @classmethod
    def of(cls, y: Array) -> HalfRank:
        """Estimate from y [n]."""
        size = _size(y)
        u = np.sort(y) / size
        median = float(np.median(u))
        upper = u[u >= median]
        better = float(np.sqrt(np.mean((upper - median) ** 2)))
        # Relative to the better half, so that an outlier does not decide which good results count as equal.
        rounding = max(1e-12 * float(np.abs(upper).max()), 1e-290)
        worse, counts = np.unique(u[u < median - rounding], return_counts=True)
        middle_rank = np.cumsum(counts) - 0.5 * counts  # ties share their middle rank
        return cls(
            size=size,
            median=median,
            scale=better if better > rounding else max(median - float(u[0]), 1e-12),
            knots=np.append(worse, median),
            ranks=np.append(ndtri(middle_rank / len(y)), 0.0),
        )

    def forward(self, y: Array) -> Array:
        u = self._in_units(y)
        above, below = np.maximum(u - self.median, 0.0), np.minimum(u - self.knots[0], 0.0)
        t: Array = np.interp(u, self.knots, self.ranks) + above / self.scale + below * self._tail
        return t

    def inverse(self, t: Array) -> Array:
        above, below = np.maximum(t, 0.0), np.minimum(t - self.ranks[0], 0.0)
        inside: Array = np.interp(t, self.ranks, self.knots)
        return _finite(0.0, self.size, inside + above * self.scale + below / self._tail)

    def slope(self, y: Array) -> Array:
        segments = np.diff(self.ranks) / np.diff(self.knots)
        slopes = np.concatenate([[self._tail], segments, [1.0 / self.scale]]) / self.size
        at: Array = slopes[np.searchsorted(self.knots, self._in_units(y), side="right")]
        return at

    @property
    def _tail(self) -> float:
        """Slope below all observed values: the average one of the worse half."""
        if len(self.knots) == 1:
            return 1.0 / self.scale
        return float(-self.ranks[0] / (self.median - self.knots[0]))

    def _in_units(self, y: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.clip(y / self.size, -_CLIP, _CLIP)


BY_NAME: Mapping[str, Callable[[Array], Transform]] = {
    "Standardize": Standardize.of,
    "YeoJohnson": YeoJohnson.of,
    "HalfRank": HalfRank.of,
}
"""Those that may be chosen, by the name that a study keeps of the chosen one; an ask without a search looks it up here."""


def choose(y: Array, leave_one_out: Callable[[Transform], tuple[Array, Array]]) -> Transform:
    """The transform under which a model predicts y [n] best, the simplest in case of doubt.

    `leave_one_out(transform)` fits a model to the outputs so transformed and returns the mean and variance of each one
    predicted from the others. Scored by the log predictive density of y itself (the log slope added), the better half
    counting twice since there the search goes on. `YeoJohnson` must gain more than 2 nats over `Standardize`. A bad tail
    that stays heavy under the best power is cut by `HalfRank`, by rule and not by score: ranks adapt to the data too
    freely to be compared by density.
    """
    simple, power = Standardize.of(y), YeoJohnson.of(y)
    if len(y) > 2:
        t = np.sort(_power(power._z(y), power.exponent))  # standardized, the good results might drown in the tail
        with np.errstate(over="ignore", invalid="ignore"):  # values near the largest float are not judged by their tail
            middle = np.median(t)
            better = np.sqrt(np.mean((t[t >= middle] - middle) ** 2))
        if middle - t[0] > _HEAVY * better > 0.0:
            return HalfRank.of(y)
    scores = {t: loo_log_score(y, t, *leave_one_out(t)) for t in (power, simple)}
    return power if scores[power] > scores[simple] + _PREFERENCE else simple


def choose_by_error(y: Array, leave_one_out: Callable[[Transform], tuple[Array, Array]]) -> Transform:
    """As `choose`, judged by the mean distance between each y [n] and its median predicted from the others, in the
    metric's own unit; the power must be nearer by a tenth.

    For several objectives: their trade-offs are weighed in their own units and over their whole range, so neither a
    stretched good end nor a tail cut by ranks is wanted.
    """
    simple, power = Standardize.of(y), YeoJohnson.of(y)
    size = _size(y)

    def error(transform: Transform) -> float:
        return float(np.mean(np.abs(transform.inverse(leave_one_out(transform)[0]) / size - y / size)))

    return power if error(power) < _NEARER * error(simple) else simple


def loo_log_score(y: Array, transform: Transform, mean: Array, variance: Array) -> float:
    """Log density of y [n], the better half counting twice, when each `transform.forward(y)` is predicted from the
    others as a normal with this mean and variance [n]."""
    unit = y / _size(y)
    weights = np.where(unit >= np.median(unit), 2.0, 1.0)
    with np.errstate(divide="ignore", over="ignore"):
        return float(weights @ (log_density(transform.forward(y), mean, variance) + np.log(transform.slope(y))))


def log_density(t: Array, mean: Array, variance: Array) -> Array:
    """Of each t [n], when it is predicted as a normal with this mean and variance [n]."""
    return -0.5 * ((t - mean) ** 2 / variance + np.log(variance) + LOG_2PI)


def leave_one_out_normal(t: Array) -> tuple[Array, Array]:
    """Mean [n] and variance [n] of each of t [n >= 3] predicted from the others as independent draws of one normal."""
    n, away = len(t), t - t.mean()
    others = (away @ away - away**2 * n / (n - 1)) / (n - 2)  # the variance of the others
    return t - away * n / (n - 1), np.maximum(others * n / (n - 1), 1e-12)


def _size(y: Array) -> float:
    """The largest absolute value, or 1 if all are 0: dividing by it keeps squares finite."""
    assert len(y), "a transform is estimated from at least one value"
    return max(float(np.abs(y).max()), 1e-290) if np.any(y) else 1.0


def _scale(size: float, share: float) -> float:
    """A share of `size` to divide by: all of it where the share is only rounding, and never infinite."""
    return min(size * (share if share > 1e-14 else 1.0), _LARGEST)


def _finite(base: Array | float, factor: float, t: Array) -> Array:
    """Compute base + factor t, cut at the largest float."""
    with np.errstate(over="ignore"):
        moved: Array = base + np.clip(factor * t, -_LARGEST, _LARGEST)
    return np.clip(moved, -_LARGEST, _LARGEST)


def _robust(y: Array) -> Standardize:
    """Median and interquartile range (as a standard deviation), widened so that no value lies beyond `_WIDEST`."""
    size = _size(y)
    low, middle, high = np.quantile(y / size, [0.25, 0.5, 0.75])
    sd, furthest = float(np.std(y / size)), float(np.abs(y / size - middle).max())
    scale = max((high - low) / 1.349 or sd, furthest / _WIDEST)
    return Standardize(center=size * float(middle), scale=_scale(size, float(scale)))


def _power(z: Array, exponent: float | Array) -> Array:
    """Yeo and Johnson's power of z, before standardizing."""
    p = np.where(z >= 0.0, exponent, 2.0 - exponent)
    u = np.log1p(np.abs(z))
    is_log = np.abs(p) < 1e-9
    return np.sign(z) * np.where(is_log, u, np.expm1(p * u) / np.where(is_log, 1.0, p))


def _log_likelihood(z: Array, exponents: Array) -> Array:
    """Profile log likelihood plus log prior of each exponent [k] for z [n]; the constant case prefers 1."""
    t = _power(z[None], exponents[:, None])
    jacobian = (exponents - 1.0) * np.sum(np.sign(z) * np.log1p(np.abs(z)))
    spread = np.maximum(t.var(axis=1), 1e-200)
    likelihood: Array = -0.5 * len(z) * np.log(spread) + jacobian
    return likelihood - 0.5 * (exponents - 1.0) ** 2
