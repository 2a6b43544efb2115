"""Joint tuning beside one-at-a-time, grid and random search on the demo's task: the picture of the README.

    python -m benchmarks.joint    # runs what has no line yet, then draws docs/pictures/joint.svg

A support vector machine reads digits, in a file of at most 100 kB. The parameters interact: the best gamma depends on C
and on the number of components, and all three decide how many support vectors there are, which is the size. Every seed
splits the data anew, the same way for all strategies.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hpo
from benchmarks.records import RESULTS, ROOT, append, origin, read
from hpo.cli.demo_task import Train, problem

TRIALS = 30
SEEDS = 20
FILE = "joint.jsonl"
PICTURE = ROOT / "docs" / "pictures" / "joint.svg"

CONTENDERS = ("joint", "one at a time", "grid", "random")
COLORS = {"joint": "#0b7a75", "one at a time": "#b3261e", "grid": "#5b4bb5", "random": "#6e7781"}
DASHES = {"joint": "solid", "one at a time": "dashed", "grid": "dashdot", "random": "dotted"}

Curve = list[float | None]
"""The best feasible accuracy after 1, 2, ... training runs; None while nothing was feasible."""

PROBLEM = problem()


def tuned(contender: str, train: Any, seed: int, trials: int = TRIALS) -> Curve:
    """The best feasible value after each training run. The grid is the largest that fits into `trials`; its points come
    in random order, so that its curve does not depend on where it begins. One-at-a-time tries five values of each
    parameter, so that it gets round all of them and can begin again."""
    strategy: hpo.strategies.Strategy = hpo.strategies.Random()
    if contender in ("joint", "one at a time"):
        strategy = hpo.strategies.Bayesian() if contender == "joint" else hpo.strategies.OneAtATime(values=5)
    study = hpo.open_study("joint", PROBLEM, storage=":memory:", seed=seed, strategy=strategy)
    n = trials
    if contender == "grid":
        points = list(hpo.strategies.Grid(budget=trials).points(PROBLEM.space))
        n = len(points)
        for i in np.random.default_rng(seed).permutation(n):
            study.enqueue(points[i])
    hpo.run(study, train, budget=hpo.Budget(trials=n), progress=False)
    best: float | None = None
    curve: Curve = []
    for trial in study.trials:
        if trial in study.history.feasible and (best is None or trial.value > best):
            best = trial.value
        curve.append(best)
    return curve + [best] * (trials - n)


def run(results: Path, seeds: int = SEEDS, trials: int = TRIALS) -> None:
    """Add a line for each strategy and seed that has none."""
    path = results / FILE
    done = {(line["contender"], line["seed"]) for line in read(path) if line["kind"] == "joint"}
    where = origin({"hpo": hpo.__version__})
    for seed in range(seeds):
        missing = [name for name in CONTENDERS if (name, seed) not in done]
        train = Train(seed) if missing else None
        for name in missing:
            curve = tuned(name, train, seed, trials)
            append(path, where, {"kind": "joint", "contender": name, "seed": seed, "best": curve})
            print(f"seed {seed}, {name}: {curve[-1]}", flush=True)


def curves(results: Path) -> dict[str, list[Curve]]:
    """By strategy, a curve for each seed."""
    lines = [line for line in read(results / FILE) if line["kind"] == "joint"]
    return {name: [line["best"] for line in lines if line["contender"] == name] for name in CONTENDERS}


def quartiles(by_seed: Sequence[Curve]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Lower quartile, median and upper quartile `[3, trials]`; -inf where that seed has nothing feasible."""
    values = np.array([[-math.inf if v is None else v for v in curve] for curve in by_seed])
    found: np.ndarray[Any, np.dtype[np.float64]] = np.quantile(values, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
    return found


def table(results: Path) -> list[str]:
    """A line for each strategy: the median and the quartiles after 10, 20 and all training runs."""
    found = {name: quartiles(by_seed) for name, by_seed in curves(results).items()}
    total = next(iter(found.values())).shape[1]
    ends = [n for n in (10, 20) if n < total] + [total]
    rows = ["| | " + " | ".join(f"after {n}" for n in ends) + " |", "|---" * (len(ends) + 1) + "|"]
    for name, q in found.items():
        cells = [f"{q[1, n - 1]:.4f} [{q[0, n - 1]:.4f}, {q[2, n - 1]:.4f}]" for n in ends]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def draw(results: Path, picture: Path = PICTURE) -> None:
    """Median and interquartile range of every strategy. The same lines make the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    found = curves(results)
    n_seeds = min(len(by_seed) for by_seed in found.values())
    style = {"svg.hashsalt": "hpo", "font.size": 10}
    with mpl.rc_context(style):
        figure = Figure(figsize=(7.6, 3.9), layout="constrained")
        axes = figure.subplots()
        for name, by_seed in found.items():
            if name == "random":  # in the table only: its wide range would hide the others
                continue
            low, middle, high = np.maximum(quartiles(by_seed), 0.0)
            x = np.arange(1, len(middle) + 1)
            axes.fill_between(x, low, high, step="post", color=COLORS[name], alpha=0.13, linewidth=0)
            width = 2.4 if name == "joint" else 1.6
            axes.step(x, middle, where="post", color=COLORS[name], linestyle=DASHES[name], linewidth=width, label=name)
        total = max(len(curve) for by_seed in found.values() for curve in by_seed)
        axes.set_xlim(1, total)
        axes.set_ylim(0.92, 0.995)
        axes.set_xlabel("training runs")
        axes.set_ylabel("best accuracy within 100 kB")
        axes.set_title(f"Digits, three parameters, one limit: median and quartiles of {n_seeds} splits", fontsize=10)
        axes.grid(visible=True, alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, metadata={"Date": None})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joint", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the lines")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many splits of the data")
    given = parser.parse_args()
    run(given.out, given.seeds)
    draw(given.out)
    print("\n".join(table(given.out)))


if __name__ == "__main__":
    main()
