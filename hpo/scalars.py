"""Scalars: what array libraries call a number, as Python's own, without importing any of them."""

from __future__ import annotations

import math
import struct
import sys
from typing import Any

_OWN = frozenset({bool, int, float, str, type(None)})


def plain(value: Any) -> Any:
    """The `item()` of a numpy scalar, or of another array without dimensions; anything else as it is."""
    if type(value) not in _OWN and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def as_scalar(value: Any) -> Any:
    """A scalar in the one form that is stored: Python's own type, 0.0 for -0.0, and a number of an array library that has
    fewer bits as the shortest decimal that stands for it, so that a 32-bit 0.1 is 0.1. Anything else as it is."""
    own = plain(value)
    if isinstance(own, float):
        width = getattr(getattr(value, "dtype", None), "itemsize", 8)
        return float(_shortest(own, width)) + 0.0
    if isinstance(own, str):
        return str.__str__(own)
    return int(own) if isinstance(own, int) and not isinstance(own, bool) else own


def _shortest(number: float, width: int) -> float:
    form = {2: "e", 4: "f"}.get(width)
    for digits in range(1, 10) if form and math.isfinite(number) else ():
        rounded = float(f"{number:.{digits}g}")
        try:
            if struct.unpack(form, struct.pack(form, rounded))[0] == number:  # type: ignore[arg-type]
                return rounded
        except OverflowError:
            continue
    return number


def shown(value: object, most: int = 200) -> str:
    """`repr` for a message, however large the value: long ones are cut, and whole numbers of many digits are counted."""
    if isinstance(value, int) and value.bit_length() > 400:
        return f"{'-' if value < 0 else ''}(a whole number of {round(value.bit_length() * math.log10(2)) + 1} digits)"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number too long to be written, or a nesting too deep, inside
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def is_finite(number: Any) -> bool:
    """Whether a real number lies in the range of 64-bit floats: neither NaN nor infinite, nor an int beyond them."""
    return bool(-sys.float_info.max <= number <= sys.float_info.max)
