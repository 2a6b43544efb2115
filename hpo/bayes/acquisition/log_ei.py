"""What a candidate is worth, in log space, with analytic gradients.

A *utility* turns the posterior mean and standard deviation of one GP into a number per candidate; an `Acquisition` adds
the utilities of several GPs, log EI of the objective + log probability of each constraint + log P(success), and is what
`maximize.py` climbs. With GPs conditioned on fantasies (points in flight) everything is per sample and the
*product* of the factors is averaged over the samples:

    a(x) = log 1/s sum_i exp sum_t u_t(mean_ti(x), sd_t(x)).

Shapes: b candidates, d columns, s fantasy samples; `...` stands for nothing or for s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from hpo.bayes.gp.gp import Pullback
from hpo.bayes.gp.likelihood import LOG_2PI
from hpo.common.arrays import Array

_SQRT_HALF_PI = float(np.sqrt(np.pi / 2.0))


class Surrogate(Protocol):
    """What an acquisition needs of a model; `gp.GP` is one."""

    def posterior(self, X: Array) -> tuple[Array, Array]:
        """Mean [..., b] and variance [b] at X [b, d]."""
        ...

    def posterior_pullback(self, X: Array) -> tuple[Array, Array, Pullback]:
        """The same, and the map from derivatives by mean and variance to the gradient by X [b, d]."""
        ...


class Utility(Protocol):
    """A value per candidate from the posterior mean [..., b] and standard deviation [b]."""

    def __call__(self, mean: Array, sd: Array) -> tuple[Array, Array, Array]:
        """Value, derivative by mean and derivative by sd, each [..., b]."""
        ...


@dataclass(frozen=True, eq=False)
class LogEI:
    """Log expected improvement over `best` (a number, or [s, 1] with fantasies).

    log EI = log h((mean - best) / sd) + log sd, h(z) = phi(z) + z Phi(z) (Ament et al., NeurIPS 2023, eq. 9).
    """

    best: float | Array

    def __call__(self, mean: Array, sd: Array) -> tuple[Array, Array, Array]:
        z = (mean - self.best) / sd
        value, by_z = log_h(z)
        by_mean = by_z / sd
        return value + np.log(sd), by_mean, 1.0 / sd - by_mean * z


@dataclass(frozen=True)
class LogProbability:
    """Log probability that the noise-free value lies in [lower, upper]; either limit may be absent.

    log PoF of a constraint; log P(success) with the limit of a success GP; log PI with `lower` the incumbent.
    """

    lower: float = -np.inf
    upper: float = np.inf

    def __post_init__(self) -> None:
        assert self.lower < self.upper, f"an empty or reversed interval: [{self.lower}, {self.upper}]"
        assert np.isfinite(self.lower) or np.isfinite(self.upper), "a probability needs at least one limit"

    def __call__(self, mean: Array, sd: Array) -> tuple[Array, Array, Array]:
        if np.isinf(self.upper):
            z = (mean - self.lower) / sd
            value, slope = log_normal_cdf(z)
            return value, slope / sd, -slope * z / sd
        if np.isinf(self.lower):
            z = (self.upper - mean) / sd
            value, slope = log_normal_cdf(z)
            return value, -slope / sd, -slope * z / sd
        a, b = (self.lower - mean) / sd, (self.upper - mean) / sd
        value, by_a, by_b = log_normal_interval(a, b)
        return value, -(by_a + by_b) / sd, -(by_a * a + by_b * b) / sd


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Sum of utilities of surrogates, as a function of candidates X [b, d].

    Calling it gives value [b] and gradient [b, d]; `value` gives the value alone at a fraction of the cost, for
    screening raw points. Surrogates conditioned on fantasies must agree on the number of samples s.
    """

    terms: Sequence[tuple[Surrogate, Utility]]

    def __post_init__(self) -> None:
        assert self.terms, "an acquisition needs at least one term"

    def value(self, X: Array) -> Array:
        """Values [b] without gradients."""
        total: Array = np.zeros(len(X))
        for surrogate, utility in self.terms:
            mean, variance = surrogate.posterior(X)
            total = total + utility(mean, np.sqrt(variance))[0]
        return total if total.ndim == 1 else _log_mean_exp(total)[0]

    def __call__(self, X: Array) -> tuple[Array, Array]:
        """Values [b] and gradients [b, d]."""
        total: Array = np.zeros(len(X))
        parts = []
        for surrogate, utility in self.terms:
            mean, variance, pullback = surrogate.posterior_pullback(X)
            sd = np.sqrt(variance)
            value, by_mean, by_sd = utility(mean, sd)
            total = total + value
            parts.append((by_mean, by_sd / (2.0 * sd), value.ndim == 2, pullback))
        shares = np.ones(len(X))
        if total.ndim == 2:
            total, shares = _log_mean_exp(total)
        gradient = np.zeros_like(X)
        for by_mean, by_variance, is_sampled, pullback in parts:
            if is_sampled:
                gradient += pullback(shares * by_mean, (shares * by_variance).sum(axis=0))
            else:
                gradient += pullback(by_mean, by_variance)
        return total, gradient


def log_h(z: Array) -> tuple[Array, Array]:
    """log(phi(z) + z Phi(z)) and its derivative Phi(z) / h(z), stable for every finite z.

    Below -1, with w = Phi(z) / phi(z) from the scaled complementary error function, h = phi (1 + z w); below -1000 the
    bracket is replaced by its asymptotic series 1/z^2 - 3/z^4.
    """
    usual = z > -1.0
    zu = np.where(usual, z, 0.0)
    cdf = ndtr(zu)
    h = np.exp(-0.5 * (zu * zu + LOG_2PI)) + zu * cdf
    if usual.all():
        return np.log(h), cdf / h
    zt = np.where(usual, -1.0, z)
    ratio = _SQRT_HALF_PI * erfcx(zt * -np.sqrt(0.5))
    square = zt * zt
    with np.errstate(over="ignore"):
        bracket = np.where(zt > -1e3, 1.0 + zt * ratio, (1.0 - 3.0 / square) / square)
    tail = np.log(bracket) - 0.5 * (square + LOG_2PI)
    return np.where(usual, np.log(h), tail), np.where(usual, cdf / h, ratio / bracket)


def log_normal_cdf(z: Array) -> tuple[Array, Array]:
    """Log Phi(z) and its derivative phi(z) / Phi(z), stable for every finite z."""
    return log_ndtr(z), _hazard(z)


def log_normal_interval(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """log(Phi(b) - Phi(a)) for finite a < b, and its derivatives by a and by b.

    An interval in the upper tail is mirrored into the lower one, where log Phi keeps its digits; one that contains zero
    is measured by what it leaves out; in a very narrow one the density is taken as constant.
    """
    mirrored = a > 0.0
    low, high = np.where(mirrored, -b, a), np.where(mirrored, -a, b)  # high > 0 only if the interval contains zero
    width = high - low
    narrow = width < 1e-6
    if narrow.any():
        middle, size = 0.5 * (low + high), np.maximum(width, 1e-300)
        thin = np.log(size) - 0.5 * (middle * middle + LOG_2PI)
        thin_low, thin_high = -0.5 * middle - 1.0 / size, -0.5 * middle + 1.0 / size
        low, high = np.where(narrow, -1.0, low), np.where(narrow, 1.0, high)  # any harmless interval
    log_high = log_ndtr(high)
    ratio = np.exp(log_ndtr(low) - log_high)  # Phi(low) / Phi(high)
    outside = ndtr(low) + ndtr(-high)
    contains_zero = high > 0.0
    value = np.where(
        contains_zero,
        np.log1p(-np.where(contains_zero, outside, 0.0)),
        log_high + np.log1p(-np.where(contains_zero, 0.0, ratio)),
    )
    # Densities over the probability of the interval, by hazards: the densities themselves would underflow.
    by_high = _hazard(high) / (1.0 - ratio)
    by_low = -_hazard(low) * ratio / (1.0 - ratio)
    if narrow.any():
        value = np.where(narrow, thin, value)
        by_low, by_high = np.where(narrow, thin_low, by_low), np.where(narrow, thin_high, by_high)
    return value, np.where(mirrored, -by_high, by_low), np.where(mirrored, -by_low, by_high)


def _hazard(z: Array) -> Array:
    """phi(z) / Phi(z)."""
    with np.errstate(over="ignore"):
        hazard: Array = 1.0 / (_SQRT_HALF_PI * erfcx(z * -np.sqrt(0.5)))
    return hazard


def _log_mean_exp(values: Array) -> tuple[Array, Array]:
    """Log of the mean of exp over the samples [s, b], and the share [s, b] of each sample in it."""
    top = values.max(axis=0)
    top = np.where(np.isfinite(top), top, 0.0)
    shares = np.exp(values - top)
    total = shares.sum(axis=0)
    with np.errstate(divide="ignore"):
        value = top + np.log(total / len(values))
    return value, shares / np.maximum(total, 1e-300)
