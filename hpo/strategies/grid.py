"""Grid search: every combination of a few values per parameter, in order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.boundary.public import public_class
from hpo.common.frozen import Frozen
from hpo.common.scalars import whole
from hpo.errors import SettingsError, SpaceExhausted, did_you_mean, listing
from hpo.problem.fields import Value
from hpo.problem.parameters import Parameter
from hpo.problem.space import Params, Space
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion, distinct


@public_class
@dataclass(frozen=True)
class Grid:
    """Grid search: every combination of a few values of each parameter. It ends with SpaceExhausted.

    Exactly one of the two arguments is given.

    Args:
        levels: How many values each parameter takes: one number for all, or a mapping by name; a parameter that is not
            named takes one. The values are evenly spaced, with half a cell free at both ends.
        budget: The most configurations. The largest grid is used that fits; each parameter gets its second value before
            any gets its third.

    Raises:
        SettingsError: Both or none are given, a number is below 1, or the space has no such parameter.

    Example:
        >>> import hpo
        >>> space = hpo.Space({"x": (0.0, 1.0), "y": (0.0, 1.0)})
        >>> [tuple(params.values()) for params in hpo.strategies.Grid(levels=2).points(space)]
        [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]
    """

    levels: int | Mapping[str, int] | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        if (self.levels is None) == (self.budget is None):
            raise SettingsError("a Grid takes either levels or budget, like Grid(levels=3) or Grid(budget=30)")
        if isinstance(self.levels, Mapping):
            levels = {name: at_least_one(f"levels[{name!r}]", k) for name, k in self.levels.items()}
            object.__setattr__(self, "levels", Frozen(levels))
        else:
            what = "levels" if self.budget is None else "budget"
            object.__setattr__(self, what, at_least_one(what, getattr(self, what)))

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """See Strategy.suggest."""
        levels = self.levels_of(history.problem.space)
        points = distinct(self.points(history.problem.space), history.taken, n)
        if not points:
            raise SpaceExhausted(f"the grid of {' x '.join(map(str, levels.values()))} has been tried")
        return [Suggestion(params, {"role": "explore", "how": "next point of the grid"}) for params in points]

    def levels_of(self, space: Space) -> dict[str, int]:
        """How many values each parameter takes."""
        most = {name: p.size or 10**9 for name, p in space.parameters.items()}
        if self.budget is None:
            given = self.levels if isinstance(self.levels, Mapping) else dict.fromkeys(space.names, self.levels or 1)
            for name in given:
                if name not in space.names:
                    known = f"(have: {listing(space.names)}).{did_you_mean(name, space.names)}"
                    raise SettingsError(f"the levels of the Grid name {name!r}, which is no parameter {known}")
            return {name: min(given.get(name, 1), most[name]) for name in space.names}
        levels = dict.fromkeys(space.names, 1)
        while True:
            for name in sorted(space.names, key=lambda x: levels[x]):
                grown = {**levels, name: levels[name] + 1}
                if levels[name] < most[name] and math.prod(grown.values()) <= self.budget:
                    levels = grown
                    break
            else:
                return levels

    def points(self, space: Space) -> Iterator[Params]:
        """The grid's configurations, the last parameter moving fastest; conditions may make neighbors equal."""
        start = space.start()
        axes = [
            spread(p, k, start.get(name))
            for (name, p), k in zip(space.parameters.items(), self.levels_of(space).values(), strict=True)
        ]
        for values in itertools.product(*axes):
            params = space.snapped(dict(zip(space.names, values, strict=True)))
            if all(c.holds(params) for c in space.linear):
                yield params


def at_least_one(what: str, given: object) -> int:
    """A whole number of any library as an int. Raises SettingsError unless it is at least 1."""
    k = whole(given)
    if k is None or k < 1:
        is_list = isinstance(given, Sequence) and not isinstance(given, str)
        hint = ": it says how many values. The values themselves belong into the space, as choices" if is_list else ""
        raise SettingsError(f"{what}={given!r} is not a whole number of at least 1{hint}")
    return k


def spread(p: Parameter, k: int, middle: Value = None, shift: float = 0.0) -> list[Value]:
    """`k` values of `p`, at the middles of `k` equal cells moved by `shift` cells (wrapping round); a single value is
    the one in production."""
    if k == 1 and middle is not None:
        return [middle]
    values = [p.value_at(((i + 0.5 + shift) / k) % 1.0) for i in range(k)]
    return list(dict.fromkeys(values))
