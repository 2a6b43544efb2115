"""Configurations as points of the unit cube, for libraries that know nothing but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.contenders.spec import Params, Spec


def n_columns(spec: Spec) -> int:
    """Columns of the encoding: one a number, one a choice of each unordered categorical."""
    return sum(p.axis.size or 1 if p.axis.kind == "choice" else 1 for p in spec.parameters)


def encoded(spec: Spec, params: Mapping[str, Any]) -> list[float]:
    """`params` in the unit cube `[n_columns]`: numbers by their position, choices one-hot; what is inactive stands at its
    middle."""
    row: list[float] = []
    for p, x in zip(spec.parameters, spec.to_axes(params).values(), strict=True):
        if p.axis.kind == "choice":
            row += [float(i == x) for i in range(p.axis.size or 1)]
        else:
            row.append(p.axis.position(x))
    return row


def decoded(spec: Spec, row: Sequence[float]) -> Params:
    """The configuration nearest to a point of the unit cube `[n_columns]`: numbers are snapped, the largest of a choice's
    columns wins, what is inactive is dropped."""
    point: dict[str, float] = {}
    columns = iter(row)
    for p in spec.parameters:
        if p.axis.kind == "choice":
            heights = [next(columns) for _ in range(p.axis.size or 1)]
            point[p.name] = heights.index(max(heights))
        else:
            point[p.name] = p.axis.at(next(columns))
    return spec.from_axes(point)
