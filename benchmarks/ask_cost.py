"""CPU seconds per ask: the contenders side by side in one run, on identical data.

One cell is a number of parameters d and a number of results n. In each repeat every contender, in its own process with
one thread, is given the same n random results; then they take turns, each asking and being told its own suggestions,
from n to n + 10 results. An ask is everything from the call to the params: for a plain loop fit and acquisition, for
the library `study.ask()` with its storage in memory. The first repeat of a process warms it up and is not counted.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks import records
from benchmarks.problems import COST, BenchProblem
from benchmarks.process import ContenderProcess

CONTENDERS = ("hpo", "botorch")
SIZES = (20, 100)
GROWTH = 10

PATH: Path = records.RESULTS / "ask-cost.jsonl"


def ask_cost(repeats: int) -> None:
    """Measure every cell, and replace the result file. Prints progress."""
    origin = records.provenance()
    lines = []
    with ExitStack() as stack:
        contenders = [stack.enter_context(ContenderProcess(name)) for name in CONTENDERS]
        measure(contenders, COST[0], SIZES[0], growth=2, seed=0)
        for bench in COST:
            for n in SIZES:
                for repeat in range(1, repeats + 1):
                    asks = measure(contenders, bench, n, GROWTH, seed=repeat)
                    for contender, cpu in zip(contenders, asks, strict=True):
                        lines.append(
                            {
                                "problem": bench.name,
                                "d": len(bench.problem.space),
                                "n": n,
                                "repeat": repeat,
                                "contender": contender.contender,
                                "ask_cpu": records.seconds(cpu),
                                "versions": contender.versions(),
                                **origin,
                            }
                        )
                    medians = ", ".join(
                        f"{contender.contender} {1000 * np.median(cpu):.0f} ms"
                        for contender, cpu in zip(contenders, asks, strict=True)
                    )
                    print(f"{bench.name}, n = {n}, repeat {repeat} of {repeats}: {medians}", flush=True)
    PATH.unlink(missing_ok=True)
    for line in lines:
        records.append(PATH, line)


def measure(
    contenders: list[ContenderProcess], bench: BenchProblem, n: int, growth: int, seed: int
) -> list[list[float]]:
    """CPU seconds of `growth` consecutive asks of each contender, after the same `n` results."""
    rng = np.random.default_rng(seed)
    data = [(params, bench.evaluate(params, rng)) for params in bench.problem.space.sample(rng, n)]
    for contender in contenders:
        contender.open(bench.name, seed)
        for params, values in data:
            contender.tell(params, values)
    cpu: list[list[float]] = [[] for _ in contenders]
    for turn in range(growth):
        order = range(len(contenders)) if turn % 2 == 0 else reversed(range(len(contenders)))
        for i in order:
            asked = contenders[i].ask()
            contenders[i].tell(asked.params, bench.evaluate(asked.params, rng))
            cpu[i].append(asked.cpu)
    return cpu
