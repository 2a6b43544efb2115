"""Polytope: what linear inequalities leave of a box, where draws from the box nearly never hit it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import numpy as np

from hpo.common.arrays import Array
from hpo.common.silenced_output import c_output_dropped

_MAX_NODES = 100
"""Nodes of search trees that the vertices of one polytope may cost: most cost one, exact sums of whole numbers hundreds."""
MAX_SECONDS = 10.0
"""The same on the clock, for problems of which a single node takes long."""


@dataclass(eq=False)
class Polytope:
    """The x = low + unit * z with `matrix` x <= `limit` and x <= `high`, z whole where `is_whole`; all `[d]`, but for
    `matrix [k, d]` and `limit [k]`. Knows the vertices that were found so far, and does not look for more of them once
    that has cost too much, or was in vain."""

    low: Array
    high: Array
    unit: Array
    is_whole: np.ndarray[Any, np.dtype[np.bool_]]
    matrix: Array
    limit: Array
    _vertices: list[Array] = field(default_factory=list)
    _n_sought: int = 0
    _nodes_left: int = _MAX_NODES
    _seconds_left: float = MAX_SECONDS
    _is_empty: bool = False

    @property
    def _most(self) -> Array:
        """The largest z `[d]`."""
        return np.maximum((self.high - self.low) / self.unit, 0.0)

    @property
    def is_spent(self) -> bool:
        """Whether looking for vertices has cost too much to go on."""
        return not self._is_empty and (self._nodes_left <= 0 or self._seconds_left <= 0.0)

    def draw(self, rng: np.random.Generator, most: int | None = None) -> list[Array]:
        """Points x `[d]`, none where there are none: a random mixture of vertices, which rounding to whole z may put
        outside; where that is so and some z need not be whole, the same with these moved back inside; and a vertex. Looks
        for at most `most` further vertices, by default for one more than dimensions."""
        span = len(self.low) + 1
        for _ in range(min(most or span, 2 * span - self._n_sought)):
            self._seek(rng)
        if not self._vertices:
            return []
        mixed = np.array(self._vertices)[rng.permutation(len(self._vertices))[:span]]
        mixture = rng.dirichlet(np.ones(len(mixed))) @ mixed
        return [self.low + self.unit * z for z in (mixture, *self._moved(mixture, rng), mixed[0])]

    def _moved(self, z: Array, rng: np.random.Generator) -> list[Array]:
        """`z` rounded where it must be whole, and the rest drawn so that `matrix` x <= `limit` holds; nothing where that
        holds already, or cannot."""
        whole = np.where(self.is_whole, np.rint(z), z)
        room = self.limit - self.matrix @ (self.low + self.unit * whole)
        if self.is_whole.all() or not self.is_whole.any() or np.all(room >= 0):
            return []
        fixed = np.where(self.is_whole, whole, 0.0), np.where(self.is_whole, whole, self._most)
        found = [_solved(rng.normal(size=len(z)), self, *fixed).x for _ in range(2)]
        return [] if any(x is None for x in found) else [found[0] + rng.random() * (found[1] - found[0])]

    def _seek(self, rng: np.random.Generator) -> None:
        """Find the vertex that is best in a random direction, by mixed-integer linear programming."""
        self._n_sought += 1
        most = self._most
        direction = rng.normal(size=len(most)) / np.maximum(most, 1e-12)
        if self._is_empty or self.is_spent:
            return
        began = time.monotonic()
        found = _solved(direction, self, np.zeros(len(most)), most)
        self._seconds_left -= time.monotonic() - began
        self._nodes_left -= getattr(found, "mip_node_count", None) or 0
        if found.x is not None:
            if not any(np.allclose(found.x, z, rtol=0.0, atol=1e-9 * most) for z in self._vertices):
                self._vertices.append(found.x)
        else:
            self._is_empty = found.status == _INFEASIBLE and not self._vertices


_INFEASIBLE = 2


def _solved(direction: Array, polytope: Polytope, least: Array, most: Array) -> Any:
    """What scipy's mixed-integer solver finds between `least` and `most`. It runs in a thread of its own, so that an
    interrupt is served while it works, and without the notes that it prints."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    p = polytope
    out: list[Any] = []

    def solve() -> None:
        try:
            with c_output_dropped():
                out.append(
                    milp(
                        direction,
                        constraints=LinearConstraint(p.matrix * p.unit, -np.inf, p.limit - p.matrix @ p.low),
                        bounds=Bounds(least, most),
                        integrality=p.is_whole.astype(int),
                        options={"node_limit": max(p._nodes_left, 1), "time_limit": max(p._seconds_left, 0.1)},
                    )
                )
        except BaseException as error:  # raised where the answer is waited for
            out.append(error)

    thread = Thread(target=solve, name="hpo linear programming", daemon=True)
    thread.start()
    thread.join()
    if isinstance(out[0], BaseException):
        raise out[0]
    return out[0]
