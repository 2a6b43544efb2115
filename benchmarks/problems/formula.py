"""Problems that are one formula: from params to a row x, from x to every metric."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem, Family, Formula, Outcome
from benchmarks.problems.scale import scale

Report = Callable[[Mapping[str, Any], dict[str, float], np.random.Generator], Outcome]


def array(space: hpo.Space, params: Mapping[str, Any]) -> Array:
    """`params` as one row x `[d]` in the order of the space: a choice is its index, an inactive parameter nan."""
    row = np.full(len(space), np.nan)
    for j, (name, p) in enumerate(space.parameters.items()):
        if name in params:
            row[j] = p.index(params[name]) if isinstance(p, hpo.Categorical) else params[name]
    return row


def box(bounds: Mapping[str, tuple[float, float]]) -> hpo.Space:
    """A space of plain Float parameters."""
    return hpo.Space({name: hpo.Float(low, high) for name, (low, high) in bounds.items()})


def cube(d: int, low: float, high: float) -> hpo.Space:
    """x1 ... xd, each in [low, high]."""
    return box({f"x{j}": (low, high) for j in range(1, d + 1)})


def limits(space: hpo.Space) -> tuple[Array, Array]:
    """(low `[d]`, high `[d]`) of a space of plain Float parameters. Raises ValueError for any other space."""
    bounds = []
    for name, p in space.parameters.items():
        if not isinstance(p, hpo.Float) or p.log or p.step is not None or p.active_if:
            raise ValueError(f"{name} is {p!r}; only plain Float parameters make a box")
        bounds.append((p.low, p.high))
    low, high = np.array(bounds).T
    return low, high


def uniform(space: hpo.Space, rng: np.random.Generator, n: int) -> Array:
    """`n` uniform points x `[n, d]` of a box."""
    low, high = limits(space)
    return np.asarray(low + rng.random((n, len(low))) * (high - low))


def generator(name: str) -> np.random.Generator:
    """The generator that belongs to a name, for everything about a problem that is arbitrary but fixed."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def placed(name: str, d: int) -> Array:
    """Where the optimum of a shifted function lies, `[d]` in fractions of the sides of the box.

    Uniform in [0.1, 0.4] or [0.6, 0.9], each side with equal chance: away from the center and from the walls.
    """
    rng = generator(name)
    return np.asarray(rng.uniform(0.1, 0.4, d) + 0.5 * rng.integers(0, 2, d))


def rotation(name: str, d: int) -> Array:
    """A random orthogonal matrix `[d, d]` that belongs to a name (QR of a normal matrix)."""
    return np.asarray(np.linalg.qr(generator(f"{name} rotation").normal(size=(d, d)))[0])


def minimized(space: hpo.Space) -> hpo.Problem:
    """One objective `f`, to be minimized, on `space`."""
    return hpo.Problem(space, [hpo.Objective("f", goal="minimize")])


def evaluated(space: hpo.Space, formula: Formula, params: Mapping[str, Any]) -> dict[str, float]:
    """Every metric of one configuration."""
    return {name: float(value) for name, value in formula(array(space, params)).items()}


def from_formula(
    name: str,
    family: Family,
    problem: hpo.Problem,
    formula: Formula,
    budget: int,
    report: Report | None = None,
) -> BenchProblem:
    """The problem whose truth is `formula`, with the best and the typical value of `scales.json`."""
    best, typical = scale(name)
    return BenchProblem(
        name=name,
        family=family,
        problem=problem,
        truth=lambda params: evaluated(problem.space, formula, params),
        best=best,
        typical=typical,
        budget=budget,
        report=report,
    )


def of_f(function: Callable[[Array], Array]) -> Formula:
    """`function` as a formula with the one metric `f`."""
    return lambda x: {"f": function(x)}
