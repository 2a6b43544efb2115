"""Configurations as points of a box, for libraries that know nothing but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.contenders.spec import Parameter, Params, Spec


def top(p: Parameter) -> float:
    """The upper end of a column, whose lower end is 0: 1 for a number, the last index of an unordered choice."""
    return p.axis.high if p.axis.kind == "choice" else 1.0


def encoded(spec: Spec, params: Mapping[str, Any]) -> list[float]:
    """`params` in the box, a column for each parameter that has more than one value: numbers by their position in
    [0, 1], choices by their index; what is inactive stands at its middle."""
    axes = spec.to_axes(params)
    return [axes[p.name] if p.axis.kind == "choice" else p.axis.position(axes[p.name]) for p in spec.free]


def decoded(spec: Spec, row: Sequence[float]) -> Params:
    """The configuration nearest to a point of the box: numbers and choices are snapped, what is inactive is dropped."""
    point = {p.name: p.axis.low for p in spec.parameters}
    for p, x in zip(spec.free, row, strict=True):
        point[p.name] = p.axis.clipped(x) if p.axis.kind == "choice" else p.axis.at(x)
    return spec.from_axes(point)


def from_unit(spec: Spec, row: Sequence[float]) -> list[float]:
    """A point of the unit cube in the box: every choice has an equal share of its side."""
    return [
        min(int(u * (p.axis.size or 1)), p.axis.high) if p.axis.kind == "choice" else u
        for p, u in zip(spec.free, row, strict=True)
    ]


def values(p: Parameter) -> list[float]:
    """The values of a discrete parameter in its column; none for a continuum."""
    steps = [p.axis.low + i for i in range(p.axis.size or 0)]
    return steps if p.axis.kind == "choice" else [p.axis.position(x) for x in steps]
