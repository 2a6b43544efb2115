"""Regret at an equal number of evaluations: one run, and many runs that resume where they stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import records
from benchmarks.problems import BY_NAME
from benchmarks.process import ContenderProcess
from benchmarks.score import regrets


@dataclass(frozen=True)
class Run:
    """One contender on one problem with one seed, to the end of the problem's budget."""

    problem: str
    contender: str
    seed: int

    def __str__(self) -> str:
        return f"{self.problem}, {self.contender}, seed {self.seed}"


def run(task: Run) -> records.Record:
    """Do it, and return its result line. Raises RuntimeError when the contender's process dies."""
    bench = BY_NAME[task.problem]
    rng = np.random.default_rng(task.seed)
    origin, started = records.provenance(), time.perf_counter()
    results, ask_cpu, tell_cpu = [], [], []
    with ContenderProcess(task.contender) as contender:
        contender.open(task.problem, task.seed)
        for _ in range(bench.budget):
            asked = contender.ask()
            values = bench.evaluate(asked.params, rng)
            tell_cpu.append(contender.tell(asked.params, values))
            ask_cpu.append(asked.cpu)
            results.append(values)
        versions = contender.versions()
    curve = regrets(bench.problem, results, bench.optimum)
    return {
        "problem": task.problem,
        "contender": task.contender,
        "seed": task.seed,
        "budget": bench.budget,
        "regret": [None if regret is None else float(f"{regret:.6g}") for regret in curve],
        "ask_cpu": records.seconds(ask_cpu),
        "tell_cpu": records.seconds(tell_cpu),
        "wall": round(time.perf_counter() - started, 2),
        "versions": versions,
        **origin,
    }


def path_of(contender: str) -> Path:
    """The file of a contender's result lines. Delete it to have the contender run again."""
    return records.RESULTS / f"regret.{contender}.jsonl"


def unfinished(problems: Sequence[str], contenders: Sequence[str], seeds: int) -> list[Run]:
    """The runs that have no result line yet, all problems of a seed before the next seed."""
    done = {
        Run(line["problem"], line["contender"], line["seed"])
        for contender in contenders
        for line in records.read(path_of(contender))
        if line["budget"] == BY_NAME[line["problem"]].budget
    }
    wanted = [
        Run(problem, contender, seed) for seed in range(seeds) for problem in problems for contender in contenders
    ]
    return [task for task in wanted if task not in done]


def race(problems: Sequence[str], contenders: Sequence[str], seeds: int, jobs: int) -> None:
    """Do all unfinished runs, `jobs` at a time, and append a line as each ends.

    Prints progress. A run that fails is named, the others go on, and RuntimeError at the end says how many failed.
    """
    tasks = unfinished(problems, contenders, seeds)
    print(
        f"{len(problems) * len(contenders) * seeds - len(tasks)} runs finished before, {len(tasks)} to do", flush=True
    )
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run, task): task for task in tasks}
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                error = future.exception()
                if error is None:
                    records.append(path_of(futures[future].contender), future.result())
                failed += error is not None
                words = f"FAILED: {error!r}" if error else _words(future.result())
                print(f"[{count}/{len(tasks)}] {futures[future]}: {words}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        raise RuntimeError(f"{failed} of {len(tasks)} runs failed; run the command again to try them once more")


def _words(line: records.Record) -> str:
    regret = line["regret"][-1]
    final = "nothing feasible" if regret is None else f"regret {regret:.3g}"
    return f"{final}, {sum(line['ask_cpu']):.1f} CPU s, {line['wall']:.0f} s"
