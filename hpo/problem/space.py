"""Space: the joint domain of all parameters, with conditions and linear constraints.

Params are plain dicts that hold the active parameters only. The canonical form lists them in the order of the space
with their types made exact, so equal configurations are equal dicts.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.boundary.public import public, public_class
from hpo.common.frozen import Frozen
from hpo.common.scalars import brief
from hpo.errors import ParamsError, SpaceError, did_you_mean, listing
from hpo.problem.definition import (
    MAX_HINTS,
    given_parameters,
    parsed_constraints,
    sorted_by_condition,
    with_exact_conditions,
)
from hpo.problem.enumeration import Enumeration
from hpo.problem.fields import Value, is_active, is_set, same_value
from hpo.problem.linear_constraints import LinearConstraint
from hpo.problem.parameters import Categorical, Parameter
from hpo.problem.polytope import MAX_SECONDS, Polytope
from hpo.problem.shorthand import Given

Params = dict[str, Any]


@public_class
@dataclass(frozen=True)
class Space:
    """All parameters of a workflow by name, and linear inequalities between the numeric ones.

    A space cannot be changed. Equal spaces are equal, and have the same hash.

    Args:
        parameters: A mapping of name to `Float`, `Int` or `Categorical`, or to plain Python that is clear, such as `(1,
            8)`; the table above lists what. Dots in names mark stages of the workflow: `data.window`, `model.lr`.
        constraints: Inequalities as text, such as `"2*depth + width <= 40"` or `"1 <= a + b <= 2"`. One counts while
            all the parameters in it are active.

    Raises:
        SpaceError: The definition is invalid, or no configuration meets the constraints. It names every fault.

    Example:
        >>> import hpo
        >>> space = hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True), "layers": (1, 8)}, ["layers <= 6"])
        >>> space.names
        ('lr', 'layers')
        >>> space.fault({"lr": 0.01, "layers": 7})
        "'layers <= 6' does not hold"
    """

    parameters: Mapping[str, Parameter]
    """Given as Float, Int and Categorical, or as plain Python where that is clear: (1, 8), ["sgd", "adam"]; see
    `hpo.problem.shorthand`."""
    constraints: Sequence[str] = ()
    linear: tuple[LinearConstraint, ...] = field(init=False, repr=False, compare=False)
    order: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Names, parents before the parameters they activate."""

    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(self, parameters: Mapping[str, Given], constraints: str | Sequence[str] = ()) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.parameters, Mapping) or not self.parameters:
            raise SpaceError('a space is a non-empty mapping of name to parameter, like {"lr": Float(1e-5, 1e-1)}')
        given, faults = given_parameters(self.parameters)
        object.__setattr__(self, "parameters", Frozen(given))
        texts = [self.constraints] if isinstance(self.constraints, str) else self.constraints
        object.__setattr__(self, "constraints", tuple(texts))
        order, condition_faults = sorted_by_condition(self.parameters)
        linear, linear_faults = parsed_constraints(self.constraints, self.parameters)
        faults += condition_faults + linear_faults
        if faults:
            raise SpaceError(*faults)
        object.__setattr__(self, "parameters", Frozen(with_exact_conditions(self.parameters)))
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "linear", linear)
        if linear and not self._sample_box(rng := np.random.default_rng(0), 1, max(10, min(200, 100_000 // len(self)))):
            self._sample_polytope(rng, 1, n_vertices=1)

    # -- asking ---------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the definition."""
        return tuple(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[name]

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def is_finite(self) -> bool:
        """Whether there are finitely many configurations."""
        return all(p.size is not None for p in self.parameters.values())

    @property
    def has_defaults(self) -> bool:
        """Whether any parameter states its value in production."""
        return any(map(is_set, self.parameters.values()))

    def is_active(self, name: str, params: Mapping[str, object]) -> bool:
        """Whether `name` exists, given the values of its parents in `params` (absent parents are inactive)."""
        return is_active(self.parameters[name], params)

    def fault(self, params: Mapping[str, object]) -> str | None:
        """Everything wrong with `params`, or None: unknown, missing, inactive, out of range, constraint broken."""
        unknown = [name for name in params if name not in self.parameters]
        faults = [
            f"unknown parameter {brief(name)} (have: {listing(self.names)})"
            + (f".{hint}" if i < MAX_HINTS and (hint := did_you_mean(str(name), self.names)) else "")
            for i, name in enumerate(unknown)
        ]
        seen: Params = {}
        for name in self.order:
            active = self.is_active(name, seen)
            if name in params and not active:
                faults.append(f"{name} is inactive here: it needs {_condition_words(self.parameters[name])}")
            elif active and name not in params:
                faults.append(f"missing parameter {name!r}")
            elif active:
                p, seen[name] = self.parameters[name], params[name]
                if wrong := p.fault(params[name]):
                    faults.append(f"{name}={brief(params[name])} {wrong}")
                else:
                    seen[name] = p.canonical(params[name])
        if not faults:
            faults = [f"{c.text!r} does not hold" for c in self.linear if not c.holds(seen)]
        return "; ".join(faults) or None

    def contains(self, params: Mapping[str, object]) -> bool:
        """Whether `params` is a configuration of this space."""
        return self.fault(params) is None

    @public
    def canonical(self, params: Mapping[str, object]) -> Params:
        """`params` in canonical form. Raises ParamsError naming every fault."""
        if fault := self.fault(params):
            given = listing(f"{name!r}: {brief(value)}" for name, value in params.items())
            raise ParamsError(f"params {{{given}}}: {fault}")
        return {name: self.parameters[name].canonical(params[name]) for name in self.names if name in params}

    def snapped(self, params: Mapping[str, object]) -> Params:
        """Complete `params` (values for all names) with each value snapped, and inactive parameters dropped.

        Linear constraints are not looked at.
        """
        out: Params = {}
        for name in self.order:
            if self.is_active(name, out):
                p, value = self.parameters[name], params[name]
                out[name] = value if isinstance(p, Categorical) else p.snap(value)  # type: ignore[arg-type]
        return self._in_order(out)

    def _in_order(self, params: Params) -> Params:
        return {name: params[name] for name in self.names if name in params}

    # -- walking --------------------------------------------------------------------------------------------------

    def at(self, u: Iterable[float]) -> Params:
        """The configuration at position `u [len(space)]` of the unit cube, one coordinate a parameter in the order of
        the space. Linear constraints are not looked at."""
        out: Params = {}
        position = dict(zip(self.names, u, strict=True))
        for name in self.order:
            if self.is_active(name, out):
                out[name] = self.parameters[name].value_at(float(position[name]))
        return self._in_order(out)

    def start(self) -> Params:
        """The configuration in production: the defaults, and the middle of each parameter that has none. Where this
        breaks a linear constraint, the nearest (of many) configurations that does not."""
        return dict(self._start)

    @cached_property
    def _start(self) -> Params:
        middle = {name: p.default if is_set(p) else p.value_at(0.5) for name, p in self.parameters.items()}
        params = self.snapped(middle)
        if all(c.holds(params) for c in self.linear):
            return params
        candidates = self.sample(np.random.default_rng(0), 256)

        def distance(candidate: Params) -> float:
            return sum(
                1.0 if (a in candidate) != (a in params) else self._gap(a, candidate[a], params[a])
                for a in self.names
                if a in candidate or a in params
            )

        return min(candidates, key=distance)

    @public
    def sample(self, rng: np.random.Generator, n: int) -> list[Params]:
        """Draw `n` configurations uniformly (log-uniformly on log scales) from those the constraints allow.

        Where the constraints allow less than a fiftieth of the space, draws are mixtures of vertices of the allowed
        polytope.

        Args:
            rng: Where the randomness comes from.
            n: How many.

        Raises:
            SpaceError: No configuration meets the constraints.
        """
        out = self._sample_box(rng, n)
        if len(out) < n:
            out += self._sample_polytope(rng, n - len(out))
        return out

    def enumerate(self) -> Iterator[Params]:
        """Every configuration of a finite space, each once, inactive parameters dropped. Raises SpaceError for other
        spaces, and where constraints leave so little that listing on and on finds nothing more."""
        if not self.is_finite:
            raise SpaceError("the space has a continuous parameter; its configurations cannot be listed")
        return map(self._in_order, self._walk.configurations())

    def size(self, most: int) -> int | None:
        """The number of configurations, or None if there are too many to say.

        Args:
            most: The most that are counted. None is returned for more, for infinitely many, and where counting takes
                too long.
        """
        if not self.is_finite or self._walk.at_least(most) > most:
            return None
        try:
            count = sum(1 for _ in itertools.islice(self.enumerate(), most + 1))
        except SpaceError:
            return None
        return count if count <= most else None

    @cached_property
    def _walk(self) -> Enumeration:
        return Enumeration(self.parameters, self.order, self.linear)

    def _sample_box(self, rng: np.random.Generator, n: int, patience: int = 200) -> list[Params]:
        """Up to `n` draws, as many as the constraints allow within `patience` tries, and 50 more for each."""
        out: list[Params] = []
        tries = 0
        while len(out) < n and tries < patience + 50 * len(out):
            tries += 1
            params = self.at(rng.random(len(self)))
            if all(c.holds(params) for c in self.linear):
                out.append(params)
        return out

    # -- building -------------------------------------------------------------------------------------------------

    def _gap(self, name: str, a: Value, b: Value) -> float:
        p = self.parameters[name]
        if isinstance(p, Categorical) and not p.ordered:
            return float(not same_value(a, b))
        return abs(p.position(a) - p.position(b))  # type: ignore[arg-type]

    def _sample_polytope(self, rng: np.random.Generator, n: int, n_vertices: int | None = None) -> list[Params]:
        """Draws for spaces where rejection fails: a random branch of the discrete choices, then a random mixture of
        vertices of what the constraints allow there, of which `n_vertices` are looked for a draw. Where vertices are too
        hard to find, walks in random order. Raises SpaceError."""
        out: list[Params] = []
        polytopes: dict[tuple[object, ...], Polytope] = {}
        parents = {parent for p in self.parameters.values() for parent in p.active_if}
        until = time.monotonic() + 2.0 * MAX_SECONDS
        for _ in range(20 * n + 20):
            if len(out) == n or time.monotonic() > until:
                break
            params = self.at(rng.random(len(self)))
            rows = [c for c in self.linear if all(name in params for name in c.coefficients)]
            names = list({name: None for c in rows for name in c.coefficients})
            branch = (*(c.text for c in rows), *(params[name] for name in names if name in parents))
            if branch not in polytopes:
                polytopes[branch] = self._polytope(rows, names, {n: params[n] for n in names if n in parents})
            if polytopes[branch].is_spent and self._walk.is_possible:
                out += map(self._in_order, itertools.islice(self._walk.draws(rng), n - len(out)))
                break
            for x in polytopes[branch].draw(rng, n_vertices):
                candidate = self.snapped({**self._middle(), **params, **dict(zip(names, x.tolist(), strict=True))})
                if all(c.holds(candidate) for c in self.linear):
                    out.append(candidate)
                    break
        if len(out) < n:
            if out:
                return [out[i % len(out)] for i in range(n)]
            is_open = any(p.is_spent for p in polytopes.values())
            ending = "; looking was given up for the time it takes: loosen or simplify them" if is_open else ""
            raise SpaceError(f"no configuration found that meets {self._named_constraints()}{ending}")
        return out

    def _named_constraints(self) -> str:
        return listing(map(brief, self.constraints))

    def _polytope(self, rows: Sequence[LinearConstraint], names: Sequence[str], fixed: Params) -> Polytope:
        """What `rows` allow of the parameters `names`, some of them `fixed`."""
        numbers = [p for name in names if not isinstance(p := self.parameters[name], Categorical)]
        ends = [(fixed.get(name, p.low), fixed.get(name, p.high)) for name, p in zip(names, numbers, strict=True)]
        low, high = np.array(ends, dtype=float).reshape(-1, 2).T
        return Polytope(
            low,
            high,
            unit=np.array([getattr(p, "step", None) or 1.0 for p in numbers]),
            is_whole=np.array([p.size is not None for p in numbers]),
            matrix=np.array([[c.coefficients.get(name, 0.0) for name in names] for c in rows]),
            limit=np.array([c.upper for c in rows]),
        )

    def _middle(self) -> Params:
        return {name: p.value_at(0.5) for name, p in self.parameters.items()}


def _condition_words(p: Parameter) -> str:
    return " and ".join(f"{parent} in {list(values)!r}" for parent, values in p.active_if.items())


_AS_KEY = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def key(params: Mapping[str, object]) -> str:
    """Equal for equal configurations: canonical params as JSON with sorted names (and -0.0 as 0.0)."""
    plain = {name: 0.0 if value == 0 and type(value) is float else value for name, value in params.items()}
    return _AS_KEY(plain)
