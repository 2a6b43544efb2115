"""What all parameters have in common: a default, a condition, and how they are written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field
from enum import Enum
from typing import Any, ClassVar, Protocol

from hpo.common.frozen import Frozen
from hpo.common.scalars import as_scalar, brief
from hpo.errors import SpaceError

Value = bool | int | float | str | None
"""What a parameter can hold: a JSON scalar."""

ActiveIf = Mapping[str, Sequence[Value]]
"""`{"model.optimizer": ["sgd"]}`: the parameter exists only while each named parameter is active and holds one of the
listed values."""


class Unset(Enum):
    """Says that no default was given, where None would say that it is None."""

    UNSET = "unset"


class Described(Protocol):
    """A parameter, as far as this module looks at it."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def default(self) -> object: ...
    @property
    def active_if(self) -> ActiveIf: ...
    def fault(self, value: object) -> str | None: ...
    def canonical(self, value: Any) -> Value: ...


def is_set(parameter: Described) -> bool:
    """Whether the user gave a default (None is a default only where it is a choice)."""
    if None in getattr(parameter, "choices", ()):
        return parameter.default is not Unset.UNSET
    return parameter.default is not None


def same_value(a: object, b: object) -> bool:
    """Equality that keeps True apart from 1 and "1" from 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def is_active(parameter: Described, params: Mapping[str, object]) -> bool:
    """Whether `parameter` exists, given the values of its parents in `params` (absent parents are inactive)."""
    return all(
        parent in params and any(same_value(params[parent], v) for v in values)
        for parent, values in parameter.active_if.items()
    )


def settle(p: Described) -> None:
    """Bring default and condition of a new parameter into their one form. Raises SpaceError if invalid."""
    if is_set(p):
        if fault := p.fault(p.default):
            raise SpaceError(f"default {brief(p.default)} {fault}")
        object.__setattr__(p, "default", p.canonical(p.default))
    if not isinstance(p.active_if, Mapping):
        raise SpaceError(f'active_if is a mapping like {{"model.optimizer": ["sgd"]}}, got {brief(p.active_if)}')
    for parent, values in p.active_if.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise SpaceError(f"active_if[{parent!r}] is a list of values, got {values!r}. Try [{values!r}]")
        if not values:
            raise SpaceError(f"active_if[{parent!r}] lists no value: the parameter could never be active")
    object.__setattr__(p, "active_if", Frozen({k: tuple(map(as_scalar, v)) for k, v in p.active_if.items()}))


def written(parameter: Described) -> str:
    """`Float(0.001, 1.0, log=True)`: the call that makes it, without the defaults."""
    given = describe(parameter)
    bounds = [repr(given.pop(name)) for name in ("low", "high", "choices") if name in given]
    named = [f"{name}={value!r}" for name, value in given.items()]
    return f"{type(parameter).__name__}({', '.join(bounds + named)})"


def describe(parameter: Described) -> dict[str, Any]:
    """The fields that differ from their defaults, for `repr` and for files."""
    out: dict[str, Any] = {}
    for name, item in parameter.__dataclass_fields__.items():
        value = getattr(parameter, name)
        if name == "default":
            if is_set(parameter):
                out[name] = value
            continue
        plain = {k: list(v) for k, v in value.items()} if name == "active_if" else value
        if name not in ("low", "high", "choices") and plain in (item.default, {}):
            continue
        out[name] = list(plain) if name == "choices" else plain
    return out
