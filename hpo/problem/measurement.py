"""Measurement: one measured number, with its standard error where that is known. It computes and prints as the number."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hpo.boundary.public import public_class

Binary = Callable[["Measurement", Any], Any]


def _left(act: Callable[[Any, Any], Any]) -> Binary:
    """`act` with the value on its left."""

    def method(self: Measurement, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else act(self.value, number)

    return method


def _right(act: Callable[[Any, Any], Any]) -> Binary:
    """`act` with the value on its right."""

    def method(self: Measurement, other: Any) -> Any:
        return NotImplemented if (number := _number(other)) is None else act(number, self.value)

    return method


def _number(other: object) -> Any:
    """The value of a measurement, a real number as it is; None for anything else."""
    if isinstance(other, Measurement):
        return other.value
    return other if isinstance(other, numbers.Real) else None


@public_class
@dataclass(frozen=True, eq=False)
class Measurement:
    """A measured number, with its standard error where you know it.

    It can be used like its value: `float(m)`, `m > 0.9`, `1 - m`, `max(values)`. Arithmetic gives plain floats. Two are
    equal when value and standard error are; one without a standard error equals the bare number.

    Args:
        value: The number, in the metric's unit.
        sem: Its standard error, in the same unit. 0: exact. None: not known.

    Example:
        >>> import hpo
        >>> m = hpo.Measurement(0.93, sem=0.01)
        >>> f"{m:.3f}", m > 0.9
        ('0.930', True)
    """

    value: float
    sem: float | None = None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Measurement):
            return (self.value, self.sem) == (other.value, other.sem)
        if self.sem is None and isinstance(other, numbers.Real):
            return bool(self.value == other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.value if self.sem is None else (self.value, self.sem))

    def __str__(self) -> str:
        return str(self.value) if not self.sem else f"{self.value} ± {self.sem}"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __round__(self, digits: int | None = None) -> float:
        return round(self.value, digits)

    def __trunc__(self) -> int:
        return math.trunc(self.value)

    def __floor__(self) -> int:
        return math.floor(self.value)

    def __ceil__(self) -> int:
        return math.ceil(self.value)

    def __abs__(self) -> float:
        return abs(self.value)

    def __neg__(self) -> float:
        return -self.value

    def __pos__(self) -> float:
        return +self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy as np

        return np.array(self.value, dtype=dtype)

    __lt__, __le__, __gt__, __ge__ = map(_left, (operator.lt, operator.le, operator.gt, operator.ge))
    __add__, __radd__ = _left(operator.add), _right(operator.add)
    __sub__, __rsub__ = _left(operator.sub), _right(operator.sub)
    __mul__, __rmul__ = _left(operator.mul), _right(operator.mul)
    __truediv__, __rtruediv__ = _left(operator.truediv), _right(operator.truediv)
    __floordiv__, __rfloordiv__ = _left(operator.floordiv), _right(operator.floordiv)
    __mod__, __rmod__ = _left(operator.mod), _right(operator.mod)
    __divmod__, __rdivmod__ = _left(divmod), _right(divmod)
    __pow__, __rpow__ = _left(operator.pow), _right(operator.pow)
