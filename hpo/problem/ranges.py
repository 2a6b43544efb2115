"""Ranges of numbers: their bounds and steps checked, and the arithmetic on them that rounding must not spoil."""

from __future__ import annotations

import math
import sys
from typing import Protocol

from hpo.common.scalars import as_scalar, brief, is_finite
from hpo.errors import SpaceError

LOG_OF_LARGEST = math.log(sys.float_info.max)


class Range(Protocol):
    """What Float and Int have in common: the values from `low` to `high`, `step` apart."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def step(self) -> float | None: ...
    @property
    def log(self) -> bool: ...
    @property
    def size(self) -> int | None: ...


def steps(low: float, high: float, step: float) -> int:
    """How many whole steps fit between the bounds (a step that misses `high` by rounding still counts)."""
    rounding = 1e-9 + 4.0 * math.ulp(max(abs(low), abs(high))) / step
    return math.floor((high - low) / step + rounding)


def share(u: float, size: int) -> int:
    """Which of `size` equal shares of [0, 1] holds `u`."""
    return min(max(int(u * size), 0), size - 1)


def log_ratio(value: float, low: float) -> float:
    """log(value / low), also where the ratio is beyond the floats."""
    ratio = value / low
    return math.log(ratio) if 0.0 < ratio <= sys.float_info.max else math.log(value) - math.log(low)


def as_number(name: str, value: object) -> float:
    """The argument `name` as a float. Raises SpaceError where it is no finite number."""
    value = as_scalar(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise SpaceError(f"{name}={brief(value)} is not a finite number")
    return float(value)


def whole_number(name: str, value: object) -> int:
    """The argument `name` as an int. Raises SpaceError where it is no whole number."""
    whole = as_whole(value)
    if isinstance(whole, bool) or not isinstance(whole, int):
        raise SpaceError(f"{name}={brief(whole)} is not a whole number. Use Float for real numbers")
    if not is_finite(whole):
        raise SpaceError(f"{name}={brief(whole)} is not a finite number as 64-bit floats go (at most about 1.8e308)")
    return whole


def as_whole(value: object) -> object:
    """3 for 3.0; anything else as it is."""
    value = as_scalar(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check_range(p: Range, kind: str) -> None:
    """Raises SpaceError where bounds, step and scale do not go together, or floats cannot tell the values apart."""
    low, high, step = shown(p.low), shown(p.high), shown(p.step)
    if p.low > p.high:
        raise SpaceError(f"low={low} is above high={high}; did you swap them? {kind}({high}, {low})")
    if p.low == p.high:
        raise SpaceError(f"low and high are both {low}; a fixed value is not a parameter, set it in your code")
    if p.log and p.low <= 0:
        smallest = "1" if kind == "Int" else "1e-6"
        raise SpaceError(f"log scale needs low > 0, got low={low}. Try low={smallest}, or log=False")
    if p.step is not None and p.step <= 0:
        raise SpaceError(f"step={step} must be positive")
    if not is_finite(p.high - p.low + (p.step or 0)):
        raise SpaceError(f"the range {low}..{high} is wider than the largest 64-bit float, about 1.8e308; narrow it")
    resolved = 16.0 * math.ulp(max(abs(p.low), abs(p.high))) if kind == "Float" else 1
    if p.high - p.low < resolved:
        raise SpaceError(f"low={p.low!r} and high={p.high!r} are so close that 64-bit floats hardly tell them apart")
    if kind == "Float" and p.step is not None:
        if p.log:
            raise SpaceError("step and log=True do not go together: a step is constant, a log scale is not. Drop one")
        if p.step < resolved:
            raise SpaceError(
                f"step={step} is too small to tell neighbors apart in {low}..{high}, where 64-bit floats need a step of "
                f"at least {resolved:.2g}; leave the step out"
            )
    if p.size is not None and p.size < 2:
        raise SpaceError(f"step={step} is wider than the range {low}..{high}")


def shown(number: float | None) -> str:
    """A number as short as tells it apart from others."""
    if isinstance(number, float):
        return f"{number:g}" if float(f"{number:g}") == number else repr(number)
    return brief(number)


def tidy(value: float, resolution: float) -> float:
    """`value` rounded to the decimal just below `resolution`, so that 0.30000000000000004 becomes 0.3."""
    if value == 0 or resolution <= 0:
        return value
    try:
        return round(value, -math.floor(math.log10(resolution)))
    except OverflowError:  # rounded up, it would be beyond the largest float
        return value
