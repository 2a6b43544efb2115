"""One objective over mixed and conditional spaces: formulas, real tables, real training runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem
from benchmarks.problems.formula import from_formula, minimized, of_f, placed
from benchmarks.problems.functions import ackley, hartmann6, rosenbrock
from benchmarks.problems.live import LIVE
from benchmarks.problems.tables import TABLES

LEVELS = {"k2": 6, "k4": 6, "k6": 11}
"""Hartmann6's second, fourth and sixth coordinate live on this many equal steps of [0, 1]."""
MODES = {"plain": (1.0, 0.0), "moved": (0.9, 0.15), "damped": (0.6, 0.0)}
"""What the choice does: (factor on the value, shift of all six coordinates)."""
_TO_UNIT = np.array([1.0, 1 / (LEVELS["k2"] - 1), 1.0, 1 / (LEVELS["k4"] - 1), 1.0, 1 / (LEVELS["k6"] - 1)])
_FACTOR, _SHIFT = np.array(list(MODES.values())).T

HARTMANN6_MIXED_SPACE = hpo.Space(
    {
        "x1": hpo.Float(0.0, 1.0),
        "k2": hpo.Int(0, LEVELS["k2"] - 1),
        "x3": hpo.Float(0.0, 1.0),
        "k4": hpo.Int(0, LEVELS["k4"] - 1),
        "x5": hpo.Float(0.0, 1.0),
        "k6": hpo.Int(0, LEVELS["k6"] - 1),
        "mode": hpo.Categorical(list(MODES)),
    }
)


def hartmann6_mixed(x: Array) -> Array:
    """factor(mode) * hartmann6(u + shift(mode)), for x `[..., 7]` = (x1, k2, x3, k4, x5, k6, index of the mode)."""
    mode = x[..., 6].astype(int)
    return np.asarray(_FACTOR[mode] * hartmann6(x[..., :6] * _TO_UNIT + _SHIFT[mode][..., None]))


STEPS_PER_UNIT = 5
"""rosenbrock_mixed7's whole numbers count fifths."""
GRADES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
"""The values of its ordered choice."""


def rosenbrock_mixed7(x: Array) -> Array:
    """Rosenbrock for x `[..., 7]` = (x1, k2, x3, k4, x5, index of the grade, x7), k in fifths; 0 where all are 1."""
    z = x.copy()
    z[..., [1, 3]] /= STEPS_PER_UNIT
    z[..., 5] = np.array(GRADES)[x[..., 5].astype(int)]
    return rosenbrock(z)


ACKLEY_CHOICES: dict[str, dict[bool | str, float]] = {
    "use_a": {False: 1.0, True: 0.0},
    "use_b": {False: 0.0, True: 1.5},
    "use_c": {False: 0.7, True: 0.0},
    "kind": {"p": -1.0, "q": 0.5, "r": 0.0},
    "loss": {"s": 1.2, "t": 0.0, "u": -0.6, "v": 2.0},
}
"""The coordinate that each choice of ackley_mixed10 stands for."""
_ACKLEY_SIDE = 6.0


def ackley_mixed10(x: Array) -> Array:
    """Ackley for x `[..., 10]` = (indices of five choices, five reals moved to the place that belongs to the name)."""
    z = x.copy()
    for j, values in enumerate(ACKLEY_CHOICES.values()):
        z[..., j] = np.array(list(values.values()))[x[..., j].astype(int)]
    z[..., 5:] -= -_ACKLEY_SIDE / 2 + _ACKLEY_SIDE * placed("ackley_mixed10", 5)
    return ackley(z)


BRANCHES_SPACE = hpo.Space(
    {
        "algorithm": hpo.Categorical(["linear", "tree", "network"]),
        "smoothing": hpo.Float(0.0, 1.0),
        "linear.penalty": hpo.Float(1e-6, 1e2, log=True, active_if={"algorithm": ["linear"]}),
        "tree.depth": hpo.Int(1, 20, active_if={"algorithm": ["tree"]}),
        "tree.leaf": hpo.Int(1, 256, log=True, active_if={"algorithm": ["tree"]}),
        "network.lr": hpo.Float(1e-5, 1.0, log=True, active_if={"algorithm": ["network"]}),
        "network.width": hpo.Int(8, 512, log=True, active_if={"algorithm": ["network"]}),
        "network.activation": hpo.Categorical(["relu", "tanh", "gelu"], active_if={"algorithm": ["network"]}),
    }
)


def branches5(x: Array) -> Array:
    """A made-up validation loss of three algorithms, at most five parameters at once; x `[..., 8]` as BRANCHES_SPACE.

    Each branch is a bowl in the logarithms with its own floor: linear 0.30, tree 0.22, network 0.15. The best branch has
    the narrowest bowl, so it looks worst at first; the shared parameter has another best value in each branch.
    """
    algorithm, smoothing, penalty, depth, leaf, lr, width, activation = np.moveaxis(x, -1, 0)
    linear = 0.30 + 0.015 * (np.log10(penalty) + 1.3) ** 2 + 0.10 * (smoothing - 0.2) ** 2
    fine = np.log2(leaf) - 3.5
    tree = 0.22 + 0.004 * (depth - 9 - 0.8 * fine) ** 2 + 0.012 * fine**2 + 0.15 * (smoothing - 0.7) ** 2
    size = np.log2(width) - 7.2
    rate = np.log10(lr) + 2.6 + 0.35 * size
    penalty_of = np.array([0.03, 0.06, 0.0])
    gate = penalty_of[np.nan_to_num(activation).astype(int)]
    network = 0.15 + 0.16 * rate**2 + 0.015 * size**2 + gate + 0.25 * (smoothing - 0.35) ** 2
    return np.asarray(np.where(algorithm == 0, linear, np.where(algorithm == 1, tree, network)))


def _mixed(name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int) -> BenchProblem:
    return from_formula(name, "mixed", minimized(space), of_f(function), budget)


MIXED = (
    _mixed("hartmann6_mixed", HARTMANN6_MIXED_SPACE, hartmann6_mixed, 60),
    _mixed(
        "rosenbrock_mixed7",
        hpo.Space(
            {
                "x1": hpo.Float(-2.0, 2.0),
                "k2": hpo.Int(-2 * STEPS_PER_UNIT, 2 * STEPS_PER_UNIT),
                "x3": hpo.Float(-2.0, 2.0),
                "k4": hpo.Int(-2 * STEPS_PER_UNIT, 2 * STEPS_PER_UNIT),
                "x5": hpo.Float(-2.0, 2.0),
                "grade": hpo.Categorical(list(GRADES), ordered=True),
                "x7": hpo.Float(-2.0, 2.0),
            }
        ),
        rosenbrock_mixed7,
        60,
    ),
    _mixed(
        "ackley_mixed10",
        hpo.Space(
            {
                **{name: hpo.Categorical(list(values)) for name, values in ACKLEY_CHOICES.items()},
                **{f"x{j}": hpo.Float(-_ACKLEY_SIDE / 2, _ACKLEY_SIDE / 2) for j in range(1, 6)},
            }
        ),
        ackley_mixed10,
        60,
    ),
    _mixed("branches5", BRANCHES_SPACE, branches5, 60),
    *TABLES,
    *LIVE,
)
