"""The surrogate: an exact Gaussian process with analytic gradients.

    y(x) = m + f(x) + e,   f ~ GP(0, k),   e ~ N(0, learned noise + known noise of the point)

with the Matern-5/2 kernel of `kernel.py` and the constant mean m estimated by generalized least squares. Outputs are
expected to have about unit variance (`transforms.py` sees to that) and larger is better by convention of this room.
Everything is deterministic: equal data and start give equal results.

`fit.py` finds theta; `build` builds a `GP` from it; `condition` adds points in flight.
Shapes: n observations, p points in flight, d columns, b query points, s fantasy samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, lapack

from hpo.bayes.gp.kernel import Layout, Theta, matern52, matern52_with_slope, scale, squared_distances
from hpo.bayes.gp.likelihood import Observations
from hpo.common.arrays import Array

_JITTERS = (0.0, 1e-8, 1e-6, 1e-4)  # relative to the output scale
_VARIANCE_FLOOR = 1e-12  # relative to the output scale

Pullback = Callable[[Array, Array], Array]


@dataclass(frozen=True, eq=False)
class GP:
    """A Gaussian process posterior. Made by `fit.fit` or `build`; the fields are consistent only then.

    Attributes:
        theta: hyperparameters.    layout: which of them acts on which column.
        X: [n + p, d] inputs, the p points in flight last.
        y: [n] observed outputs.
        noise: [n + p] known noise variance per point, without the learned one.
        Z: [n + p, d] inputs, warped and scaled.
        inverse_factor: [n + p, n + p] lower triangular W = L^-1 with K = L L', K^-1 = W'W.
        alpha: [n + p] weights K^-1 (y - m); [s, n + p] after conditioning on s fantasies.
        mean: the constant m.
    """

    theta: Theta
    layout: Layout
    X: Array
    y: Array
    noise: Array
    Z: Array
    inverse_factor: Array
    alpha: Array
    mean: float

    @property
    def n_observed(self) -> int:
        return len(self.y)

    def posterior(self, X: Array) -> tuple[Array, Array]:
        """Mean [b] (or [s, b] with fantasies) and variance [b] of the noise-free f + m at X [b, d]."""
        k = self._cross(X)
        mean = self.mean + self.alpha @ k.T
        return mean, self._variance(self._whiten(k))

    def posterior_mean(self, X: Array) -> Array:
        """The mean of `posterior`, at a cost of O(n b) instead of O(n^2 b)."""
        mean: Array = self.mean + self.alpha @ self._cross(X).T
        return mean

    def posterior_pullback(self, X: Array) -> tuple[Array, Array, Pullback]:
        """As `posterior`, and the map from derivatives by mean and variance to the gradient by X.

        `pullback(d_mean, d_variance)`, with the shapes of mean and variance, returns [b, d]: the gradient of any scalar
        per row that depends on X through its mean and variance. One contraction over the observations serves both.
        """
        vector = self.theta.vector
        inputs = scale(X, vector, self.layout)
        s = self.theta.outputscale
        k, slope = matern52_with_slope(squared_distances(inputs.Z, self.Z))
        k *= s
        mean = self.mean + self.alpha @ k.T
        V = self._whiten(k)

        def pullback(d_mean: Array, d_variance: Array) -> Array:
            solved: Array = blas.dtrmm(1.0, self.inverse_factor, V, lower=1, trans_a=1).T  # K^-1 k, [b, n]
            by_mean = d_mean[:, None] * self.alpha if self.alpha.ndim == 1 else d_mean.T @ self.alpha
            weights = (by_mean - (2.0 * d_variance)[:, None] * solved) * slope
            by_Z: Array = weights @ self.Z - weights.sum(axis=1)[:, None] * inputs.Z
            by_Z *= s * inputs.by_input
            return by_Z

        return mean, self._variance(V), pullback

    def joint(self, X: Array) -> tuple[Array, Array]:
        """Mean [b] (or [s, b]) and covariance [b, b] of the noise-free f + m at X [b, d]."""
        mean, covariance, _ = self._joint(X)
        return mean, covariance

    def leave_one_out(self) -> tuple[Array, Array]:
        """Mean [n] and variance [n] of each observed output predicted from the others, at the same theta and m.

        mu_i = y_i - alpha_i / [K^-1]_ii, var_i = 1 / [K^-1]_ii (Rasmussen and Williams 2006, eq. 5.12); the variance
        includes the noise of the observation.
        """
        n = self.n_observed
        W = self.inverse_factor[:n, :n]
        precision = np.einsum("ij,ij->j", W, W)
        return self.y - W.T @ (W @ (self.y - self.mean)) / precision, 1.0 / precision

    def _cross(self, X: Array) -> Array:
        """Covariances [b, n] of f at X [b, d] with f at the observations."""
        k = matern52(squared_distances(scale(X, self.theta.vector, self.layout).Z, self.Z))
        k *= self.theta.outputscale
        return k

    def _whiten(self, k: Array) -> Array:
        """L^-1 k' [n, b] for cross-covariances k [b, n], which are overwritten."""
        V: Array = blas.dtrmm(1.0, self.inverse_factor, k.T, lower=1, overwrite_b=1)
        return V

    def _variance(self, V: Array) -> Array:
        s = self.theta.outputscale
        variance: Array = s - np.einsum("nb,nb->b", V, V)
        return np.maximum(variance, _VARIANCE_FLOOR * s, out=variance)

    def _joint(self, X: Array) -> tuple[Array, Array, Array]:
        Z, s = scale(X, self.theta.vector, self.layout).Z, self.theta.outputscale
        k = s * matern52(squared_distances(Z, self.Z))
        mean = self.mean + self.alpha @ k.T
        V = self._whiten(k)
        covariance = s * matern52(squared_distances(Z, Z)) - V.T @ V
        return mean, 0.5 * (covariance + covariance.T), V


def build(
    theta: Theta,
    X: Array,
    y: Array,
    *,
    groups: npt.ArrayLike | None = None,
    noise: Array | None = None,
    warp: npt.ArrayLike | None = None,
) -> GP:
    """The GP of known hyperparameters: one Cholesky factorization, no search. Arguments as in `fit.fit`."""
    layout = Layout.of(X.shape[1], groups, warp)
    assert len(theta.vector) == layout.n_theta, "theta does not fit groups and warp"
    return build_from(theta.vector, Observations.of(X, y, noise), layout)


def condition(gp: GP, X: Array, fantasies: Array | None = None) -> GP:
    """The GP that also knows of points in flight X [p, d], at the cost of O(n^2 p).

    Without `fantasies` the variance falls as if X had been observed while the mean stays that of the completed
    observations (Desautels et al. 2014, GP-BUCB): nobody invents a result. With `fantasies [p, s]`, outputs drawn at X
    by `sample_at`, the mean becomes one per sample, [s, b]. Conditioning may be repeated.

    With S the noisy covariance at X and r = fantasies - mean, the weights grow by beta = S^-1 r and the old ones
    change by -K^-1 k(X) beta.
    """
    mean, covariance, V = gp._joint(X)
    covariance.flat[:: len(X) + 1] += gp.theta.noise
    corner = _inverse_factor(covariance, gp.theta.outputscale)
    W = _append_factor(gp.inverse_factor, V, corner)
    if fantasies is None:
        alpha = np.concatenate([gp.alpha, np.zeros((*gp.alpha.shape[:-1], len(X)))], axis=-1)
    else:
        residual = fantasies.T - mean  # [s, p]
        beta = residual @ (corner.T @ corner)
        old = gp.alpha - (gp.inverse_factor.T @ (V @ beta.T)).T
        alpha = np.concatenate([old, beta], axis=1)
    return replace(
        gp,
        X=np.concatenate([gp.X, X]),
        noise=np.concatenate([gp.noise, np.zeros(len(X))]),
        Z=np.concatenate([gp.Z, scale(X, gp.theta.vector, gp.layout).Z]),
        inverse_factor=W,
        alpha=alpha,
    )


def sample_at(gp: GP, X: Array, normals: Array, *, observed: bool = True) -> Array:
    """Joint draws [p, s] at X [p, d] from standard normals [p, s].

    `observed` draws measurements (learned noise included), what `condition` takes as fantasies; otherwise the
    noise-free function, for Thompson sampling.
    """
    mean, covariance = gp.joint(X)
    if observed:
        covariance.flat[:: len(X) + 1] += gp.theta.noise
    factor = _cholesky(covariance, gp.theta.outputscale)
    draws: Array = (mean if mean.ndim == 2 else mean[None]).T + factor @ normals
    return draws


def build_from(vector: Array, seen: Observations, layout: Layout) -> GP:
    """The GP of theta's `vector` and what was observed."""
    theta = Theta.from_vector(vector, layout.n_groups)
    Z = scale(seen.X, vector, layout).Z
    K = theta.outputscale * matern52(squared_distances(Z, Z))
    K.flat[:: len(K) + 1] += theta.noise + seen.noise
    W = _inverse_factor(K, theta.outputscale)
    mean, alpha = _weights(W, seen.y)
    return GP(
        theta=theta,
        layout=layout,
        X=seen.X,
        y=seen.y,
        noise=seen.noise,
        Z=Z,
        inverse_factor=W,
        alpha=alpha,
        mean=mean,
    )


def _weights(W: Array, y: Array) -> tuple[float, Array]:
    """The least-squares mean m and alpha = K^-1 (y - m)."""
    whitened = W @ np.stack([y, np.ones(len(y))], axis=1)
    with np.errstate(over="ignore"):
        mean = whitened[:, 1] @ whitened[:, 0] / (whitened[:, 1] @ whitened[:, 1])
    return float(mean), W.T @ (whitened[:, 0] - mean * whitened[:, 1])


def _cholesky(K: Array, outputscale: float) -> Array:
    """Lower Cholesky factor of a symmetric K, with the least jitter of the ladder that makes it exist.

    At 1e-4 of the output scale rounding (about n times 1e-16) cannot make a covariance indefinite any more; one that is
    not finite raises LinAlgError.
    """
    for jitter in _JITTERS:
        A = K.copy(order="F")
        A.flat[:: len(A) + 1] += jitter * outputscale
        L, info = lapack.dpotrf(A, lower=1, clean=1, overwrite_a=1)
        if not info:
            return cast(Array, L)
    raise np.linalg.LinAlgError("the covariance is not finite")


def _inverse_factor(K: Array, outputscale: float) -> Array:
    """W = L^-1 for K = L L', in LAPACK's column order."""
    L = _cholesky(K, outputscale)
    W, _ = lapack.dtrtri(L, lower=1, overwrite_c=1)
    return cast(Array, W)


def _append_factor(W: Array, V: Array, corner: Array) -> Array:
    """Inverse factor of [[K, k], [k', c]] from W = L^-1, V = L^-1 k [n, p] and corner = chol(c - V'V)^-1."""
    n, p = V.shape
    grown = np.zeros((n + p, n + p), order="F")
    grown[:n, :n] = W
    grown[n:, :n] = -corner @ (V.T @ W)
    grown[n:, n:] = corner
    return grown
