"""One dimension of a search space: Float, Int, Categorical."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hpo.boundary.public import public_class
from hpo.common.scalars import as_scalar, brief, is_finite
from hpo.common.text import forbidden
from hpo.errors import ParamsError, SpaceError, listing
from hpo.problem.fields import ActiveIf, Unset, Value, settle, written
from hpo.problem.ranges import (
    LOG_OF_LARGEST,
    as_number,
    as_whole,
    check_range,
    log_ratio,
    share,
    shown,
    steps,
    tidy,
    whole_number,
)


@public_class
@dataclass(frozen=True)
class Float:
    """A real number between `low` and `high`, both included.

    Args:
        low: The least value.
        high: The greatest value.
        log: Whether to search the exponent: 0.001 and 0.01 are then as far apart as 0.01 and 0.1. `low` must be above
            0.
        step: The distance between values, counted from `low`. None: any value between the bounds.
        default: The value in use today, which is tried first. None: there is none.
        active_if: The values of other parameters for which this one exists: `{"optimizer": ["sgd"]}`.
        unit: For the reader; it changes no number.
        description: For the reader.

    Raises:
        SpaceError: The bounds, the step or the default are invalid; `log` and `step` were given together.

    Example:
        >>> import hpo
        >>> hpo.Float(1e-5, 1e-1, log=True, default=1e-3).contains(0.01)
        True
    """

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    default: float | None = field(default=None, kw_only=True)
    active_if: ActiveIf = field(default_factory=dict, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", as_number("low", self.low))
        object.__setattr__(self, "high", as_number("high", self.high))
        if self.step is not None:
            object.__setattr__(self, "step", as_number("step", self.step))
        check_range(self, "Float")
        if self.default is not None:
            object.__setattr__(self, "default", as_number("default", self.default))
        settle(self)

    def __repr__(self) -> str:
        return written(self)

    def contains(self, value: object) -> bool:
        """Whether `value` is one this parameter can hold, rounding in the last bits forgiven."""
        return self.fault(value) is None

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`, as the end of a sentence that begins with it; None when nothing is."""
        value = as_scalar(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "is not a number"
        if isinstance(value, float) and not math.isfinite(value):
            return "is not finite"
        if not is_finite(value) or not self.low <= self._within_bounds(value) <= self.high:
            return f"is outside [{shown(self.low)}, {shown(self.high)}]"
        if self.step is not None:
            nearest = self.snap(value)
            if abs(nearest - value) > max(1e-6 * self.step, self._rounding):
                step, low = shown(self.step), shown(self.low)
                return f"is not on the step of {step} from {low}; the nearest is {shown(nearest)}"
        return None

    def canonical(self, value: Any) -> float:
        """An allowed `value` in its one form: the bound or the step where it differs by rounding only, never -0.0."""
        number = float(as_scalar(value))
        return self._within_bounds(number) if self.step is None else self.snap(number)

    def snap(self, value: float) -> float:
        """The allowed value nearest to `value`: on the step, inside the bounds, to nine significant digits of the
        range, so that the last bits of a computation never make two configurations out of one."""
        value = float(min(max(value, self.low), self.high))
        if self.step is not None:
            return self.nth(round((value - self.low) / self.step))
        resolution = abs(value) * 1e-9 if self.log else (self.high - self.low) * 1e-9
        return min(max(tidy(value, resolution), self.low), self.high) + 0.0

    def value_at(self, u: float) -> float:
        """The value at position `u` of [0, 1]; a stepped range gives each value an equal share."""
        if self.step is not None:
            return self.nth(share(u, self.size or 1))
        if self.log:
            low, width = self.log_scale
            return self.snap(math.exp(min(low + u * width, LOG_OF_LARGEST)))
        return self.snap(self.low + u * (self.high - self.low))

    def position(self, value: float) -> float:
        """Where `value` lies in [0, 1]: the inverse of `value_at` up to snapping."""
        if self.step is not None:
            return (round((value - self.low) / self.step) + 0.5) / (self.size or 1)
        if self.log:
            return log_ratio(value, self.low) / self.log_scale[1]
        return (value - self.low) / (self.high - self.low)

    @property
    def log_scale(self) -> tuple[float, float]:
        """Natural logarithm of `low`, and how far that of `high` is above it."""
        return math.log(self.low), log_ratio(self.high, self.low)

    @cached_property
    def size(self) -> int | None:
        """Number of values, or None for a continuum."""
        return None if self.step is None else steps(self.low, self.high, self.step) + 1

    def nth(self, k: int) -> float:
        """The value of a stepped parameter that is `k` steps above `low`, or the last one: `low + k * step`, without the
        noise of that sum where a decimal of few digits is meant."""
        assert self.step is not None
        assert self.size is not None
        value = self.low + min(k, self.size - 1) * self.step
        decimal = tidy(value, self.step * 1e-6)
        meant = decimal if abs(decimal - value) <= self._rounding else value
        return min(max(meant, self.low), self.high) + 0.0

    def values(self) -> list[float]:
        """Every value of a stepped parameter, in order."""
        return [self.nth(k) for k in range(self.size or 0)]

    def _within_bounds(self, value: float) -> float:
        """`value`, or the bound that it exceeds by rounding only."""
        bound = min(max(value, self.low), self.high)
        scale = abs(bound) if self.log else self.high - self.low
        return bound if abs(value - bound) <= 1e-12 * scale + self._rounding else value

    @cached_property
    def _rounding(self) -> float:
        """What rounding may add to sums of numbers as large as the bounds."""
        return 4.0 * math.ulp(abs(self.low) if self.log else max(abs(self.low), abs(self.high)))


@public_class
@dataclass(frozen=True)
class Int:
    """A whole number between `low` and `high`, both included. 3.0 counts as 3.

    Args:
        low: The least value.
        high: The greatest value.
        log: Whether to search the exponent, as for `Float`.
        step: The distance between values, counted from `low`.
        default: The value in use today, which is tried first. None: there is none.
        active_if: The values of other parameters for which this one exists: `{"optimizer": ["sgd"]}`.
        unit: For the reader; it changes no number.
        description: For the reader.

    Raises:
        SpaceError: The bounds, the step or the default are invalid.

    Example:
        >>> import hpo
        >>> hpo.Int(32, 128, step=32).values()
        [32, 64, 96, 128]
    """

    low: int
    high: int
    log: bool = field(default=False, kw_only=True)
    step: int = field(default=1, kw_only=True)
    default: int | None = field(default=None, kw_only=True)
    active_if: ActiveIf = field(default_factory=dict, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        check_range(self, "Int")
        if self.log and self.log_edges[1] - self.log_edges[0] < 1e-9:
            low, high = shown(self.low), shown(self.high)
            raise SpaceError(f"on a log scale, 64-bit floats hardly tell {low} and {high} apart. Leave log out")
        if self.default is not None:
            object.__setattr__(self, "default", whole_number("default", self.default))
        settle(self)

    def __repr__(self) -> str:
        return written(self)

    def contains(self, value: object) -> bool:
        """Whether `value` is one this parameter can hold, exactly."""
        return self.fault(value) is None

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`, as the end of a sentence that begins with it; None when nothing is."""
        value = as_whole(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return "is not a whole number"
        if not self.low <= value <= self.high:
            return f"is outside [{shown(self.low)}, {shown(self.high)}]"
        if (value - self.low) % self.step:
            return f"is not on the step of {self.step} from {self.low}; the nearest is {self.snap(value)}"
        return None

    def canonical(self, value: Any) -> int:
        """An allowed `value` in its one form: 3 for 3.0."""
        return int(as_scalar(value))

    def snap(self, value: float) -> int:
        """The allowed value nearest to `value`, an even number of steps above `low` where two are as near."""
        if isinstance(value, int):  # exact, where a float would lose digits
            k, rest = divmod(value - self.low, self.step)
            k += 2 * rest + k % 2 > self.step
        else:
            k = round((value - self.low) / self.step)
        return self.low + min(max(k, 0), (self.high - self.low) // self.step) * self.step

    def value_at(self, u: float) -> int:
        """The value at position `u` of [0, 1]; each value has an equal share (of the exponent where log)."""
        if not self.log:
            return self.low + share(u, self.size) * self.step
        low, high = self.log_edges
        return self.snap(math.exp(min(low + u * (high - low), LOG_OF_LARGEST)))

    def position(self, value: float) -> float:
        """The middle of the share of `value` in [0, 1]."""
        if not self.log:
            return ((value - self.low) / self.step + 0.5) / self.size
        low, high = self.log_edges
        return (math.log(value) - low) / (high - low)

    @property
    def log_edges(self) -> tuple[float, float]:
        """Natural logarithms between which the values share the unit interval: half a step beyond both ends."""
        last = self.low + (self.size - 1) * self.step
        return math.log(self.low - min(0.5 * self.step, 0.5 * self.low)), math.log(last + 0.5 * self.step)

    @property
    def size(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def nth(self, k: int) -> int:
        """The value `k` steps above `low`."""
        return self.low + k * self.step

    def values(self) -> list[int]:
        """Every value, in order."""
        return [self.nth(k) for k in range(self.size)]


@public_class
@dataclass(frozen=True)
class Categorical:
    """One of a list of choices: text, numbers, booleans or None.

    Args:
        choices: The list. Each choice stands in it once.
        ordered: Whether neighbors in the list are alike (small, medium, large). Then a result for one choice says
            something about the next.
        default: The choice in use today, which is tried first. `default=None` is a default where None is a choice.
        active_if: The values of other parameters for which this one exists: `{"model": ["forest"]}`.
        unit: For the reader.
        description: For the reader.

    Raises:
        SpaceError: The list is empty, or holds a choice twice or something that is no text, number, boolean or None.

    Example:
        >>> import hpo
        >>> hpo.Categorical(["adam", "sgd"]).contains("rmsprop")
        False
    """

    choices: Sequence[Value]
    ordered: bool = field(default=False, kw_only=True)
    default: Value | Unset = field(default=Unset.UNSET, kw_only=True)
    active_if: ActiveIf = field(default_factory=dict, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        is_list = isinstance(self.choices, Sequence) or getattr(self.choices, "ndim", None) == 1
        if isinstance(self.choices, str | bytes) or not is_list:
            example = f"[{brief(self.choices)}, ...]" if isinstance(self.choices, str) else "[...]"
            unordered = ", in an order of your choice" if isinstance(self.choices, Set) else ""
            raise SpaceError(f"choices are a list, got {brief(self.choices)}. Write Categorical({example}){unordered}")
        object.__setattr__(self, "choices", tuple(map(as_scalar, self.choices)))
        if not self.choices:
            raise SpaceError("a Categorical needs at least one choice, got none")
        for choice in self.choices:
            if choice is not None and not isinstance(choice, bool | int | float | str):
                raise SpaceError(
                    f"choice {brief(choice)} is a {type(choice).__name__}; choices are text, numbers, booleans or None. "
                    "Give it a name here and look the object up in the training code"
                )
            if isinstance(choice, float) and not math.isfinite(choice):
                raise SpaceError(f"choice {choice!r} is not finite")
            if isinstance(choice, str) and (fault := forbidden(choice, lines=True)):
                raise SpaceError(f"choice {brief(choice)} {fault}")
        if len(self._places) < len(self.choices):
            twice = next(c for i, c in enumerate(self.choices) if self._places[_identity(c)] != i)
            raise SpaceError(f"choice {brief(twice)} is given twice")
        if self.default is Unset.UNSET and None not in self.choices:
            object.__setattr__(self, "default", None)
        settle(self)

    def __repr__(self) -> str:
        return written(self)

    def contains(self, value: object) -> bool:
        """Whether `value` is one this parameter can hold, exactly."""
        return self.fault(value) is None

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`, as the end of a sentence that begins with it; None when nothing is."""
        if self._place(value) is None:
            return f"is not one of {listing(map(brief, self.choices))}"
        return None

    def canonical(self, value: Any) -> Value:
        """An allowed `value` in its one form: the choice that equals it."""
        return self.choices[self.index(value)]

    def index(self, value: object) -> int:
        """Position of `value` among the choices. Raises ParamsError when it is none of them."""
        if (place := self._place(value)) is None:
            raise ParamsError(f"{brief(value)} {self.fault(value)}")
        return place

    def _place(self, value: object) -> int | None:
        value = as_scalar(value)
        return self._places.get(_identity(value)) if value is None or isinstance(value, int | float | str) else None

    @cached_property
    def _places(self) -> dict[tuple[bool, Value], int]:
        """Where each choice stands (the first of equal ones)."""
        places: dict[tuple[bool, Value], int] = {}
        for i, choice in enumerate(self.choices):
            places.setdefault(_identity(choice), i)
        return places

    def value_at(self, u: float) -> Value:
        """The choice at position `u` of [0, 1]; each has an equal share."""
        return self.choices[share(u, self.size)]

    def position(self, value: Value) -> float:
        """The middle of the share of `value` in [0, 1]."""
        return (self.index(value) + 0.5) / self.size

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.choices)

    def nth(self, k: int) -> Value:
        """The choice at position `k`."""
        return self.choices[k]

    def values(self) -> list[Value]:
        """Every choice, in order."""
        return list(self.choices)


Parameter = Float | Int | Categorical


def _identity(value: Value) -> tuple[bool, Value]:
    return isinstance(value, bool), value
