"""Pictures: the median loss of every contender against the evaluations, one panel per problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.compare import Array, Runs
from benchmarks.records import Run
from benchmarks.score import at_times, unrolled

LOWEST = 1e-4
"""Where the logarithmic axis ends; smaller losses are drawn there."""
COLUMNS = 5
OURS = "hpo"
HUES = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f")
STYLES = ("-", "--", ":")


def picture(runs: Mapping[str, Runs], problems: Sequence[str], order: Sequence[str], title: str, path: Path) -> None:
    """Draw the runs of one family and mode. `order`: all contenders there are, so that each keeps its color.

    With results on a simulated clock, the loss is drawn against its seconds.
    """
    shown = [problem for problem in problems if any(problem in each for each in runs.values())]
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(2.6 * columns + 1.6, 2.0 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    drawn: dict[str, Any] = {}
    for index, axis in enumerate(axes.flat):
        if index >= len(shown):
            axis.set_axis_off()
            continue
        problem = shown[index]
        for contender in sorted(runs, key=lambda name: name == OURS):
            if problem in runs[contender]:
                x, y = median_curve(list(runs[contender][problem].values()))
                drawn[contender] = axis.plot(x, np.maximum(y, LOWEST), **style(contender, order))[0]
        axis.set_yscale("log")
        axis.set_ylim(LOWEST * 0.8, 1.3)
        axis.set_title(problem, fontsize=8)
        axis.tick_params(labelsize=6)
        axis.grid(visible=True, alpha=0.3, linewidth=0.5)
    names = [name for name in order if name in drawn]
    figure.legend([drawn[name] for name in names], names, loc="outside right upper", fontsize=7, frameon=False)
    figure.suptitle(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def median_curve(runs: Sequence[Run]) -> tuple[Array, Array]:
    """(evaluations or simulated seconds, median loss) over runs of one problem.

    On the clock every run is a step function of the time; they are read at 100 times up to the last end of any.
    """
    if not any(run.clock for run in runs):
        total = min(run.total for run in runs)
        return np.arange(1.0, total + 1), np.median([unrolled(run.curve, run.total)[:total] for run in runs], axis=0)
    times = np.linspace(0.0, max(run.simulated for run in runs), 100)
    return times, np.median([at_times(run.clock, times) for run in runs], axis=0)


def style(contender: str, order: Sequence[str]) -> dict[str, Any]:
    """Color and line of a contender: its place in `order` decides, so that pictures agree. Ours is black and bold."""
    if contender == OURS:
        return {"color": "black", "linewidth": 2.0}
    place = [name for name in order if name != OURS].index(contender)
    return {"color": HUES[place % len(HUES)], "linestyle": STYLES[place // len(HUES)], "linewidth": 1.0}
