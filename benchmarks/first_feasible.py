"""Evaluations to the first feasible point, where under one per cent of the box is feasible.

The library runs with 20 seeds, until it is there or the problem's budget is spent. Random search needs no runs: in a
long stream of uniform points, the distance from each feasible point to the next is one search.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from benchmarks import records
from benchmarks.problems import BY_NAME, TINY_FEASIBLE, BenchProblem
from benchmarks.process import ContenderProcess
from benchmarks.score import is_feasible

POINTS = 2_000_000
CHUNK = 100_000

STUDIES = records.RESULTS / "first-feasible.hpo.jsonl"
RANDOM = records.RESULTS / "first-feasible.random.jsonl"


def first_feasible(seeds: int, jobs: int) -> None:
    """Do the searches that have no result line yet. Prints progress."""
    RANDOM.unlink(missing_ok=True)
    for bench in TINY_FEASIBLE:
        line = random_line(bench)
        records.append(RANDOM, line)
        print(f"{bench.name}: {line['feasible_share']:.2%} feasible, random needs {line['median']:.0f}", flush=True)
    done = {(line["problem"], line["seed"]) for line in records.read(STUDIES)}
    wanted = [(bench.name, seed) for seed in range(seeds) for bench in TINY_FEASIBLE]
    with ThreadPoolExecutor(jobs) as pool:
        for line in pool.map(lambda task: search(*task), [task for task in wanted if task not in done]):
            records.append(STUDIES, line)
            found = f"after {line['found']}" if line["found"] else f"not within {line['budget']}"
            print(f"{line['problem']} seed {line['seed']}: {found}, {sum(line['ask_cpu']):.1f} CPU s", flush=True)


def search(problem: str, seed: int) -> records.Record:
    """One study, until its first feasible point or the end of the budget; `found` counts evaluations, or is None."""
    bench = BY_NAME[problem]
    rng = np.random.default_rng(seed)
    origin = records.provenance()
    found, ask_cpu = None, []
    with ContenderProcess("hpo") as contender:
        contender.open(problem, seed)
        for number in range(1, bench.budget + 1):
            asked = contender.ask()
            ask_cpu.append(asked.cpu)
            values = bench.evaluate(asked.params, rng)
            if is_feasible(bench.problem, values):
                found = number
                break
            contender.tell(asked.params, values)
        versions = contender.versions()
    return {
        "problem": problem,
        "contender": "hpo",
        "seed": seed,
        "budget": bench.budget,
        "found": found,
        "ask_cpu": records.seconds(ask_cpu),
        "versions": versions,
        **origin,
    }


def random_line(bench: BenchProblem) -> records.Record:
    """Random search in figures: the feasible share of the box, and quartiles of the evaluations to the first."""
    waits = random_waits(bench, POINTS, np.random.default_rng(0))
    low, middle, high = (float(q) for q in np.quantile(waits, [0.25, 0.5, 0.75]))
    return {
        "problem": bench.name,
        "contender": "random",
        "feasible_share": len(waits) / POINTS,
        "searches": len(waits),
        "median": middle,
        "quartiles": [low, high],
        **records.provenance(),
    }


def random_waits(bench: BenchProblem, points: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Evaluations that each of the searches in a stream of `points` uniform points took."""
    hits = [feasible(bench, bench.uniform(rng, CHUNK)) for _ in range(points // CHUNK)]
    return np.diff(np.flatnonzero(np.concatenate(hits)), prepend=-1)


def feasible(bench: BenchProblem, x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each of the points x `[n, d]` meets every limit, equality included."""
    values = bench.formula(x)
    met = np.ones(len(x), dtype=bool)
    for metric in bench.problem.limited:
        lower, upper = metric.limits
        met &= values[metric.name] >= (-np.inf if lower is None else lower)
        met &= values[metric.name] <= (np.inf if upper is None else upper)
    return met


def quartiles(lines: Sequence[records.Record]) -> tuple[float, float, float]:
    """(25 %, median, 75 %) of the evaluations to the first feasible point: of two middle values the higher. A search
    that found none counts as infinite."""
    found = [line["found"] or np.inf for line in lines]
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], method="higher")
    return float(low), float(middle), float(high)
