"""Problem, metrics and measurements <-> plain JSON values. The only place that knows the file format."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hpo.common.text import stored_names
from hpo.errors import SettingsError, StorageError, did_you_mean, listing
from hpo.problem.fields import describe
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Constraint, Metric, Objective, Tracked
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.problem import Problem
from hpo.problem.space import Space

FORMAT = 1
"""Written into every definition; a reader refuses a larger one."""

PARAMETER_TYPES: Mapping[str, type[Parameter]] = {"float": Float, "int": Int, "categorical": Categorical}
METRIC_TYPES: Mapping[str, type[Metric]] = {"objective": Objective, "constraint": Constraint, "tracked": Tracked}


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """The definition as JSON values; `problem_from_json` gives an equal problem back."""
    return {
        "format": FORMAT,
        "space": {name: parameter_to_json(p) for name, p in problem.space.parameters.items()},
        "constraints": list(problem.space.constraints),
        "metrics": [metric_to_json(m) for m in problem.metrics],
    }


def problem_from_json(data: Mapping[str, Any]) -> Problem:
    """The problem that `problem_to_json` wrote. Raises StorageError for a later format."""
    if data.get("format", 0) > FORMAT:
        raise StorageError(f"the definition has format {data['format']}; this version reads up to {FORMAT}")
    with stored_names():
        parameters = {name: parameter_from_json(p, f"space.{name}") for name, p in data["space"].items()}
        return Problem(Space(parameters, data["constraints"]), [metric_from_json(m) for m in data["metrics"]])


def parameter_to_json(p: Parameter) -> dict[str, Any]:
    """`{"type": "float", "low": ..., ...}` without the fields that hold their default."""
    return {"type": type(p).__name__.lower(), **describe(p)}


def parameter_from_json(data: Mapping[str, Any], where: str = "parameter") -> Parameter:
    """The parameter a table describes. Raises SettingsError naming the key at fault below `where`."""
    parameter: Parameter = _built(PARAMETER_TYPES, data, "type", where)
    return parameter


def metric_to_json(metric: Metric) -> dict[str, Any]:
    """`{"role": "objective", "name": ..., ...}` without the fields that hold their default."""
    fields = {f.name: getattr(metric, f.name) for f in dataclasses.fields(metric)}
    defaults = {f.name: f.default for f in dataclasses.fields(metric)}
    kept = {name: value for name, value in fields.items() if name in ("name", "goal") or value != defaults[name]}
    return {"role": type(metric).__name__.lower(), **kept}


def metric_from_json(data: Mapping[str, Any], where: str = "metric") -> Metric:
    """The metric a table describes. Raises SettingsError naming the key at fault below `where`."""
    metric: Metric = _built(METRIC_TYPES, data, "role", where)
    return metric


def measurements_to_json(values: Mapping[str, Measurement]) -> dict[str, list[float | None]]:
    """`{name: [value, sem or null]}`."""
    return {name: [m.value, m.sem] for name, m in values.items()}


def measurements_from_json(data: Mapping[str, Any]) -> dict[str, Measurement]:
    """The inverse of `measurements_to_json`."""
    return {name: Measurement(value, sem) for name, (value, sem) in data.items()}


def _built(types: Mapping[str, type[Any]], data: Mapping[str, Any], discriminator: str, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise SettingsError(f"{where}: expected a table with a {discriminator!r}, got {data!r}")
    given = str(data.get(discriminator))
    if given not in types:
        hint = did_you_mean(given, types)
        raise SettingsError(f"{where}.{discriminator}: {given!r} is not one of {listing(map(repr, types))}.{hint}")
    cls = types[given]
    known = {f.name: f for f in dataclasses.fields(cls)}
    fields = {k: v for k, v in data.items() if k != discriminator}
    for name in fields:
        if name not in known:
            hint = did_you_mean(name, known)
            raise SettingsError(
                f"{where}.{name}: no such key for {discriminator} {given!r} (have: {listing(known)}).{hint}"
            )
    for name, f in known.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in fields:
            raise SettingsError(f"{where}: {discriminator} {given!r} needs {name!r}")
    try:
        return cls(**fields)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error
