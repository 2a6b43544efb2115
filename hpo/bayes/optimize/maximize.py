"""Find the best candidates: screen many raw points, climb from the promising ones, hop between discrete choices.

Continuous columns climb by gradient, all starts in one evaluation per step (`lbfgs.py`). Discrete columns are not relaxed
(but numbers with more than 1000 levels count as continuous, see `encoding.py`): they stay fixed while the others climb,
then every start looks at its discrete neighbors and moves to the best one, in turns until nothing improves.
Shapes: r raw points, b starts, d columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from hpo.bayes.optimize.halfspaces import HalfSpaces
from hpo.bayes.optimize.lbfgs import maximize_rows
from hpo.common.arrays import Array, Mask

_PERTURBED = 20  # columns of an incumbent changed at once, on average, in many dimensions
_SPREAD = 0.1  # largest standard deviation of such a change; the smallest is a hundredth of it
_ROUNDS = 16  # of discrete hops
_HOP_ITERATIONS = 8  # gradient steps between hops
_GAIN = 1e-6  # least gain of a hop
_QUANTUM = 1e-9  # values closer than this, relatively, count as equal, so that rounding does not decide


class Climbable(Protocol):
    """A function to maximize; `acquisition.Acquisition` is one."""

    def value(self, X: Array) -> Array:
        """Values [b] at X [b, d]."""
        ...

    def __call__(self, X: Array) -> tuple[Array, Array]:
        """Values [b] and gradients [b, d] at X [b, d]."""
        ...


@dataclass(frozen=True, eq=False)
class Domain:
    """Where candidates may lie inside the unit cube, and how they may move.

    Attributes:
        movable: for X [b, d] tells [b, d] which columns of each row the gradient may move: the continuous, active ones.
        neighbors: for one row [d] gives [k, d] rows that differ by one discrete step; k may be 0.
        halfspaces: linear inequalities every candidate satisfies.

    By default everything moves freely.
    """

    movable: Callable[[Array], Mask] | None = None
    neighbors: Callable[[Array], Array] | None = None
    halfspaces: HalfSpaces | None = None

    def mask(self, X: Array) -> Mask:
        return np.ones(X.shape, dtype=bool) if self.movable is None else self.movable(X)

    def contains(self, X: Array) -> Mask:
        inside = cast(Mask, ((X >= 0.0) & (X <= 1.0)).all(axis=1))
        return inside if self.halfspaces is None else inside & self.halfspaces.contain(X)


@dataclass(frozen=True, eq=False)
class Maxima:
    """Local maxima `X [b, d]` and their `value [b]`, best first. Starts that met have equal rows."""

    X: Array
    value: Array


def maximize(
    function: Climbable,
    raw: Array,
    rng: np.random.Generator,
    *,
    domain: Domain | None = None,
    incumbents: Array | None = None,
    n_starts: int = 8,
    max_iterations: int = 40,
) -> Maxima:
    """Local maxima of `function` over the domain, best first.

    Args:
        function: what to maximize, usually an `Acquisition`.
        raw: [r, d], points of the domain spread over it; those outside are dropped.
        rng: for perturbing incumbents and for choosing starts.
        domain: bounds and moves beyond the unit cube.
        incumbents: [k, d], good points of the domain: perturbed copies join the raw points (a quarter of all), and they
            themselves always start.
        n_starts: starts chosen from the screened points, half of them by chance.
        max_iterations: gradient steps per start.

    At least one raw point or incumbent must lie in the domain.
    """
    domain = Domain() if domain is None else domain
    raw = raw[domain.contains(raw)]
    known = np.empty((0, raw.shape[1])) if incumbents is None else incumbents[domain.contains(incumbents)]
    assert len(raw) + len(known), "no point of the domain to start from"
    if len(known):
        raw = np.concatenate([raw, perturb(known, max(len(raw) // 3, 1), rng, domain)])
    starts = np.concatenate([known, raw[choose_starts(function.value(raw), n_starts, rng)]])
    X, value = climb(function, starts, domain, max_iterations=max_iterations)
    size = np.abs(value[np.isfinite(value)]).max(initial=0.0)
    order = np.argsort(-np.round(value / max(_QUANTUM * size, 1e-300)), kind="stable")
    return Maxima(X[order], value[order])


def climb(function: Climbable, X: Array, domain: Domain, *, max_iterations: int = 40) -> tuple[Array, Array]:
    """Local maxima [b, d] reached from starts X [b, d] by gradient and discrete hops in turns, and their values [b]."""
    box = np.zeros(X.shape[1]), np.ones(X.shape[1])

    def by_gradient(rows: Array, iterations: int) -> tuple[Array, Array]:
        free = domain.mask(rows)
        if not free.any():
            return rows, function.value(rows)
        end = maximize_rows(function, rows, *box, free=free, halfspaces=domain.halfspaces, max_iterations=iterations)
        return end.X, end.value

    X, value = by_gradient(X, max_iterations)
    if domain.neighbors is None:
        return X, value
    active = np.arange(len(X))
    for _ in range(_ROUNDS):
        hopped, hopped_value = _hop(function, X[active], value[active], domain)
        moved = hopped_value > value[active] + _GAIN
        active = active[moved]
        if not len(active):
            break
        X[active], value[active] = by_gradient(hopped[moved], _HOP_ITERATIONS)
    return X, value


def _hop(function: Climbable, X: Array, value: Array, domain: Domain) -> tuple[Array, Array]:
    """The best discrete neighbor of each row, or the row itself; all neighbors are valued in one call."""
    assert domain.neighbors is not None
    around = [domain.neighbors(row) for row in X]
    around = [rows[domain.contains(rows)] for rows in around]
    counts = [len(rows) for rows in around]
    if not sum(counts):
        return X, value
    values = np.split(function.value(np.concatenate(around)), np.cumsum(counts)[:-1])
    X, value = X.copy(), value.copy()
    for i, (rows, row_values) in enumerate(zip(around, values, strict=True)):
        if len(rows) and row_values.max() > value[i]:
            X[i], value[i] = rows[row_values.argmax()], row_values.max()
    return X, value


def perturb(incumbents: Array, n: int, rng: np.random.Generator, domain: Domain) -> Array:
    """Draw n points near incumbents [k, d]: normal steps of many sizes on about 20 movable columns each.

    In many dimensions a good point is improved by changing a few columns, not all at once (Regis and Shoemaker 2013).
    """
    base = incumbents[rng.integers(len(incumbents), size=n)]
    d = base.shape[1]
    movable = domain.mask(base)
    chosen = rng.random((n, d)) < min(1.0, _PERTURBED / d)
    chosen[np.arange(n), np.where(movable, rng.random((n, d)), -1.0).argmax(axis=1)] = True
    sizes = _SPREAD * 10.0 ** (-2.0 * rng.random((n, 1)))
    near = np.clip(base + np.where(movable & chosen, sizes * rng.normal(size=(n, d)), 0.0), 0.0, 1.0)
    return near if domain.halfspaces is None else domain.halfspaces.pull_back(base, near)


def choose_starts(value: Array, n: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Indices of n starts: half the best by value, half drawn with chances exp(2 value / sd) from the rest."""
    order = np.argsort(-value, kind="stable")
    order = order[np.isfinite(value[order])] if np.isfinite(value).any() else order
    if len(order) <= n or not np.isfinite(value[order]).all():
        return order[:n]
    best, rest = order[: (n + 1) // 2], order[(n + 1) // 2 :]
    heat = (value[rest] - value[rest].max()) / (value[rest].std() + 1e-12)
    # The largest of log chance + Gumbel noise are a draw without replacement.
    keys = 2.0 * heat + rng.gumbel(size=len(rest))
    return np.concatenate([best, rest[np.argsort(-keys, kind="stable")[: n - len(best)]]])
