"""Linear inequalities: which points satisfy them, and the nearest ones that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from hpo.common.arrays import Array, Mask

# All relative to 1 + |b|, and each well above the one before, so that rounding of A x cannot decide anything.
_ROUNDING = 1e-15  # a smaller rise counts as zero
_MARGIN = 1e-12  # slack that pulled back points keep
_INSET = 1e-10  # slack that projected points keep
_TIGHT = 1e-9  # slack below which an inequality counts as met with equality, and excess that is forgiven
_SWEEPS = 1000  # of alternating projections, at most


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """The points with A x <= b: `A [k, d]`, `b [k]`."""

    A: Array
    b: Array

    def __post_init__(self) -> None:
        assert self.A.ndim == 2
        assert self.b.shape == (len(self.A),)

    @property
    def _unit(self) -> Array:
        return 1.0 + np.abs(self.b)

    def contain(self, X: Array) -> Mask:
        """Which rows of X [b, d] satisfy every inequality, rounding errors forgiven: lattice points lie on the boundary."""
        return cast(Mask, (X @ self.A.T - self.b <= _TIGHT * self._unit).all(axis=1))

    def are_tight(self, X: Array) -> Mask:
        """Which inequalities [b, k] the rows of X [b, d] meet with equality."""
        return self.b - X @ self.A.T <= _TIGHT * self._unit

    def pull_back(self, inside: Array, target: Array) -> Array:
        """The point of each segment from `inside` to `target` (both [b, d]) that is nearest to `target` and satisfies
        every inequality, with a margin that rounding cannot use up. Convex bounds that hold at both ends hold there too.
        """
        slack = np.maximum(self.b - _MARGIN * self._unit - inside @ self.A.T, 0.0)
        rise = (target - inside) @ self.A.T
        rises = rise > np.maximum(slack, _ROUNDING * self._unit)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(rises, slack / rise, 1.0).min(axis=1, initial=1.0, keepdims=True)
        return np.where(share == 1.0, target, inside + share * (target - inside))

    def project(self, X: Array, lower: Array, upper: Array, free: Mask) -> Array:
        """The nearest point of the half-spaces and the box to each row of X [b, d], moving only columns `free` [b, d].

        Alternating projections with corrections (Dykstra; Boyle and Dykstra 1986), to about 1e-12, or as near as
        `_SWEEPS` come. Rows that satisfy everything are returned as they are.
        """
        b = self.b - _INSET * self._unit
        projected = np.clip(X, lower, upper)
        rows = np.flatnonzero((projected @ self.A.T > b).any(axis=1))
        if not len(rows):
            return projected
        x = X[rows]
        normals = self.A * free[rows][:, None]  # [b, k, d]
        sizes = np.maximum(np.einsum("bkd,bkd->bk", normals, normals), 1e-300)
        corrections, box_correction = np.zeros((len(self.A), *x.shape)), np.zeros(x.shape)
        for _ in range(_SWEEPS):
            before = x
            for j in range(len(self.A)):
                moved = x + corrections[j]
                excess = np.maximum(moved @ self.A[j] - b[j], 0.0) / sizes[:, j]
                x = moved - excess[:, None] * normals[:, j]
                corrections[j] = moved - x
            moved = x + box_correction
            x = np.clip(moved, lower, upper)
            box_correction = moved - x
            if np.abs(x - before).max() < 1e-13:
                break
        projected[rows] = x
        return projected

    def along(self, V: Array, tight: Mask, free: Mask) -> Array:
        """The part of vectors V [b, h, d], zero where not `free` [b, d], that keeps the `tight` [b, k] inequalities
        tight."""
        normals = self.A * free[:, None] * tight[..., None]  # [b, k, d]
        gram = normals @ normals.transpose(0, 2, 1)
        return V - V @ normals.transpose(0, 2, 1) @ np.linalg.pinv(gram, hermitian=True) @ normals
