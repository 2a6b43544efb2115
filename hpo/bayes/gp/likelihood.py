"""What theta is judged by: the log marginal likelihood of a GP and the log prior of its hyperparameters.

Both come with analytic gradients by theta's flat vector (see `kernel.Theta`). One evaluation costs one Cholesky
factorization, one inversion from it, and three passes over an n x n array: nothing of shape n x n x d is ever built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, lapack

from hpo.bayes.gp.kernel import Layout, matern52_with_slope, scale, squared_distances
from hpo.common.arrays import Array

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Observations:
    """What was seen: inputs `X [n, d]`, outputs `y [n]` and their known noise variances `noise [n]`."""

    X: Array
    y: Array
    noise: Array

    def __post_init__(self) -> None:
        assert self.X.ndim == 2
        assert len(self.X), "a GP needs at least one observation"
        assert self.y.shape == self.noise.shape == (len(self.X),)

    @classmethod
    def of(cls, X: Array, y: Array, noise: Array | None) -> Observations:
        """Without known noise, none is assumed."""
        return cls(X, y, np.zeros(len(y)) if noise is None else noise)

    def take(self, rows: npt.NDArray[np.intp]) -> Observations:
        return Observations(self.X[rows], self.y[rows], self.noise[rows])


@dataclass(frozen=True)
class Prior:
    """Independent normal priors on the logarithms of the hyperparameters, for outputs of about unit variance.

    The lengthscale prior grows with the number of groups g, so that a point keeps neighbors in high dimension: the
    LogNormal(sqrt(2) + log(g)/2, sqrt(3)) of Hvarfner et al. (ICML 2024), and LogNormal(-4, 1) for the noise. Theta
    maximizes their densities in the lengthscale and the noise themselves; in the logarithms, which are searched here,
    such a density is the normal N(m - s^2, s) up to a constant. The shift matters: without it an input the data say
    nothing about yet is taken for irrelevant. Warping is drawn towards the identity.
    """

    lengthscale_location: float = float(np.sqrt(2.0)) - 3.0
    lengthscale_scale: float = float(np.sqrt(3.0))
    outputscale_scale: float = 0.75
    noise_location: float = -5.0
    noise_scale: float = 1.0
    warp_scale: float = 0.5
    smooth: float = 0.0
    """Weight of a further log density -smooth / lengthscale^2 per lengthscale, which makes those far below its root
    improbable (the lower side of an inverse gamma prior on the square)."""

    def location_and_scale(self, layout: Layout) -> tuple[Array, Array]:
        """Means and standard deviations of the normals, one per entry of theta's vector."""
        g, w = layout.n_groups, layout.n_warped
        location = np.zeros(layout.n_theta)
        location[:g] = self.lengthscale_location + 0.5 * np.log(g)
        location[g + 1] = self.noise_location
        scales = np.full(layout.n_theta, self.warp_scale)
        scales[:g] = self.lengthscale_scale
        scales[g : g + 2] = self.outputscale_scale, self.noise_scale
        assert len(scales) == g + 2 + 2 * w
        return location, scales

    def log_density(self, vector: Array, layout: Layout) -> tuple[float, Array]:
        """Log prior density up to a constant, and its gradient."""
        location, scales = self.location_and_scale(layout)
        z = (vector - location) / scales
        value, gradient = float(-0.5 * z @ z), -z / scales
        if self.smooth:
            g = layout.n_groups
            sharpness = self.smooth * np.exp(-2.0 * vector[:g])
            value -= float(sharpness.sum())
            gradient[:g] += 2.0 * sharpness
        return value, gradient


def bounds(layout: Layout) -> tuple[Array, Array]:
    """The box theta is kept in, for outputs of about unit variance.

    Lengthscales in [0.02, 1000], output scale in [exp(-3), exp(4)], noise variance in [1e-6, 2] (small enough for late
    precision on a deterministic objective, large enough to keep the kernel matrix invertible), log a and log b in
    [-2, 2].
    """
    g = layout.n_groups
    lower, upper = np.full(layout.n_theta, -2.0), np.full(layout.n_theta, 2.0)
    lower[:g], upper[:g] = np.log(0.02), np.log(1e3)
    lower[g], upper[g] = -3.0, 4.0
    lower[g + 1], upper[g + 1] = np.log(1e-6), np.log(2.0)
    return lower, upper


def log_marginal_likelihood(vector: Array, seen: Observations, layout: Layout) -> tuple[float, Array]:
    """Log density of the outputs, with the constant mean profiled out, and its gradient by theta's vector.

        LL = -1/2 (y - m)' K^-1 (y - m) - 1/2 log |K| - n/2 log 2 pi,    m = 1'K^-1 y / 1'K^-1 1,
        K = s C + diag(learned noise + noise)

    With a = K^-1 (y - m), B the slope of the kernel and
    W = (a a' - K^-1) * s B, elementwise, the gradient is (Rasmussen and Williams 2006, eq. 5.9)

        dLL/dlog l_j = sum_i rowsum(W)_i z_ij^2 - z_j' W z_j,    dLL/dlog s = 1/2 tr((a a' - K^-1) s C).

    (The profiled mean needs no term of its own: LL is stationary in m.) Returns -inf and a zero gradient where K is not
    numerically positive definite or something overflows.
    """
    y, n, g = seen.y, len(seen.y), layout.n_groups
    outputscale, learned = np.exp(vector[g]), np.exp(vector[g + 1])
    inputs = scale(seen.X, vector, layout)
    Z = inputs.Z
    K, B = matern52_with_slope(squared_distances(Z, Z))
    K *= outputscale
    diagonal = learned + seen.noise
    K.flat[:: n + 1] += diagonal
    # K is symmetric: its transpose is the same matrix in the column order LAPACK works on without a copy.
    L, info = lapack.dpotrf(K.T, lower=1, clean=0, overwrite_a=1)
    if info:
        return -np.inf, np.zeros_like(vector)
    log_determinant = 2.0 * np.log(L.diagonal()).sum()
    solved, _ = lapack.dpotrs(L, np.stack([y, np.ones(n)], axis=1), lower=1)
    mean = solved[:, 1] @ y / solved[:, 1].sum()
    a = solved[:, 0] - mean * solved[:, 1]
    fit = a @ (y - mean)
    value = -0.5 * (fit + log_determinant + n * LOG_2PI)
    if not np.isfinite(value):
        return -np.inf, np.zeros_like(vector)

    inverse, _ = lapack.dpotri(L, lower=1, overwrite_c=1)  # lower triangle only; nothing below reads the upper one
    W_diagonal = a * a - inverse.diagonal()
    W = np.outer(a, a).T
    W -= inverse
    W *= B.T
    # One symmetric product gives both W Z and the row sums of W.
    product = blas.dsymm(outputscale, W, np.column_stack([Z, np.ones(n)]), lower=1)
    WZ, row_sums = product[:, :-1], product[:, -1:]
    by_Z = WZ - row_sums * Z  # dLL/dZ

    gradient = np.empty_like(vector)
    gradient[:g] = -layout.sum_by_group(np.einsum("ij,ij->j", by_Z, Z))
    gradient[g] = 0.5 * (fit - n - W_diagonal @ diagonal)  # s C = K - diagonal, and tr(K^-1 K) = n
    gradient[g + 1] = 0.5 * learned * W_diagonal.sum()
    if inputs.by_a is not None and inputs.by_b is not None:
        by_warped = by_Z[:, layout.warped]
        gradient[g + 2 : g + 2 + layout.n_warped] = np.einsum("ij,ij->j", by_warped, inputs.by_a)
        gradient[g + 2 + layout.n_warped :] = np.einsum("ij,ij->j", by_warped, inputs.by_b)
    return float(value), gradient
