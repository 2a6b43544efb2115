"""Where candidates may lie and how they may move: the space as `maximize` sees it.

Continuous columns move by gradient; discrete ones hop to a neighboring configuration. Linear constraints between
parameters on linear scales hold all along the way; those that name a logarithmic or conditional parameter are curved or
come and go, and are met by drawing a candidate back towards a known point (`feasible_params`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpo.bayes.optimize.halfspaces import HalfSpaces
from hpo.bayes.optimize.maximize import Domain
from hpo.common.arrays import Array, Mask
from hpo.problem.encoding import Encoder
from hpo.problem.linear_constraints import LinearConstraint
from hpo.problem.parameters import Categorical
from hpo.problem.space import Params

_JUMPS = (1, 3, 10, 32, 100, 316)
_PULLS = (0.0, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


def domain_of(encoder: Encoder) -> Domain:
    """The domain of the encoder's space."""
    continuous = encoder.is_continuous
    discrete = bool(encoder.levels)
    conditional = any(p.active_if for p in encoder.space.parameters.values())

    def movable(X: Array) -> Mask:
        free = np.broadcast_to(continuous, X.shape).copy()
        if conditional:
            for name, active in encoder.is_active(encoder.snapped(X)).items():
                free[~active, encoder.columns[name]] = False
        return free

    def neighbors(x: Array) -> Array:
        rows = np.array(list(_hops(encoder, x))).reshape(-1, encoder.d)
        rows = encoder.snapped(rows)
        return rows[encoder.meets_constraints(rows)]

    return Domain(movable, neighbors if discrete else None, _halfspaces(encoder))


def feasible_params(encoder: Encoder, x: Array, anchors: Array) -> Params:
    """The configuration nearest to `x [d]` that meets the linear constraints: `x` itself where it does, else the first
    one that does on the way to the nearest of `anchors [k, d]`, which all do."""
    linear = encoder.space.linear
    params = encoder.decode(x)[0]
    if all(c.holds(params) for c in linear):
        return params
    anchor = anchors[np.argmin(np.sum((anchors - x) ** 2, axis=1))]
    for share in _PULLS:
        params = encoder.decode((1.0 - share) * x + share * anchor)[0]
        if all(c.holds(params) for c in linear):
            break
    return params


def _hops(encoder: Encoder, x: Array) -> Iterator[Array]:
    """Rows that differ from `x` in one discrete parameter: any other choice, or a jump of 1, 3, 10, ... levels."""
    active = encoder.is_active(x[None])
    held = {
        n: int(i) for names, at in encoder.one_hot.items() for n, i in zip(names, x[at].argmax(axis=1), strict=True)
    }
    for name, levels in encoder.levels.items():
        if not active[name][0]:
            continue
        columns, p = encoder.columns[name], encoder.space[name]
        if isinstance(p, Categorical) and not p.ordered:
            others = [i for i in range(len(levels)) if i != held[name]]
        else:
            here = int(np.argmin(np.sum((levels - x[columns]) ** 2, axis=1)))
            others = [
                here + sign * jump for jump in _JUMPS for sign in (-1, 1) if 0 <= here + sign * jump < len(levels)
            ]
        for i in others:
            row = x.copy()
            row[columns] = levels[i]
            yield row


def _halfspaces(encoder: Encoder) -> HalfSpaces | None:
    """The constraints that are linear in the unit cube and always apply, as A x <= b with the largest entry of each row of
    A 1 or -1."""
    rows, limits = [], []
    for c in encoder.space.linear:
        if _is_linear(encoder, c):
            row, limit = np.zeros(encoder.d), c.upper
            for name, weight in c.coefficients.items():
                at_0, at_1 = (float(encoder.values(name, np.full((1, encoder.d), u))[0]) for u in (0.0, 1.0))
                row[encoder.columns[name].start] = weight * (at_1 - at_0)
                limit -= weight * at_0
            largest = np.abs(row).max() or 1.0
            rows.append(row / largest)
            limits.append(limit / largest)
    return HalfSpaces(np.array(rows), np.array(limits)) if rows else None


def _is_linear(encoder: Encoder, c: LinearConstraint) -> bool:
    parameters = [encoder.space[name] for name in c.coefficients]
    return not any(isinstance(p, Categorical) or p.log or p.active_if for p in parameters)
