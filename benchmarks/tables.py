"""Numbers and rows as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.compare import Interval


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in lines)


def number(value: float | None, digits: int = 3) -> str:
    """Significant digits, large numbers without an exponent; `-` for what is missing, `never` for infinity."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never"
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text else text


def interval(given: Interval, sign: str = "") -> str:
    """The mean, with its interval in brackets; `sign` is `+` for differences."""
    if math.isnan(given.mean):
        return "-"
    return f"{given.mean:{sign}.3g} [{given.low:{sign}.2g}, {given.high:{sign}.2g}]"


def span(values: Iterable[int]) -> str:
    """One number where all are equal, else the smallest and the largest."""
    ordered = sorted(set(values))
    if not ordered:
        return "-"
    return str(ordered[0]) if len(ordered) == 1 else f"{ordered[0]}-{ordered[-1]}"
