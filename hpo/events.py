"""Event: one line of a study's append-only log; and Ledger, what the events add up to.

| kind      | number | data                                                                                   |
|-----------|--------|----------------------------------------------------------------------------------------|
| asked     | yes    | params, why, saw (last event seen), batch [first number, size], strategy, owner, fitted |
| enqueued  | yes    | params, why, note                                                                      |
| added     | yes    | params, why, values, note                                                              |
| started   | yes    | owner                                                                                  |
| told      | yes    | values, seconds, attempt                                                               |
| extra     | yes    | values, seconds, attempt                                                               |
| corrected | yes    | values, reason                                                                         |
| failed    | yes    | kind, message, seconds                                                                 |
| adopted   | yes    | owner                                                                                  |
| requeued  | yes    | reason, seconds                                                                        |
| cancelled | yes    | reason, seconds                                                                        |
| edited    | no     | metric (the new definition), reason                                                    |
| joined    | no     | owner, command, facts (see provenance.py), settings (of the run)                       |
| noted     | no     | text                                                                                   |

`adopted` is a running attempt that another driver watches from now on; `extra` is a result of a trial that had one from
another attempt already. Values are stored as `{name: [value, sem or null]}`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hpo.errors import StorageError, TrialStateError
from hpo.history import History
from hpo.problem import Problem
from hpo.provenance import stored_text
from hpo.randomness import trial_seed
from hpo.serialize import measurements_from_json, metric_from_json
from hpo.tally import Tally
from hpo.trial import TRANSITIONS, Fixed, Trial, TrialState


@dataclass(frozen=True)
class Draft:
    """An event before the storage gives it its place and time. `data` holds JSON values only; of messages, notes and
    reasons, what is invisible or looks like a secret is not kept.

    `request` names the step that the event belongs to, so that whoever lost the answer can ask whether it was stored.
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


class Ledger:
    """The trials of a study and its problem as edited, kept up to date by applying events in order."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.seed = seed
        self.trials: list[Trial] = []
        self.seq = 0
        self.last_ask = 0
        """Sequence number of the last event that gave out a number or a waiting trial."""
        self.fitted: Mapping[str, Any] = {}
        self._tally = Tally(problem)
        self._history: History | None = None

    def apply(self, events: Iterable[Event]) -> None:
        """Bring the ledger up to date. Raises StorageError for a log with a gap or of a later version."""
        for event in events:
            if event.seq != self.seq + 1:
                raise StorageError(f"the log jumps from event {self.seq} to {event.seq}; it is damaged")
            self._history = None
            self._apply(event)
            self.seq = event.seq

    def copy(self) -> Ledger:
        """Another one as of now; what is applied to either leaves the other alone."""
        other = copy.copy(self)
        other.trials, other._tally = list(self.trials), self._tally.copy()
        return other

    def history(self) -> History:
        """The history as of the last event applied; the same one until the next, with what it has worked out."""
        if self._history is None:
            self._history = self._tally.history(self.problem, self.seed, self.trials, self.fitted)
        return self._history

    def trial_after(self, number: int, events: Iterable[Event]) -> tuple[Problem, Trial | None]:
        """The problem and one trial as `events` leave them: those of this trial and of none that have not been applied
        yet. The trial is None when they do not open it."""
        problem, trial = self.problem, self.trials[number] if 0 <= number < len(self.trials) else None
        for event in events:
            if event.kind == "edited":
                problem = problem.with_metric(metric_from_json(event.data["metric"]))
            elif event.number == number:
                trial = trial_after(trial, event, self.seed)
        return problem, trial

    def _apply(self, event: Event) -> None:
        if event.kind in _OPENING:
            if event.number != len(self.trials):
                raise StorageError(f"event {event.seq} opens trial {event.number}; expected {len(self.trials)}")
            self.trials.append(trial_after(None, event, self.seed))
            self._tally.put(None, self.trials[-1])
        elif event.kind in _CHANGING:
            number = event.number
            if number is None or not 0 <= number < len(self.trials):
                raise StorageError(f"event {event.seq} ({event.kind}) names trial {number}, which does not exist")
            before = self.trials[number]
            self.trials[number] = trial_after(before, event, self.seed)
            self._tally.put(before, self.trials[number])
        elif event.kind == "edited":
            self.problem = self.problem.with_metric(metric_from_json(event.data["metric"]))
            self._tally = Tally(self.problem, self.trials)
        elif event.kind not in ("noted", "joined"):
            raise StorageError(f"event {event.seq} is a {event.kind!r}, unknown to this version")
        if event.kind in ("asked", "enqueued", "started"):
            self.last_ask = event.seq
        if event.kind == "asked":
            self.fitted = event.data.get("fitted") or self.fitted


_OPENING = ("asked", "enqueued", "added")
_CHANGING = ("started", "adopted", "told", "extra", "corrected", "failed", "requeued", "cancelled")


def trial_after(trial: Trial | None, event: Event, seed: int) -> Trial:
    """What an event makes of its trial; of none, where it opens one. `seed` is the study's."""
    data = event.data
    if trial is None:
        return _opened(event, seed)
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
                "values": measurements_from_json(data["values"]),
                "attempt": data.get("attempt") or trial.attempt,
            }
        case "corrected":
            fields = {"values": measurements_from_json(data["values"]), "message": data["reason"]}
        case "failed":
            state, fields = TrialState.FAILED, {"kind": data["kind"], "message": data.get("message", "")}
            fields["seconds"] = data.get("seconds")
        case "requeued":
            state, fields = TrialState.WAITING, {"attempt": trial.attempt + 1, "message": data["reason"]}
            fields["earlier_seconds"] = trial.earlier_seconds + _seconds_of(event, trial)
            fields |= {"owner": "", "started_at": "", "ended_at": "", "kind": None, "seconds": None}
        case "cancelled":
            state, fields = TrialState.CANCELLED, {"message": data.get("reason", ""), "seconds": data.get("seconds")}
        case "extra":
            return trial
        case _:
            raise StorageError(f"event {event.seq} is a {event.kind!r}, unknown to this version")
    if state is not None:
        check_step(trial, state)
        fields = {"state": state, **({} if state.is_in_flight else {"ended_at": event.at}), **fields}
    return dataclasses.replace(trial, **fields)


def _opened(event: Event, seed: int) -> Trial:
    data, number = event.data, event.number
    assert number is not None
    fields: dict[str, Any]
    match event.kind:
        case "asked":
            fields = {"state": TrialState.RUNNING, "owner": data.get("owner", ""), "started_at": event.at}
        case "enqueued":
            fields = {"state": TrialState.WAITING, "message": data.get("note", "")}
        case "added":
            values = measurements_from_json(data["values"])
            fields = {"state": TrialState.COMPLETED, "values": values, "message": data.get("note", "")}
            fields["ended_at"] = event.at
        case _:
            raise StorageError(f"event {event.seq} ({event.kind}) names trial {number}, which does not exist")
    return Trial(
        number=number,
        params=Fixed(data["params"]),
        seed=trial_seed(seed, number),
        source=event.kind,
        asked_at=event.at,
        why=data.get("why", {}),
        **fields,
    )


def _seconds_of(handed_back: Event, trial: Trial) -> float:
    """How long the attempt took that ends with this event: as measured, or else from when it was given out."""
    measured: float | None = handed_back.data.get("seconds")
    if trial.state is not TrialState.RUNNING:
        return trial.seconds or 0.0
    if measured is not None or not trial.started_at:
        return measured or 0.0
    return max(0.0, (datetime.fromisoformat(handed_back.at) - datetime.fromisoformat(trial.started_at)).total_seconds())


def check_step(trial: Trial, state: TrialState) -> None:
    """Raises TrialStateError unless `trial` may go to `state`."""
    if state not in TRANSITIONS[trial.state]:
        allowed = ", ".join(sorted(TRANSITIONS[trial.state])) or "nothing: it has ended"
        raise TrialStateError(f"trial {trial.number} is {trial.state}; it cannot become {state} (allowed: {allowed})")
