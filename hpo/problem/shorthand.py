"""Shorthand: plain Python that says clearly what a parameter is, as the Float, Int or Categorical that it stands for.

    (1, 8)                  Int(1, 8)                  (0.0, 1.0), (0, 1.0)    Float(0.0, 1.0)
    range(8, 257, 8)        Int(8, 256, step=8)        ["sgd", "adam"]         Categorical(["sgd", "adam"])

Also an array of one dimension and an Enum class (its values are the choices), and frozen distributions of scipy: uniform,
loguniform and randint. What could mean two things is refused in words that show what to write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from hpo.common.scalars import as_scalar, brief
from hpo.errors import SpaceError
from hpo.problem.fields import Value
from hpo.problem.parameters import Categorical, Float, Int, Parameter

Given = Parameter | tuple[float, float] | tuple[str, ...] | Sequence[Value] | range | type[Enum]
"""What may stand for a parameter in a space."""


def parameter(given: Given) -> Parameter:
    """The parameter that `given` is, or stands for. Raises SpaceError if it is not clear."""
    if isinstance(given, Float | Int | Categorical):
        return given
    if isinstance(given, range | tuple):
        return _of_range(given) if isinstance(given, range) else _of_tuple(given)
    if isinstance(given, list) or getattr(given, "ndim", None) == 1:
        return Categorical(list(given))
    if isinstance(given, type) and issubclass(given, Enum):
        return Categorical([member.value for member in given])
    if isinstance(getattr(getattr(given, "dist", None), "name", None), str) and hasattr(given, "support"):
        return _of_distribution(given)
    raise SpaceError(f"{brief(given)} is no parameter. {_advice(given)}")


def _of_range(given: range) -> Int:
    if len(given) < 2:
        raise SpaceError(f"{given!r} holds {'one number' if given else 'nothing'}; a parameter has at least two values")
    low, high = sorted((given[0], given[-1]))
    return Int(low, high, step=abs(given.step))


def _of_tuple(given: tuple[Any, ...]) -> Parameter:
    own = [as_scalar(value) for value in given]
    if own and all(isinstance(value, bool | str) for value in own):
        return Categorical(own)
    is_number = [isinstance(value, int | float) and not isinstance(value, bool) for value in own]
    if len(own) != 2 or not all(is_number):
        a, b = map(brief, bounds := own[:2] if is_number[:2] == [True, True] else [1, 8])
        kinds = [f"Int({a}, {b})"] * all(isinstance(bound, int) for bound in bounds) + [f"Float({a}, {b})"]
        ranges = " or ".join(f"{kind[:-1]}, log=True)" if own[2:] == ["log"] else kind for kind in kinds)
        more = "" if own[2:] == ["log"] else ", with log=True or step=... where wanted,"
        raise SpaceError(
            f"{brief(given)} could be bounds or choices. Write {ranges}{more} for a range; and a list, {brief(list(own))}, "
            "for choices"
        )
    return Int(own[0], own[1]) if all(isinstance(value, int) for value in own) else Float(own[0], own[1])


def _of_distribution(given: Any) -> Parameter:
    name, (low, high) = given.dist.name, given.support()
    if name == "uniform":
        return Float(low, high)
    if name == "randint":
        return Int(low, high)
    where = given.kwds.get("loc", given.args[2] if len(given.args) > 2 else 0)
    if name in ("loguniform", "reciprocal") and where == 0:
        return Float(low, high, log=True)
    shape = (
        "Float(low, high)" if all(map(math.isfinite, (low, high))) else "Float(low, high) with bounds of your choice"
    )
    raise SpaceError(
        f"the distribution {name!r} is none that a parameter can stand for (uniform, loguniform and randint are). "
        f"Write {shape}, with log=True where the exponent is to be searched"
    )


def _advice(given: Any) -> str:
    if given is bool:
        return "Write [True, False]"
    if given is int or given is float:
        return f"Write {'Int(1, 8)' if given is int else 'Float(0.0, 1.0)'}"
    if isinstance(given, set | frozenset):
        return "A set has no order: write a list, [...]"
    if isinstance(given, Mapping):
        return "Write Float(low, high), Int(low, high) or Categorical([...]); stages are marked by dots in the names"
    if given is None or isinstance(given, bool | int | float | str):
        return (
            f"A fixed value is not a parameter: set it in your code, or write a list of choices, [{brief(given)}, ...]"
        )
    return "It must be a Float, Int or Categorical; or (low, high), range(...), or a list of choices"
