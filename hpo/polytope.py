"""Polytope: what linear inequalities leave of a box, where draws from the box nearly never hit it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(eq=False)
class Polytope:
    """The x = low + unit * z with `matrix` x <= `limit` and x <= `high`, z whole where `is_whole`; all `[d]`, but for
    `matrix [k, d]` and `limit [k]`. Knows the vertices that were found so far."""

    low: Array
    high: Array
    unit: Array
    is_whole: np.ndarray[Any, np.dtype[np.bool_]]
    matrix: Array
    limit: Array
    _vertices: list[Array] = field(default_factory=list)
    _n_sought: int = 0

    def draw(self, rng: np.random.Generator) -> list[Array]:
        """Two points x `[d]`, none where there are none: a random mixture of vertices, which rounding to whole z may put
        outside, and a vertex."""
        span = len(self.low) + 1
        for _ in range(min(span, 2 * span - self._n_sought)):
            self._seek(rng)
        if not self._vertices:
            return []
        mixed = np.array(self._vertices)[rng.permutation(len(self._vertices))[:span]]
        return [self.low + self.unit * z for z in (rng.dirichlet(np.ones(len(mixed))) @ mixed, mixed[0])]

    def _seek(self, rng: np.random.Generator) -> None:
        """Find the vertex that is best in a random direction, by mixed-integer linear programming."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        self._n_sought += 1
        most = np.maximum((self.high - self.low) / self.unit, 0.0)
        found = milp(
            rng.normal(size=len(most)) / np.maximum(most, 1e-12),
            constraints=LinearConstraint(self.matrix * self.unit, -np.inf, self.limit - self.matrix @ self.low),
            bounds=Bounds(np.zeros(len(most)), most),
            integrality=self.is_whole.astype(int),
        )
        if found.x is not None and not any(np.allclose(found.x, z, rtol=0.0, atol=1e-9 * most) for z in self._vertices):
            self._vertices.append(found.x)
