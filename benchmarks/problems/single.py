"""One objective over real variables: final regret at an equal number of evaluations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem
from benchmarks.problems.duration import timed
from benchmarks.problems.formula import (
    box,
    cube,
    from_formula,
    generator,
    limits,
    minimized,
    of_f,
    placed,
    rotation,
)
from benchmarks.problems.functions import (
    ackley,
    branin,
    griewank,
    hartmann6,
    levy,
    michalewicz,
    rosenbrock,
    styblinski_tang,
)

POWERS = np.array([0.35, 3.0, 0.35, 3.0, 0.35, 3.0])
"""hartmann6_misscaled reads u_j^power: as if a wrong scale had been chosen for every parameter."""
BOWL_RANGE = 1e6
"""Greatest value of lognormal_bowl4 over its least."""
CONDITION = 1e4
"""Ratio of the longest to the shortest squared axis of rotated_ellipsoid8."""
ACTIVE = np.sort(generator("hartmann6_in_50").permutation(50)[:6])
"""The six of the fifty coordinates that hartmann6_in_50 reads."""


def shifted(function: Callable[[Array], Array], by: Array) -> Callable[[Array], Array]:
    """`function` moved by `by [d]`."""
    return lambda x: function(x - by)


def optimum(name: str, space: hpo.Space) -> Array:
    """Where a shifted function is least, `[d]` in the units of its box."""
    low, high = limits(space)
    return np.asarray(low + placed(name, len(low)) * (high - low))


def hartmann6_misscaled(x: Array) -> Array:
    """Hartmann6 of x^POWERS."""
    return hartmann6(x**POWERS)


def hartmann6_in_50(x: Array) -> Array:
    """Hartmann6 of the six ACTIVE coordinates of x `[..., 50]`."""
    return hartmann6(x[..., ACTIVE])


def _bowl_matrix() -> Array:
    """A `[4, 4]`, positive definite with interactions, scaled so that the greatest value over the cube's corners of
    (x - c)^T A (x - c) is the logarithm of BOWL_RANGE."""
    name, d = "lognormal_bowl4", 4
    r = rotation(name, d)
    A = r @ np.diag([1.0, 2.0, 4.0, 8.0]) @ r.T
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * d), axis=-1).reshape(-1, d) - placed(name, d)
    return np.asarray(A * np.log(BOWL_RANGE) / np.einsum("ni,ij,nj->n", corners, A, corners).max())


_BOWL = _bowl_matrix()


def lognormal_bowl4(x: Array) -> Array:
    """exp((x - c)^T A (x - c)) / 1000, from 0.001 at c to 1000 at the farthest corner: smooth, and badly skewed."""
    z = x - placed("lognormal_bowl4", 4)
    return np.asarray(1e-3 * np.exp(np.einsum("...i,ij,...j->...", z, _BOWL, z)))


def ellipsoid(z: Array) -> Array:
    """sum_j CONDITION^((j - 1) / (d - 1)) z_j^2 (N. Hansen et al., "Real-parameter black-box optimization benchmarking
    2009: noiseless functions definitions", f10, there with condition 10^6)."""
    d = z.shape[-1]
    return np.asarray(z**2 @ CONDITION ** (np.arange(d) / (d - 1)))


def rotated_ellipsoid8(x: Array) -> Array:
    """`ellipsoid` of the rotated x: no coordinate can be optimized alone."""
    return ellipsoid(x @ rotation("rotated_ellipsoid8", 8))


def _plain(name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int) -> BenchProblem:
    return from_formula(name, "single", minimized(space), of_f(function), budget)


def _timed(name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int) -> BenchProblem:
    return from_formula(name, "single", minimized(space), of_f(function), budget, timed(name, space))


def _moved(name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int) -> BenchProblem:
    return _plain(name, space, shifted(function, optimum(name, space)), budget)


BRANIN_SPACE = box({"x1": (-5.0, 10.0), "x2": (0.0, 15.0)})
HARTMANN6_SPACE = cube(6, 0.0, 1.0)
ACKLEY10_SPACE = cube(10, -5.0, 10.0)
ACKLEY10_AT = optimum("ackley10", ACKLEY10_SPACE)

SINGLE = (
    _timed("branin", BRANIN_SPACE, branin, 30),
    _timed("hartmann6", HARTMANN6_SPACE, hartmann6, 60),
    _timed("ackley10", ACKLEY10_SPACE, shifted(ackley, ACKLEY10_AT), 60),
    _plain("rosenbrock4", cube(4, -5.0, 10.0), rosenbrock, 40),
    _moved("levy6", cube(6, -10.0, 10.0), lambda z: levy(z + 1), 60),
    _plain("styblinski_tang5", cube(5, -5.0, 5.0), styblinski_tang, 60),
    _plain("michalewicz5", cube(5, 0.0, float(np.pi)), michalewicz, 60),
    # In a small box the ripples are seen; over the usual 600 to each side they drown in the bowl.
    _moved("griewank8", cube(8, -10.0, 10.0), griewank, 60),
    _plain("hartmann6_misscaled", HARTMANN6_SPACE, hartmann6_misscaled, 60),
    _plain("lognormal_bowl4", cube(4, 0.0, 1.0), lognormal_bowl4, 40),
    _moved("rotated_ellipsoid8", cube(8, -5.0, 5.0), rotated_ellipsoid8, 60),
    _moved("ackley20", cube(20, -5.0, 10.0), ackley, 100),
    _plain("hartmann6_in_50", cube(50, 0.0, 1.0), hartmann6_in_50, 100),
    _plain("rosenbrock20", cube(20, -5.0, 10.0), rosenbrock, 100),
)
