"""Figures of a study, drawn with matplotlib off screen: feasible trials filled, all others hollow.

Every figure is drawn in the colors of paper; `svg` turns them into the page's variables, so that one drawing serves
light and dark.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpo.common.text import shown
from hpo.problem.metrics import Metric, Objective, shortfall
from hpo.problem.parameters import Categorical, Int, Parameter
from hpo.report.comparison import Comparison
from hpo.report.window import LARGEST, Window, window_of
from hpo.trials.formatting import short
from hpo.trials.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"ink": "#22272e", "faint": "#d0d7de", "good": "#0b7a75", "bad": "#8a5e00", "limit": "#b3261e"}
"""What is drawn in which color; the page defines a variable of each name for light and for dark."""
LINES = {"line-1": "#0b7a76", "line-2": "#b0488f", "line-3": "#5b4bb5", "line-4": "#9a6a01", "line-5": "#3b6ea8"}
"""Strategies of a comparison, in turn; dashes tell them apart in black and white."""

_DASHES = ("solid", "dashed", "dashdot", "dotted", (0, (5, 1, 1, 1, 1, 1)))
_MAX_VECTORS = 2000
"""Markers a figure draws as shapes; more become an image, or the file would grow beyond what opens at once."""
_COLUMNS = 3
_LARGEST_WHOLE = 1e15


def history_figure(history: History, objective: Objective) -> Figure:
    """The objective over trials, with the best feasible value so far, the threshold, and what failed at the foot."""
    figure = _figure(9.0, 3.2)
    axes = figure.subplots()
    trials = history.completed
    numbers = np.array([t.number for t in trials], dtype=float)
    values, shown = _values(history, objective), _window(history, objective)
    _scatter(axes, numbers, shown.inside(values), _is_feasible(history), len(trials))
    best = _best_line(history, objective)
    axes.step(numbers, shown.inside(best), where="post", color=COLORS["good"], linewidth=1.6)
    _limits(objective, axes.axhline)
    _failures(axes, history)
    _label(axes, "trial", _axis(objective))
    _finish(axes)
    _whole(axes, "x", numbers)
    _whole(axes, "y", values)
    return figure


def limits_figure(history: History) -> Figure:
    """Each limited metric over trials, with its limits."""
    limited = history.problem.limited
    figure, panels = _grid(len(limited))
    numbers = np.array([t.number for t in history.completed], dtype=float)
    for axes, metric in zip(panels, limited, strict=True):
        values = _values(history, metric)
        meets = np.array([shortfall(metric, v) == 0 for v in values], dtype=bool)
        _scatter(axes, numbers, _window(history, metric).inside(values), meets, len(numbers) * len(limited))
        _limits(metric, axes.axhline)
        _label(axes, "trial", _axis(metric))
        _finish(axes)
        _whole(axes, "x", numbers)
        _whole(axes, "y", values)
    return figure


def slices_figure(history: History, metric: Metric) -> Figure:
    """The metric against each parameter, in the user's order; a parameter's panel holds the trials where it is active."""
    parameters = history.problem.space.parameters
    figure, panels = _grid(len(parameters))
    feasible, values = _is_feasible(history), _window(history, metric).inside(_values(history, metric))
    for axes, (name, parameter) in zip(panels, parameters.items(), strict=True):
        active = np.array([name in t.params for t in history.completed], dtype=bool)
        x = np.array([_place(parameter, t.params[name]) for t in history.completed if name in t.params], dtype=float)
        _scatter(axes, x, values[active], feasible[active], len(feasible) * len(parameters))
        _label(axes, None, _axis(metric))
        _finish(axes)
        _whole(axes, "y", values)
        _parameter_axis(axes, name, parameter)
    return figure


def pareto_figure(history: History) -> Figure:
    """The first two objectives against each other, with the front and the thresholds."""
    first, second = history.problem.objectives[:2]
    figure = _figure(9.0, 3.8)
    axes = figure.subplots()
    windows = _window(history, first), _window(history, second)
    x, y = windows[0].inside(_values(history, first)), windows[1].inside(_values(history, second))
    _scatter(axes, x, y, _is_feasible(history), len(x))
    front = np.array(sorted((t.values[first.name].value, t.values[second.name].value) for t in history.pareto_front))
    for a, b in [(windows[0].inside(front[:, 0]), windows[1].inside(front[:, 1]))] if len(front) else ():
        axes.plot(a, b, color=COLORS["good"], linewidth=1.4)
    _limits(first, axes.axvline)
    _limits(second, axes.axhline)
    _label(axes, _axis(first), _axis(second))
    _finish(axes)
    _whole(axes, "x", x)
    _whole(axes, "y", y)
    return figure


def unseen(history: History, *metrics: Metric) -> str:
    """What of these metrics lies outside the charts, in sentences; empty where everything is shown."""
    return " ".join(filter(None, (_window(history, m).words(m) for m in metrics)))


def comparison_figure(comparison: Comparison) -> Figure:
    """Best feasible value after each training: the median of each strategy over seeds, single seeds thin.

    The axis shows where the strategies end; what lies far below the worst of these ends is cut off.
    """
    figure = _figure(9.0, 3.8)
    axes = figure.subplots()
    colors = list(LINES.values())
    for i, contender in enumerate(comparison.contenders):
        color, dashes = colors[i % len(colors)], _DASHES[i % len(_DASHES)]
        for curve in contender.curves.values():
            axes.step(*_steps(curve), where="post", color=color, linewidth=0.6, alpha=0.4)
        middle = comparison.median_curve(contender)
        axes.step(*_steps(middle), where="post", color=color, linewidth=2.0, linestyle=dashes, label=contender.name)
    _limits(comparison.objective, axes.axhline)
    _label(axes, "training runs", f"best feasible {_axis(comparison.objective)}")
    _finish(axes)
    _whole(axes, "x", np.arange(1.0, 2.0 + max((c.training_runs for c in comparison.contenders), default=0)))
    ends = [value for c in comparison.contenders for value in c.best.values() if value is not None]
    if len(set(ends)) > 1:
        worst, best = (min(ends), max(ends)) if comparison.objective.goal == "maximize" else (max(ends), min(ends))
        shown = (worst + 0.3 * (worst - best), best + 0.1 * (best - worst))
        axes.set_ylim(min(shown), max(shown))
    if comparison.contenders:
        axes.legend(frameon=False, labelcolor=COLORS["ink"], fontsize=9, handlelength=3.5)
    return figure


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as SVG text to stand inside a page: no prolog, no metadata, no outside references; colors are the
    page's variables and ids begin with `name`. `title` and `description` are for those who cannot see it. Equal figures
    give equal text."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": ["sans-serif"]}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font: \1px sans-serif", text)
    for color, value in {**COLORS, **LINES}.items():
        text = text.replace(value, f"var(--{color})")
    words = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return text.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-title {name}-desc" ', 1).replace(
        ">", f">{words}", 1
    )


def save(figure: Figure, path: str | Path) -> None:
    """Write the figure as an image on white; the suffix says which kind: png, svg, pdf."""
    figure.savefig(path, dpi=150, facecolor="white")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _grid(n: int) -> tuple[Figure, list[Axes]]:
    columns = min(max(n, 1), _COLUMNS)
    rows = max(1, math.ceil(n / columns))
    figure = _figure(9.0, (2.3 if columns == _COLUMNS else 2.8) * rows)
    panels: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in panels[n:]:
        spare.set_axis_off()
    return figure, panels[:n]


def _scatter(axes: Axes, x: Any, y: Any, filled: Any, n_drawn: int) -> None:
    """`filled` ones as full circles, the others as hollow ones below them; in words, where there is none to show."""
    if not np.isfinite(y).any():
        axes.text(0.5, 0.5, "no point to show", transform=axes.transAxes, color=COLORS["ink"], fontsize=9, ha="center")
        axes.set_yticks([])
        return
    for chosen, face, edge in ((~filled, "none", COLORS["bad"]), (filled, COLORS["good"], COLORS["good"])):
        axes.plot(
            x[chosen],
            y[chosen],
            linestyle="none",
            marker="o",
            markersize=4.5,
            markerfacecolor=face,
            markeredgecolor=edge,
            markeredgewidth=0.9,
            rasterized=n_drawn > _MAX_VECTORS,
        )


def _limits(metric: Metric, line: Callable[..., Any]) -> None:
    for limit in metric.limits:
        if limit is not None and abs(limit) <= LARGEST:
            line(limit, color=COLORS["limit"], linewidth=1.0, linestyle=(0, (4, 3)))


def _failures(axes: Axes, history: History, most: int = 20) -> None:
    """A cross at the foot for each failed trial; where they are few, with its kind."""
    foot, failed = axes.get_xaxis_transform(), history.failed
    if not failed:
        return
    axes.plot(
        [t.number for t in failed],
        [0.03] * len(failed),
        transform=foot,
        linestyle="none",
        marker="x",
        markersize=5,
        color=COLORS["limit"],
        clip_on=False,
    )
    for t in failed if len(failed) <= most else ():
        axes.text(
            t.number,
            0.08,
            _literal(str(t.kind)),
            transform=foot,
            rotation=90,
            fontsize=7,
            color=COLORS["limit"],
            horizontalalignment="center",
            verticalalignment="bottom",
        )


def _window(history: History, metric: Metric) -> Window:
    return window_of(history, metric, _values(history, metric))


def _whole(axes: Axes, side: Literal["x", "y"], values: Any) -> None:
    """Ticks at whole numbers only, where all `values` are whole; and room around a single one."""
    from matplotlib.ticker import MaxNLocator

    found = values[np.isfinite(values)]
    if not len(found) or np.abs(found).max() >= _LARGEST_WHOLE or np.any(found != np.round(found)):
        return
    axis, limits, set_limits = (
        (axes.xaxis, axes.get_xlim(), axes.set_xlim) if side == "x" else (axes.yaxis, axes.get_ylim(), axes.set_ylim)
    )
    axis.set_major_locator(MaxNLocator(integer=True, nbins=8 if side == "x" else 6, min_n_ticks=1))
    low, high = limits
    if high - low < 2:
        room = 0.9 if side == "x" else 1.0
        set_limits((low + high) / 2 - room, (low + high) / 2 + room)


def _label(axes: Axes, x: str | None, y: str) -> None:
    for setter, text in ((axes.set_xlabel, x), (axes.set_ylabel, y)):
        if text is not None:
            setter(_literal(text), color=COLORS["ink"], fontsize=9)


def _finish(axes: Axes) -> None:
    axes.tick_params(which="both", color=COLORS["faint"], labelcolor=COLORS["ink"], labelsize=8)
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=COLORS["faint"], linewidth=0.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(COLORS["faint"])


def _parameter_axis(axes: Axes, name: str, parameter: Parameter) -> None:
    from matplotlib.ticker import MaxNLocator

    unit = f" [{parameter.unit}]" if parameter.unit else ""
    axes.set_xlabel(_literal(name + unit), color=COLORS["ink"], fontsize=9)
    if isinstance(parameter, Categorical):
        labels = [_literal(_cut(short(choice))) for choice in parameter.choices]
        axes.set_xticks(range(len(labels)), labels, rotation=0 if len(labels) < 5 else 45)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif parameter.log:
        margin = (parameter.high / parameter.low) ** 0.04
        axes.set_xscale("log")
        ticks = _log_ticks(parameter.low, parameter.high)
        axes.set_xticks(ticks, [short(float(tick)) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlim(parameter.low / margin, parameter.high * margin)
    else:
        margin = 0.04 * (parameter.high - parameter.low)
        if isinstance(parameter, Int):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.set_xlim(parameter.low - margin, parameter.high + margin)


def _log_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """A few round values inside the range: 1, 2, 5 times powers of ten, or powers alone, thinned out."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    powers = [10.0**e for e in exponents if low <= 10.0**e * (1 + 1e-9) and 10.0**e <= high * (1 + 1e-9)]
    if len(powers) < 3:
        powers = [m * 10.0**e for e in exponents for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    return powers[:: math.ceil(len(powers) / most)] if powers else [low, high]


def _place(parameter: Parameter, value: Any) -> float:
    return float(parameter.index(value)) if isinstance(parameter, Categorical) else float(value)


def _values(history: History, metric: Metric) -> Any:
    """`[n]` of the completed trials; NaN where a tracked metric was not told."""
    return np.array([t.values[metric.name].value if metric.name in t.values else np.nan for t in history.completed])


def _is_feasible(history: History) -> Any:
    feasible = {t.number for t in history.feasible}
    return np.array([t.number in feasible for t in history.completed], dtype=bool)


def _best_line(history: History, objective: Objective) -> Any:
    """`[n]`: the best feasible value up to each completed trial, NaN before there is one."""
    values = np.where(_is_feasible(history), _values(history, objective), np.nan)
    running = np.fmax if objective.goal == "maximize" else np.fmin
    return running.accumulate(values) if len(values) else values


def _steps(curve: Sequence[float | None]) -> tuple[list[int], list[float]]:
    values = [math.nan if value is None or abs(value) > LARGEST else value for value in curve]
    return list(range(1, len(curve) + 1)), values


def _axis(metric: Metric) -> str:
    return f"{metric.name} [{metric.unit}]" if metric.unit else metric.name


def _literal(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return shown(text).replace("$", r"\$")


def _cut(text: str, most: int = 14) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
