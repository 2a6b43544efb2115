"""What is measured: Objective, Constraint, Tracked metrics, a Measurement, and the one decision of what is feasible.

A metric is a contract: name, direction or limits, unit, description, owner. Results are checked against it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hpo.boundary import public_class
from hpo.errors import MetricError, MissingMetric, NotANumber, NotFinite, UnknownMetric, did_you_mean, listing
from hpo.scalars import is_finite, plain

Goal = Literal["maximize", "minimize"]


@public_class
@dataclass(frozen=True)
class Measurement:
    """One measured number. `sem` is its standard error in the same unit, when known: 0 says exact."""

    value: float
    sem: float | None = None


@public_class
@dataclass(frozen=True)
class Objective:
    """A metric to optimise. `threshold` is the least value of interest, inclusive, in the metric's unit: a trial that
    misses it is not feasible, and with several objectives it is the reference point's component."""

    name: str
    goal: Goal = "maximize"
    threshold: float | None = field(default=None, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)
    owner: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.goal not in ("maximize", "minimize"):
            raise MetricError(f"objective {self.name!r}: {_no_goal(self.goal)}")
        _number_or_none(self, "threshold")

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """(lower, upper), inclusive; None where there is none."""
        return (self.threshold, None) if self.goal == "maximize" else (None, self.threshold)


@public_class
@dataclass(frozen=True)
class Constraint:
    """A metric that must stay within limits: `lower <= value <= upper`, either or both, inclusive, in its unit."""

    name: str
    lower: float | None = field(default=None, kw_only=True)
    upper: float | None = field(default=None, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)
    owner: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        _number_or_none(self, "lower")
        _number_or_none(self, "upper")
        if self.lower is None and self.upper is None:
            raise MetricError(
                f"constraint {self.name!r} has no limit. Give lower=, upper= or both, or use Tracked({self.name!r})"
            )
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise MetricError(
                f"constraint {self.name!r}: lower={self.lower:g} is above upper={self.upper:g}; did you swap them?"
            )

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """(lower, upper), inclusive; None where there is none."""
        return self.lower, self.upper


@public_class
@dataclass(frozen=True)
class Tracked:
    """A metric that is stored and shown, never optimised, and may be absent. `business=True` marks the number that
    matters in the end; `goal` says which way it should go."""

    name: str
    goal: Goal = "maximize"
    business: bool = field(default=False, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)
    owner: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.goal not in ("maximize", "minimize"):
            raise MetricError(f"tracked metric {self.name!r}: {_no_goal(self.goal)}")

    @property
    def limits(self) -> tuple[None, None]:
        """A tracked metric has no limits."""
        return None, None


Metric = Objective | Constraint | Tracked
Result = float | Measurement
"""What a caller may report for one metric."""
Results = Mapping[str, Result] | Result
"""What a caller may report for a trial: results by the names of the metrics; one alone where one metric is required."""


def by_name(metrics: Sequence[Metric], results: Results) -> Mapping[str, Result]:
    """`results` as a mapping: one alone belongs to the one required metric. Where several are required, and for what is no
    number, raises nothing and hands `results` back, for `checked_result` to refuse."""
    required = [m.name for m in metrics if not isinstance(m, Tracked)]
    is_alone = isinstance(results, Measurement) or is_number(results)
    return {required[0]: results} if is_alone and len(required) == 1 else results  # type: ignore[dict-item, return-value]


def is_number(value: object) -> bool:
    """Whether `value` is a number, of whatever library: no text, no truth value, no array with dimensions."""
    number = plain(value)
    return not isinstance(number, bool | complex) and (isinstance(number, numbers.Real) or _is_scalar_array(number))


def shortfall(metric: Metric, value: float) -> float:
    """How far `value` misses the metric's limits, in its unit; 0 when it meets them (equality meets)."""
    lower, upper = metric.limits
    below = lower - value if lower is not None else 0.0
    above = value - upper if upper is not None else 0.0
    return max(below, above, 0.0)


def is_feasible(metrics: Sequence[Metric], values: Mapping[str, Measurement]) -> bool:
    """Whether every limit is met. The only place in the library that decides this."""
    return all(
        m.name in values and shortfall(m, values[m.name].value) == 0 for m in metrics if m.limits != (None, None)
    )


def checked_result(metrics: Sequence[Metric], result: Results, where: str) -> dict[str, Measurement]:
    """`result` as measurements, after checking it against the contracts of `metrics`.

    `where` begins the message (`trial 3`). Raises MissingMetric, UnknownMetric, NotANumber or NotFinite.
    """
    result = by_name(metrics, result)
    if not isinstance(result, Mapping):
        raise NotANumber(
            f"{where} reported {result!r}; a result is a mapping of metric name to number, like "
            f"{{{', '.join(f'{m.name!r}: ...' for m in metrics)}}}. Nothing is recorded"
        )
    names = [m.name for m in metrics]
    required = [m.name for m in metrics if not isinstance(m, Tracked)]
    missing = [name for name in required if name not in result]
    unknown = [str(name) for name in result if name not in names]
    given = f"{where} reported {{{listing(map(repr, result))}}}"
    if missing:
        wanted = next(m for m in metrics if m.name == missing[0])
        hint = did_you_mean(missing[0], unknown)
        raise MissingMetric(
            f"{given}; missing {listing(map(repr, missing))}{_limit_text(wanted)}.{hint} Nothing is recorded"
        )
    if unknown:
        raise UnknownMetric(
            f"{given}; unknown {listing(map(repr, unknown))} (have: {listing(names)})."
            f"{did_you_mean(unknown[0], names)} "
            "Add it to the problem as Tracked, or leave it out. Nothing is recorded"
        )
    return {name: _measurement(name, value, where) for name, value in result.items()}


def limit_words(metric: Metric, digits: int = 4) -> str:
    """The metric's limits in words: `<= 5 ms`, `>= 0.9`, `0.1..0.3`, or the empty string."""
    lower, upper = metric.limits
    unit = f" {metric.unit}" if metric.unit else ""
    if lower is not None and upper is not None:
        return f"{lower:.{digits}g}..{upper:.{digits}g}{unit}"
    if lower is not None:
        return f">= {lower:.{digits}g}{unit}"
    return f"<= {upper:.{digits}g}{unit}" if upper is not None else ""


def _limit_text(metric: Metric) -> str:
    words = limit_words(metric)
    return f" (limit {words})" if words else ""


def _measurement(name: str, given: object, where: str) -> Measurement:
    value, sem = (given.value, given.sem) if isinstance(given, Measurement) else (given, None)
    number = _float(name, value, where)
    error = None if sem is None else _float(name, sem, where, "standard error of ")
    if error is not None and error < 0:
        raise NotFinite(f"{where}: the standard error of metric {name!r} is {sem!r}, below 0. Nothing is recorded")
    return Measurement(number, error)


def _float(name: str, given: object, where: str, label: str = "") -> float:
    number = plain(given)
    if isinstance(number, bool) or (not isinstance(number, numbers.Real) and not _is_scalar_array(number)):
        raise NotANumber(
            f"{where}: {label}metric {name!r} is {given!r} ({type(given).__name__}), not a number. Nothing is recorded"
        )
    try:
        value = float(number)
        what = str(value)
    except OverflowError:
        value, what = math.inf, "beyond the largest 64-bit float"
    if not math.isfinite(value):
        raise NotFinite(
            f"{where}: {label}metric {name!r} is {what}. "
            'Report a finite number, or study.fail(trial, "diverged") so that the region is learned. '
            "Nothing is recorded"
        )
    return value


def _is_scalar_array(value: object) -> bool:
    """Whether `value` is a number in the clothes of an array that has no `item()`."""
    return getattr(value, "shape", None) == () and hasattr(value, "__float__")


def _no_goal(given: object) -> str:
    meant = next((goal for goal in ("maximize", "minimize") if str(given).lower().startswith(goal[:3])), None)
    return f"goal {given!r} is not 'maximize' or 'minimize'." + (f" Write goal={meant!r}" if meant else "")


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise MetricError(f"metric name {name!r} is not a plain non-empty text")


def _number_or_none(metric: Objective | Constraint, attribute: str) -> None:
    value = plain(getattr(metric, attribute))
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise MetricError(
            f"metric {metric.name!r}: {attribute}={value!r} is not a finite number. Limits are numbers in the "
            f'metric\'s unit: {attribute}=5, unit="ms"'
        )
    object.__setattr__(metric, attribute, float(value))
