"""Output transforms: what a Gaussian process models in place of the values as measured.

Every transform is strictly increasing, so comparisons survive, and ends in about unit variance. `slope` is its
derivative, for carrying a small measurement noise over; `moments` carries a prediction back.
Shapes: n values; b predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hpo.bayes.kernel import Array

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_LAMBDAS = np.linspace(-2.0, 4.0, 61)
_SHRINK = 0.05  # log likelihood per observation that a power must gain before it leaves 1
_REACH = 2.0  # how far beyond the values seen, in their range, a prediction is carried back


class Transform(Protocol):
    """A strictly increasing map of values, and its inverse."""

    def forward(self, y: Array) -> Array:
        """Transformed values, of the shape of y."""
        ...

    def slope(self, y: Array) -> Array:
        """Derivative of `forward` at y."""
        ...

    def moments(self, mean: Array, sd: Array) -> tuple[Array, Array]:
        """Mean and standard deviation `[b]`, in measured units, of a value whose transform is N(mean, sd^2) `[b]`."""
        ...


@dataclass(frozen=True)
class Scale:
    """y -> (y - centre) / width. What all others begin with; survives constant, huge and single values."""

    centre: float = 0.0
    width: float = 1.0

    @classmethod
    def of(cls, y: Array, centre: float | None = None) -> Scale:
        """Around the mean (or `centre`), by the standard deviation; the width of a constant is 1."""
        if not len(y):
            return cls(0.0 if centre is None else centre)
        top = float(np.abs(y).max()) or 1.0  # computed in units of the largest value, so that nothing overflows
        middle = float((y / top).mean()) * top if centre is None else centre
        spread = float(np.sqrt(np.mean(((y - middle) / top) ** 2))) * top
        return cls(middle, spread if spread > 1e-12 * top else 1.0)

    def forward(self, y: Array) -> Array:
        """See Transform."""
        return (y - self.centre) / self.width

    def inverse(self, z: Array) -> Array:
        """Measured units."""
        return self.centre + self.width * z

    def slope(self, y: Array) -> Array:
        """See Transform."""
        return np.full_like(y, 1.0 / self.width)

    def moments(self, mean: Array, sd: Array) -> tuple[Array, Array]:
        """See Transform."""
        return self.inverse(mean), self.width * sd


@dataclass(frozen=True)
class YeoJohnson:
    """Power transform towards a normal distribution (Yeo and Johnson, Biometrika 87 (2000), eq. 2.1) of values scaled
    to unit variance, scaled again after. `power = 1` changes nothing; the power is kept there unless another describes
    the values clearly better."""

    power: float
    before: Scale
    after: Scale
    span: tuple[float, float] = field(default=(-np.inf, np.inf))
    """Range of values that predictions are carried back into."""

    @classmethod
    def of(cls, y: Array) -> YeoJohnson:
        """The power of greatest profile likelihood in [-2, 4], less a price for leaving 1."""
        before = Scale.of(y)
        x = before.forward(y)
        n = len(y)
        power = 1.0
        if n >= 5 and np.ptp(x) > 0:
            Z = _yeo_johnson(x[None, :], _LAMBDAS[:, None])
            logs = np.sign(x) * np.log1p(np.abs(x))
            likelihood = -0.5 * n * np.log(np.maximum(Z.var(axis=1), 1e-300)) + (_LAMBDAS - 1.0) * logs.sum()
            likelihood -= 0.5 * (_LAMBDAS - 1.0) ** 2 + n * _SHRINK * (np.abs(_LAMBDAS - 1.0) > 1e-9)
            power = float(_LAMBDAS[np.argmax(likelihood)])
        after = Scale.of(_yeo_johnson(x, np.float64(power)))
        room = _REACH * float(np.ptp(x)) if n else 0.0
        span = (float(x.min()) - room, float(x.max()) + room) if n and room else (-np.inf, np.inf)
        return cls(power, before, after, span)

    def forward(self, y: Array) -> Array:
        """See Transform."""
        return self.after.forward(_yeo_johnson(self.before.forward(y), np.float64(self.power)))

    def inverse(self, z: Array) -> Array:
        """Measured units; beyond the range of the power transform, the end of the span."""
        x = _inverse_yeo_johnson(self.after.inverse(z), self.power)
        return self.before.inverse(np.clip(x, *self.span))

    def slope(self, y: Array) -> Array:
        """See Transform."""
        x = self.before.forward(y)
        return (1.0 + np.abs(x)) ** (np.sign(x) * (self.power - 1.0)) / (self.before.width * self.after.width)

    def moments(self, mean: Array, sd: Array) -> tuple[Array, Array]:
        """See Transform."""
        return _moments(self.inverse, mean, sd)


@dataclass(frozen=True)
class Bilog:
    """y -> sign(c) log(1 + |c|), c = (y - limit) / width: keeps the limit at exactly 0 and full detail near it, and
    flattens what is far away (Eriksson and Poloczek, AISTATS 2021, section 3)."""

    limit: float
    scale: Scale
    after: float

    @classmethod
    def of(cls, y: Array, limit: float) -> Bilog:
        """In units of the spread of the values around their median, then to unit root mean square about 0."""
        spread = Scale.of(y - np.median(y), 0.0) if len(y) else Scale()
        scale = Scale(limit, spread.width)
        z = _bilog(scale.forward(y))
        size = float(np.sqrt(np.mean(z * z))) if len(y) else 1.0
        return cls(limit, scale, size if size > 1e-9 else 1.0)

    def forward(self, y: Array) -> Array:
        """See Transform."""
        return _bilog(self.scale.forward(y)) / self.after

    def inverse(self, z: Array) -> Array:
        """Measured units."""
        z = np.clip(z * self.after, -50.0, 50.0)
        return self.scale.inverse(np.sign(z) * np.expm1(np.abs(z)))

    def slope(self, y: Array) -> Array:
        """See Transform."""
        return 1.0 / ((1.0 + np.abs(self.scale.forward(y))) * self.scale.width * self.after)

    def moments(self, mean: Array, sd: Array) -> tuple[Array, Array]:
        """See Transform."""
        return _moments(self.inverse, mean, sd)


def _moments(inverse: Callable[[Array], Array], mean: Array, sd: Array) -> tuple[Array, Array]:
    """By Gauss-Hermite quadrature with 21 nodes."""
    values = inverse(mean[:, None] + sd[:, None] * _NODES)
    top = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-300)
    scaled = values / top
    middle = scaled @ _WEIGHTS
    spread = np.sqrt(np.maximum((scaled - middle[:, None]) ** 2 @ _WEIGHTS, 0.0))
    return middle * top[:, 0], spread * top[:, 0]


def _bilog(c: Array) -> Array:
    bent: Array = np.sign(c) * np.log1p(np.abs(c))
    return bent


def _yeo_johnson(x: Array, power: Array | np.float64) -> Array:
    """((1 + x)^p - 1) / p for x >= 0 and -((1 - x)^(2 - p) - 1) / (2 - p) below, with logarithms at p = 0 and 2."""
    logs = np.log1p(np.abs(x))
    exponent = np.where(x >= 0, power, 2.0 - power)
    small = np.abs(exponent) < 1e-12
    safe = np.where(small, 1.0, exponent)
    size = np.where(small, logs, np.expm1(np.minimum(safe * logs, 300.0)) / safe)
    out: Array = np.where(x >= 0, size, -size)
    return out


def _inverse_yeo_johnson(z: Array, power: float) -> Array:
    exponent = np.where(z >= 0, power, 2.0 - power)
    small = np.abs(exponent) < 1e-12
    safe = np.where(small, 1.0, exponent)
    argument = np.maximum(np.where(small, 0.0, safe * np.abs(z)), -1.0 + 1e-15)
    logs = np.where(small, np.abs(z), np.log1p(argument) / safe)
    out: Array = np.sign(z) * np.expm1(np.minimum(logs, 300.0))
    return out
