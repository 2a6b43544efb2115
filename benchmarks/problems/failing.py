"""One objective, and training runs that fail.

Where a failure follows from the params, the truth there is infinite: worse than any value, for that configuration can
never be deployed. So `best` is the best of what works. The report turns it into a failure of its kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import hpo
from benchmarks.problems.base import Array, BenchProblem, Outcome
from benchmarks.problems.descent import DESCENT_SPACE, descent_loss
from benchmarks.problems.duration import timed as smoothly_timed
from benchmarks.problems.formula import Report, from_formula, generator, minimized, of_f
from benchmarks.problems.functions import ackley, branin, hartmann6
from benchmarks.problems.scale import limit, scale
from benchmarks.problems.single import ACKLEY10_AT, ACKLEY10_SPACE, BRANIN_SPACE, HARTMANN6_SPACE, shifted
from benchmarks.problems.table import SPACES
from benchmarks.problems.tables import BUDGET, OBJECTIVE, looked_up, tabular, timed, training_seconds

CRASH_SECONDS = 0.3
"""A training that breaks does so early."""
INFRA_SHARE = 0.15
"""Share of the evaluations that a machine loses."""
MEMORY = 2**17
"""What batch x width x depth may be in mixed_oom."""

Fails = Callable[[Array], np.ndarray[Any, np.dtype[np.bool_]]]


def where_it_works(function: Callable[[Array], Array], fails: Fails) -> Callable[[Array], Array]:
    """`function`, infinite where `fails`."""
    return lambda x: np.where(fails(x), np.inf, function(x))


def fails_as(kind: str, seconds: float = CRASH_SECONDS) -> Report:
    """A report in which an infinite truth is a failure of this kind."""

    def report(_params: Mapping[str, Any], values: dict[str, float], _rng: np.random.Generator) -> Outcome:
        works = all(math.isfinite(value) for value in values.values())
        return Outcome(values) if works else Outcome(None, kind, seconds)

    return report


def lost_at_random(report: Report, share: float = INFRA_SHARE) -> Report:
    """`report`, of which a share is lost to a machine at a random moment, whatever the params."""

    def losing(params: Mapping[str, Any], values: dict[str, float], rng: np.random.Generator) -> Outcome:
        outcome = report(params, values, rng)
        lost, moment = rng.random(2)
        return Outcome(None, "infra", outcome.seconds * float(moment)) if lost < share else outcome

    return losing


def branin_fails(x: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Inside the ellipse around the middle one of Branin's three optima; 30 % of the box."""
    return np.asarray(((x[..., 0] - np.pi) / 5.1) ** 2 + ((x[..., 1] - 2.275) / 5.7) ** 2 < 1)


def hartmann6_fails(x: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """exp(2 - 2 x1) + 2 x3 + 4 x4 + 2 x5 > 7.7: 40 % of the cube, with the optimum (7.61) just on the side that works."""
    return np.asarray(np.exp(2 - 2 * x[..., 0]) + 2 * x[..., 2] + 4 * x[..., 3] + 2 * x[..., 4] > 7.7)


_NORMAL = generator("ackley10_crash").normal(size=10)
_NORMAL = _NORMAL / np.linalg.norm(_NORMAL)


def ackley10_fails(x: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Beyond a plane that passes the optimum at a distance of 1."""
    return np.asarray((x - ACKLEY10_AT) @ _NORMAL > 1.0)


OOM_SPACE = hpo.Space(
    {
        "batch": hpo.Int(8, 1024, log=True),
        "width": hpo.Int(16, 2048, log=True),
        "depth": hpo.Int(1, 8),
        "lr": hpo.Float(1e-4, 1.0, log=True),
        "dropout": hpo.Float(0.0, 0.6),
        "optimizer": hpo.Categorical(["sgd", "adam"]),
    }
)


def oom_fails(x: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Activations of a network: memory grows as batch x width x depth."""
    return np.asarray(x[..., 0] * x[..., 1] * x[..., 2] > MEMORY)


def oom_loss(x: Array) -> Array:
    """A made-up loss that falls with width and with batch, so that the best configuration fills the memory.

    x `[..., 6]` as OOM_SPACE. The best learning rate grows with the batch, less so for adam; a wide network wants more
    dropout.
    """
    batch, width, depth, lr, dropout, adam = np.moveaxis(x, -1, 0)
    size, load = np.log2(width / 16), np.log2(batch / 8)
    rate = np.log10(lr) - np.where(adam == 1, -2.8 + 0.075 * load, -1.8 + 0.15 * load)
    return np.asarray(
        0.2
        + 0.5 * 2 ** (-0.4 * size)
        + 0.15 * 2 ** (-0.3 * load)
        + 0.01 * (depth - 4) ** 2
        + np.where(adam == 1, 0.12, 0.05) * rate**2
        + 0.6 * (dropout - 0.05 * size) ** 2
        + np.where(adam == 1, 0.0, 0.015)
    )


def _failing(
    name: str, space: hpo.Space, function: Callable[[Array], Array], budget: int, report: Report
) -> BenchProblem:
    return from_formula(name, "failing", minimized(space), of_f(function), budget, report)


def slow_table(name: str, dataset: str) -> BenchProblem:
    """An HPOLib table whose training runs are stopped after the 0.7 quantile of all training times: those have no value."""
    longest = limit(name, "train_time")
    objective = OBJECTIVE["hpolib"]
    best, typical = scale(name)

    def truth(params: Mapping[str, Any]) -> dict[str, float]:
        values = looked_up("hpolib", dataset, (objective.name, "train_time"), params, "first")
        return {objective.name: values[objective.name] if values["train_time"] <= longest else math.inf}

    def report(params: Mapping[str, Any], values: dict[str, float], _rng: np.random.Generator) -> Outcome:
        if math.isinf(values[objective.name]):
            return Outcome(None, "timeout", longest)
        return Outcome(values, seconds=training_seconds("hpolib", dataset, params))

    problem = hpo.Problem(SPACES["hpolib"], [objective])
    return BenchProblem(name, "failing", problem, truth, best, typical, BUDGET, report=report)


FAILING = (
    _failing("branin_crash", BRANIN_SPACE, where_it_works(branin, branin_fails), 30, fails_as("crash")),
    _failing("hartmann6_crash", HARTMANN6_SPACE, where_it_works(hartmann6, hartmann6_fails), 60, fails_as("crash")),
    _failing(
        "ackley10_crash",
        ACKLEY10_SPACE,
        where_it_works(shifted(ackley, ACKLEY10_AT), ackley10_fails),
        60,
        fails_as("crash"),
    ),
    _failing("mixed_oom", OOM_SPACE, where_it_works(oom_loss, oom_fails), 60, fails_as("oom", 0.1)),
    slow_table("hpolib_protein_slow", "protein_structure"),
    _failing("diverge_lr", DESCENT_SPACE, descent_loss, 40, fails_as("diverged")),
    _failing(
        "hartmann6_infra", HARTMANN6_SPACE, hartmann6, 60, lost_at_random(smoothly_timed("hartmann6", HARTMANN6_SPACE))
    ),
    tabular(
        "hpolib_protein_infra",
        "failing",
        "hpolib",
        "protein_structure",
        report=lost_at_random(timed("hpolib", "protein_structure")),
    ),
)
