"""Scalars: what array libraries call a number, as Python's own, without importing any of them."""

from __future__ import annotations

import sys
from typing import Any

_OWN = frozenset({bool, int, float, str, type(None)})


def plain(value: Any) -> Any:
    """The `item()` of a numpy scalar, or of another array without dimensions; anything else as it is."""
    if type(value) not in _OWN and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def is_finite(number: Any) -> bool:
    """Whether a real number lies in the range of 64-bit floats: neither NaN nor infinite, nor an int beyond them."""
    return bool(-sys.float_info.max <= number <= sys.float_info.max)
