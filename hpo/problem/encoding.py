"""Encoder: params <-> points of the unit cube, as a model sees them; and the key that tells configurations apart.

Columns `[d]`: one for a Float, Int or ordered Categorical (its position in [0, 1]); k for a plain Categorical with k
choices (one-hot, scaled so that two different choices are a distance of 0.35 apart: until the data say otherwise, what
is learned under one choice says a good deal about another). The columns of one parameter form a
group and share a lengthscale. An inactive numeric parameter sits at 0.5 and an inactive plain Categorical at the center
of its corners: two configurations that are inactive in the same parameter do not differ in it, and two that differ in
whether it exists already differ in the parameter it depends on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.common.arrays import Array
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.ranges import LOG_OF_LARGEST
from hpo.problem.space import Params, Space

_HOT = 0.35 * math.sqrt(0.5)
_MAX_LEVELS = 1000


@dataclass(frozen=True)
class Encoder:
    """The map between params of `space` and rows of `X [n, d]` in [0, 1]^d."""

    space: Space
    columns: Mapping[str, slice] = field(init=False, repr=False)
    groups: NDArray[np.intp] = field(init=False, repr=False)
    """`[d]`: the index of the parameter each column belongs to."""
    levels: Mapping[str, Array] = field(init=False, repr=False)
    """Of each parameter with finitely many values (at most a thousand shown): its rows `[size, width]`."""

    def __post_init__(self) -> None:
        columns: dict[str, slice] = {}
        groups: list[int] = []
        levels: dict[str, Array] = {}
        for i, (name, p) in enumerate(self.space.parameters.items()):
            width = p.size if isinstance(p, Categorical) and not p.ordered else 1
            columns[name] = slice(len(groups), len(groups) + width)
            groups += [i] * width
            if isinstance(p, Categorical) and not p.ordered:
                levels[name] = np.eye(p.size) * _HOT
            elif p.size is not None and p.size <= _MAX_LEVELS:
                levels[name] = np.array([[_position(p, v)] for v in p.values()])
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "groups", np.array(groups, dtype=np.intp))
        object.__setattr__(self, "levels", levels)

    @property
    def d(self) -> int:
        """Number of encoded columns."""
        return len(self.groups)

    @cached_property
    def is_conditional(self) -> bool:
        """Whether any parameter exists only under a condition."""
        return any(p.active_if for p in self.space.parameters.values())

    @cached_property
    def one_hot(self) -> Mapping[tuple[str, ...], NDArray[np.intp]]:
        """The plain Categoricals with k choices each, by their names: their columns `[g, k]`, to be handled at once."""
        names: dict[int, list[str]] = {}
        for name, p in self.space.parameters.items():
            if isinstance(p, Categorical) and not p.ordered:
                names.setdefault(p.size, []).append(name)
        starts = {k: np.array([self.columns[name].start for name in group]) for k, group in names.items()}
        return {tuple(group): starts[k][:, None] + np.arange(k) for k, group in names.items()}

    @property
    def is_continuous(self) -> NDArray[np.bool_]:
        """`[d]`: columns of parameters without finitely many values, or with too many to step through."""
        return np.array([name not in self.levels for name in self.space.names])[self.groups]

    @property
    def is_numeric(self) -> NDArray[np.bool_]:
        """`[d]`: columns that are a parameter's position between its least and its greatest value."""
        return np.array([not isinstance(p, Categorical) or p.ordered for p in self.space.parameters.values()])[
            self.groups
        ]

    def encode(self, trials: Sequence[Mapping[str, Any]]) -> Array:
        """`X [n, d]` of a list of params."""
        X = np.empty((len(trials), self.d))
        for name, columns in self.columns.items():
            p = self.space[name]
            if isinstance(p, Categorical) and not p.ordered:
                corner, absent = self.levels[name], self.inactive(name)
                for row, params in zip(X, trials, strict=True):
                    row[columns] = corner[p.index(params[name])] if name in params else absent
            else:
                X[:, columns.start] = [_position(p, params[name]) if name in params else 0.5 for params in trials]
        return X

    def from_cube(self, U: Array) -> Array:
        """`X [n, d]`, snapped, at positions `U [n, len(space)]` of the unit cube, one coordinate a parameter."""
        X = np.empty((len(U), self.d))
        for i, (name, columns) in enumerate(self.columns.items()):
            p = self.space[name]
            if isinstance(p, Categorical) and not p.ordered:
                X[:, columns] = self.levels[name][np.minimum((U[:, i] * p.size).astype(int), p.size - 1)]
            else:
                X[:, columns.start] = U[:, i]
        return self.snapped(X)

    def decode(self, X: Array) -> list[Params]:
        """The configurations nearest to the rows of `X [n, d]`: snapped, inactive parameters dropped.

        Linear constraints are not looked at.
        """
        return [self.space.at(self._cube_row(x)) for x in np.atleast_2d(X)]

    def inactive(self, name: str) -> Array:
        """The row `[width]` that stands for "this parameter does not exist here"."""
        p = self.space[name]
        if isinstance(p, Categorical) and not p.ordered:
            return np.full(p.size, _HOT / p.size)
        return np.array([0.5])

    def _cube_row(self, x: Array) -> list[float]:
        out = []
        for name, columns in self.columns.items():
            p = self.space[name]
            if isinstance(p, Categorical) and not p.ordered:
                out.append((int(np.argmax(x[columns])) + 0.5) / p.size)
            else:
                out.append(float(x[columns.start]))
        return out

    def snapped(self, X: Array) -> Array:
        """The rows of `X [n, d]` moved onto configurations: encode(decode(X)), computed column by column."""
        X = np.clip(X, 0.0, 1.0)
        for places in self.one_hot.values():
            X[:, places] = (np.eye(places.shape[1]) * _HOT)[np.argmax(X[:, places], axis=2)]
        for name, columns in self.columns.items():
            p = self.space[name]
            if p.size is not None and not (isinstance(p, Categorical) and not p.ordered):
                X[:, columns.start] = _snapped_column(p, X[:, columns.start])
        return self._dropped(X) if self.is_conditional else X

    def is_active(self, X: Array) -> dict[str, NDArray[np.bool_]]:
        """For each name `[n]`: whether the parameter exists in the rows of snapped `X [n, d]`."""
        active: dict[str, NDArray[np.bool_]] = {}
        for name in self.space.order:
            mask = np.ones(len(X), dtype=bool)
            for parent, values in self.space[name].active_if.items():
                p, block = self.space[parent], X[:, self.columns[parent]]
                if isinstance(p, Categorical) and not p.ordered:
                    held = np.isin(np.argmax(block, axis=1), [p.index(v) for v in values])
                else:
                    places = np.array([_position(p, v) for v in values])
                    held = np.any(np.abs(block - places) < 1e-9, axis=1)
                mask &= active[parent] & held
            active[name] = mask
        return active

    def _dropped(self, X: Array) -> Array:
        """Snapped `X` with inactive parameters moved to their neutral place."""
        for name, active in self.is_active(X).items():
            if not active.all():
                X[np.ix_(~active, np.arange(self.columns[name].start, self.columns[name].stop))] = self.inactive(name)
        return X

    def values(self, name: str, X: Array) -> Array:
        """The numbers `[n]` that the column of numeric parameter `name` stands for, not snapped."""
        p, u = self.space[name], X[:, self.columns[name].start]
        assert not isinstance(p, Categorical)
        if not p.log:
            return p.low + (u * p.size - 0.5) * (p.step or 1) if p.size is not None else p.low + u * (p.high - p.low)
        low, width = _log_scale(p)
        return np.exp(np.minimum(low + u * width, LOG_OF_LARGEST))

    def meets_constraints(self, X: Array) -> NDArray[np.bool_]:
        """Whether the rows of snapped `X [n, d]` meet the linear constraints `[n]`; those that name an inactive
        parameter do not apply."""
        holds = np.ones(len(X), dtype=bool)
        if not self.space.linear:
            return holds
        active = self.is_active(X)
        for c in self.space.linear:
            total = sum(weight * self.values(name, X) for name, weight in c.coefficients.items())
            applies = np.logical_and.reduce([active[name] for name in c.coefficients])
            holds &= ~applies | (total <= c.upper + c.tolerance)
        return holds


def _position(p: Float | Int | Categorical, value: Any) -> float:
    return p.position(value)


def _log_scale(p: Float | Int) -> tuple[float, float]:
    if isinstance(p, Float):
        return p.log_scale
    low, high = p.log_edges
    return low, high - low


def _snapped_column(p: Float | Int | Categorical, u: Array) -> Array:
    assert p.size is not None
    if isinstance(p, Int) and p.log:
        low, high = p.log_edges
        first, step = float(p.low), float(p.step)  # as whole numbers beyond 64 bits they would make arrays of objects
        k = np.clip(np.rint((np.exp(low + u * (high - low)) - first) / step), 0.0, float(p.size - 1))
        column: Array = (np.log(first + k * step) - low) / (high - low)
        return column
    return (np.clip(np.floor(u * p.size), 0.0, float(p.size - 1)) + 0.5) / p.size
