"""One dimension of a search space: Float, Int, Categorical."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.boundary import public_class
from hpo.errors import ParamsError, SpaceError
from hpo.scalars import is_finite, plain

Value = bool | int | float | str | None
"""What a parameter can hold: a JSON scalar."""

ActiveIf = Mapping[str, Sequence[Value]]
"""`{"model.optimizer": ["sgd"]}`: the parameter exists only while each named parameter is active and holds one of the
listed values."""


@public_class
@dataclass(frozen=True)
class Float:
    """A real number in [low, high].

    `log=True` searches the exponent. `step` restricts to `low + k * step`. `default` is the value in production today.
    `unit` and `description` are for the reader.

    Raises SpaceError for bounds that cannot be.
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
        object.__setattr__(self, "low", _number("low", self.low))
        object.__setattr__(self, "high", _number("high", self.high))
        if self.step is not None:
            object.__setattr__(self, "step", _number("step", self.step))
        _check_range(self, "Float")
        if self.default is not None:
            object.__setattr__(self, "default", _number("default", self.default))
        _finish(self)

    def contains(self, value: object) -> bool:
        """Whether `value` is one this parameter can hold, exactly."""
        return self.fault(value) is None

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`, as the end of a sentence that begins with it; None when nothing is."""
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "is not a number"
        if isinstance(value, float) and not math.isfinite(value):
            return "is not finite"
        if not self.low <= value <= self.high:
            return f"is outside [{self.low:g}, {self.high:g}]"
        if self.step is not None:
            nearest = self.snap(value)
            if abs(nearest - value) > 1e-9 * max(abs(value), self.step):
                return f"is not on the step of {self.step:g} from {self.low:g}; the nearest is {nearest:g}"
        return None

    def snap(self, value: float) -> float:
        """The allowed value nearest to `value`: on the step, inside the bounds, to nine significant digits of the
        range, so that the last bits of a computation never make two configurations out of one."""
        if self.step is not None:
            k = round((value - self.low) / self.step)
            k = min(max(k, 0), steps(self.low, self.high, self.step))
            return min(self.high, _tidy(self.low + k * self.step, self.step * 1e-6))
        resolution = abs(value) * 1e-9 if self.log else (self.high - self.low) * 1e-9
        return min(max(_tidy(value, resolution), self.low), self.high)

    def value_at(self, u: float) -> float:
        """The value at position `u` of [0, 1]; a stepped range gives each value an equal share."""
        if self.step is not None:
            return self.snap(self.low + _bin(u, self.size or 1) * self.step)
        if self.log:
            return self.snap(math.exp(math.log(self.low) + u * math.log(self.high / self.low)))
        return self.snap(self.low + u * (self.high - self.low))

    def position(self, value: float) -> float:
        """Where `value` lies in [0, 1]: the inverse of `value_at` up to snapping."""
        if self.step is not None:
            return (round((value - self.low) / self.step) + 0.5) / (self.size or 1)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    @property
    def size(self) -> int | None:
        """Number of values, or None for a continuum."""
        return None if self.step is None else steps(self.low, self.high, self.step) + 1

    def nth(self, k: int) -> float:
        """The value of a stepped parameter that is `k` steps above `low`."""
        assert self.step is not None
        return self.snap(self.low + k * self.step)

    def values(self) -> list[float]:
        """Every value of a stepped parameter, in order."""
        return [self.nth(k) for k in range(self.size or 0)]


@public_class
@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], bounds included. `log`, `step`, `default` as for Float."""

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
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        _check_range(self, "Int")
        if self.default is not None:
            object.__setattr__(self, "default", _whole("default", self.default))
        _finish(self)

    def contains(self, value: object) -> bool:
        """Whether `value` is one this parameter can hold, exactly."""
        return self.fault(value) is None

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`, as the end of a sentence that begins with it; None when nothing is."""
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return "is not a whole number"
        if not self.low <= value <= self.high:
            return f"is outside [{self.low}, {self.high}]"
        if (value - self.low) % self.step:
            return f"is not on the step of {self.step} from {self.low}; the nearest is {self.snap(value)}"
        return None

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
            return self.low + _bin(u, self.size) * self.step
        low, high = self.log_edges
        return self.snap(math.exp(low + u * (high - low)))

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
    """One of a list of choices: text, numbers, booleans or None. `ordered=True` when neighbours in the list are alike
    (small, medium, large), so that what is learned about one tells something about the next.

    Raises SpaceError for an empty list or a choice given twice.
    """

    choices: Sequence[Value]
    ordered: bool = field(default=False, kw_only=True)
    default: Value = field(default=None, kw_only=True)
    active_if: ActiveIf = field(default_factory=dict, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.choices, str) or not isinstance(self.choices, Sequence):
            raise SpaceError(f"choices are a list, got {self.choices!r}. Try Categorical([{self.choices!r}, ...])")
        object.__setattr__(self, "choices", tuple(map(plain, self.choices)))
        object.__setattr__(self, "default", plain(self.default))
        if not self.choices:
            raise SpaceError("a Categorical needs at least one choice, got none")
        for i, choice in enumerate(self.choices):
            if choice is not None and not isinstance(choice, bool | int | float | str):
                raise SpaceError(
                    f"choice {choice!r} is a {type(choice).__name__}; choices are text, numbers, booleans or None. "
                    "Give it a name here and look the object up in the training code"
                )
            if isinstance(choice, float) and not math.isfinite(choice):
                raise SpaceError(f"choice {choice!r} is not finite")
            if any(same_value(choice, other) for other in self.choices[:i]):
                raise SpaceError(f"choice {choice!r} is given twice")
        _finish(self)

    def contains(self, value: object) -> bool:
        """Whether `value` is one this parameter can hold, exactly."""
        return self.fault(value) is None

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`, as the end of a sentence that begins with it; None when nothing is."""
        value = plain(value)
        if any(same_value(value, c) for c in self.choices):
            return None
        return f"is not one of {', '.join(map(repr, self.choices))}"

    def index(self, value: object) -> int:
        """Position of `value` among the choices; ValueError when it is none of them."""
        for i, choice in enumerate(self.choices):
            if same_value(value, choice):
                return i
        raise ParamsError(f"{value!r} is not one of {', '.join(map(repr, self.choices))}")

    def value_at(self, u: float) -> Value:
        """The choice at position `u` of [0, 1]; each has an equal share."""
        return self.choices[_bin(u, self.size)]

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


Numeric = Float | Int
Parameter = Float | Int | Categorical


def same_value(a: object, b: object) -> bool:
    """Equality that keeps True apart from 1 and "1" from 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def is_set(parameter: Parameter) -> bool:
    """Whether the user gave a default (None is a default only where it is a choice)."""
    return parameter.default is not None


def steps(low: float, high: float, step: float) -> int:
    """How many whole steps fit between the bounds (a step that misses `high` by rounding still counts)."""
    return math.floor((high - low) / step * (1 + 1e-12) + 1e-9)


def _bin(u: float, size: int) -> int:
    return min(max(int(u * size), 0), size - 1)


def _number(name: str, value: object) -> float:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise SpaceError(f"{name}={value!r} is not a finite number")
    return float(value)


def _whole(name: str, value: object) -> int:
    value = plain(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpaceError(f"{name}={value!r} is not a whole number. Use Float for real numbers")
    return value


def _check_range(p: Numeric, kind: str) -> None:
    low, high, step = _shown(p.low), _shown(p.high), _shown(p.step)
    if p.low > p.high:
        raise SpaceError(f"low={low} is above high={high}; did you swap them? {kind}({high}, {low})")
    if p.low == p.high:
        raise SpaceError(f"low and high are both {low}; a fixed value is not a parameter, set it in your code")
    if p.log and p.low <= 0:
        smallest = "1" if kind == "Int" else "1e-6"
        raise SpaceError(f"log scale needs low > 0, got low={low}. Try low={smallest}, or log=False")
    if p.step is not None and p.step <= 0:
        raise SpaceError(f"step={step} must be positive")
    if p.size is not None and p.size < 2:
        raise SpaceError(f"step={step} is wider than the range {low}..{high}")
    if p.log and kind == "Float" and p.step is not None:
        raise SpaceError("step and log=True do not go together: a step is constant, a log scale is not. Drop one")


def _shown(number: float | None) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _finish(p: Parameter) -> None:
    if is_set(p) and (fault := p.fault(p.default)):
        raise SpaceError(f"default {p.default!r} {fault}")
    for parent, values in p.active_if.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise SpaceError(f"active_if[{parent!r}] is a list of values, got {values!r}. Try [{values!r}]")
        if not values:
            raise SpaceError(f"active_if[{parent!r}] lists no value: the parameter could never be active")
    object.__setattr__(p, "active_if", {k: tuple(map(plain, v)) for k, v in p.active_if.items()})


def _tidy(value: float, resolution: float) -> float:
    """`value` rounded to the decimal just below `resolution`, so that 0.30000000000000004 becomes 0.3."""
    if value == 0 or resolution <= 0:
        return value
    return round(value, min(300, -math.floor(math.log10(resolution))))


def describe(parameter: Parameter) -> dict[str, Any]:
    """The fields that differ from their defaults, for `repr` and for files."""
    out: dict[str, Any] = {}
    for name, item in parameter.__dataclass_fields__.items():
        value = getattr(parameter, name)
        plain = {k: list(v) for k, v in value.items()} if name == "active_if" else value
        if name not in ("low", "high", "choices") and plain in (item.default, {}):
            continue
        out[name] = list(plain) if name == "choices" else plain
    return out
