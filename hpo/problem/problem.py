"""Problem: a space and the metrics measured on it, checked together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.boundary.public import public, public_class
from hpo.errors import MetricError, NotFound, SpaceError, did_you_mean, listing
from hpo.problem.fields import describe
from hpo.problem.metrics import Constraint, Metric, Objective, Tracked
from hpo.problem.space import Space


@public_class
@dataclass(frozen=True)
class Problem:
    """What is to be solved: one joint space, and the metrics measured on it.

    Without an objective, the aim is any configuration that meets every constraint. A problem cannot be changed. Equal
    problems are equal, and have the same hash.

    Args:
        space: The parameters.
        metrics: Any number of `Objective`, `Constraint` and `Tracked`, with at least one of the first two.

    Raises:
        MetricError: A name stands twice, or there is nothing to aim at.
        SpaceError: `space` is no Space.

    Example:
        >>> import hpo
        >>> space = hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True)})
        >>> problem = hpo.Problem(space, [hpo.Objective("accuracy"), hpo.Constraint("size_kb", upper=100, unit="kB")])
        >>> [metric.name for metric in problem.limited]
        ['size_kb']
    """

    space: Space
    metrics: Sequence[Metric]

    def __post_init__(self) -> None:
        if not isinstance(self.space, Space):
            hint = "; put its parameters into one: Space({...})" if isinstance(self.space, Mapping) else ""
            hint = "; the space comes first: Problem(space, metrics)" if isinstance(self.metrics, Space) else hint
            raise SpaceError(f"a problem needs a Space, got {self.space!r}{hint}")
        metrics = [self.metrics] if isinstance(self.metrics, Objective | Constraint | Tracked | str) else self.metrics
        object.__setattr__(self, "metrics", tuple(metrics))
        faults: list[str] = []
        for m in self.metrics:
            if not isinstance(m, Objective | Constraint | Tracked):
                faults.append(f"{m!r} is no metric; use Objective, Constraint or Tracked{_like(m)}")
        names = [m.name for m in self.metrics if not faults]
        faults += [f"metric {name!r} is defined twice" for name in dict.fromkeys(names) if names.count(name) > 1]
        if not faults and not (self.objectives or self.constraints):
            faults.append('a problem needs something to aim at, like Objective("accuracy", goal="maximize")')
        if faults:
            raise MetricError(*faults)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The metrics to optimize."""
        return tuple(m for m in self.metrics if isinstance(m, Objective))

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The metrics to keep within limits."""
        return tuple(m for m in self.metrics if isinstance(m, Constraint))

    @property
    def limited(self) -> tuple[Objective | Constraint, ...]:
        """The metrics that decide feasibility: constraints, and objectives with a threshold."""
        return tuple(m for m in self.metrics if not isinstance(m, Tracked) and m.limits != (None, None))

    @public
    def metric(self, name: str) -> Metric:
        """The metric of this name. Raises NotFound."""
        for m in self.metrics:
            if m.name == name:
                return m
        names = [m.name for m in self.metrics]
        raise NotFound(f"no metric {name!r} (have: {listing(names)}).{did_you_mean(name, names)}")

    def with_metric(self, metric: Metric) -> Problem:
        """A copy in which `metric` replaces the one of the same name."""
        return dataclasses.replace(self, metrics=tuple(metric if m.name == metric.name else m for m in self.metrics))

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that are equal for equal definitions, on every machine."""
        text = json.dumps(self.fields(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def fields(self) -> dict[str, Any]:
        """The definition as plain nested values, defaults left out: what `hash` and `differences` compare."""
        return {
            "space": {name: {"type": type(p).__name__, **describe(p)} for name, p in self.space.parameters.items()},
            "constraints": list(self.space.constraints),
            "metrics": {m.name: {"role": type(m).__name__, **_set_fields(m)} for m in self.metrics},
        }

    def differences(self, given: Problem) -> list[str]:
        """One line per field in which `given` differs from this, the stored, definition."""
        return list(_differences(self.fields(), given.fields()))


def _like(given: object) -> str:
    return f": Objective({given!r})" if isinstance(given, str) else ""


def _set_fields(metric: Metric) -> dict[str, Any]:
    return {
        f.name: getattr(metric, f.name)
        for f in dataclasses.fields(metric)
        if f.name != "name" and (f.name == "goal" or getattr(metric, f.name) != f.default)
    }


def _differences(stored: dict[str, Any], given: dict[str, Any]) -> Iterator[str]:
    for section, noun in (("space", "parameter"), ("metrics", "metric")):
        old, new = stored[section], given[section]
        for name in dict.fromkeys((*old, *new)):
            if name not in new:
                yield f"{noun} {name!r}: stored, not given"
            elif name not in old:
                yield f"{noun} {name!r}: given, not stored"
            else:
                for key in dict.fromkeys((*old[name], *new[name])):
                    a, b = old[name].get(key), new[name].get(key)
                    if _text(a) != _text(b):
                        yield f"{name}.{key}: {_both(a, b)}"
    if stored["constraints"] != given["constraints"]:
        yield f"constraints: {_both(stored['constraints'], given['constraints'])}"


def _text(value: object) -> str:
    """Tells True from 1 and 1 from 1.0, which are other values to a training and equal to Python."""
    return json.dumps(value, sort_keys=True)


def _both(stored: object, given: object) -> str:
    a, b = _words(stored), _words(given)
    if a == b:  # 1 and "1" are the same word
        a, b = _text(stored), _text(given)
    return f"stored {a}, given {b}"


def _words(value: object) -> str:
    if isinstance(value, str) or value is None:
        return "nothing" if value is None else value
    if isinstance(value, Iterable) and not isinstance(value, dict):
        return ", ".join(map(str, value)) or "nothing"
    return str(value)
