"""What the mean loss does not say: training runs wasted by parallel work, the first feasible result, failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import compare, contenders, problems
from benchmarks.plots import OURS
from benchmarks.records import Run
from benchmarks.suites import MODE_WORDS, SUITES
from benchmarks.tables import interval, number, table

RARE = 20
"""Feasible results are rare where the median random run needs more evaluations than this to find the first."""
PLAIN = "botorch"
UNLEARNABLE = "_infra"
"""Ends the names of problems whose failures do not depend on the configuration."""


def sections(runs: Sequence[Run]) -> list[str]:
    """The pieces of the report, of those runs that there are."""
    parts = (in_flight(runs), first_feasible(runs), failures(runs), parity(runs))
    return [piece for title, text in parts if text for piece in (f"## {title}", text)]


def in_flight(runs: Sequence[Run]) -> tuple[str, str]:
    """Training runs needed with many in flight, against one at a time, contender by contender."""
    alone, rows = _arranged(runs, "q1"), []
    names = [name for name in contenders.CONTENDERS if name in alone]
    shown: set[str] = set()
    for mode in MODE_WORDS:
        if mode == "q1":
            continue
        parallel = _arranged(runs, mode)
        for both, ending in ((False, ""), (True, ", both")):
            shares = {
                name: compare.shares_in_flight(
                    compare.curves(alone[name]), compare.curves(parallel[name]), reached_by_both=both
                )
                for name in names
                if name in parallel
            }
            shares = {name: each for name, each in shares.items() if each}
            shown |= shares.keys()
            if shares:
                words = f"{mode}: {MODE_WORDS[mode]}{ending}"
                rows.append((words, {name: _middle(each) for name, each in shares.items()}))
    reading = (
        "Training runs needed with many in flight / one at a time, to the losses that the contender's own sequential "
        "median has after half and after three quarters of its evaluations; the median over problems and both. What "
        "is not reached within the mode's training runs counts as infinite. Random search, which learns nothing from "
        "results, shows how much of it is chance: a loss that one median has just come to takes another longer. "
        "`both`: to the higher of the losses that the two medians have there, which treats them alike."
    )
    return "Many in flight", _matrix("mode", rows, [name for name in names if name in shown], reading)


def first_feasible(runs: Sequence[Run]) -> tuple[str, str]:
    """Evaluations to the first feasible one, on the problems where those are rare."""
    here = _arranged(runs, "q1")

    def median(seeds: Sequence[Run]) -> float:
        return float(np.quantile([run.first_feasible or np.inf for run in seeds], 0.5, method="higher"))

    random = here.get("random", {})
    rare = [name for name, seeds in random.items() if median(list(seeds.values())) > RARE]
    reading = (
        f"Median evaluation of the first feasible result, one at a time, where random search needs more than {RARE}; in "
        "brackets hpo's share of it."
    )
    return "First feasible", _by_problem(here, rare, median, reading)


def failures(runs: Sequence[Run]) -> tuple[str, str]:
    """Failed evaluations a run, on the problems whose failures the configuration causes."""
    learnable = [name for name in problems.FAMILIES.get("failing", ()) if not name.endswith(UNLEARNABLE)]
    reading = "Mean of the evaluations that fail, a run, one at a time; in brackets hpo's share of it."
    here = _arranged(runs, "q1")
    return "Failures", _by_problem(
        here, learnable, lambda seeds: float(np.mean([run.failed for run in seeds])), reading
    )


def parity(runs: Sequence[Run]) -> tuple[str, str]:
    """The suite `parity`: hpo and a plain loop around the same kind of model, problem by problem."""
    here, rng, rows = _arranged(runs, "q1"), np.random.default_rng(0), []
    for problem in SUITES["parity"].problems or ():
        ours, theirs = (here.get(name, {}).get(problem, {}) for name in (OURS, PLAIN))
        common = sorted(ours.keys() & theirs.keys())
        if not common:
            continue
        mine, other = (compare.curves({problem: {s: each[s] for s in common}}) for each in (ours, theirs))
        losses, areas = ([measure(mine), measure(other)] for measure in (compare.finals, compare.areas))
        rows.append(
            [
                problem,
                str(len(common)),
                *(number(compare.mean(each)) for each in losses),
                *(interval(compare.bootstrap(compare.difference(*both), rng), "+") for both in (losses, areas)),
                number(compare.shares_needed(mine, other)[problem], 2),
            ]
        )
    header = [
        "problem",
        "seeds",
        "hpo: loss",
        f"{PLAIN}: loss",
        "difference",
        "difference of areas",
        "training runs needed",
    ]
    reading = (
        "hpo and a plain BoTorch loop (one GP of standardized outputs, qLogNEI), one at a time, on the "
        "problems of the suite `parity`; the same seeds. Trainings needed: the share of the evaluations after which hpo's "
        "median is at BoTorch's final median."
    )
    return "Parity", f"{reading}\n\n{table(header, rows)}" if rows else ""


def _arranged(runs: Sequence[Run], mode: str) -> dict[str, dict[str, dict[int, Run]]]:
    return compare.arranged(runs, list(problems.BY_NAME), mode)


def _by_problem(
    given: dict[str, dict[str, dict[int, Run]]],
    names: Sequence[str],
    score: Callable[[Sequence[Run]], float],
    reading: str,
) -> str:
    """A row per problem, a column per contender: its score, and ours as a share of it."""

    def of(contender: str, problem: str) -> float:
        seeds = given.get(contender, {}).get(problem, {})
        return score(list(seeds.values())) if seeds else float("nan")

    shown = [c for c in contenders.CONTENDERS if any(problem in given.get(c, {}) for problem in names)]
    rows = [(p, {c: _with_share(of(c, p), of(OURS, p), is_ours=c == OURS) for c in shown}) for p in names]
    return _matrix("problem", rows, shown, reading)


def _matrix(corner: str, rows: Sequence[tuple[str, dict[str, str]]], columns: Sequence[str], reading: str) -> str:
    if not rows or not columns:
        return ""
    cells = [[name, *(row.get(column, "-") for column in columns)] for name, row in rows]
    return f"{reading}\n\n{table([corner, *columns], cells)}"


def _with_share(value: float, ours: float, *, is_ours: bool) -> str:
    share = f" ({number(ours / value, 2)})" if not is_ours and value > 0 and np.isfinite([value, ours]).all() else ""
    return number(value) + share


def _middle(shares: Sequence[float]) -> str:
    never = int(np.isinf(shares).sum())
    words = f" (never on {never} of {len(shares)})" if never else ""
    return number(float(np.quantile(shares, 0.5, method="higher")), 2) + words
