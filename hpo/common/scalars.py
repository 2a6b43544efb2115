"""Scalars: numbers of numpy, torch and JAX as Python numbers, without importing those libraries."""

from __future__ import annotations

import math
import operator
import struct
import sys
from dataclasses import dataclass
from numbers import Integral
from typing import Any

_OWN = frozenset({bool, int, float, str, type(None)})


@dataclass(frozen=True)
class NoNumber:
    """What was given in place of a number and cannot be sent between processes: what it looked like."""

    shown: str


def plain(value: Any) -> Any:
    """Python's own bool, int, float, str or None for a scalar of another library: the `item()` of numpy's and torch's, on
    any device, and of arrays with one element; a Decimal, a Fraction, a subclass of int or float. Anything else as it is.
    """
    if type(value) in _OWN or isinstance(value, type):
        return value
    found = _element(value)
    if type(found) not in _OWN and not isinstance(found, str) and hasattr(found, "as_integer_ratio"):
        return _own_number(found)
    return found


def is_number(value: Any) -> bool:
    """Whether `value` is a real number, of whatever library: no text, no truth value, no array of several."""
    number = plain(value)
    return isinstance(number, int | float) and not isinstance(number, bool)


def whole(value: Any) -> int | None:
    """A whole number of any library as an int; None for anything else, such as True and 3.0."""
    number = plain(value)
    if isinstance(number, bool):
        return None
    try:
        return operator.index(number)
    except TypeError:
        return None


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


def brief(value: object, most: int = 200) -> str:
    """`repr` for a message, however large the value: long ones are cut, and whole numbers of many digits are counted."""
    if isinstance(value, int) and value.bit_length() > 400:
        return f"{'-' if value < 0 else ''}(a whole number of {round(value.bit_length() * math.log10(2)) + 1} digits)"
    try:
        text = repr(value)
    except Exception:  # a number too long to be written, a nesting too deep, a repr that is broken
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def is_finite(number: Any) -> bool:
    """Whether a real number lies in the range of 64-bit floats: neither NaN nor infinite, nor an int beyond them."""
    return bool(-sys.float_info.max <= number <= sys.float_info.max)


def words(value: Any) -> str:
    """`'high' (str)`: a value and its type, for a message."""
    return value.shown if isinstance(value, NoNumber) else f"{brief(value)} ({type(value).__name__})"


def _element(value: Any) -> Any:
    """The one element of an array, as a scalar; what is no array of one element as it is."""
    shape = getattr(value, "shape", None)
    try:
        if any(n != 1 for n in shape or ()) or (shape is None and not hasattr(value, "item")):
            return value
        found = value.item() if hasattr(value, "item") else float(value)
    except Exception:  # what is no scalar may have an `item` and a `shape` of any kind
        return value
    is_scalar = found is None or isinstance(found, str | complex) or hasattr(found, "as_integer_ratio")
    return found if is_scalar else value


def _own_number(number: Any) -> int | float:
    """As an int what is a whole number by its type or exactly; else as a float, infinite beyond the largest."""
    if isinstance(number, Integral):
        return int(number)
    try:
        value = float(number)
    except OverflowError:  # a Fraction
        return int(number)
    except ValueError:  # a signaling NaN
        return math.nan
    is_exact = not isinstance(number, float) and not hasattr(number, "dtype")
    return int(value) if is_exact and value.is_integer() and number == int(value) else value
