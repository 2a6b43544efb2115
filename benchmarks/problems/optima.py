"""Configurations that are best by construction or by the literature."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from benchmarks.problems import BY_NAME, BenchProblem
from benchmarks.problems.base import Array
from benchmarks.problems.failing import MEMORY
from benchmarks.problems.formula import placed
from benchmarks.problems.functions import BRANIN_AT, HARTMANN6_AT
from benchmarks.problems.held_out import KEANE10_AT
from benchmarks.problems.mixed import ACKLEY_CHOICES, STEPS_PER_UNIT
from benchmarks.problems.search import Params
from benchmarks.problems.single import ACKLEY10_AT, ACTIVE, POWERS, optimum

SEATED = (
    "ackley10",
    "ackley20",
    "cosine8",
    "drop_wave",
    "griewank8",
    "levy4_noisy",
    "levy6",
    "lognormal_bowl4",
    "powell8",
    "rastrigin5",
    "rotated_ellipsoid8",
    "three_hump_camel",
)
"""Functions that are least where `formula.placed` says."""


def michalewicz_at() -> Array:
    """Where michalewicz5 is least `[5]`: its terms are minimized one by one on a grid of 10^6 points, then polished."""
    grid = np.linspace(0, np.pi, 10**6)
    out = []
    for j in range(1, 6):

        def term(t: Any, j: int = j) -> Any:
            return -np.sin(t) * np.sin(j * t**2 / np.pi) ** 20

        start = grid[np.argmin(term(grid))]
        out.append(minimize_scalar(term, bounds=(start - 1e-5, start + 1e-5), options={"xatol": 1e-12}).x)
    return np.array(out)


def with_active(x: Array) -> Array:
    """The fifty coordinates of hartmann6_in_50 whose active ones are `x [6]`."""
    out = np.full(50, 0.5)
    out[ACTIVE] = x
    return out


def seat(name: str) -> Array:
    """Where the shifted function `name` is least."""
    return optimum(name, BY_NAME[name].problem.space)


def known(name: str) -> Params | None:
    """The configuration that is best by construction or by the literature, where there is one."""
    space = BY_NAME[name].problem.space
    rows: Mapping[str, Callable[[], Array]] = {
        "branin": lambda: BRANIN_AT[0],
        "hartmann6": lambda: HARTMANN6_AT,
        "hartmann6_misscaled": lambda: HARTMANN6_AT ** (1 / POWERS),
        "hartmann6_in_50": lambda: with_active(HARTMANN6_AT),
        "rosenbrock4": lambda: np.ones(4),
        "rosenbrock4_heteroscedastic": lambda: np.ones(4),
        "rosenbrock20": lambda: np.ones(20),
        "styblinski_tang5": lambda: np.full(5, -2.903534027771177),
        "michalewicz5": michalewicz_at,
        "ackley10_crash": lambda: ACKLEY10_AT,
        "beale": lambda: np.array([3.0, 0.5]),
        "bukin": lambda: np.array([-10.0, 1.0]),
        "keane_bump10": lambda: KEANE10_AT,
        "dixon_price5": lambda: np.exp2(-(1 - np.exp2(-np.arange(5.0)))),
        "ackley_ball10": lambda: np.zeros(10),
        **{n: lambda: seat(name) for n in SEATED},
    }
    if name == "rosenbrock_mixed7":
        whole = {"k2": STEPS_PER_UNIT, "k4": STEPS_PER_UNIT}
        return {n: whole.get(n, 1.0) for n in space.names}
    if name == "ackley_mixed10":
        zero = {n: next(c for c, v in values.items() if v == 0) for n, values in ACKLEY_CHOICES.items()}
        return {**zero, **{f"x{j}": float(6 * u - 3) for j, u in enumerate(placed(name, 5), 1)}}
    row = rows.get(name) or rows.get(name.split("_", maxsplit=1)[0])
    if row is None or name.startswith(("hartmann6_mixed", "hartmann6_ball")):
        return None
    return dict(zip(space.names, row().tolist(), strict=True))


def full_memory(bench: BenchProblem) -> Params:
    """The best of mixed_oom: each batch and depth with the widest network that fits, and the best of the others, which is
    closed there: see `failing.oom_loss`."""
    best: tuple[float, Params] = (math.inf, {})
    for optimizer in ("sgd", "adam"):
        for depth in range(1, 9):
            for batch in range(8, 1025):
                width = min(2048, MEMORY // (batch * depth))
                if width < 16:
                    continue
                load, size = math.log2(batch / 8), math.log2(width / 16)
                rate = -2.8 + 0.075 * load if optimizer == "adam" else -1.8 + 0.15 * load
                params: Params = {
                    "batch": batch,
                    "width": width,
                    "depth": depth,
                    "lr": 10**rate,
                    "dropout": 0.05 * size,
                    "optimizer": optimizer,
                }
                best = min(best, (bench.truth(params)["f"], params), key=lambda pair: pair[0])
    return best[1]


def half_ball(bench: BenchProblem, rng: np.random.Generator) -> Params:
    """A uniform point of the feasible half ball of ackley_ball10, which uniform points of the box nearly never hit."""
    direction = rng.normal(size=10)
    direction *= -np.sign(direction.sum()) / np.linalg.norm(direction)
    return dict(zip(bench.problem.space.names, (5 * rng.random() ** 0.1 * direction).tolist(), strict=True))
