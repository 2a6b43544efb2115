"""CPU, elapsed time and memory: the contenders side by side in one run, on identical data.

One cell is a number of parameters d, of results n and of configurations asked for at once q. In it every contender, in
its own process with one thread, is given the same n random results; then they take turns, each asking for q and being
told its own suggestions, TURNS times. The first ask fits from nothing, the others one batch after the last. That is done
for REPEATS data sets. A contender that has spent the plan's limit of CPU seconds in a cell asks no more there, and is left
out of the cells with more results once a single ask has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import hpo
from benchmarks import contenders as peers
from benchmarks import records
from benchmarks.problems.base import BenchProblem, Outcome
from benchmarks.process import ContenderProcess

UNTAUGHT = ("random", "sobol", "grid", "one_at_a_time")
"""They learn nothing from results, so an ask of theirs costs nothing."""
TURNS = 5
REPEATS = 3
STARTS = 3
"""How often a process is started for its imports."""


@dataclass(frozen=True)
class Plan:
    """The cells: every d with every q with every n; for hpo also `many` at once; a whole study of hpo.

    Attributes:
        limit: CPU seconds of a contender in a cell.    many: (results, configurations asked for at once).
        study: (d, trials).
    """

    dims: tuple[int, ...] = (6, 20)
    sizes: tuple[int, ...] = (20, 100, 300, 1000)
    batches: tuple[int, ...] = (1, 8)
    limit: float = 12.0
    many: tuple[int, int] = (1000, 1000)
    study: tuple[int, int] = (10, 500)


PLAN = Plan()


@dataclass
class Spent:
    """What the asks of one contender in one cell cost: CPU and elapsed seconds, one list per data set."""

    cpu: list[list[float]] = field(default_factory=list)
    wall: list[list[float]] = field(default_factory=list)
    add_cpu: float = 0.0
    n_added: int = 0
    died: str = ""

    @property
    def total(self) -> float:
        """CPU seconds in this cell."""
        return self.add_cpu + sum(map(sum, self.cpu))


def path_of(results: Path) -> Path:
    """The file of the result lines."""
    return results / "cost.jsonl"


def measure(names: Sequence[str] | None, results: Path, plan: Plan = PLAN) -> None:
    """Measure every cell and replace the result file. Prints progress."""
    for name in names or ():
        peers.contender(name)  # an unknown name is an error at once
    wanted = [name for name in names or peers.CONTENDERS if names or name not in UNTAUGHT]
    missing = [name for name in wanted if not peers.is_installed(name)]
    if missing:
        print(f"Not installed, left out: {', '.join(missing)}")
    present = [name for name in wanted if name not in missing]
    started = {name: start(name) for name in present}
    origin = records.origin({})
    origin["versions"] = {name: line.pop("versions") for name, line in started.items()}
    path = path_of(results)
    records.discard(path)
    for line in chain(started.values(), cells(present, plan), whole_study(present, plan)):
        records.append(path, origin, line)
        print(words(line), flush=True)


def start(name: str) -> records.Record:
    """What a contender costs before it is asked anything."""
    imports = []
    for _ in range(STARTS):
        with ContenderProcess(name) as process:
            imports.append(process.import_cpu)
            memory, versions = process.peak_memory(), process.versions()
    return {
        "kind": "start",
        "contender": name,
        "import_cpu": _short(imports),
        "memory": round(memory, 1),
        "versions": versions,
    }


def cells(names: Sequence[str], plan: Plan) -> Iterator[records.Record]:
    """All cells, a line for each contender in each, or for its absence."""
    for d in plan.dims:
        bench = surface(d)
        for q in plan.batches:
            out: dict[str, str] = {}
            with ExitStack() as stack:
                processes = {name: stack.enter_context(ContenderProcess(name)) for name in names}
                # What a library loads when its model is first used is not counted.
                turns(processes, bench, plan.sizes[0], q, repeats=1, limit=0.0)
                for n in plan.sizes:
                    present = {name: p for name, p in processes.items() if name not in out}
                    spent = turns(present, bench, n, q, REPEATS, plan.limit)
                    for name in names:
                        if name in out:
                            yield {"kind": "left_out", "contender": name, "d": d, "n": n, "q": q, "reason": out[name]}
                        else:
                            yield _line(name, d, n, q, spent[name], processes[name])
                            reason = too_slow(spent[name], n, plan.limit)
                            out |= {name: reason} if reason else {}
        if "hpo" in names:
            n, q = plan.many
            with ContenderProcess("hpo") as process:
                spent = turns({"hpo": process}, bench, n, q, repeats=1, limit=0.0)
                yield _line("hpo", d, n, q, spent["hpo"], process)


def too_slow(spent: Spent, n: int, limit: float) -> str:
    """Why a contender is left out of the cells with more results; empty if it is not.

    It is when a single ask has spent the limit: what a contender tries first may be more costly, or need no model yet.
    """
    if spent.died:
        return spent.died
    costliest = float(np.median([max(asks) for asks in spent.cpu if asks] or [0.0]))
    if costliest > limit:
        return f"{costliest:.0f} CPU seconds for an ask after {n} results"
    return ""


def turns(
    processes: Mapping[str, ContenderProcess], bench: BenchProblem, n: int, q: int, repeats: int, limit: float
) -> dict[str, Spent]:
    """One cell. Every contender asks at least once; a contender that dies is out of the rest of it."""
    spent = {name: Spent() for name in processes}
    for repeat in range(repeats):
        rng = np.random.default_rng([n, q, repeat])
        data = [(params, bench.truth(params)) for params in bench.problem.space.sample(rng, n)]
        active = [name for name, mine in spent.items() if not mine.died and (repeat == 0 or mine.total < limit)]
        for name in active:
            spent[name].cpu.append([])
            spent[name].wall.append([])
            _guarded(spent[name], lambda p, s: _taught(p, s, bench, data, q, repeat), processes[name])  # noqa: B023
        for turn in range(TURNS):
            for name in active if turn % 2 == 0 else active[::-1]:
                mine = spent[name]
                if not mine.died and (turn == 0 or mine.total < limit):
                    _guarded(mine, lambda p, s: _turn(p, s, bench, q), processes[name])
    return spent


def whole_study(names: Sequence[str], plan: Plan) -> Iterator[records.Record]:
    """A study of hpo from its first to its last trial, one at a time."""
    if "hpo" not in names:
        return
    d, trials = plan.study
    bench, spent = surface(d), Spent(cpu=[[]], wall=[[]])
    with ContenderProcess("hpo") as process:
        process.open(bench.problem, 0, budget=trials, q=1)
        for _ in range(trials):
            _turn(process, spent, bench, 1)
        yield {
            "kind": "study",
            "contender": "hpo",
            "d": d,
            "trials": trials,
            "cpu": round(spent.total, 2),
            "wall": round(sum(spent.wall[0]), 2),
            "memory": round(process.peak_memory(), 1),
        }


def surface(d: int) -> BenchProblem:
    """A smooth function of d parameters in [0, 1] with interactions: mean of (x_j - 0.3)^2 + sin(5 x_j x_{j+1}) / 4."""
    names = [f"x{j}" for j in range(d)]
    space = hpo.Space({name: hpo.Float(0.0, 1.0) for name in names})

    def truth(params: Mapping[str, Any]) -> dict[str, float]:
        x = np.array([params[name] for name in names])
        return {"f": float(np.mean((x - 0.3) ** 2 + np.sin(5 * x * np.roll(x, -1)) / 4))}

    problem = hpo.Problem(space, [hpo.Objective("f", goal="minimize")])
    return BenchProblem(f"surface{d}", "single", problem, truth, best=0.0, typical=1.0, budget=100)


def words(line: records.Record) -> str:
    """A result line for the reader of the progress."""
    match line["kind"]:
        case "start":
            return f"{line['contender']}: imports {np.median(line['import_cpu']):.2f} CPU s, {line['memory']:.0f} MB"
        case "left_out":
            return f"d = {line['d']}, n = {line['n']}, q = {line['q']}: {line['contender']} left out: {line['reason']}"
        case "study":
            return f"{line['trials']} trials of {line['contender']}, d = {line['d']}: {line['cpu']} CPU s"
    cpu = [each for asks in line["cpu"] for each in asks]
    middle = f"{1000 * np.median(cpu):.1f} ms" if cpu else "no answer"
    return f"d = {line['d']}, n = {line['n']}, q = {line['q']}: {line['contender']} {middle}"


def _taught(
    process: ContenderProcess, spent: Spent, bench: BenchProblem, data: Sequence[tuple[Any, Any]], q: int, seed: int
) -> None:
    process.open(bench.problem, seed, budget=len(data) + TURNS * q, q=q)
    for params, values in data:
        spent.add_cpu += process.add(params, values)
        spent.n_added += 1


def _turn(process: ContenderProcess, spent: Spent, bench: BenchProblem, q: int) -> None:
    """Ask for q and tell them all. What is done when a result is told belongs to the ask."""
    asked = process.ask(q)
    cpu = asked.cpu
    for trial in asked.trials:
        cpu += process.tell(trial.id, Outcome(bench.truth(trial.params)))
    spent.cpu[-1].append(cpu)
    spent.wall[-1].append(asked.wall)


def _guarded(spent: Spent, action: Any, process: ContenderProcess) -> None:
    """Do it; a contender that raises or dies is noted, and the others go on."""
    try:
        action(process, spent)
    except RuntimeError as error:
        spent.died = f"{str(error).strip().splitlines()[-1]:.200}"


def _line(name: str, d: int, n: int, q: int, spent: Spent, process: ContenderProcess) -> records.Record:
    try:
        memory: float | None = round(process.peak_memory(), 1)
    except RuntimeError:
        memory = None
    return {
        "kind": "ask",
        "contender": name,
        "d": d,
        "n": n,
        "q": q,
        "cpu": [_short(asks) for asks in spent.cpu],
        "wall": [_short(asks) for asks in spent.wall],
        "add_cpu": float(f"{spent.add_cpu / max(spent.n_added, 1):.3g}"),
        "memory": memory,
        "died": spent.died,
    }


def _short(seconds: Sequence[float]) -> list[float]:
    return [round(each, 5) for each in seconds]
