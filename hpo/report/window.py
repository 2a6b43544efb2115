"""Window: the part of an axis worth showing. A penalty of 1e6 would press all other points onto one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hpo.common.arrays import Array
from hpo.problem.metrics import Metric, Objective
from hpo.trials.formatting import short
from hpo.trials.history import History, oriented

LARGEST = 1e300
"""Beyond it no axis can be drawn: its margins and ticks would overflow."""
_FAR = 30.0
"""Typical distances from the median beyond which a point is left out; 20 standard deviations of normal data."""


@dataclass(frozen=True)
class Window:
    """From `low` to `high`, both shown; and how many points lie below and above."""

    low: float
    high: float
    n_below: int = 0
    n_above: int = 0

    def inside(self, values: Array) -> Array:
        """`values` with NaN for those outside."""
        return np.where((values >= self.low) & (values <= self.high), values, np.nan)

    def words(self, metric: Metric) -> str:
        """`2 points of latency_ms above 40 ms are not shown.`, or the empty string."""
        outside = [(self.n_below, "below", self.low), (self.n_above, "above", self.high)]
        parts = [
            f"{n} point{'s' if n > 1 else ''} {side} {short(end)} {metric.unit}".rstrip()
            for n, side, end in outside
            if n
        ]
        if not parts:
            return ""
        is_one = self.n_below + self.n_above == 1
        return f"Of {metric.name}, {' and '.join(parts)} {'is' if is_one else 'are'} not shown."


def window(values: Array, keep: Iterable[float] = ()) -> Window:
    """The window of `values [n]`, NaN aside: what lies within 30 median distances of the median, and `keep` in any case."""
    found = values[np.isfinite(values)]
    near = found[np.abs(found) <= LARGEST]
    if not len(near):
        return Window(-LARGEST, LARGEST, int((found < -LARGEST).sum()), int((found > LARGEST).sum()))
    middle = float(np.median(near / 2) * 2)
    distances = np.abs(near / 2 - middle / 2) * 2
    typical = float(np.median(distances))
    if not typical and (distances > 0).any():  # more than half are equal
        typical = float(np.median(distances[distances > 0]))
    kept = [value for value in keep if abs(value) <= LARGEST]
    shown = np.append(near[distances <= _FAR * typical], kept)
    low, high = float(shown.min()), float(shown.max())
    return Window(low, high, int((found < low).sum()), int((found > high).sum()))


def window_of(history: History, metric: Metric, values: Array) -> Window:
    """That of a metric over the completed trials: its limits and the best feasible trial are always in it."""
    keep = [limit for limit in metric.limits if limit is not None]
    if isinstance(metric, Objective) and history.feasible:
        keep.append(max(history.feasible, key=lambda t: oriented(metric, t)).values[metric.name].value)
    return window(values, keep)
