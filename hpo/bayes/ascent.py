"""Uphill from many points at once: limited-memory BFGS inside a box and, optionally, inside half-spaces.

All rows climb in one evaluation of the function per step, each with its own curvature memory and step length, so a
row's path does not depend on which other rows climb beside it. Used for hyperparameters and for acquisition functions.
Shapes: b rows (restarts), d columns, k half-spaces, h remembered steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from hpo.bayes.kernel import Array

Mask = npt.NDArray[np.bool_]
ValueAndGradient = Callable[[Array], tuple[Array, Array]]  # X [b, d] -> value [b], gradient [b, d]

_MEMORY = 8
_SUFFICIENT = 1e-4  # share of the promised increase that a step must deliver (Armijo)
_SHORTER = 12
_UPPER = np.triu(np.ones((_MEMORY, _MEMORY)))


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """The points with A x <= b: `A [k, d]`, `b [k]`."""

    A: Array
    b: Array

    def __post_init__(self) -> None:
        assert self.A.ndim == 2
        assert self.b.shape == (len(self.A),)

    def contain(self, X: Array) -> Mask:
        """Which rows of X [b, d] satisfy every inequality."""
        return cast(Mask, (X @ self.A.T - self.b <= 0.0).all(axis=1))

    def pull_back(self, inside: Array, target: Array) -> Array:
        """The point of each segment from `inside` to `target` (both [b, d]) that is nearest to `target` and satisfies
        every inequality. Convex bounds that hold at both ends hold there too. `inside` is returned where it must be.
        """
        slack = np.maximum(self.b - inside @ self.A.T, 0.0)
        rise = (target - inside) @ self.A.T
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(rise > slack, slack / rise, 1.0)
        share = shares.min(axis=1, initial=1.0)
        reached = inside + share[:, None] * (target - inside)
        for _ in range(3):  # rounding can leave a point outside by a last digit
            share = np.where(self.contain(reached), share, share * (1.0 - 1e-9))
            reached = np.where((share == 1.0)[:, None], target, inside + share[:, None] * (target - inside))
        return np.where(self.contain(reached)[:, None], reached, inside)

    def slide(self, X: Array, direction: Array, can_move: Mask) -> Array:
        """Remove from each direction what would leave a half-space on whose border X lies, by cyclic projection."""
        A = self.A[None] * can_move[:, None, :]  # [b, k, d]
        norms = np.einsum("bkd,bkd->bk", A, A)
        touching = (self.b - X @ self.A.T <= 1e-9 * (1.0 + np.abs(self.b))) & (norms > 0)
        if not touching.any():
            return direction
        for _ in range(3):
            for j in np.flatnonzero(touching.any(axis=0)):
                outward = np.where(touching[:, j], np.einsum("bd,bd->b", A[:, j], direction), 0.0)
                share = np.maximum(outward, 0.0) / np.where(norms[:, j] > 0, norms[:, j], 1.0)
                direction = direction - share[:, None] * A[:, j]
        return direction


@dataclass(frozen=True, eq=False)
class Ascent:
    """Where each row ended: `X [b, d]`, `value [b]`; `n_evaluations` counts rows evaluated in all."""

    X: Array
    value: Array
    n_evaluations: int


def ascend(
    function: ValueAndGradient,
    X: Array,
    lower: Array,
    upper: Array,
    *,
    free: Mask | None = None,
    halfspaces: HalfSpaces | None = None,
    max_iterations: int = 40,
    first_step: float = 0.1,
    tolerance: float = 1e-6,
) -> Ascent:
    """Climb `function` from every row of X [b, d]; no row ever ends lower than it started.

    Args:
        function: value and gradient of any number of rows at once.
        X: starts, inside the box and the half-spaces.
        lower: the box, [d].
        upper: the box, [d].
        free: [b, d], which columns of which row may move (all by default).
        halfspaces: further linear inequalities every returned point satisfies if its start did.
        max_iterations: steps per row.
        first_step: largest change of a column in the first step, before any curvature is known.
        tolerance: a row stops when a step gains less than this, relative to max(1, |value|).

    Rows whose value or gradient is not finite at the start are returned as they are. Projected L-BFGS: columns at a
    bound that push outward are held, the quasi-Newton matrix acts on the others (Bertsekas 1982; Nocedal 1980).
    """
    free = np.ones(X.shape, dtype=bool) if free is None else free
    rows, at = np.arange(len(X)), _Place(X.copy(), *function(X))
    X_end, v_end, n_evaluations = at.x.copy(), at.v.copy(), len(X)
    S = Y = np.zeros((len(X), 0, X.shape[1]))
    climbing = np.isfinite(at.v) & np.isfinite(at.g).all(axis=1)

    def reach(here: Array, step: Array) -> Array:
        target = np.minimum(np.maximum(here + step, lower), upper)
        return target if halfspaces is None else halfspaces.pull_back(here, target)

    for _ in range(max_iterations):
        if not climbing.all():
            rows, at, S, Y, free = rows[climbing], at.take(climbing), S[climbing], Y[climbing], free[climbing]
        if not len(rows):
            break
        can_move = free & ~(((at.x <= lower) & (at.g < 0)) | ((at.x >= upper) & (at.g > 0)))
        q = np.where(can_move, at.g, 0.0)
        p = _direction(q, can_move, S, Y, first_step)
        if halfspaces is not None:
            p = halfspaces.slide(at.x, p, can_move)
            lost = _dot(p, q) <= 0
            p[lost] = halfspaces.slide(at.x, _steepest(q, first_step), can_move)[lost]
        to, tried = _search_line(function, at, p, reach)
        n_evaluations += tried
        S = np.concatenate([S[:, 1 - _MEMORY :], (to.x - at.x)[:, None]], axis=1)
        Y = np.concatenate([Y[:, 1 - _MEMORY :], (at.g - to.g)[:, None]], axis=1)
        climbing = to.v - at.v > tolerance * np.maximum(1.0, np.abs(at.v))
        at = to
        X_end[rows], v_end[rows] = at.x, at.v
    return Ascent(X_end, v_end, n_evaluations)


class _Place(NamedTuple):
    """Points x [b, d] with value v [b] and gradient g [b, d]."""

    x: Array
    v: Array
    g: Array

    def take(self, rows: Mask) -> _Place:
        return _Place(self.x[rows], self.v[rows], self.g[rows])


def _search_line(
    function: ValueAndGradient, at: _Place, p: Array, reach: Callable[[Array, Array], Array]
) -> tuple[_Place, int]:
    """Where each row arrives by a step along p that keeps Armijo's promise, and how many rows were evaluated.

    `reach` bends a step into the bounds. A row that finds none after `_SHORTER` ever shorter steps stays.
    """
    to = _Place(at.x.copy(), at.v.copy(), at.g.copy())
    trying, length, n_evaluations = np.arange(len(p)), np.ones(len(p)), 0
    for _ in range(_SHORTER):
        here = at.x[trying]
        trial = reach(here, length[:, None] * p[trying])
        v, g = function(trial)
        n_evaluations += len(trying)
        promised, gained = _dot(trial - here, at.g[trying]), v - at.v[trying]
        good = (gained >= _SUFFICIENT * promised) & (promised > 0) & np.isfinite(g).all(axis=1)
        if len(trying) == len(p) and good.all():
            return _Place(trial, v, g), n_evaluations
        taken = trying[good]
        to.x[taken], to.v[taken], to.g[taken] = trial[good], v[good], g[good]
        trying, length = trying[~good], length[~good] * _shrink(promised[~good], gained[~good])
        if not len(trying):
            break
    return to, n_evaluations


def _shrink(promised: Array, gained: Array) -> Array:
    """Factor for a failed step: the maximum of the parabola through both values and the slope, within [0.1, 0.5]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = 0.5 * promised / (promised - gained)
    return np.clip(np.where(np.isfinite(factor), factor, 0.1), 0.1, 0.5)


def _dot(A: Array, B: Array) -> Array:
    """Inner products over the last axis."""
    return cast(Array, np.einsum("...d,...d->...", A, B))


def _steepest(q: Array, first_step: float) -> Array:
    """The gradient q [b, d] scaled so that the largest change is `first_step`."""
    largest = np.abs(q).max(axis=1, keepdims=True, initial=1e-300)
    return cast(Array, q * (first_step / largest))


def _direction(q: Array, can_move: Mask, S: Array, Y: Array, first_step: float) -> Array:
    """Quasi-Newton ascent directions [b, d] for gradients q [b, d] from steps S and gradient decreases Y, [b, h, d].

    The inverse Hessian in compact form (Byrd, Nocedal, Schnabel 1994, eq. 3.1): with R the upper triangle of S Y', D
    its diagonal, gamma = s'y / y'y of the newest step, a = R^-1 S q and r = gamma (q - Y' a),

        H q = r + S' R^-T (D a - Y r).

    Only free columns enter, so H is the quasi-Newton matrix of the face the row lies on. Pairs without positive
    curvature there are left out (zeros, with R_ii = 1). Falls back to steepest ascent where H q does not climb.
    """
    h = S.shape[1]
    if not h:
        return _steepest(q, first_step)
    if not can_move.all():
        S, Y = S * can_move[:, None], Y * can_move[:, None]
    R = S @ Y.transpose(0, 2, 1)
    D, size = R.diagonal(axis1=1, axis2=2).copy(), _dot(Y, Y)
    usable = (1e-10 * size < D) & (D > 1e-200)
    if not usable.all():
        S, Y, R = S * usable[..., None], Y * usable[..., None], R * (usable[..., None] & usable[:, None])
        D[~usable] = 1.0
        R[:, range(h), range(h)] = D
    newest = np.arange(len(q)), h - 1 - usable[:, ::-1].argmax(axis=1)
    gamma = D[newest] / np.maximum(size[newest], 1e-300)
    R_inverse = np.linalg.inv(R * _UPPER[-h:, -h:])
    a = R_inverse @ (S @ q[..., None])
    r = gamma[:, None, None] * (q[..., None] - Y.transpose(0, 2, 1) @ a)
    p = (r + S.transpose(0, 2, 1) @ (R_inverse.transpose(0, 2, 1) @ (D[..., None] * a - Y @ r)))[..., 0]
    climbs = usable.any(axis=1) & (_dot(p, q) > 0)  # false for nan
    return p if climbs.all() else np.where(climbs[:, None], p, _steepest(q, first_step))
