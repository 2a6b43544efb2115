"""Matern-5/2 kernel with one lengthscale per group of columns, and optional Kumaraswamy input warping.

    k(x, x') = s (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r),    r^2 = sum_j (w_j(x_j) - w_j(x'_j))^2 / l_j^2

Columns that belong to one parameter (the one-hot columns of a categorical) share a lengthscale through `groups`.
Shapes: n points, d columns, g groups, w warped columns. Inputs lie in [0, 1]^d.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hpo.common.arrays import Array, Mask

_EDGE = 1e-6  # inputs are moved this far off 0 and 1, where the slope of the warping may be infinite


@dataclass(frozen=True)
class Theta:
    """Hyperparameters of one GP, all as natural logarithms.

    `log_noise` is the log of the learned noise variance. `log_warp_a` and `log_warp_b` hold one value per warped
    column, in column order, and are empty without warping.
    """

    log_lengthscales: tuple[float, ...]
    log_outputscale: float
    log_noise: float
    log_warp_a: tuple[float, ...] = ()
    log_warp_b: tuple[float, ...] = ()

    @cached_property
    def vector(self) -> Array:
        """The flat vector [g + 2 + 2w] the optimizer moves: lengthscales, output scale, noise, a, b."""
        return np.array(
            [*self.log_lengthscales, self.log_outputscale, self.log_noise, *self.log_warp_a, *self.log_warp_b]
        )

    @classmethod
    def from_vector(cls, vector: Array | Sequence[float], n_groups: int) -> Theta:
        """Undo `vector`."""
        values = [float(v) for v in vector]
        n_warped, odd = divmod(len(values) - n_groups - 2, 2)
        assert n_warped >= 0, "a theta vector has g + 2 + 2w entries"
        assert not odd, "a theta vector has one a and one b per warped column"
        a_ends = n_groups + 2 + n_warped
        return cls(
            log_lengthscales=tuple(values[:n_groups]),
            log_outputscale=values[n_groups],
            log_noise=values[n_groups + 1],
            log_warp_a=tuple(values[n_groups + 2 : a_ends]),
            log_warp_b=tuple(values[a_ends:]),
        )

    def to_list(self) -> list[float]:
        """Plain numbers for JSON; `from_vector` reads them back exactly."""
        return [float(v) for v in self.vector]

    @cached_property
    def outputscale(self) -> float:
        return float(np.exp(self.log_outputscale))

    @cached_property
    def noise(self) -> float:
        return float(np.exp(self.log_noise))


@dataclass(frozen=True, eq=False)
class Layout:
    """Which hyperparameters act on which columns: `groups [d]` (lengthscale index per column), `warped [d]` (bool)."""

    groups: npt.NDArray[np.intp]
    warped: Mask

    def __post_init__(self) -> None:
        assert self.groups.ndim == 1
        assert self.groups.shape == self.warped.shape
        assert set(self.groups.tolist()) == set(range(self.n_groups)), "groups must be numbered 0..g-1"

    @classmethod
    def of(cls, d: int, groups: npt.ArrayLike | None = None, warped: npt.ArrayLike | None = None) -> Layout:
        """Fill in the defaults: every column its own group, nothing warped."""
        return cls(
            groups=np.arange(d) if groups is None else np.asarray(groups, dtype=np.intp),
            warped=np.zeros(d, dtype=bool) if warped is None else np.asarray(warped, dtype=bool),
        )

    @cached_property
    def n_groups(self) -> int:
        return int(self.groups.max()) + 1

    @cached_property
    def n_warped(self) -> int:
        return int(self.warped.sum())

    @cached_property
    def n_theta(self) -> int:
        return self.n_groups + 2 + 2 * self.n_warped

    def sum_by_group(self, columns: Array) -> Array:
        """Add up values [d] per group, giving [g]."""
        return np.bincount(self.groups, weights=columns, minlength=self.n_groups).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Scaled:
    """Inputs after warping and division by the lengthscales.

    `Z [n, d]`, with its derivatives: by X, `by_input` ([n, d], or [d] if all rows share them); for the w warped columns
    by log a and by log b, `by_a` and `by_b` [n, w] (None without warping).
    """

    Z: Array
    by_input: Array
    by_a: Array | None = None
    by_b: Array | None = None


def scale(X: Array, vector: Array, layout: Layout) -> Scaled:
    """Map inputs X [n, d] to the space where the kernel is isotropic, with the derivatives of that map."""
    g, w = layout.n_groups, layout.n_warped
    inverse = np.exp(-vector[:g])[layout.groups]
    if not w:
        return Scaled(Z=X * inverse, by_input=inverse)
    a, b = np.exp(vector[g + 2 : g + 2 + w]), np.exp(vector[g + 2 + w :])
    bent, slope, by_a, by_b = kumaraswamy(X[:, layout.warped], a, b)
    U, by_input = X.copy(), np.ones_like(X)
    U[:, layout.warped], by_input[:, layout.warped] = bent, slope
    over = inverse[layout.warped]
    return Scaled(Z=U * inverse, by_input=by_input * inverse, by_a=by_a * (a * over), by_b=by_b * (b * over))


def kumaraswamy(x: Array, a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    """Kumaraswamy distribution function w = 1 - (1 - x^a)^b and its derivatives by x, a and b, elementwise.

    It bends [0, 1] monotonically and is the identity at a = b = 1 (Snoek et al. 2014, with the Beta replaced by its
    closed-form relative). x is first moved into [1e-6, 1 - 1e-6].
    """
    inner = 1 - 2 * _EDGE
    log_x = np.log(_EDGE + inner * x)
    power = np.exp(a * log_x)  # x^a
    rest = -np.expm1(a * log_x)  # 1 - x^a
    log_rest = np.log(rest)
    tail = np.exp(b * log_rest)  # (1 - x^a)^b
    slope = b * tail / rest  # dw / d(x^a)
    by_x = inner * slope * a * power * np.exp(-log_x)
    return 1 - tail, by_x, slope * power * log_x, -tail * log_rest


def squared_distances(Z1: Array, Z2: Array) -> Array:
    """Squared Euclidean distances [n1, n2]; rounding below zero is cut off."""
    D = Z1 @ Z2.T
    D *= -2.0
    D += np.einsum("ij,ij->i", Z1, Z1)[:, None]
    D += np.einsum("ij,ij->i", Z2, Z2)
    return np.maximum(D, 0.0, out=D)


def matern52(D: Array) -> Array:
    """Correlation (1 + R + R^2/3) exp(-R), R = sqrt(5 D), at squared distances D."""
    R = np.sqrt(5.0 * D)
    correlation = R * (1.0 / 3.0)
    correlation += 1.0
    correlation *= R
    correlation += 1.0
    np.negative(R, out=R)
    correlation *= np.exp(R, out=R)
    return correlation


def matern52_with_slope(D: Array) -> tuple[Array, Array]:
    """Correlation k at squared distances D, and the slope B = 5/3 (1 + R) exp(-R), for which dk/dz = -B (z - z')."""
    R = np.sqrt(5.0 * D)
    E = np.exp(-R)
    R += 1.0
    R *= E  # (1 + R) exp(-R)
    E *= D
    E *= 5.0 / 3.0
    E += R
    R *= 5.0 / 3.0
    return E, R
