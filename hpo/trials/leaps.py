"""Leaps: results so far off all others that a unit or a sign is probably wrong. Honest progress is no leap."""

from __future__ import annotations

import math
from collections.abc import Sequence

FEWEST = 8
"""So many other results are needed before one may be called far off them."""
_FAR = 30.0  # robust standard deviations off the best of the others
_TIMES = 10.0  # times the size of the largest of the others
_PARTS = 300.0  # into which the size of the smallest of the others is divided
_FAR_IN_LOGARITHMS = 5.0  # the same in robust standard deviations of the logarithms of their sizes
_NORMAL = 1.4826  # standard deviation of a normal variable / median absolute deviation


def is_near(value: float, other: float) -> bool:
    """Whether the two are too near in size for a leap between them."""
    a, b = abs(value), abs(other)
    return a <= _TIMES * b and b <= _PARTS * a


def leap(value: float, others: Sequence[float], goal: str) -> float:
    """How many robust deviations `value` is off all `others` in the good direction, if that is far and no honest progress
    looks like that; else 0.

    Far is: 30 deviations (1.4826 times the median distance from the median) better than the best of at least 8 others, and
    ten times the largest of them in size, or a 300th of the smallest. Honest progress is spared in four ways. Numbers of
    at most 1 are not looked at: at chance level 0.01, an accuracy of 0.6 is a result, and losses fall by decades. Nor is
    an accuracy in percent that leaves chance level, as 45 after many results near 1. Nor is a value within 5 deviations of
    the logarithms, where the others are spread over decades. And towards zero, 30 deviations themselves are far only for
    others that lie within a few percent of each other.
    """
    if len(others) < FEWEST or value == 0:
        return 0.0
    sizes = [abs(other) for other in others]
    largest, smallest = max(sizes), min(sizes)
    has_grown = largest > 0 and abs(value) > max(_TIMES * largest, 1.0)
    has_shrunk = smallest > 1 and abs(value) < smallest / _PARTS
    if not (has_grown or has_shrunk):
        return 0.0
    sign = 1.0 if goal == "maximize" else -1.0
    scaled = [sign * other / largest for other in others]  # no sum or difference of these overflows
    spread = _spread(scaled)
    margin = sign * (value / largest) - max(scaled)
    if not spread or margin <= _FAR * spread:
        return 0.0
    decades = _spread([math.log(size) for size in sizes if size])
    if has_grown and _leaves_chance(value, others):
        return 0.0
    if has_grown and math.log(abs(value)) - math.log(largest) <= _FAR_IN_LOGARITHMS * decades:
        return 0.0
    return margin / spread


def _leaves_chance(value: float, others: Sequence[float]) -> bool:
    """Whether it looks like the first accuracy in percent above chance level: at most 100, the others of one size, and
    not a hundred times what they are, as a fraction would be that is now told in percent."""
    sizes = [abs(other) for other in others]
    is_one_sign = all(other == 0 or (other > 0) == (value > 0) for other in others)
    is_percentage = is_one_sign and abs(value) <= 100 and _spread(sizes) <= 0.1 * _median(sizes)
    is_slip = max(sizes) <= 1 and 0.5 * _median(sizes) <= abs(value) / 100 <= 2 * _median(sizes)
    return is_percentage and not is_slip


def _spread(values: Sequence[float]) -> float:
    """A robust standard deviation: of most values equal, but not to 0, it goes by the mean distance from them."""
    middle = _median(values)
    distances = [abs(value - middle) for value in values]
    return _NORMAL * (_median(distances) or (sum(distances) / len(distances) if middle else 0.0))


def _median(values: Sequence[float]) -> float:
    ranked, half = sorted(values), len(values) // 2
    return ranked[half] if len(ranked) % 2 else 0.5 * ranked[half - 1] + 0.5 * ranked[half]
