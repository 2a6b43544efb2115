"""Result: what was reported for a trial, checked against the contracts of the metrics and against the other results.

Objectives and constraints are strict: a missing one, or one that is no finite number, refuses the result. A metric that is
only tracked never costs a result: what is no finite number there, or out of its range, is dropped, and a note says so.

Three kinds of results are kept and set aside: nothing paid for is thrown away, and nothing that is probably wrong is an
answer. Where a result was told, run or added makes no difference; `Study.accept` lets it count.

range   an objective or a constraint lies outside its declared range. The models do not see it.
leap    without a declared range, an objective is far off all other results, as a slip of a unit makes it; see `leaps.py`.
        The models see it as equal to the best of the others: a slip does no harm, and a true leap draws the search
        near.
data    it was measured on other data than the study's. The models do not see it, and its configuration may be suggested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo.common.scalars import brief, is_number, plain, words
from hpo.errors import MissingMetric, NotANumber, NotFinite, ResultError, UnknownMetric, did_you_mean, listing, misspelt
from hpo.problem.json_format import measurements_to_json
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Metric, Objective, Result, Results, Tracked, is_in_range, limit_words, range_words
from hpo.trials.leaps import is_near, leap
from hpo.trials.trial import DATA, LEAP, RANGE, Trial

_LEAPS = 2
"""Once so many results of one size are set aside as leaps, another of that size is a level that was reached, not a slip."""


@dataclass(frozen=True)
class Checked:
    """A result that may be recorded."""

    values: Mapping[str, Measurement]
    notes: tuple[str, ...] = ()
    """For its reader: what was dropped, why it is set aside."""
    set_aside: str = ""
    """range, leap or data; see above."""

    def to_json(self) -> dict[str, Any]:
        """The data of its event; notes only where there are any."""
        data: dict[str, Any] = {"values": measurements_to_json(self.values)}
        if self.notes:
            data["notes"] = list(self.notes)
        return {**data, "set_aside": self.set_aside} if self.set_aside else data

    def aside(self, kind: str, note: str) -> Checked:
        """The same, set aside for one more reason. The first reason counts, except that other data come before all."""
        return replace(self, notes=(*self.notes, note), set_aside=DATA if kind == DATA else self.set_aside or kind)


def by_name(metrics: Sequence[Metric], results: Results) -> Mapping[str, Result]:
    """`results` as a mapping: one number alone belongs to the one required metric. Where several are required, or
    `results` is no number, it is returned as it is, for `checked_result` to refuse."""
    required = [m.name for m in metrics if not isinstance(m, Tracked)]
    is_alone = isinstance(results, Measurement) or is_number(results)
    return {required[0]: results} if is_alone and len(required) == 1 else results  # type: ignore[dict-item, return-value]


def checked_result(metrics: Sequence[Metric], given: Results, where: str) -> Checked:
    """`given` as measurements, after checking it against the contracts of `metrics`.

    `where` begins the message (`trial 3`). Raises MissingMetric, UnknownMetric, NotANumber or NotFinite.
    """
    result = by_name(metrics, given)
    if not isinstance(result, Mapping):
        raise NotANumber(
            f"{where} reported {brief(result)}; a result is a mapping of metric name to number, like "
            f"{{{', '.join(f'{m.name!r}: ...' for m in metrics)}}}. Nothing is recorded"
        )
    _check_names(metrics, result, where)
    contracts = {metric.name: metric for metric in metrics}
    checked = Checked({})
    for name, number in result.items():
        checked = _with(checked, contracts[name], number, where)
    return checked


def _with(checked: Checked, metric: Metric, given: object, where: str) -> Checked:
    is_tracked = isinstance(metric, Tracked)
    try:
        told = _measurement(metric.name, given, where)
    except ResultError:
        if not is_tracked:
            raise
        return _dropped(checked, metric, given, where)
    if not is_in_range(metric, told.value):
        note = f"{metric.name} {_told(told.value)} is outside its range {range_words(metric)}"
        if is_tracked:
            return replace(checked, notes=(*checked.notes, f"{note}; it is not recorded"))
        checked = checked.aside(RANGE, note)
    return replace(checked, values={**checked.values, metric.name: told})


def _dropped(checked: Checked, metric: Metric, given: object, where: str) -> Checked:
    """Without the invalid part of a tracked metric: all of it, or its standard error alone."""
    value, sem = (given.value, given.sem) if isinstance(given, Measurement) else (given, None)
    try:
        told = _measurement(metric.name, value, where)
    except ResultError:
        note = f"{metric.name} is not recorded: {words(value)} is not a finite number"
        return replace(checked, notes=(*checked.notes, note))
    note = f"the standard error of {metric.name} is not recorded: {words(sem)} is no finite number of at least 0"
    return _with(replace(checked, notes=(*checked.notes, note)), metric, told, where)


def compared(checked: Checked, metrics: Sequence[Metric], others: Sequence[Trial], number: int = -1) -> Checked:
    """The same result, of trial `number`, set aside if an objective without a declared range leaps off all `others`: those
    that count, and from two on those of its size that were set aside as leaps themselves."""
    if not may_leap(checked, metrics, others, number):
        return checked
    goals = {m.name: m.goal for m in metrics if isinstance(m, Objective)}
    for name, told in _unbounded(checked, metrics).items():
        known = [t for t in others if name in t.values and t.number != number]
        counted = [t.values[name].value for t in known if not t.set_aside]
        alike = [t.values[name].value for t in known if t.set_aside == LEAP and _is_near(told, t.values[name])]
        counted += alike if len(alike) >= _LEAPS else []
        if far := leap(told.value, counted, goals[name]):
            checked = checked.aside(
                LEAP,
                f"{name} {told.value:.6g} is {far:.3g} robust deviations better than the best of {len(counted)} other "
                f"results, which are {min(counted):.4g} to {max(counted):.4g} (is a unit or a sign wrong?)",
            )
    return checked


def on_data(checked: Checked, given: str, own: str) -> Checked:
    """The same result, measured on the data `given`, for a study of the data `own`; both as fingerprints, empty where
    nobody said. Set aside where they are not known to be the same; a note says so where only the study says which."""
    if given == own or not (given or own):
        return checked
    if given and own:
        return checked.aside(DATA, f"measured on other data: {given}; that of this study is {own}")
    if given:
        note = f"measured on data {given}, and this study does not say what its own is: open_study(..., data=...)"
        return checked.aside(DATA, note)
    return replace(checked, notes=(*checked.notes, f"taken as measured on the study's data, {own}: add(..., data=...)"))


def may_leap(checked: Checked, metrics: Sequence[Metric], others: Sequence[Trial], number: int) -> bool:
    """Whether `compared` may set the result aside, going by some of the trials: it will not once one is near in size."""
    return not checked.set_aside and not all(
        any(_is_near(told, t.values.get(name)) for t in others if not t.set_aside and t.number != number)
        for name, told in _unbounded(checked, metrics).items()
    )


def _unbounded(checked: Checked, metrics: Sequence[Metric]) -> dict[str, Measurement]:
    """The objectives without a declared range, and what was told for them."""
    return {m.name: checked.values[m.name] for m in metrics if isinstance(m, Objective) and m.range is None}


def _is_near(told: Measurement, other: Measurement | None) -> bool:
    return other is not None and is_near(told.value, other.value)


def _told(number: float) -> str:
    """Six digits of a number, or all where these would be those of another whole number: 1.0000001 is not 1."""
    short = f"{number:.6g}"
    return repr(number) if float(short).is_integer() and float(short) != number else short


def _check_names(metrics: Sequence[Metric], result: Mapping[str, Result], where: str) -> None:
    names = [m.name for m in metrics]
    missing = [m for m in metrics if not isinstance(m, Tracked) and m.name not in result]
    unknown = [str(name) for name in result if name not in names]
    given = f"{where} reported {{{listing(map(repr, result))}}}"
    if missing:
        limit = limit_words(missing[0])
        raise MissingMetric(
            f"{given}; missing {listing(repr(m.name) for m in missing)}{f' (limit {limit})' if limit else ''}."
            f"{misspelt(missing[0].name, unknown)} Nothing is recorded"
        )
    if unknown:
        raise UnknownMetric(
            f"{given}; unknown {listing(map(repr, unknown))} (have: {listing(names)})."
            f"{did_you_mean(unknown[0], names)} "
            "Add it to the problem as Tracked, or leave it out. Nothing is recorded"
        )


def _measurement(name: str, given: object, where: str) -> Measurement:
    value, sem = (given.value, given.sem) if isinstance(given, Measurement) else (given, None)
    number = _float(name, value, where)
    error = None if sem is None else _float(name, sem, where, "standard error of ")
    if error is not None and error < 0:
        raise NotFinite(f"{where}: the standard error of metric {name!r} is {sem!r}, below 0. Nothing is recorded")
    return Measurement(number, error)


def _float(name: str, given: object, where: str, label: str = "") -> float:
    number = plain(given)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise NotANumber(f"{where}: {label}metric {name!r} is {words(given)}, not a number. Nothing is recorded")
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
