"""The command `calibration`: how often what hpo says is probably feasible is feasible.

Every suggestion of the engine on the problems with limits or failures that the configuration causes: the chance, in its
`why`, that the trial ends and meets every limit, against what happened.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks import problems, records
from benchmarks.compare import Array
from benchmarks.contenders import contender
from benchmarks.details import UNLEARNABLE
from benchmarks.plots import OURS
from benchmarks.problems import HALVES
from benchmarks.problems.base import BenchProblem
from benchmarks.run import luck
from benchmarks.score import is_feasible
from benchmarks.tables import number, table
from benchmarks.worker import versions
from hpo.common.arrays import Mask
from hpo.study.open_study import open_study
from hpo.trials.trial import Trial

SEEDS = 5
EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)
SURE = 0.9
PICTURE = "calibration.png"
READING = f"""\
`python -m benchmarks calibration`: of all suggestions of the engine on problems with limits, or with failures that the
configuration causes, one at a time, {SEEDS} seeds: the predicted chance of a feasible result, and how many were."""


def path_of(results: Path) -> Path:
    """The file of the result lines."""
    return results / "calibration.jsonl"


def measure(results: Path) -> None:
    """Run hpo on every such problem and replace the result file. Prints progress."""
    chosen = [bench for bench in problems.BY_NAME.values() if may_be_infeasible(bench)]
    origin = records.origin(versions(contender(OURS).packages))
    records.discard(path_of(results))
    for i, bench in enumerate(chosen, start=1):
        for seed in range(SEEDS):
            records.append(path_of(results), origin, {"kind": "calibration", **observe(bench, seed)})
        print(f"{i}/{len(chosen)} {bench.name}", flush=True)


def may_be_infeasible(bench: BenchProblem) -> bool:
    """Whether a configuration can fail to end with a feasible result, by its own fault."""
    fails = bench.family == "failing" and not bench.name.endswith(UNLEARNABLE)
    return fails or bool(bench.problem.limited)


def observe(bench: BenchProblem, seed: int) -> records.Record:
    """One study; for each suggestion that came with a prediction, the chance and whether it held."""
    chances, held = [], []
    study = open_study("calibration", bench.problem, storage=":memory:", seed=seed)
    for k in range(bench.budget):
        (trial,) = study.ask(1)
        outcome = bench.evaluate(trial.params, luck(bench.name, seed, k))
        if outcome.values is None:
            study.fail(trial.number, outcome.failure or "error")
        else:
            study.tell(trial.number, outcome.values)
        chance = predicted(trial)
        if chance is not None:
            chances.append(records.rounded(chance))
            held.append(int(outcome.values is not None and is_feasible(bench.problem, outcome.values)))
    return {"problem": bench.name, "seed": seed, "chances": chances, "held": held}


def predicted(trial: Trial) -> float | None:
    """The chance of a feasible result that was stated with the suggestion: the product over limits and success."""
    why = trial.why
    stated = [*why.get("p_meets", {}).values(), *([why["p_success"]] if "p_success" in why else [])]
    return math.prod(stated) if stated else None


def sections(results: Path) -> list[str]:
    """The pieces of the report; none without results."""
    parts = [piece for half, *seen in _halves(results) for piece in (f"{half.capitalize()} problems:", _bins(*seen))]
    return ["## Predicted feasibility", READING, *parts] if parts else []


def picture(results: Path, path: Path) -> bool:
    """Draw predicted chance against share; False without results."""
    halves = _halves(results)
    figure = Figure(figsize=(4.2, 4.0), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1.0, label="as predicted")
    for half, chances, held in halves:
        rows = [
            (chances[place].mean(), held[place].mean(), place.sum()) for _, place in _places(chances) if place.any()
        ]
        x, y, n = np.array(rows).T
        error = 1.96 * np.sqrt(np.maximum(y * (1 - y), 0.25 / n) / n)
        axis.errorbar(x, y, yerr=error, marker="o", linewidth=1.2, capsize=2, label=half)
    axis.set(xlabel="predicted chance of a feasible result", ylabel="share that was feasible")
    axis.legend(frameon=False, fontsize=8)
    if halves:
        figure.savefig(path, dpi=90)
    return bool(halves)


def _halves(results: Path) -> list[tuple[str, Array, Array]]:
    """Chances and whether they held, of each half of the problems that has any."""
    lines = [line for line in records.read(path_of(results)) if line["kind"] == "calibration"]
    out = []
    for half in HALVES:
        here = [line for line in lines if problems.half(line["problem"]) == half]
        chances = np.array([chance for line in here for chance in line["chances"]])
        held = np.array([float(x) for line in here for x in line["held"]])
        out += [(half, chances, held)] if len(chances) else []
    return out


def _places(chances: Array) -> list[tuple[str, Mask]]:
    last = EDGES[-1]
    return [
        (f"{low:g} to {high:g}", (chances >= low) & ((chances < high) | (high == last)))
        for low, high in pairwise(EDGES)
    ]


def _bins(chances: Array, held: Array) -> str:
    places = [*_places(chances), (f"at least {SURE:g}", chances >= SURE)]
    rows = [
        [name, str(int(place.sum())), number(float(chances[place].mean())), number(float(held[place].mean()))]
        for name, place in places
        if place.any()
    ]
    return table(["predicted", "suggestions", "mean predicted", "feasible"], rows)
