"""Enumeration: the configurations of a space one after another, in order or drawn, where draws from the box seldom hit.

Depth first along the order of the conditions, and without recursion: a space may have thousands of parameters. What the
linear constraints cannot allow any more is never walked.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from hpo.common.scalars import brief
from hpo.errors import SpaceError, listing
from hpo.problem.exact_sums import ExactSums, sums
from hpo.problem.fields import Value, is_active
from hpo.problem.linear_constraints import LinearConstraint
from hpo.problem.parameters import Categorical, Float, Int, Parameter

Params = dict[str, Any]
T = TypeVar("T")

_MAX_IN_VAIN = 100_000
"""Steps without finding a further configuration, after which a walk gives up."""
_ABSENT, _END = object(), object()


@dataclass(frozen=True, eq=False)
class Enumeration:
    """Walks over `parameters` in `order`, parents before the parameters they activate, within `linear`."""

    parameters: Mapping[str, Parameter]
    order: Sequence[str]
    linear: Sequence[LinearConstraint]

    @property
    def is_possible(self) -> bool:
        """Whether the constraints name parameters with finitely many values only; `draws` needs no more."""
        return all(self.parameters[name].size is not None for c in self.linear for name in c.coefficients)

    def configurations(self) -> Iterator[Params]:
        """Every configuration of a finite space, each once. Raises SpaceError when it finds nothing for too long."""
        return self._steps(None)

    def draws(self, rng: np.random.Generator) -> Iterator[Params]:
        """The first configuration of one walk in random order after another, while they find any."""
        try:
            while found := next(self._steps(rng), None):
                yield found
        except SpaceError:
            return

    def at_least(self, most: int) -> int:
        """A number of configurations that there are at least, counted until it exceeds `most`, without walking."""
        held_back = self._parents.union(*(c.coefficients for c in self.linear)) if self.linear else set()
        count = 1
        for name, p in self.parameters.items():
            if not p.active_if and name not in held_back:
                count *= p.size or 1
            if count > most:
                return count
        return count if self.linear else max(count, self._neighbors())

    def _neighbors(self) -> int:
        """Of a configuration with many parameters: it, and those that differ from it, in one value first."""
        wanted: dict[str, Counter[Value]] = {}
        for p in self.parameters.values():
            for parent, values in p.active_if.items():
                wanted.setdefault(parent, Counter()).update(values)
        params: Params = {}
        for name in self.order:
            if is_active(self.parameters[name], params):
                params[name] = wanted[name].most_common(1)[0][0] if name in wanted else None
        return 1 + sum((self.parameters[name].size or 1) - 1 for name in params)

    def _steps(self, rng: np.random.Generator | None) -> Iterator[Params]:
        """All configurations; with `rng` in random order, with one value for each parameter that nothing depends on."""
        at = _Place(self)
        levels: list[Iterator[Any]] = [self._values(self.order[0], at, rng)]
        in_vain = 0
        while levels:
            name = self.order[len(levels) - 1]
            at.forget(name)
            in_vain += 1
            if in_vain > _MAX_IN_VAIN:
                constraints = listing({brief(c.text): None for c in self.linear})
                raise SpaceError(
                    f"listing the space was given up: no further configuration that meets {constraints} was found in "
                    f"{_MAX_IN_VAIN} steps"
                )
            value: Any = next(levels[-1], _END)
            if value is _END:
                levels.pop()
                continue
            if value is not _ABSENT:
                at.choose(name, value)
            if len(levels) < len(self.order):
                levels.append(self._values(self.order[len(levels)], at, rng))
            elif all(c.holds(at.chosen) for c in self.linear):
                in_vain = 0
                yield dict(at.chosen)

    def _values(self, name: str, at: _Place, rng: np.random.Generator | None) -> Iterator[Any]:
        """The values of `name` to try next."""
        p = self.parameters[name]
        if not is_active(p, at.chosen):
            return iter((_ABSENT,))
        if name in self._free:
            if rng is None:
                return iter(self._listed[name]) if name in self._listed else map(p.nth, range(p.size or 0))
            if name not in self._parents:
                return iter((p.value_at(rng.random()),))
        within = self._left(name, at)
        turn = int(rng.random() * (within.stop - within.start)) if rng is not None else 0
        left: Iterable[int] = itertools.chain(within[turn:], within[:turn])
        for s in self._sums_of.get(name, ()):
            left = s.allowed(name, left, at.so_far[s])
        return map(p.nth, left)

    def _left(self, name: str, at: _Place) -> range:
        """Which values of `name`, counted from its first, leave the constraints on it a chance, given what was chosen
        before it: where few configurations are allowed, most of the space is never walked."""
        p = self.parameters[name]
        start, stop = 0, p.size or 0
        for c in self._rows_of.get(name, ()):
            assert not isinstance(p, Categorical)
            factor = c.coefficients[name]
            if id(c) in at.ends:
                least, slack = self._ends[id(c)]
                room: float | None = c.upper + c.tolerance + slack - (least + at.ends[id(c)] - _least(p, factor))
            else:
                room = self._room(c, name, at.chosen)
            if room is not None:
                first, end = _within(p, factor, room)
                start, stop = max(start, first), min(stop, end)
        return range(start, max(start, stop))

    @cached_property
    def _ends(self) -> dict[int, tuple[float, float]]:
        """By constraint on parameters that always exist: the least that its sum can be, and what rounding may add to it."""
        out = {}
        for c in self.linear:
            terms = [(p, f) for n, f in c.coefficients.items() if isinstance(p := self.parameters[n], Float | Int)]
            if not any(p.active_if for p, _ in terms):
                size = abs(c.upper) + sum(abs(f) * max(abs(p.low), abs(p.high)) for p, f in terms)
                out[id(c)] = sum(_least(p, f) for p, f in terms), 2e-12 * size
        return out

    def _room(self, c: LinearConstraint, name: str, chosen: Params) -> float | None:
        """The most that the term of `name` may be in `c`, on parameters with conditions, when the terms not chosen yet
        are as small as can be and rounding is forgiven; None where a parameter is inactive, or may be, and with it the
        constraint."""
        room, size = c.upper + c.tolerance, abs(c.upper)
        for other, factor in c.coefficients.items():
            if other == name:
                continue
            p = self.parameters[other]
            assert not isinstance(p, Categorical)
            if other in chosen:
                term = factor * chosen[other]
            elif is_active(p, chosen):
                term = _least(p, factor)
            else:
                return None
            room, size = room - term, size + abs(term)
        return room + 1e-12 * (size + abs(room))

    @cached_property
    def _parents(self) -> set[str]:
        return {parent for p in self.parameters.values() for parent in p.active_if}

    @cached_property
    def _sums(self) -> list[ExactSums]:
        return sums(self.linear, self.parameters, self.order)

    @cached_property
    def _sums_of(self) -> dict[str, list[ExactSums]]:
        return _by_name((name, s) for s in self._sums for name in s.weights)

    @cached_property
    def _rows_of(self) -> dict[str, list[LinearConstraint]]:
        """The constraints on each parameter, less those that a sum says more exactly."""
        told = {id(c) for s in self._sums for c in s.rows}
        return _by_name((name, c) for c in self.linear if id(c) not in told for name in c.coefficients)

    @cached_property
    def _free(self) -> set[str]:
        """The parameters that no constraint names."""
        return {name for name in self.order if name not in self._rows_of and name not in self._sums_of}

    @cached_property
    def _listed(self) -> dict[str, list[Any]]:
        """The values of the free ones that have few."""
        sizes = {name: self.parameters[name].size for name in self._free}
        return {name: list(self.parameters[name].values()) for name, size in sizes.items() if size and size <= 1000}


@dataclass(eq=False)
class _Place:
    """Where a walk is: what it has chosen, what that adds to each sum, and by how much the least that a constraint on
    parameters which always exist can end at has risen."""

    walk: Enumeration
    chosen: Params = field(default_factory=dict)
    so_far: dict[ExactSums, int] = field(init=False)
    ends: dict[int, float] = field(init=False)
    _before: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.so_far = dict.fromkeys(self.walk._sums, 0)
        self.ends = dict.fromkeys(self.walk._ends, 0.0)

    def choose(self, name: str, value: Value) -> None:
        self.chosen[name] = value
        for s in self.walk._sums_of.get(name, ()):
            self.so_far[s] += s.adds(name, value)
        rows, p = self._rows(name), self.walk.parameters[name]
        self._before[name] = [self.ends[id(c)] for c in rows]
        for c in rows:
            assert isinstance(value, int | float)
            assert not isinstance(p, Categorical)
            factor = c.coefficients[name]
            self.ends[id(c)] += factor * value - _least(p, factor)

    def forget(self, name: str) -> None:
        if name in self.chosen:
            value = self.chosen.pop(name)
            for s in self.walk._sums_of.get(name, ()):
                self.so_far[s] -= s.adds(name, value)
            for c, end in zip(self._rows(name), self._before.pop(name), strict=True):
                self.ends[id(c)] = end

    def _rows(self, name: str) -> list[LinearConstraint]:
        return [c for c in self.walk._rows_of.get(name, ()) if id(c) in self.ends]


def _least(p: Float | Int, factor: float) -> float:
    return factor * (p.low if factor > 0 else p.high)


def _by_name(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    out: dict[str, list[T]] = {}
    for name, item in pairs:
        out.setdefault(name, []).append(item)
    return out


def _within(p: Float | Int, factor: float, room: float) -> tuple[int, int]:
    """From which of the values of `p` on, and before which, `factor * value <= room`."""
    n = p.size or 0
    if factor * (p.high if factor > 0 else p.low) <= room:
        return 0, n
    fits, misses = (-1, n) if factor > 0 else (n, -1)
    while abs(fits - misses) > 1:
        k = (fits + misses) // 2
        fits, misses = (k, misses) if factor * p.nth(k) <= room else (fits, k)
    return (0, fits + 1) if factor > 0 else (fits, n)
