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
| joined    | no     | owner, command, facts (see provenance.py)                                              |
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
from hpo.randomness import trial_seed
from hpo.serialize import measurements_from_json, metric_from_json
from hpo.tally import Tally
from hpo.trial import TRANSITIONS, Trial, TrialState


@dataclass(frozen=True)
class Draft:
    """An event before the storage gives it its place and time. `data` holds JSON values only.

    `request` names the step that the event belongs to, so that whoever lost the answer can ask whether it was stored.
    """

    kind: str
    number: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    request: str = ""


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

    def _apply(self, event: Event) -> None:  # noqa: PLR0912 - one case for each kind
        data = event.data
        match event.kind:
            case "asked":
                owner, why = data.get("owner", ""), data.get("why", {})
                self._open(event, TrialState.RUNNING, owner=owner, why=why, started_at=event.at)
                self.fitted = data.get("fitted") or self.fitted
                self.last_ask = event.seq
            case "enqueued":
                self._open(event, TrialState.WAITING, message=data.get("note", ""), why=data.get("why", {}))
                self.last_ask = event.seq
            case "added":
                values = measurements_from_json(data["values"])
                note, why = data.get("note", ""), data.get("why", {})
                self._open(event, TrialState.COMPLETED, values=values, message=note, why=why, ended_at=event.at)
            case "started":
                self._step(event, TrialState.RUNNING, owner=data.get("owner", ""), started_at=event.at)
                self.last_ask = event.seq
            case "adopted":
                trial = self.trials[self._number(event)]
                self._put(trial, dataclasses.replace(trial, owner=data["owner"]))
            case "told":
                values = measurements_from_json(data["values"])
                attempt = data.get("attempt") or self.trials[self._number(event)].attempt
                ended = {"seconds": data.get("seconds"), "attempt": attempt, "kind": None, "message": ""}
                self._step(event, TrialState.COMPLETED, values=values, **ended)
            case "corrected":
                values = measurements_from_json(data["values"])
                trial = self.trials[self._number(event)]
                self._put(trial, dataclasses.replace(trial, values=values, message=data["reason"]))
            case "failed":
                kind, message = data["kind"], data.get("message", "")
                self._step(event, TrialState.FAILED, kind=kind, message=message, seconds=data.get("seconds"))
            case "requeued":
                trial = self.trials[self._number(event)]
                spent = trial.earlier_seconds + _seconds_of(event, trial)
                again = {"attempt": trial.attempt + 1, "owner": "", "started_at": "", "earlier_seconds": spent}
                self._step(event, TrialState.WAITING, ended_at="", message=data["reason"], **again)
            case "cancelled":
                seconds = data.get("seconds")
                self._step(event, TrialState.CANCELLED, message=data.get("reason", ""), seconds=seconds)
            case "edited":
                self.problem = self.problem.with_metric(metric_from_json(data["metric"]))
                self._tally = Tally(self.problem, self.trials)
            case "noted" | "extra" | "joined":
                pass
            case _:
                raise StorageError(f"event {event.seq} is a {event.kind!r}, unknown to this version")

    def _open(self, event: Event, state: TrialState, **fields: Any) -> None:
        if event.number != len(self.trials):
            raise StorageError(f"event {event.seq} opens trial {event.number}; expected {len(self.trials)}")
        trial = Trial(
            number=event.number,
            params=event.data["params"],
            state=state,
            seed=trial_seed(self.seed, event.number),
            source=event.kind,
            asked_at=event.at,
            **fields,
        )
        self.trials.append(trial)
        self._tally.put(None, trial)

    def _step(self, event: Event, state: TrialState, **fields: Any) -> None:
        trial = self.trials[self._number(event)]
        check_step(trial, state)
        ended = {} if state.is_in_flight else {"ended_at": event.at}
        self._put(trial, dataclasses.replace(trial, state=state, **{**ended, **fields}))

    def _put(self, before: Trial, now: Trial) -> None:
        self.trials[now.number] = now
        self._tally.put(before, now)

    def _number(self, event: Event) -> int:
        if event.number is None or not 0 <= event.number < len(self.trials):
            raise StorageError(f"event {event.seq} ({event.kind}) names trial {event.number}, which does not exist")
        return event.number


def _seconds_of(handed_back: Event, trial: Trial) -> float:
    """How long the attempt took that ends with this event: as measured, or else from when it was given out."""
    measured: float | None = handed_back.data.get("seconds")
    if measured is not None or not trial.started_at:
        return measured or 0.0
    return max(0.0, (datetime.fromisoformat(handed_back.at) - datetime.fromisoformat(trial.started_at)).total_seconds())


def check_step(trial: Trial, state: TrialState) -> None:
    """Raises TrialStateError unless `trial` may go to `state`."""
    if state not in TRANSITIONS[trial.state]:
        allowed = ", ".join(sorted(TRANSITIONS[trial.state])) or "nothing: it has ended"
        raise TrialStateError(f"trial {trial.number} is {trial.state}; it cannot become {state} (allowed: {allowed})")
