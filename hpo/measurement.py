"""Measurement: one measured number, with its standard error where that is known. It computes and prints as the number."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

from hpo.boundary import public_class


@public_class
@dataclass(frozen=True, eq=False)
class Measurement:
    """One measured number. `sem` is its standard error in the same unit, when known: 0 says exact.

    It acts as its value: `float(m)`, `f"{m:.3f}"`, `m > 0.9`, `1 - m`, `round(m, 2)`, `max(values)`, `numpy.mean(values)`;
    arithmetic gives plain floats. Two are equal when value and sem are; without a sem, one is equal to the bare number.
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

    def __round__(self, digits: int | None = None) -> float:
        return round(self.value, digits)

    def __abs__(self) -> float:
        return abs(self.value)

    def __neg__(self) -> float:
        return -self.value

    def __lt__(self, other: Any) -> bool:
        return NotImplemented if (number := _number(other)) is None else self.value < number

    def __le__(self, other: Any) -> bool:
        return NotImplemented if (number := _number(other)) is None else self.value <= number

    def __gt__(self, other: Any) -> bool:
        return NotImplemented if (number := _number(other)) is None else self.value > number

    def __ge__(self, other: Any) -> bool:
        return NotImplemented if (number := _number(other)) is None else self.value >= number

    def __add__(self, other: Any) -> float:
        return NotImplemented if (number := _number(other)) is None else self.value + number

    def __sub__(self, other: Any) -> float:
        return NotImplemented if (number := _number(other)) is None else self.value - number

    def __rsub__(self, other: Any) -> float:
        return NotImplemented if (number := _number(other)) is None else number - self.value

    def __mul__(self, other: Any) -> float:
        return NotImplemented if (number := _number(other)) is None else self.value * number

    def __truediv__(self, other: Any) -> float:
        return NotImplemented if (number := _number(other)) is None else self.value / number

    def __rtruediv__(self, other: Any) -> float:
        return NotImplemented if (number := _number(other)) is None else number / self.value

    __radd__ = __add__
    __rmul__ = __mul__


def _number(other: object) -> Any:
    """The value of a measurement, a real number as it is; None for anything else."""
    if isinstance(other, Measurement):
        return other.value
    return other if isinstance(other, numbers.Real) else None
