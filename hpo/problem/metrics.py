"""What is measured: Objective, Constraint, Tracked metrics, and the one decision of what is feasible.

A metric is a contract: name, direction or limits, range, unit, description, owner. `results.py` checks results against it.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from hpo.boundary.public import public_class
from hpo.common.scalars import is_finite, plain
from hpo.common.text import forbidden
from hpo.errors import MetricError
from hpo.problem.measurement import Measurement

Goal = Literal["maximize", "minimize"]
Range = tuple[float | None, float | None]


class _Unsaid(str):
    """A goal that nobody wrote down."""

    __slots__ = ()


_UNSAID: Goal = _Unsaid("maximize")  # type: ignore[assignment]

_LESS_IS_BETTER = re.compile(
    "loss|losses|logloss|errors?|err|rmse|mse|mae|mape|smape|rmsle|msle|nll|perplexity|ppl|deviance|regret|wer|cer"
    "|latency|time|duration|runtime|seconds|costs?"
)
_TURNED = re.compile(
    "neg|negative|minus|inv|inverse|inverted|non?|free|saved|savings?|reduction|gain|per|efficiency|effectiveness|tolerance"
)
"""Words that turn a metric around, so that larger is better: `neg_mean_squared_error`, `time_saved`."""


@public_class
@dataclass(frozen=True)
class Objective:
    """A metric to optimize.

    Args:
        name: What the training calls it.
        goal: "maximize" or "minimize". If you leave it out, the value is maximized; a name such as `val_loss` then
            causes a UserWarning that asks which is meant.
        threshold: The worst value that is of use, in the metric's unit. A trial that misses it is not feasible. With
            several objectives it is also the reference point of the hypervolume. None: every value is of use.
        range: (lowest, highest) possible value; None where there is no end. A result outside is taken for a mistake of
            unit or sign: it is kept, and set aside.
        unit: For the reader; it changes no number.
        description: For the reader.
        owner: Who answers for the metric; for the reader.

    Raises:
        MetricError: The name, the goal, the threshold or the range is invalid.

    Example:
        >>> import hpo
        >>> hpo.Objective("rmse", goal="minimize", threshold=0.5).limits
        (None, 0.5)
    """

    name: str
    goal: Goal = _UNSAID
    threshold: float | None = field(default=None, kw_only=True)
    range: Range | None = field(default=None, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)
    owner: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.goal not in ("maximize", "minimize"):
            raise MetricError(f"objective {self.name!r}: {_no_goal(self.goal)}")
        if isinstance(self.goal, _Unsaid):
            object.__setattr__(self, "goal", "maximize")
            _ask_for_goal(self.name)
        _number_or_none(self, "threshold")
        _check_range(self)

    @property
    def sign(self) -> float:
        """1 where larger is better, else -1: values times this are to be maximized."""
        return 1.0 if self.goal == "maximize" else -1.0

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """(lower, upper), inclusive; None where there is none."""
        return (self.threshold, None) if self.goal == "maximize" else (None, self.threshold)


@public_class
@dataclass(frozen=True)
class Constraint:
    """A metric that must stay within limits: `lower <= value <= upper`. At least one of the two is given.

    Args:
        name: What the training calls it.
        lower: The least value that is allowed, in the metric's unit. None: no limit.
        upper: The greatest value that is allowed. None: no limit.
        range: (lowest, highest) possible value, as for `Objective`.
        unit: For the reader; it changes no number.
        description: For the reader.
        owner: Who answers for the metric; for the reader.

    Raises:
        MetricError: There is no limit, or the limits, the name or the range are invalid.

    Example:
        >>> import hpo
        >>> hpo.Constraint("latency_ms", upper=5.0, unit="ms").limits
        (None, 5.0)
    """

    name: str
    lower: float | None = field(default=None, kw_only=True)
    upper: float | None = field(default=None, kw_only=True)
    range: Range | None = field(default=None, kw_only=True)
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
        _check_range(self)

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """(lower, upper), inclusive; None where there is none."""
        return self.lower, self.upper


@public_class
@dataclass(frozen=True)
class Tracked:
    """A metric that is stored and shown, and never optimized. A result may lack it.

    A value that is no finite number, or lies outside the range, is dropped, with a note on the trial.

    Args:
        name: What the training calls it.
        goal: Which way it should go, for the reader: "maximize" or "minimize".
        business: Whether this is the number that matters in the end.
        range: (lowest, highest) possible value, as for `Objective`.
        unit: For the reader.
        description: For the reader.
        owner: Who answers for the metric; for the reader.

    Raises:
        MetricError: The name, the goal or the range is invalid.

    Example:
        >>> import hpo
        >>> hpo.Tracked("revenue", business=True, unit="EUR").business
        True
    """

    name: str
    goal: Goal = "maximize"
    business: bool = field(default=False, kw_only=True)
    range: Range | None = field(default=None, kw_only=True)
    unit: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)
    owner: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.goal not in ("maximize", "minimize"):
            raise MetricError(f"tracked metric {self.name!r}: {_no_goal(self.goal)}")
        _check_range(self)

    @property
    def limits(self) -> tuple[None, None]:
        """A tracked metric has no limits."""
        return None, None


Metric = Objective | Constraint | Tracked
Result = float | Measurement
"""What a caller may report for one metric."""
Results = Mapping[str, Result] | Result
"""What a caller may report for a trial: results by the names of the metrics; one alone where one metric is required."""


def shortfall(metric: Metric, value: float) -> float:
    """How far `value` misses the metric's limits, in its unit, at most the largest float; 0 when it meets them (equality
    meets)."""
    lower, upper = metric.limits
    below = lower - value if lower is not None else 0.0
    above = value - upper if upper is not None else 0.0
    return min(max(below, above, 0.0), sys.float_info.max)


def is_feasible(metrics: Sequence[Metric], values: Mapping[str, Measurement]) -> bool:
    """Whether every limit is met. The only place in the library that decides this."""
    return all(
        m.name in values and shortfall(m, values[m.name].value) == 0 for m in metrics if m.limits != (None, None)
    )


def limit_words(metric: Metric, digits: int = 4) -> str:
    """The metric's limits in words: `<= 5 ms`, `>= 0.9`, `0.1..0.3`, or the empty string."""
    lower, upper = metric.limits
    unit = f" {metric.unit}" if metric.unit else ""
    if lower is not None and upper is not None:
        return f"{lower:.{digits}g}..{upper:.{digits}g}{unit}"
    if lower is not None:
        return f">= {lower:.{digits}g}{unit}"
    return f"<= {upper:.{digits}g}{unit}" if upper is not None else ""


def range_words(metric: Metric) -> str:
    """`0..1`, `at least 0`: the declared range in words; the empty string without one."""
    low, high = metric.range or (None, None)
    if low is not None and high is not None:
        return f"{low:g}..{high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else ""


def is_in_range(metric: Metric, value: float) -> bool:
    """Whether `value` lies in the metric's declared range, ends included and rounding forgiven: the mean of many 1.0 may be
    1.0000000000000002; True without one."""
    low, high = metric.range or (None, None)
    return (low is None or low - _rounding(low) <= value) and (high is None or value <= high + _rounding(high))


def _rounding(end: float) -> float:
    return 1e-9 * abs(end) or 1e-15


def _ask_for_goal(name: str) -> None:
    said = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    less = any(_LESS_IS_BETTER.fullmatch(word.lower()) for word in said)
    if less and not any(_TURNED.fullmatch(word.lower()) for word in said) and not re.match(r"\s*(1\s*)?-", name):
        warnings.warn(
            f"objective {name!r} is maximized, as no goal is given, and by its name less is better. Write "
            'goal="minimize", or goal="maximize" if more is meant',
            stacklevel=5,  # past __post_init__, __init__ and the boundary
        )


def _check_range(metric: Metric) -> None:
    """Make the range a pair of floats or None. Raises MetricError for another, and for a limit outside."""
    if metric.range is None:
        return
    given: object = metric.range
    is_row = isinstance(given, Sequence) and not isinstance(given, str)
    ends = [plain(end) for end in cast(Any, given)] if is_row or getattr(given, "ndim", 0) == 1 else []
    are_numbers = all(end is None or (isinstance(end, int | float) and not isinstance(end, bool)) for end in ends)
    lowest, highest = math.inf, -math.inf
    if len(ends) == 2 and are_numbers:
        lowest, highest = (-math.inf if ends[0] is None else ends[0]), (math.inf if ends[1] is None else ends[1])
    if not lowest < highest or (lowest, highest) == (-math.inf, math.inf):
        raise MetricError(
            f"metric {metric.name!r}: range={given!r} is no pair of numbers, the lowest and the highest value that can be: "
            "range=(0, 1), or (0, None) without an upper end"
        )
    low, high = (float(end) if is_finite(end) else None for end in (lowest, highest))
    object.__setattr__(metric, "range", (low, high))
    for limit in metric.limits:
        if limit is not None and not is_in_range(metric, limit):
            raise MetricError(
                f"metric {metric.name!r}: the limit {limit:g} is outside its range {range_words(metric)}. Do both have "
                "the same unit?"
            )


def _no_goal(given: object) -> str:
    meant = next((goal for goal in ("maximize", "minimize") if str(given).lower().startswith(goal[:3])), None)
    return f"goal {given!r} is not 'maximize' or 'minimize'." + (f" Write goal={meant!r}" if meant else "")


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise MetricError(f"metric name {name!r} is not a plain non-empty text")
    if fault := forbidden(name):
        raise MetricError(f"metric name {name!r} {fault}")


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
