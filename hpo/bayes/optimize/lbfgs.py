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
from numpy.typing import NDArray

from hpo.bayes.optimize.halfspaces import HalfSpaces
from hpo.common.arrays import Array, Mask

ValueAndGradient = Callable[[Array], tuple[Array, Array]]  # X [b, d] -> value [b], gradient [b, d]

_MEMORY = 8  # steps remembered per row
_NUDGE = 1e-6  # step that finds the bounds a row is held by
_SUFFICIENT = 1e-4  # share of the promised increase that a step must deliver (Armijo)
_SHORTER = 12  # steps tried along one direction
_UPPER = np.triu(np.ones((_MEMORY, _MEMORY)))


@dataclass(frozen=True, eq=False)
class Ascent:
    """Where each row ended: `X [b, d]`, `value [b]`; `n_evaluations` counts rows evaluated in all."""

    X: Array
    value: Array
    n_evaluations: int


def maximize_rows(
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

    Rows whose value or gradient is not finite at the start are returned as they are. Projected L-BFGS: what pushes
    outward through a bound is held, the quasi-Newton matrix acts on the rest (Bertsekas 1982; Nocedal 1980).
    """
    free = np.ones(X.shape, dtype=bool) if free is None else free
    rows, at = np.arange(len(X)), _Place(X.copy(), *function(X))
    X_end, v_end, n_evaluations = at.x.copy(), at.v.copy(), len(X)
    S = Y = np.zeros((len(X), 0, X.shape[1]))
    climbing = np.isfinite(at.v) & np.isfinite(at.g).all(axis=1)
    for _ in range(max_iterations):
        if not climbing.all():
            rows, at, S, Y, free = rows[climbing], at.take(climbing), S[climbing], Y[climbing], free[climbing]
        if not len(rows):
            break
        if halfspaces is None:
            reach, along = _in_box(at, free, lower, upper)
        else:
            reach, along = _in_halfspaces(at, free, lower, upper, halfspaces)
        p = _direction(along(at.g[:, None])[:, 0], along(S), along(Y), first_step)
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


# Bends steps [b, d] from the given rows into the bounds; keeps what of vectors [b, h, d] runs along held bounds.
_Bounds = tuple[Callable[[NDArray[np.intp], Array], Array], Callable[[Array], Array]]


def _in_box(at: _Place, free: Mask, lower: Array, upper: Array) -> _Bounds:
    can_move = free & ~(((at.x <= lower) & (at.g < 0)) | ((at.x >= upper) & (at.g > 0)))
    all_move = bool(can_move.all())

    def reach(rows: NDArray[np.intp], steps: Array) -> Array:
        return np.minimum(np.maximum(at.x[rows] + steps, lower), upper)

    def along(V: Array) -> Array:
        return V if all_move else V * can_move[:, None]

    return reach, along


def _in_halfspaces(at: _Place, free: Mask, lower: Array, upper: Array, halfspaces: HalfSpaces) -> _Bounds:
    # Where a small step along the gradient ends tells which bounds it is held by.
    nudge = _steepest(np.where(free, at.g, 0.0), _NUDGE)
    nudged = halfspaces.project(at.x + nudge, lower, upper, free)
    can_move = free & (nudged > lower) & (nudged < upper)
    tight = halfspaces.are_tight(nudged)

    def reach(rows: NDArray[np.intp], steps: Array) -> Array:
        return halfspaces.pull_back(at.x[rows], halfspaces.project(at.x[rows] + steps, lower, upper, free[rows]))

    def along(V: Array) -> Array:
        return halfspaces.along(V * can_move[:, None], tight, can_move)

    return reach, along


def _search_line(
    function: ValueAndGradient, at: _Place, p: Array, reach: Callable[[NDArray[np.intp], Array], Array]
) -> tuple[_Place, int]:
    """Where each row arrives by a step along p that keeps Armijo's promise, and how many rows were evaluated.

    `reach` bends a step into the bounds. A row that finds none after `_SHORTER` ever shorter steps stays.
    """
    to = _Place(at.x.copy(), at.v.copy(), at.g.copy())
    trying, length, n_evaluations = np.arange(len(p)), np.ones(len(p)), 0
    for _ in range(_SHORTER):
        trial = reach(trying, length[:, None] * p[trying])
        v, g = function(trial)
        n_evaluations += len(trying)
        promised, gained = _dot(trial - at.x[trying], at.g[trying]), v - at.v[trying]
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


def _direction(q: Array, S: Array, Y: Array, first_step: float) -> Array:
    """Quasi-Newton ascent directions [b, d] for gradients q [b, d] from steps S and gradient decreases Y, [b, h, d].

    The inverse Hessian in compact form (Byrd, Nocedal, Schnabel 1994, eq. 3.1): with R the upper triangle of S Y', D
    its diagonal, gamma = s'y / y'y of the newest step, a = R^-1 S q and r = gamma (q - Y' a),

        H q = r + S' R^-T (D a - Y r).

    All arguments are already restricted to the face of the bounds that the row lies on, and so is the result. Pairs
    without positive curvature there are left out (zeros, with R_ii = 1). Falls back to steepest ascent where H q does
    not climb.
    """
    h = S.shape[1]
    if not h:
        return _steepest(q, first_step)
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
