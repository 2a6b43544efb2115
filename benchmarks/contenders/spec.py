"""A problem as a peer sees it: read from the JSON of `hpo.problem.json_format`, with the standard library alone.

The workers of the peers run where this library is not installed, so this is a second, smaller reading of the format.
Peers call the values of a parameter many names; here each parameter has one axis, of one of three kinds, in whose terms
every adapter describes it: a `real` number, a `whole` number (also the index of a stepped value or of an ordered
choice), or a `choice` (the index of an unordered choice).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Params = dict[str, Any]
Kind = Literal["real", "whole", "choice"]


@dataclass(frozen=True)
class Axis:
    """The values `low..high` of a kind, bounds included; on a log scale where `log`."""

    kind: Kind
    low: float
    high: float
    log: bool = False

    @property
    def size(self) -> int | None:
        """Number of values; None for a continuum."""
        return None if self.kind == "real" else round(self.high - self.low) + 1

    def clipped(self, x: float) -> float:
        """The value of the axis nearest to `x`: a float where real, an int elsewhere."""
        inside = min(max(float(x), self.low), self.high)
        return inside if self.kind == "real" else round(inside)

    def at(self, u: float) -> float:
        """The value at `u` of [0, 1], whose ends are `low` and `high`; whole numbers are rounded."""
        u = min(max(u, 0.0), 1.0)
        if self.log:
            return self.clipped(self.low * math.exp(u * math.log(self.high / self.low)))
        return self.clipped(self.low + u * (self.high - self.low))

    def position(self, x: float) -> float:
        """Where `x` lies in [0, 1]: the inverse of `at`; 0 on an axis of one value."""
        if self.high == self.low:
            return 0.0
        if self.log:
            return math.log(x / self.low) / math.log(self.high / self.low)
        return (x - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Parameter:
    """One dimension. `low`, `high`, `log` and `step` for numbers, `choices` and `ordered` for a categorical."""

    name: str
    type: Literal["float", "int", "categorical"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    ordered: bool = False
    default: Any = None
    active_if: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def is_stepped(self) -> bool:
        """Whether the axis counts steps. A log scale cannot: there the step is met by snapping."""
        return self.step is not None and not self.log and not (self.type == "int" and self.step == 1)

    @cached_property
    def axis(self) -> Axis:
        """What the peers are shown."""
        if self.type == "categorical":
            return Axis("whole" if self.ordered and len(self.choices) > 1 else "choice", 0, len(self.choices) - 1)
        if self.is_stepped:
            assert self.step is not None
            return Axis("whole", 0, math.floor((self.high - self.low) / self.step * (1 + 1e-12) + 1e-9))
        return Axis("real" if self.type == "float" else "whole", self.low, self.high, self.log)

    def value(self, x: float) -> Any:
        """The value that stands at `x` of the axis, snapped: an int, a float or a choice."""
        x = self.axis.clipped(x)
        if self.type == "categorical":
            return self.choices[int(x)]
        if self.is_stepped:
            assert self.step is not None
            x = self.low + x * self.step
        if self.type == "float":
            # Nine significant digits, as in hpo.Float.snap: a peer's last bits make no new configuration.
            return min(max(float(f"{x:.9g}"), self.low), self.high)
        step = self.step or 1
        return int(min(self.low + round((x - self.low) / step) * step, self.high - (self.high - self.low) % step))

    def coordinate(self, value: Any) -> float:
        """Where a value stands on the axis: the inverse of `value`."""
        if self.type == "categorical":
            return next(float(i) for i, choice in enumerate(self.choices) if is_same(choice, value))
        if self.is_stepped:
            assert self.step is not None
            return float(round((value - self.low) / self.step))
        return float(value)

    @property
    def middle(self) -> Any:
        """The default, or the value in the middle."""
        return self.value(self.axis.at(0.5)) if self.default is None else self.default


@dataclass(frozen=True)
class Objective:
    """A metric to optimize, and the least value of interest."""

    name: str
    goal: Literal["maximize", "minimize"]
    threshold: float | None = None


@dataclass(frozen=True)
class Constraint:
    """A metric to keep within limits, inclusive."""

    name: str
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Spec:
    """Parameters and metrics. `source` is the JSON that they were read from."""

    parameters: tuple[Parameter, ...]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    source: Mapping[str, Any] = field(repr=False, compare=False)

    @cached_property
    def by_name(self) -> dict[str, Parameter]:
        """The parameters by name."""
        return {p.name: p for p in self.parameters}

    @cached_property
    def order(self) -> tuple[Parameter, ...]:
        """The parameters, parents before those they activate."""
        out: list[Parameter] = []
        while len(out) < len(self.parameters):
            known = {p.name for p in out}
            out += [p for p in self.parameters if p.name not in known and known.issuperset(p.active_if)]
        return tuple(out)

    @property
    def free(self) -> tuple[Parameter, ...]:
        """The parameters that have more than one value; some libraries take no others."""
        return tuple(p for p in self.parameters if p.axis.size != 1)

    @property
    def signs(self) -> tuple[float, ...]:
        """+1 for an objective that is minimized, -1 for one that is maximized: its factor on the way to a loss."""
        return tuple(1.0 if o.goal == "minimize" else -1.0 for o in self.objectives)

    @property
    def limits(self) -> tuple[tuple[str, float, float], ...]:
        """(metric, sign, limit) of every one-sided limit: met where `sign * (value - limit) <= 0`."""
        out: list[tuple[str, float, float]] = []
        for c in self.constraints:
            out += [(c.name, 1.0, c.upper)] if c.upper is not None else []
            out += [(c.name, -1.0, c.lower)] if c.lower is not None else []
        return tuple(out)

    def below(self, parent: Parameter) -> list[list[Parameter]]:
        """What libraries can hang below each choice of an unordered `parent`: the parameters that are active with that
        choice alone, whatever the rest. Empty lists for any other parameter."""

        def hangs(p: Parameter, choice: Any) -> bool:
            values = p.active_if.get(parent.name, ())
            return len(p.active_if) == len(values) == 1 and is_same(values[0], choice)

        choices = parent.choices if parent.axis.kind == "choice" else ()
        return [[p for p in self.parameters if hangs(p, choice)] for choice in choices]

    @cached_property
    def top(self) -> tuple[Parameter, ...]:
        """The parameters that hang `below` no other."""
        hung = {p.name for parent in self.parameters for ps in self.below(parent) for p in ps}
        return tuple(p for p in self.parameters if p.name not in hung)

    def is_active(self, parameter: Parameter, params: Mapping[str, Any]) -> bool:
        """Whether a parameter exists, given the values of its parents (absent parents are inactive)."""
        return all(
            parent in params and any(is_same(params[parent], v) for v in values)
            for parent, values in parameter.active_if.items()
        )

    def from_axes(self, point: Mapping[str, float]) -> Params:
        """The configuration at the coordinates of `point` (all names, or at least the active): snapped, without what
        is inactive, in the order of the space."""
        out: Params = {}
        for p in self.order:
            if self.is_active(p, out):
                out[p.name] = p.value(point[p.name])
        return {p.name: out[p.name] for p in self.parameters if p.name in out}

    def to_axes(self, params: Mapping[str, Any]) -> dict[str, float]:
        """The coordinates of a configuration, one for every parameter: the middle for those that are inactive."""
        return {p.name: p.coordinate(params.get(p.name, p.middle)) for p in self.parameters}

    def losses(self, values: Mapping[str, float]) -> list[float]:
        """The objectives as numbers to minimize, in their order."""
        return [sign * values[o.name] for sign, o in zip(self.signs, self.objectives, strict=True)]

    def excesses(self, values: Mapping[str, float]) -> list[float]:
        """How far each limit is exceeded, in the order of `limits`; not above 0 where it is met."""
        return [sign * (values[name] - limit) for name, sign, limit in self.limits]

    def is_feasible(self, values: Mapping[str, float]) -> bool:
        """Whether all limits, and the thresholds of the objectives, are met."""
        thresholds = [
            loss <= sign * o.threshold
            for loss, sign, o in zip(self.losses(values), self.signs, self.objectives, strict=True)
            if o.threshold is not None
        ]
        return all(thresholds) and all(excess <= 0 for excess in self.excesses(values))


def parse(source: Mapping[str, Any]) -> Spec:
    """The spec that the JSON of a problem describes, without what only this library takes: constraints between
    parameters, tracked metrics, units and descriptions."""
    parameters = tuple(
        Parameter(name, **{k: _value(k, v) for k, v in given.items() if k not in ("unit", "description")})
        for name, given in source["space"].items()
    )
    objectives = [m for m in source["metrics"] if m["role"] == "objective"]
    constraints = [m for m in source["metrics"] if m["role"] == "constraint"]
    return Spec(
        parameters,
        tuple(Objective(m["name"], m["goal"], m.get("threshold")) for m in objectives),
        tuple(Constraint(m["name"], m.get("lower"), m.get("upper")) for m in constraints),
        source,
    )


def is_same(a: object, b: object) -> bool:
    """Equality that keeps True apart from 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _value(key: str, given: Any) -> Any:
    return tuple(given) if key == "choices" else given
