"""The tables of `benchmarks.cost`: CPU per ask, imports, memory, and who was left out where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import records
from benchmarks.cost import REPEATS, TURNS, path_of
from benchmarks.plots import OURS
from benchmarks.tables import number, table

READING = f"""\
`python -m benchmarks cost`: all contenders in one run, in turns on the same data, each in a process of its own with one
thread. After n random results in d parameters, an ask for q configurations, with what telling them costs, in
milliseconds of CPU; in brackets the ratio to hpo. The first ask is the one right after the n results; of the
{TURNS - 1} that follow it, each after q more results, the median; {REPEATS} data sets, the median of them. Some first asks
need no model: Ax begins with the middle of the space, and HEBO with d + 1 points of a Sobol sequence."""


def sections(results: Path) -> list[str]:
    """The pieces of the report; none without results."""
    lines = records.read(path_of(results))
    asks = [line for line in lines if line["kind"] == "ask" and any(line["cpu"])]
    if not lines:
        return []
    names = list(dict.fromkeys(line["contender"] for line in lines if line["kind"] != "origin"))
    out = ["## CPU and memory", READING]
    if asks:
        out += ["The first ask:", _asks(asks, names, first=True), "The asks after it:", _asks(asks, names, first=False)]
    out += ["Before the first ask, and with results:", _footprint(lines, names)]
    out += [_left_out(lines)] if any(line["kind"] == "left_out" or line.get("died") for line in lines) else []
    out += [
        f"A whole study of {line['contender']} in {line['d']} parameters, {line['trials']} trials one at a time: "
        f"{line['cpu']:.1f} CPU seconds for all asks and tells, {line['memory']:.0f} MB."
        for line in lines
        if line["kind"] == "study"
    ]
    origins = [line for line in lines if line["kind"] == "origin"]
    return [*out, *(f"Measured at commit {o['commit']}, {o['date']}, on {o['machine']}." for o in origins[-1:])]


def middle(line: records.Record, first: bool) -> float | None:
    """CPU seconds of the first ask, or of those after it: the median of the data sets; None if there are none."""
    kept = [asks[0] if first else float(np.median(asks[1:])) for asks in line["cpu"] if len(asks) > (not first)]
    return float(np.median(kept)) if kept else None


def _asks(lines: Sequence[records.Record], names: Sequence[str], first: bool) -> str:
    cells: dict[tuple[int, int, int], dict[str, float | None]] = {}
    for line in lines:
        cells.setdefault((line["d"], line["q"], line["n"]), {})[line["contender"]] = middle(line, first)
    shown = [name for name in names if any(cell.get(name) is not None for cell in cells.values())]
    rows = [
        [*map(str, (d, n, q)), *(_cell(cell.get(name), cell.get(OURS), name) for name in shown)]
        for (d, q, n), cell in sorted(cells.items())
        if any(value is not None for value in cell.values())
    ]
    return table(["d", "n", "q", *shown], rows)


def _cell(seconds: float | None, ours: float | None, name: str) -> str:
    if seconds is None:
        return "-"
    ratio = f" ({number(seconds / ours, 2)})" if ours and name != OURS else ""
    return f"{number(1000 * seconds)}{ratio}"


def _footprint(lines: Sequence[records.Record], names: Sequence[str]) -> str:
    rows = []
    for name in names:
        mine = [line for line in lines if line.get("contender") == name]
        starts = [line for line in mine if line["kind"] == "start"]
        asks = [line for line in mine if line["kind"] == "ask"]
        largest = max((line["n"] for line in asks), default=None)
        memory = [line["memory"] for line in asks if line["n"] == largest and line["memory"] is not None]
        rows.append(
            [
                name,
                number(float(np.median(starts[-1]["import_cpu"])) if starts else None),
                number(starts[-1]["memory"] if starts else None),
                number(max(memory, default=None)) + (f" (n = {largest})" if memory else ""),
                number(1000 * float(np.median([line["add_cpu"] for line in asks])) if asks else None),
            ]
        )
    return table(["contender", "imports, CPU s", "MB then", "MB at most", "ms per result told from elsewhere"], rows)


def _left_out(lines: Sequence[records.Record]) -> str:
    words = [
        f"- {line['contender']} at d = {line['d']}, n = {line['n']}, q = {line['q']}: {line.get('reason') or line['died']}"
        for line in lines
        if line["kind"] == "left_out" or line.get("died")
    ]
    return "\n".join(["Left out:", "", *words])
