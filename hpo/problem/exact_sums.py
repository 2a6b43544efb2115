"""ExactSums: which values still let a weighted sum of parameters end between two numbers, told exactly.

An inequality alone says how far a sum may go, and bounds on what is still to come tell which values are left. Where a
sum must be met from both sides, as in `10 <= 3*a + 5*b + 7*c <= 10`, bounds say nearly nothing: most combinations miss.
But when all terms are multiples of one unit, the sums that the last parameters can make are few enough to be written
down, one bit for each (dynamic programming over subset sums).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hpo.problem.linear_constraints import LinearConstraint
from hpo.problem.parameters import Float, Int, Parameter

_MAX_BITS = 2**28
"""Bits of all sets of sums together: 32 MB."""


@dataclass(frozen=True, eq=False)
class ExactSums:
    """The sum over `parameters` of their steps above (where `weights` are negative: below) the value that adds least, each
    times the size of its weight, in units; allowed between `least` and `most`."""

    parameters: Mapping[str, Float | Int]
    weights: Mapping[str, int]
    least: int
    most: int
    after: Mapping[str, int]
    """For each name: bit s is set where the parameters after it can add s."""

    rows: Sequence[LinearConstraint]
    """The constraints that say the same."""

    def allowed(self, name: str, ks: Iterable[int], so_far: int) -> Iterator[int]:
        """Those of the values `ks` of `name`, counted from its first, with which the sum can end where it must, when the
        parameters before it add `so_far`."""
        after = self.after[name]
        for k in ks:
            total = so_far + self._adds(name, k)
            lowest = max(self.least - total, 0)
            if lowest <= self.most - total and (after >> lowest) & ((1 << (self.most - total - lowest + 1)) - 1):
                yield k

    def adds(self, name: str, value: Any) -> int:
        """What `value` of `name` adds."""
        p = self.parameters[name]
        return self._adds(
            name, (value - p.low) // p.step if isinstance(p, Int) else round((value - p.low) / (p.step or 1))
        )

    def _adds(self, name: str, k: int) -> int:
        weight = self.weights[name]
        return weight * k if weight >= 0 else -weight * ((self.parameters[name].size or 1) - 1 - k)


def sums(
    linear: Sequence[LinearConstraint], parameters: Mapping[str, Parameter], order: Sequence[str]
) -> list[ExactSums]:
    """One for each sum that `linear` holds from both sides, of parameters that always exist, with terms that are multiples
    of one unit which is not too small; they are walked in `order`."""
    pairs: dict[tuple[tuple[str, float], ...], list[LinearConstraint]] = {}
    place = {name: i for i, name in enumerate(order)}
    for c in linear:
        names = sorted(c.coefficients, key=place.__getitem__)
        sign = math.copysign(1.0, c.coefficients[names[0]])
        pairs.setdefault(tuple((name, sign * c.coefficients[name]) for name in names), []).append(c)
    pairs = {terms: rows for terms, rows in pairs.items() if len(rows) > 1}
    found = (_sums_of(dict(terms), rows, parameters, _MAX_BITS // len(pairs)) for terms, rows in pairs.items())
    return [s for s in found if s is not None]


def _sums_of(
    terms: Mapping[str, float], rows: Sequence[LinearConstraint], parameters: Mapping[str, Parameter], most_bits: int
) -> ExactSums | None:
    named = {name: p for name in terms if isinstance(p := parameters[name], Float | Int) and not p.active_if and p.size}
    if len(named) < len(terms):
        return None
    exact = {name: (_fraction(terms[name]), _fraction(p.low), _fraction(p.step or 1)) for name, p in named.items()}
    steps = {name: factor * step for name, (factor, _, step) in exact.items()}
    base = Fraction(0)
    for name, (factor, low, _) in exact.items():
        base += factor * low + min(steps[name] * ((named[name].size or 1) - 1), Fraction(0))
    unit = _common(list(steps.values()))
    first = next(iter(terms))
    bounds: dict[bool, Fraction] = {}
    for c in rows:
        is_upper = (c.coefficients[first] > 0) == (terms[first] > 0)
        slack = Fraction(2.0 * c.tolerance)  # never to leave out what the constraint lets pass
        bound = _fraction(c.upper) + slack if is_upper else -_fraction(c.upper) - slack
        known = bounds.get(is_upper, bound)
        bounds[is_upper] = min(known, bound) if is_upper else max(known, bound)
    weights = {name: int(step / unit) for name, step in steps.items()}
    total = sum(abs(w) * ((named[name].size or 1) - 1) for name, w in weights.items())
    if len(bounds) < 2 or total * len(weights) > most_bits:
        return None
    after, reach = {}, 1
    for name in reversed(weights):
        after[name] = reach
        reach = _spread(reach, abs(weights[name]), named[name].size or 1)
    least, most = math.ceil((bounds[False] - base) / unit), math.floor((bounds[True] - base) / unit)
    return ExactSums(named, weights, least, most, after, rows)


def _spread(reach: int, weight: int, size: int) -> int:
    """The sums `reach` with 0, 1, ... or `size` - 1 times `weight` added."""
    done = 1
    while done < size:
        more = min(done, size - done)
        reach |= reach << (more * weight)
        done += more
    return reach


def _fraction(number: float) -> Fraction:
    """The decimal that a float stands for: 1/10 for 0.1."""
    return Fraction(repr(number))


def _common(numbers: Sequence[Fraction]) -> Fraction:
    """The largest number that all are multiples of."""
    denominator = math.lcm(*(n.denominator for n in numbers))
    return Fraction(math.gcd(*(int(n * denominator) for n in numbers)), denominator)
