"""The definition of a space: what is given, read and checked. Faults are collected, so that all are told at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from hpo.common.scalars import brief
from hpo.common.text import forbidden
from hpo.errors import SpaceError, did_you_mean, listing
from hpo.problem.linear_constraints import LinearConstraint, parse
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.shorthand import Given, parameter

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
MAX_HINTS = 20
"""So many unknown names of one message get a similar name as a hint: each costs a walk through all names."""

Parameters = Mapping[str, Parameter]


def given_parameters(given: Mapping[str, Given]) -> tuple[dict[str, Parameter], list[str]]:
    """The parameters by name, and what is wrong with names and values."""
    parameters: dict[str, Parameter] = {}
    faults = []
    for name, value in given.items():
        if isinstance(name, str) and (fault := forbidden(name)):
            faults.append(f"parameter name {brief(name)} {fault}")
        elif not isinstance(name, str) or not _NAME.fullmatch(name):
            faults.append(
                f"parameter name {brief(name)} is not letters, digits and underscores, with dots between stages"
            )
        try:
            parameters[name] = parameter(value)
        except SpaceError as error:
            faults += [f"parameter {brief(name)}: {problem}" for problem in error.problems]
    return parameters, faults


def sorted_by_condition(parameters: Parameters) -> tuple[tuple[str, ...], list[str]]:
    """Names, parents before the parameters they activate and otherwise as given; and what is wrong with conditions."""
    if faults := _condition_faults(parameters):
        return (), faults
    waits_for = {name: len(p.active_if) for name, p in parameters.items()}
    children: dict[str, list[str]] = {name: [] for name in parameters}
    for name, p in parameters.items():
        for parent in p.active_if:
            children[parent].append(name)
    place = {name: i for i, name in enumerate(parameters)}
    order: list[str] = []
    ready = [name for name, n in waits_for.items() if not n]
    while ready:  # those without parents, then those whose parents are among them, and so on
        order += ready
        freed: list[str] = []
        for child in (child for name in ready for child in children[name]):
            waits_for[child] -= 1
            if not waits_for[child]:
                freed.append(child)
        ready = sorted(freed, key=place.__getitem__)
    if loop := [name for name, n in waits_for.items() if n]:
        return (), [f"the conditions of {listing(map(repr, loop))} wait for one another"]
    return tuple(order), []


def _condition_faults(parameters: Parameters) -> list[str]:
    faults: list[str] = []
    for name, p in parameters.items():
        for parent, values in p.active_if.items():
            other = parameters.get(parent)
            if other is None:
                hint = did_you_mean(parent, parameters) if len(faults) < MAX_HINTS else ""
                faults.append(f"parameter {name!r}: active_if names {brief(parent)}, which is no parameter.{hint}")
            elif isinstance(other, Float):
                faults.append(f"parameter {name!r}: active_if needs a Categorical or Int, {parent!r} is a Float")
            else:
                faults += [
                    f"parameter {name!r}: active_if[{parent!r}] lists {brief(v)}, which {fault}"
                    for v in values
                    if (fault := other.fault(v))
                ]
    return faults


def with_exact_conditions(parameters: Parameters) -> dict[str, Parameter]:
    """The parameters, with the values of their conditions written as the parents hold them: 3 for 3.0."""
    out = {}
    for name, p in parameters.items():
        exact = {n: tuple(map(parameters[n].canonical, values)) for n, values in p.active_if.items()}
        out[name] = p if repr(exact) == repr(p.active_if) else replace(p, active_if=exact)
    return out


def parsed_constraints(texts: Iterable[str], parameters: Parameters) -> tuple[tuple[LinearConstraint, ...], list[str]]:
    """The inequalities, with what rounding may add to their sums; and what is wrong with their texts."""
    linear: list[LinearConstraint] = []
    faults: list[str] = []
    for text in texts:
        try:
            parsed = parse(text)
        except SpaceError as error:
            faults += error.problems
            continue
        for name in {n: None for c in parsed for n in c.coefficients}:
            if name not in parameters:
                hint = did_you_mean(name, parameters) if len(faults) < MAX_HINTS else ""
                faults.append(f"constraint {text!r} names {name!r}, which is no parameter.{hint}")
            elif isinstance(parameters[name], Categorical):
                faults.append(f"constraint {text!r} names {name!r}, a Categorical; only numbers can be added")
        for c in parsed:
            linear.append(replace(c, tolerance=_tolerance(c, parameters)))
            if not math.isfinite(linear[-1].tolerance):
                faults.append(f"constraint {brief(text)} has sums beyond the largest 64-bit float, about 1.8e308")
    return tuple(linear), faults


def _tolerance(c: LinearConstraint, parameters: Parameters) -> float:
    """What rounding may add to a sum: the last digit that is kept of Floats, and that of sums of whole numbers."""
    named = [(abs(factor), parameters.get(name)) for name, factor in c.coefficients.items()]
    sizes = [(f * max(abs(p.low), abs(p.high)), p) for f, p in named if isinstance(p, Float | Int)]
    rounded = sum(size for size, p in sizes if isinstance(p, Float))
    total = sum(size for size, _ in sizes)
    return 1e-9 * rounded + 1e-12 * max(abs(c.upper), total) if math.isfinite(total + abs(c.upper)) else math.inf
