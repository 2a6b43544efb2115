"""Event: one line of a study's append-only log; and StudyState, what the events add up to.

| kind      | number | data                                                                                   |
|-----------|--------|----------------------------------------------------------------------------------------|
| asked     | yes    | params, why, saw (last event), batch [first, size], strategy, owner, fitted, drawn     |
| enqueued  | yes    | params, why, note                                                                      |
| added     | yes    | params, why, values, note, notes, set_aside, data                                      |
| started   | yes    | owner                                                                                  |
| told      | yes    | values, seconds, attempt, notes, set_aside                                             |
| extra     | yes    | attempt, seconds, values, at_most, may_run                                             |
| corrected | yes    | values, reason, notes, set_aside                                                       |
| accepted  | yes    | reason                                                                                 |
| failed    | yes    | kind, message, seconds, at_most, may_run                                               |
| adopted   | yes    | owner                                                                                  |
| requeued  | yes    | reason, seconds, at_most, may_run, counts                                              |
| cancelled | yes    | reason, seconds, may_run                                                               |
| edited    | no     | metric (the new definition), reason                                                    |
| joined    | no     | owner, command, facts (see provenance.py), settings (of the run)                       |
| noted     | no     | text                                                                                   |

`noted` is what a person has to say of the study; nothing follows from it.
`adopted` is a running attempt that another driver watches from now on; `extra` is what came of an attempt whose trial had
gone on without it: how long it took, and its result if there is one; `accepted` is a result that was set aside and counts
from now on. Values are stored as `{name: [value, sem or null]}`; notes, set_aside and data only where there are any.
`at_most` and `may_run` are there for attempts whose end nobody has seen: see attempt.py; `counts` only where it is false:
the attempt is none of the three that a trial has.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hpo.common.frozen import Frozen, frozen
from hpo.common.randomness import trial_seed
from hpo.common.redact import stored_text
from hpo.errors import StorageError, StudyDamaged, TrialStateError
from hpo.problem.json_format import measurements_from_json, metric_from_json
from hpo.problem.metrics import Tracked
from hpo.problem.parameters import Categorical
from hpo.problem.problem import Problem
from hpo.trials.attempt import Attempt, elapsed
from hpo.trials.history import History
from hpo.trials.history_index import HistoryIndex
from hpo.trials.trial import TRANSITIONS, Fixed, Trial, TrialState


@dataclass(frozen=True)
class Draft:
    """An event before the storage gives it its place and time. `data` holds JSON values only; of messages, notes and
    reasons, what is invisible or looks like a secret is not kept.

    `request` names the step that the event belongs to, so that a caller who lost the answer can ask whether it was stored.
    """

    kind: str
    number: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    request: str = ""

    def __post_init__(self) -> None:
        texts = {name: stored_text(text) for name in _TEXTS if isinstance(text := self.data.get(name), str) and text}
        if texts:
            object.__setattr__(self, "data", {**self.data, **texts})


_TEXTS = ("message", "note", "reason", "text")


@dataclass(frozen=True)
class Event:
    """One line of the log. `seq` counts from 1 in each study without gaps; `at` is UTC in ISO 8601."""

    seq: int
    at: str
    kind: str
    number: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class StudyState:
    """The trials of a study and its problem as edited, kept up to date by applying events in order."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.seed = seed
        self.objectives = tuple(objective.name for objective in problem.objectives)
        self.trials: list[Trial] = []
        self.seq = 0
        self.at = ""
        """When the last event was written."""
        self.last_ask = 0
        """Sequence number of the last event that gave out a number or a waiting trial."""
        self.fitted: Mapping[str, Any] = {}
        self._index = HistoryIndex(problem)
        self._history: History | None = None

    def apply(self, events: Iterable[Event]) -> None:
        """Bring the state up to date. Raises StudyDamaged for a log with a gap, or with an event that no version has
        written; StorageError for one of a later version."""
        for event in events:
            if event.seq != self.seq + 1:
                raise StudyDamaged(f"the log jumps from event {self.seq} to {event.seq}; it is damaged")
            self._history = None
            try:
                self._apply(event)
                datetime.fromisoformat(event.at)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise StudyDamaged(
                    f"event {event.seq} ({event.kind}) is damaged: {type(error).__name__}: {error}"
                ) from error
            self.seq, self.at = event.seq, event.at

    def copy(self) -> StudyState:
        """Another one as of now; what is applied to either leaves the other alone."""
        other = copy.copy(self)
        other.trials, other._index = list(self.trials), self._index.copy()
        return other

    def history(self) -> History:
        """The history as of the last event applied; the same one until the next, with what it has worked out."""
        if self._history is None:
            self._history = self._index.history(self.problem, self.seed, self.trials, self.fitted, self.at)
        return self._history

    def trial_after(self, number: int, events: Iterable[Event]) -> tuple[Problem, Trial | None]:
        """The problem and one trial as `events` leave them: those of this trial and of none that have not been applied
        yet. The trial is None when they do not open it."""
        problem, trial = self.problem, self.trials[number] if 0 <= number < len(self.trials) else None
        for event in events:
            if event.kind == "edited":
                problem = problem.with_metric(metric_from_json(event.data["metric"]))
            elif event.number == number:
                trial = trial_after(trial, event, self.seed, self.objectives)
        return problem, trial

    def _apply(self, event: Event) -> None:
        if event.kind in _OPENING:
            if event.number != len(self.trials):
                raise StudyDamaged(f"event {event.seq} opens trial {event.number}; expected {len(self.trials)}")
            _check_params(self.problem, event.data["params"])
            if event.kind == "added":
                _check_values(self.problem, event.data["values"])
            self.trials.append(trial_after(None, event, self.seed, self.objectives))
            self._index.put(None, self.trials[-1])
        elif event.kind in _CHANGING:
            number = event.number
            if number is None or not 0 <= number < len(self.trials):
                raise StudyDamaged(f"event {event.seq} ({event.kind}) names trial {number}, which does not exist")
            before = self.trials[number]
            if "values" in event.data:
                _check_values(self.problem, event.data["values"])
            self.trials[number] = trial_after(before, event, self.seed)
            self._index.put(before, self.trials[number])
        elif event.kind == "edited":
            self.problem = self.problem.with_metric(metric_from_json(event.data["metric"]))
            self._index = HistoryIndex(self.problem, self.trials)
        elif event.kind not in ("noted", "joined"):
            raise StorageError(f"event {event.seq} is a {event.kind!r}, unknown to this version")
        if event.kind in ("asked", "enqueued", "started"):
            self.last_ask = event.seq
        if event.kind == "asked":
            self.fitted = event.data.get("fitted") or self.fitted


_OPENING = ("asked", "enqueued", "added")
_CLOSING = ("told", "extra", "failed", "requeued", "cancelled")
_CHANGING = ("started", "adopted", "corrected", "accepted", *_CLOSING)


def trial_after(trial: Trial | None, event: Event, seed: int, objectives: tuple[str, ...] = ()) -> Trial:
    """What an event makes of its trial; of none, where it opens one. `seed` and `objectives` are the study's."""
    data = event.data
    if trial is None:
        return _opened(event, seed, objectives)
    state: TrialState | None = None
    fields: dict[str, Any] = {}
    match event.kind:
        case "started":
            state, fields = TrialState.RUNNING, {"owner": data.get("owner", ""), "started_at": event.at}
        case "adopted":
            fields = {"owner": data["owner"]}
        case "told":
            state, fields = TrialState.COMPLETED, {"kind": None, "message": "", "seconds": data.get("seconds")}
            fields |= {
                **_result(data),
                "attempt": data.get("attempt") or trial.attempt,
            }
        case "corrected":
            fields = {**_result(data), "message": data["reason"]}
        case "accepted":
            fields = {"set_aside": "", "notes": (*trial.notes, f"accepted: {data['reason']}")}
        case "failed":
            state, fields = TrialState.FAILED, {"kind": data["kind"], "message": data.get("message", "")}
            fields["seconds"] = data.get("seconds")
        case "requeued":
            state, fields = TrialState.WAITING, {"attempt": trial.attempt + 1, "message": data["reason"]}
            fields |= {"owner": "", "started_at": "", "ended_at": "", "kind": None, "seconds": None}
            fields["uncounted"] = trial.uncounted + (data.get("counts") is False)
        case "cancelled":
            state, fields = TrialState.CANCELLED, {"message": data.get("reason", ""), "seconds": data.get("seconds")}
        case "extra":
            pass
        case _:
            raise StorageError(f"event {event.seq} is a {event.kind!r}, unknown to this version")
    if state is not None:
        check_step(trial, state)
        fields = {"state": state, **({} if state.is_in_flight else {"ended_at": event.at}), **fields}
    attempts, attempt = _attempts_after(trial, event), fields.get("attempt", trial.attempt)
    fields["attempts"] = attempts
    fields["earlier_seconds"] = sum(other.taken for other in attempts if other.number != attempt)
    return dataclasses.replace(trial, **fields)


def _attempts_after(trial: Trial, event: Event) -> tuple[Attempt, ...]:
    """What an event makes of the attempts of its trial, as it was before. One that did not run is none."""
    data, kind = event.data, event.kind
    if kind == "started":
        return (*trial.attempts, Attempt(trial.attempt, data.get("owner", ""), event.at))
    if kind not in ("adopted", *_CLOSING) or (kind == "requeued" and trial.state is not TrialState.RUNNING):
        return trial.attempts
    number = data.get("attempt") or trial.attempt
    found = trial.attempt_of(number)
    others = tuple(attempt for attempt in trial.attempts if attempt is not found)
    if kind == "adopted":
        return (*others, dataclasses.replace(found or Attempt(number), owner=data["owner"]))
    closed = _closed(found or Attempt(number), event)
    is_unused = closed.seconds == 0.0 or (closed.seconds is None and kind == "cancelled" and not closed.owner)
    return others if is_unused and "values" not in data else (*others, closed)


def _closed(attempt: Attempt, event: Event) -> Attempt:
    """An attempt after the event that says how it ended. Who asks by hand may take days to tell: what nobody has measured
    counts only where it was lost."""
    data = event.data
    at_most = data.get("at_most")
    if at_most is None:
        is_paid = attempt.owner or event.kind == "requeued"
        at_most = elapsed(attempt.started_at, event.at) if is_paid else 0.0
    measured, is_extra = data.get("seconds"), event.kind == "extra"
    if is_extra and attempt.seconds is not None:
        return attempt  # the same once more
    return dataclasses.replace(
        attempt,
        seconds=attempt.seconds if measured is None else measured,
        at_most=at_most,
        may_run=bool(data.get("may_run")),
        values=Frozen(measurements_from_json(data["values"])) if is_extra and "values" in data else {},
    )


def _check_params(problem: Problem, params: Mapping[str, Any]) -> None:
    """Raises ValueError for params that no ask of this problem has stored: a cheap look, at each reading of the log."""
    parameters = problem.space.parameters
    for name, value in params.items():
        parameter = parameters.get(name)
        if parameter is None:
            raise ValueError(f"there is no parameter {name!r}")
        choices = parameter.choices if isinstance(parameter, Categorical) else None
        if value not in choices if choices is not None else not isinstance(value, int | float):
            raise ValueError(f"{name} cannot be {value!r}")


def _check_values(problem: Problem, values: Mapping[str, Any]) -> None:
    """Raises ValueError for values that lack a metric of the problem which is needed."""
    for metric in problem.metrics:
        if metric.name not in values and not isinstance(metric, Tracked):
            raise ValueError(f"it has no {metric.name!r}")


def _result(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "values": Frozen(measurements_from_json(data["values"])),
        "notes": tuple(data.get("notes", ())),
        "set_aside": data.get("set_aside", ""),
    }


def _opened(event: Event, seed: int, objectives: tuple[str, ...]) -> Trial:
    data, number = event.data, event.number
    assert number is not None
    fields: dict[str, Any]
    match event.kind:
        case "asked":
            owner = data.get("owner", "")
            fields = {"state": TrialState.RUNNING, "owner": owner, "started_at": event.at}
            fields["attempts"] = (Attempt(1, owner, event.at),)
        case "enqueued":
            fields = {"state": TrialState.WAITING, "message": data.get("note", "")}
        case "added":
            fields = {"state": TrialState.COMPLETED, **_result(data), "message": data.get("note", "")}
            fields["ended_at"] = event.at
        case _:
            raise StorageError(f"event {event.seq} ({event.kind}) names trial {number}, which does not exist")
    return Trial(
        number=number,
        params=Fixed(data["params"]),
        seed=trial_seed(seed, number),
        source=event.kind,
        asked_at=event.at,
        why=frozen(data.get("why", {})),
        objectives=objectives,
        **fields,
    )


def check_step(trial: Trial, state: TrialState) -> None:
    """Raises TrialStateError unless `trial` may go to `state`."""
    if state not in TRANSITIONS[trial.state]:
        allowed = ", ".join(sorted(TRANSITIONS[trial.state]))
        final = f" (allowed: {allowed})" if allowed else ": it has ended for good"
        raise TrialStateError(f"trial {trial.number} is {trial.state}; it cannot become {state}{final}")
