"""A contender without a process, and problems that are one line of arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Any, Self

import numpy as np

import hpo
from benchmarks.problems.base import BenchProblem, Family, Outcome
from benchmarks.records import Run

SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0)})
MINIMIZE = hpo.Problem(SPACE, [hpo.Objective("f", goal="minimize")])


def line(
    name: str = "line",
    family: Family = "single",
    budget: int = 4,
    report: Callable[[Mapping[str, Any], dict[str, float], np.random.Generator], Outcome] | None = None,
    problem: hpo.Problem = MINIMIZE,
) -> BenchProblem:
    """Minimize f = x: the loss of a configuration is its x."""
    return BenchProblem(
        name, family, problem, lambda params: {"f": params["x"]}, 0.0, 1.0, budget=budget, report=report
    )


@dataclass(frozen=True)
class Trial:
    """What was asked."""

    id: int
    params: dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The answer to an ask."""

    trials: list[Trial]
    cpu: float = 0.25


@dataclass
class Script:
    """Suggests the given x, one after the other, and nothing afterwards; notes all that it is told."""

    xs: Iterable[float]
    dies_at: int | None = None
    """The number of the ask, from 0, at which it dies."""
    recommends: Callable[[Script], float | None] = lambda script: None
    told: list[tuple[float, Outcome]] = field(default_factory=list)
    asks: list[tuple[int, int]] = field(default_factory=list)
    """(configurations asked for, results known at that time)."""
    opened: list[tuple[str, int, int, int]] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    """Whether it was ended because of an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.append(error is not None)

    def open(self, problem: hpo.Problem, seed: int, *, budget: int, q: int) -> None:
        """Start over."""
        self.opened.append((problem.hash, seed, budget, q))
        self.told, self.asks, self._given = [], [], list[float]()
        self._rest = iter(self.xs)

    def ask(self, n: int = 1) -> Asked:
        """The next n, or what is left."""
        if len(self.asks) == self.dies_at:
            raise RuntimeError("first line\nthe process of 'script' ended with code 9")
        self.asks.append((n, len(self.told)))
        xs = list(islice(self._rest, n))
        trials = [Trial(len(self._given) + i, {"x": x}) for i, x in enumerate(xs)]
        self._given += xs
        return Asked(trials)

    def tell(self, id: int, outcome: Outcome) -> float:
        """Note it."""
        self.told.append((self._given[id], outcome))
        return 0.01

    def recommend(self) -> dict[str, Any] | None:
        """What `recommends` says."""
        x = self.recommends(self)
        return None if x is None else {"x": x}

    def versions(self) -> dict[str, str]:
        """Made up."""
        return {"script": "1.0"}


EMPTY = Run(
    contender="hpo",
    mode="q1",
    problem="line",
    definition="",
    seed=0,
    total=4,
    evaluations=4,
    curve=((1, 0.5),),
    first_feasible=1,
    failed=0,
    repeated=0,
    ask_cpu=1.0,
    ask_median=0.25,
    tell_cpu=0.0,
    wall=1.0,
)


def a_run(**fields: Any) -> Run:
    """A run of four evaluations that halves its loss at the first, with these fields otherwise."""
    return replace(EMPTY, **fields)
