"""Several objectives: the expected gain in dominated hypervolume, in log space, with analytic gradients.

The volume a point adds is counted along rays from the reference point r, in the metrics' own units. With u a direction of
the positive orthant, c(u) how far the front reaches along it, and T_j the increasing transform under which objective j is
a normal by its model, all independent,

    EHVI(x) = int du int_c(u)^inf t^(m-1) prod_j Phi((mean_j(x) - T_j(r_j + t u_j)) / sd_j(x)) dt:

hypervolume in polar coordinates (Deng and Zhang, IEEE TEVC 2019; Zhang and Golovin, ICML 2020), and the probability that
x dominates the point at distance t. The outer integral is a fixed set of directions, the inner one Gauss-Legendre from
the front to where the probability has fallen by exp(-12): no draws, any number of objectives, and a slope everywhere.

The front is that of the models' medians, so a lucky measurement does not set the mark. Points in flight are joint draws of
what they may turn out to be, each direction seeing one of them. Volume counts above the objectives' thresholds; where
there is none, from a little below the worst of the front. Larger is better here.
Shapes: n trials, p points in flight, b candidates, d columns, m objectives, k directions, t nodes, s draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, log_ndtr, ndtri

from hpo.bayes.acquisition.log_ei import Acquisition, log_normal_cdf
from hpo.bayes.acquisition.pending import N_FANTASIES, ConstraintTerms, conditioned, probable
from hpo.bayes.gp.gp import GP, condition, sample_at
from hpo.bayes.models import MetricModel, Models
from hpo.bayes.optimize.halton import halton
from hpo.common.arrays import Array, Mask
from hpo.trials.pareto import is_non_dominated

_DIRECTIONS = {2: 32, 3: 48}
_MAX_DIRECTIONS = 64
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_NODES, _WEIGHTS = 0.5 * _NODES + 0.5, 0.5 * _WEIGHTS
_FALL = 24.0  # twice the nats by which the probability falls over the inner integral
_ROWS = 128  # candidates at once; bounds the memory
_MARGIN = 0.1
_LARGEST = 1e150


@dataclass(frozen=True, eq=False)
class Front:
    """What is known of the best trade-offs.

    Attributes:
        X: [f, d] the trials of the front, by the models' medians.    Y: [f, m] those medians.
        reference: [m].    directions: [k, m] unit vectors of the positive orthant, each objective in units of `scale`.
        scale: [m] the extent of the front above the reference.    reach: [k] how far the front reaches along each.
    """

    models: Models
    X: Array
    Y: Array
    reference: Array
    directions: Array
    scale: Array
    reach: Array

    @classmethod
    def of(cls, models: Models, X: Array, feasible: Mask) -> Front:
        """The front of completed trials `X [n, d]`, of which those `feasible [n]` meet the constraints as measured; of
        all where none does."""
        rows = np.flatnonzero(feasible) if feasible.any() else np.arange(len(X))
        Y = medians(models, X[rows])
        best = is_non_dominated(Y)
        reference = reference_point(models, Y)
        extent = Y[best].max(axis=0) - reference
        scale = np.where(extent > 0.0, extent, np.maximum(np.abs(reference), 1e-12))
        directions = _directions(len(reference))
        reach = _reach((Y[best] - reference) / scale, directions)
        return cls(models, X[rows[best]], Y[best], reference, directions, scale, reach)

    def improvement(self, limits: ConstraintTerms, in_flight: Array, normals: Array) -> HypervolumeImprovement:
        """The acquisition function, given points in flight `[p, d]` and standard normals `[>= p, >= m s]`."""
        gps = [m.gp for m in self.models.objectives]
        reach = self.reach
        if len(in_flight):
            draws = [
                sample_at(gp, in_flight, normals[: len(in_flight), j * N_FANTASIES : (j + 1) * N_FANTASIES])
                for j, gp in enumerate(gps)
            ]
            gps = [condition(gp, in_flight, drawn) for gp, drawn in zip(gps, draws, strict=True)]
            heights = self._heights(np.stack([gp.posterior_mean(in_flight) for gp in gps], axis=-1))  # [s, p, m]
            heights = np.where(probable(limits, in_flight)[None, :, None], heights, 0.0)
            each = np.arange(len(self.directions)) % N_FANTASIES
            reach = np.maximum(reach, np.min(heights[each] / self.directions[:, None], axis=2).max(axis=1))
        return HypervolumeImprovement(self, gps, reach, conditioned(limits, in_flight))

    def volumes(self, draws: Array) -> tuple[Array, Array]:
        """Draws `[c, s, m]` as what each is worth along one direction a draw `[c, s]`, and what the front is, `[s]`.

        The mean over many draws of how much a worth exceeds the front's is proportional to the gain in hypervolume.
        """
        each = np.arange(draws.shape[1]) % len(self.directions)
        along = np.min(self._heights(draws) / self.directions[each], axis=2)
        m = len(self.reference)
        return np.maximum(along, 0.0) ** m, self.reach[each] ** m

    def _heights(self, modeled: Array) -> Array:
        """The models' values [..., m] as heights above the reference, in units of `scale`."""
        values = [_measured(m, modeled[..., j]) for j, m in enumerate(self.models.objectives)]
        return np.asarray((np.stack(values, axis=-1) - self.reference) / self.scale)

    def spread(self, count: int) -> Array:
        """At most `count` trials of the front `[<= count, d]`, evenly from its one end to the other."""
        order = np.argsort(self.Y[:, 0], kind="stable")
        places = np.unique(np.linspace(0, len(order) - 1, count).round().astype(np.intp))
        return self.X[order[places]]

    def dominates(self, X: Array) -> Mask:
        """Whether some trial of the front is predicted at least as good as each row of `X [b, d]` everywhere and better
        somewhere, `[b]`."""
        Y = medians(self.models, X)[:, None]
        return np.asarray(np.any(np.all(self.Y >= Y, axis=2) & np.any(self.Y > Y, axis=2), axis=1))


@dataclass(frozen=True, eq=False)
class HypervolumeImprovement:
    """Log EHVI + sum of log probabilities of the limits; a `maximize.Climbable`. See `Front.improvement`.

    `gps` model the objectives, `reach [k]` is what the front and the points in flight attain along each direction.
    """

    front: Front
    gps: Sequence[GP]
    reach: Array
    limits: Acquisition | None

    def value(self, X: Array) -> Array:
        """Values [b] at X [b, d]."""
        return np.concatenate([self._value(X[i : i + _ROWS]) for i in range(0, len(X), _ROWS)])

    def __call__(self, X: Array) -> tuple[Array, Array]:
        """Values [b] and gradients [b, d] at X [b, d]."""
        moments = [gp.posterior_pullback(X) for gp in self.gps]
        z, sd, log_terms = self._integrand([(mean, variance) for mean, variance, _ in moments])
        value, shares = _log_sum_exp(log_terms)
        _, hazard = log_normal_cdf(z)
        weight = shares[:, None] * hazard  # [t, m, k, b]
        gradient = np.zeros_like(X)
        for j, (mean, _, pullback) in enumerate(moments):
            by_mean = weight[:, j].sum(axis=0) / sd[j]  # [k, b]
            by_sd = -(weight[:, j] * z[:, j]).sum(axis=(0, 1)) / sd[j]
            gradient += pullback(_gather(by_mean, mean), by_sd / (2.0 * sd[j]))
        value = value + self._log_volume
        if self.limits is None:
            return value, gradient
        log_p, by_x = self.limits(X)
        return value + log_p, gradient + by_x

    def _value(self, X: Array) -> Array:
        _, _, log_terms = self._integrand([gp.posterior(X) for gp in self.gps])
        value = _log_sum_exp(log_terms)[0] + self._log_volume
        return value if self.limits is None else value + self.limits.value(X)

    def _integrand(self, moments: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array]:
        """Standard scores z [t, m, k, b], deviations sd [m, b], and the log of every term of the integral [t, k, b]."""
        front, k = self.front, len(self.reach)
        objectives = front.models.objectives
        mean = np.stack([_by_direction(mean, k) for mean, _ in moments])  # [m, k, b]
        sd = np.sqrt(np.stack([variance for _, variance in moments]))
        per_step = front.directions * front.scale  # [k, m]
        begin = front.reference + self.reach[:, None] * per_step
        widths = []
        for j, model in enumerate(objectives):
            z = (mean[j] - model.transform.forward(begin[:, j])[:, None]) / sd[j]
            furthest = _measured(model, mean[j] + np.sqrt(np.minimum(z, 0.0) ** 2 + _FALL) * sd[j])
            widths.append((furthest - begin[:, j, None]) / per_step[:, j, None])
        width = np.maximum(np.min(widths, axis=0), 1e-12)  # [k, b]
        steps = _NODES[:, None, None] * width
        z = np.empty((len(_NODES), len(objectives), *width.shape))
        for j, model in enumerate(objectives):
            place = begin[:, j, None] + steps * per_step[:, j, None]
            z[:, j] = (mean[j] - model.transform.forward(place)) / sd[j]
        log_terms = log_ndtr(z).sum(axis=1) + np.log(_WEIGHTS)[:, None, None] + np.log(width)
        log_terms += (len(objectives) - 1) * np.log(self.reach[:, None] + steps)
        return z, sd, log_terms

    @property
    def _log_volume(self) -> float:
        """Log of what one direction stands for: its part of the orthant's share of the sphere, in the metrics' units."""
        m, k = len(self.gps), len(self.reach)
        area = np.log(2.0) + 0.5 * m * np.log(np.pi) - gammaln(0.5 * m) - m * np.log(2.0)
        return float(area - np.log(k) + np.log(self.front.scale).sum())


def reference_point(models: Models, Y: Array) -> Array:
    """`[m]`: the objectives' thresholds; where there is none, a tenth of the front's range below its worst (Ishibuchi et
    al., GECCO 2011).

    The front of `Y [n, m]` alone has no range while one trial is best in everything: the next best fronts join until
    there is one more trial than objectives.
    """
    given = np.array([model.series.lower for model in models.objectives])
    top, rest = np.zeros(len(Y), dtype=bool), np.arange(len(Y))
    while len(rest) and top.sum() <= Y.shape[1]:
        best = is_non_dominated(Y[rest])
        top[rest[best]] = True
        rest = rest[~best]
    worst, best = Y[top].min(axis=0), Y[top].max(axis=0)
    margin = np.where(best > worst, _MARGIN * best - _MARGIN * worst, np.maximum(_MARGIN * np.abs(worst), 1e-12))
    return np.where(np.isfinite(given), given, worst - margin)


def medians(models: Models, X: Array) -> Array:
    """Posterior medians of the objectives `[n, m]` at X [n, d], larger is better, in the metrics' units."""
    return np.stack([_measured(m, m.gp.posterior_mean(X)) for m in models.objectives], axis=1)


def _measured(model: MetricModel, t: Array) -> Array:
    """The model's values as measured ones; cut where differences of them would overflow."""
    return np.clip(model.transform.inverse(t), -_LARGEST, _LARGEST)


def _directions(m: int) -> Array:
    """Unit vectors `[k, m]` spread evenly over the positive orthant, every component positive."""
    if m == 2:
        angle = (np.arange(_DIRECTIONS[2]) + 0.5) / _DIRECTIONS[2] * 0.5 * np.pi
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    count = _DIRECTIONS.get(m, _MAX_DIRECTIONS)
    normal = ndtri(0.5 + 0.5 * np.clip(halton(count, m, np.random.default_rng(0)), 1e-3, 1.0 - 1e-6))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def _reach(heights: Array, directions: Array) -> Array:
    """How far points at `heights [f, m]` above the reference reach along each direction `[k]`; 0 where none does."""
    return np.asarray(np.min(heights[None] / directions[:, None], axis=2).max(axis=1, initial=0.0))


def _by_direction(mean: Array, k: int) -> Array:
    """Means [b] or [s, b] as [k, b]: direction i sees draw i modulo s."""
    return np.broadcast_to(mean, (k, mean.shape[-1])) if mean.ndim == 1 else mean[np.arange(k) % len(mean)]


def _gather(by_direction: Array, mean: Array) -> Array:
    """Undo `_by_direction` for derivatives [k, b]: the sum over the directions that saw each mean."""
    if mean.ndim == 1:
        return np.asarray(by_direction.sum(axis=0))
    out = np.zeros_like(mean)
    np.add.at(out, np.arange(len(by_direction)) % len(mean), by_direction)
    return out


def _log_sum_exp(terms: Array) -> tuple[Array, Array]:
    """Log of the sum of exp over the leading axes of [t, k, b], and each term's share in it."""
    top = terms.max(axis=(0, 1))
    shares = np.exp(terms - top)
    total = shares.sum(axis=(0, 1))
    return top + np.log(total), shares / total
