"""What is run: the suites, the ways in which evaluations are handed out, and who runs with fewer seeds, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.problems.base import BenchProblem
from benchmarks.problems.live import LIVE


@dataclass(frozen=True)
class Mode:
    """How evaluations are handed out.

    With `rounds`, that many batches of `q`; without, the problem's budget times `budgets`, `q` at a time. On a clock,
    each of `q` workers is given the next as soon as it is free; without one, a batch is told before the next is asked.
    """

    name: str
    q: int
    rounds: int | None = None
    budgets: int = 1
    is_on_a_clock: bool = False

    def total(self, bench: BenchProblem) -> int:
        """Evaluations of a run."""
        return self.rounds * self.q if self.rounds else self.budgets * bench.budget


MODES = {
    mode.name: mode
    for mode in (
        Mode("q1", 1),
        Mode("q8", 8, rounds=8),
        Mode("q64", 64, rounds=4),
        Mode("bbo", 8, rounds=16),
        Mode("async8", 8, budgets=2, is_on_a_clock=True),
        Mode("async64", 64, budgets=2, is_on_a_clock=True),
    )
}

MODE_WORDS = {
    "q1": "one at a time",
    "q8": "8 rounds of 8",
    "q64": "4 rounds of 64",
    "bbo": "16 rounds of 8, as in the challenge of NeurIPS 2020",
    "async8": "8 workers that never wait, on a simulated clock, twice the budget",
    "async64": "64 workers that never wait, on a simulated clock, twice the budget",
}


@dataclass(frozen=True)
class Suite:
    """A choice of what to run. `per_family`: so many problems of each family, the smallest budgets; None for all.
    `contenders`, `problems`: None for all. `is_capped`: whether expensive contenders run fewer seeds."""

    name: str
    seeds: int
    modes: tuple[str, ...]
    per_family: int | None = None
    contenders: tuple[str, ...] | None = None
    problems: tuple[str, ...] | None = None
    is_capped: bool = True


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "quick",
            seeds=3,
            modes=("q1",),
            per_family=2,
            contenders=("hpo", "grid", "one_at_a_time", "random", "optuna_tpe", "optuna_gp"),
        ),
        Suite("standard", seeds=20, modes=("q1", "q8")),
        Suite("full", seeds=20, modes=tuple(MODES)),
        # Two loops around the same kind of model, often enough to tell them apart problem by problem.
        Suite(
            "parity",
            seeds=30,
            modes=("q1",),
            contenders=("hpo", "botorch"),
            problems=("branin", "lognormal_bowl4", "rosenbrock4", "michalewicz5", "hartmann6", "rotated_ellipsoid8"),
            is_capped=False,
        ),
    )
}


@dataclass(frozen=True)
class Cap:
    """At most so many seeds, and why."""

    seeds: int
    reason: str


_ALL = "a seed of all problems, one at a time and in rounds of eight, takes"
CONTENDER_CAPS: Mapping[str, Cap] = {
    "optuna_gp": Cap(5, f"{_ALL} most of an hour"),
    "smac": Cap(5, f"{_ALL} half an hour and more"),
    "skopt": Cap(1, f"{_ALL} an hour"),
    "botorch": Cap(1, f"{_ALL} two hours and more"),
    "bayes_opt": Cap(1, f"{_ALL} more than an hour"),
    "ax": Cap(1, f"{_ALL} four hours and more"),
    "hebo": Cap(1, f"{_ALL} four hours and more"),
}
LIVE_CAP = Cap(10, "every evaluation is a real training")
LIVE_NAMES = frozenset(bench.name for bench in LIVE)


@dataclass(frozen=True)
class Task:
    """One run to do."""

    contender: str
    mode: str
    problem: str
    seed: int

    def __str__(self) -> str:
        return f"{self.contender} {self.mode} {self.problem} seed {self.seed}"


def seeds_of(contender: str, problem: str, wanted: int) -> int:
    """How many of the wanted seeds this contender runs on this problem."""
    caps = [CONTENDER_CAPS[contender].seeds] if contender in CONTENDER_CAPS else []
    caps += [LIVE_CAP.seeds] if problem in LIVE_NAMES else []
    return min([wanted, *caps])


def cap_words(contenders: Sequence[str], problems: Sequence[str], wanted: int) -> list[str]:
    """Who runs fewer than the wanted seeds, and why; a line each."""
    lines = [
        f"{name}: {cap.seeds} of {wanted} seeds; {cap.reason}"
        for name, cap in CONTENDER_CAPS.items()
        if name in contenders and cap.seeds < wanted
    ]
    if LIVE_CAP.seeds < wanted and not LIVE_NAMES.isdisjoint(problems):
        lines.append(f"live problems: {LIVE_CAP.seeds} of {wanted} seeds; {LIVE_CAP.reason}")
    return lines


def smallest(names: Sequence[str], problems: Mapping[str, BenchProblem], n: int | None) -> list[str]:
    """The `n` problems with the smallest budgets, live ones last; all when n is None."""
    order = sorted(names, key=lambda name: (name in LIVE_NAMES, problems[name].budget, name))
    return order[:n]


def tasks(
    contenders: Mapping[str, Sequence[str]],
    modes: Sequence[str],
    problems: Sequence[str],
    seeds: int,
    *,
    is_capped: bool = True,
) -> list[Task]:
    """Every run, all problems and modes of a seed before the next seed.

    `contenders`: for each, the problems that it can enter.
    """
    return [
        Task(contender, mode, problem, seed)
        for seed in range(seeds)
        for mode in modes
        for problem in problems
        for contender, enters in contenders.items()
        if problem in enters and (not is_capped or seed < seeds_of(contender, problem, seeds))
    ]
