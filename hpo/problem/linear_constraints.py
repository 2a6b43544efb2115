"""Linear inequalities between parameters, written as text: `"serve.threads + 0.1*data.window <= 20"`.

The grammar, read by a small recursive-descent parser (nothing is ever evaluated):

    constraint := side (("<=" | ">=") side)+             at most 50 parentheses and signs deep
    side       := ["+" | "-"] term (("+" | "-") term)*
    term       := factor (("*" | "/") factor)*          at most one factor holds a name; never a divisor
    factor     := number | name | "(" side ")"
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo.common.frozen import Frozen
from hpo.common.scalars import brief
from hpo.errors import SpaceError

_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d][\w.]*)|(?P<op><=|>=|.))")
_DEEPEST = 50


@dataclass(frozen=True)
class LinearConstraint:
    """sum_i coefficients[i] * x_i <= upper, in the parameters' own units."""

    coefficients: Mapping[str, float]
    upper: float
    text: str = field(compare=False)
    tolerance: float = field(default=1e-9, compare=False)
    """What rounding may add; a space knows it from the ranges of the parameters."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", Frozen(self.coefficients))

    def excess(self, params: Mapping[str, Any]) -> float:
        """How far `params` exceeds the bound; at most 0 when it holds. 0 when a parameter it names is inactive."""
        if not self.coefficients.keys() <= params.keys():
            return 0.0
        return sum(c * float(params[name]) for name, c in self.coefficients.items()) - self.upper

    def holds(self, params: Mapping[str, object]) -> bool:
        """Whether the inequality holds, rounding errors forgiven."""
        return self.excess(params) <= self.tolerance


def parse(text: str) -> list[LinearConstraint]:
    """The inequalities in `text`: one, or two for `1 <= a + b <= 3`. Raises SpaceError saying what cannot be read."""
    if not isinstance(text, str):
        raise SpaceError(f'constraint {brief(text)} is not text. Write it like "a + 2*b <= 10"')
    return _Parser(text).constraints()


_Side = dict[str, float]  # the constant is kept under the empty name


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [(m.lastgroup or "", m.group(m.lastgroup or 0)) for m in _TOKEN.finditer(text.strip())]
        self.position = 0
        self.depth = 0

    def constraints(self) -> list[LinearConstraint]:
        sides, signs = [self.side()], []
        while self.peek() in ("<=", ">="):
            signs.append(self.take()[1])
            if self.peek() == "=":
                raise self.fault("write <= or >=")
            sides.append(self.side())
        if not signs or self.position < len(self.tokens):
            found = f"cannot read {self.peek()!r}" if self.position < len(self.tokens) else "it has no <= or >="
            hint = " (a limit is inclusive: write <= or >=)" if self.peek() in ("<", ">", "=") else ""
            raise self.fault(found + hint)
        out = []
        for left, sign, right in zip(sides, signs, sides[1:], strict=False):
            low, high = (left, right) if sign == "<=" else (right, left)
            coefficients = _add(dict(low), high, -1.0)
            upper = 0.0 - coefficients.pop("", 0.0)
            coefficients = {name: c for name, c in coefficients.items() if c != 0}
            if not coefficients:
                raise self.fault("it names no parameter")
            if not all(map(math.isfinite, (upper, *coefficients.values()))):
                raise self.fault("its numbers are beyond the largest 64-bit float")
            out.append(LinearConstraint(coefficients, upper, self.text))
        return out

    def side(self) -> _Side:
        sign = -1.0 if self.peek() == "-" else 1.0
        if self.peek() in ("+", "-"):
            self.take()
        total = _add({}, self.term(), sign)
        while self.peek() in ("+", "-"):
            sign = -1.0 if self.take()[1] == "-" else 1.0
            _add(total, self.term(), sign)
        return total

    def term(self) -> _Side:
        value = self.factor()
        while self.peek() in ("*", "/"):
            operator, other = self.take()[1], self.factor()
            if operator == "/":
                if set(other) - {""} or other.get("", 0.0) == 0:
                    raise self.fault("only division by a number other than 0 is linear")
                other = {"": 1.0 / other[""]}
            if set(value) - {""} and set(other) - {""}:
                raise self.fault("a product of two parameters is not linear")
            scale, rest = (other, value) if set(value) - {""} else (value, other)
            value = {name: c * scale.get("", 0.0) for name, c in rest.items()}
        return value

    def factor(self) -> _Side:
        kind, text = self.take()
        if kind == "number":
            return {"": float(text)}
        if kind == "name":
            return {text: 1.0}
        if text in ("-", "("):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.fault(f"it is nested more than {_DEEPEST} deep")
            inner = _add({}, self.factor(), -1.0) if text == "-" else self.side()
            if text == "(" and self.take()[1] != ")":
                raise self.fault("a parenthesis is not closed")
            self.depth -= 1
            return inner
        raise self.fault(f"cannot read {text!r}" if text else "it ends too early")

    def peek(self) -> str:
        return self.tokens[self.position][1] if self.position < len(self.tokens) else ""

    def take(self) -> tuple[str, str]:
        token = self.tokens[self.position] if self.position < len(self.tokens) else ("", "")
        self.position += 1
        return token

    def fault(self, what: str) -> SpaceError:
        return SpaceError(f'constraint {brief(self.text)}: {what}. Write it like "a + 2*b <= 10"')


def _add(a: _Side, b: _Side, scale: float) -> _Side:
    """`a`, with `scale` times `b` added to it."""
    for name, c in b.items():
        a[name] = a.get(name, 0.0) + scale * c
    return a
