"""New events: what a study writes when a trial is opened, given out, told, or handed back without a result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo.common.redact import stored_text
from hpo.common.scalars import is_finite, is_number, plain
from hpo.errors import ParamsError, ResultConflict, SettingsError, TrialStateError
from hpo.problem.space import key
from hpo.storage.base import Lease
from hpo.trials.attempt import until
from hpo.trials.events import Draft, StudyState, check_step
from hpo.trials.results import Checked
from hpo.trials.suggestion import Suggestion
from hpo.trials.trial import DATA, RETRIED_KINDS, Trial, TrialState

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""How often a trial is run before a failure of the machines counts as its failure."""
MAX_DEATHS = 10
"""The same where its driver died, or is not heard of any more: that takes along all that ran, and most, or all, is not
to blame."""
_LONGEST_MESSAGE = 1000


def opened(study_state: StudyState, params: Mapping[str, Any], kind: str, data: Mapping[str, Any]) -> Draft:
    """A trial made by hand. Raises ParamsError."""
    if not isinstance(params, Mapping):
        raise ParamsError(f"params {params!r}: not a mapping of parameter name to value, like {{'lr': 0.01}}")
    canonical = study_state.problem.space.canonical(params)
    role = "replicate" if key(canonical) in study_state.history().taken else kind
    return Draft(kind, len(study_state.trials), {"params": canonical, "why": {"role": role}, **data})


def asked(
    number: int, s: Suggestion, strategy: Mapping[str, Any], saw: int, batch: tuple[int, int], owner: str
) -> Draft:
    """A trial that `strategy` suggests, having seen the log up to event `saw`; `batch`: its first number, and its size."""
    data = {"params": s.params, "why": s.why, "saw": saw, "batch": list(batch), "strategy": strategy, "owner": owner}
    return Draft("asked", number, {**data, "fitted": s.fitted} if s.fitted else data)


def renumbered(draft: Draft, shift: int) -> Draft:
    """An asked trial whose number was given out while it was suggested, under a later one."""
    if not shift or draft.number is None:
        return draft
    first, n = draft.data["batch"]
    data = {**draft.data, "batch": [first + shift, n], "drawn": draft.data.get("drawn", first)}
    return Draft(draft.kind, draft.number + shift, data, draft.request)


def freed(trial: Trial, reason: str) -> Draft:
    """A running trial that nobody runs here: its next attempt waits, and this one took no time of this study."""
    return Draft("requeued", trial.number, {"reason": reason, "seconds": 0.0})


def failed_again(study_state: StudyState, reason: str, kind: str | None) -> list[Draft]:
    """All failed trials, or those of one kind, to be run again."""
    failed = [trial for trial in study_state.history().failed if kind in (None, trial.kind)]
    return [Draft("requeued", trial.number, {"reason": reason, "seconds": None}) for trial in failed]


def handed_back(
    trial: Trial,
    kind: str,
    message: str,
    seconds: float | None = None,
    *,
    most: int = MAX_ATTEMPTS,
    counts: bool = True,
) -> Draft:
    """How a trial without a result goes on: to be run again after a failure of the machines, until `most` attempts that
    count were lost; else failed."""
    seconds = checked_seconds(seconds)
    if kind in RETRIED_KINDS and (not counts or trial.attempt - trial.uncounted < most):
        data = {"reason": f"{kind}: {message}" if message else kind, "seconds": seconds}
        return Draft("requeued", trial.number, data if counts else {**data, "counts": False})
    return Draft(
        "failed",
        trial.number,
        {"kind": kind, "message": stored_text(str(message))[:_LONGEST_MESSAGE], "seconds": seconds},
    )


def unseen(draft: Draft, trial: Trial, lease: Lease | None, now: float, *, may_run: bool = False) -> Draft:
    """The same, with the most that the attempt took, whose end nobody has seen: until `now`, by the storage's clock, or
    until its `lease` was over."""
    end = min(lease.until, now) if lease is not None and lease.attempt == trial.attempt else now
    data = {**draft.data, "at_most": until(trial.started_at, end)}
    return replace(draft, data={**data, "may_run": True} if may_run else data)


def outrun(trial: Trial, lease: Lease) -> list[Draft]:
    """Of an attempt that may run although its trial has gone on without it: its lease is dropped, by which its driver
    learns of it. Nothing may be heard of that driver any more."""
    attempt = trial.attempt_of(lease.attempt)
    if attempt is None or attempt.is_known:
        return []
    data = {"attempt": attempt.number, "seconds": None, "at_most": until(attempt.started_at, lease.until)}
    return [Draft("extra", trial.number, {**data, "may_run": True})]


def took(trial: Trial, number: int, seconds: float | None) -> list[Draft]:
    """How long attempt `number` took, whose trial has gone on without it; nothing where that is known."""
    attempt = trial.attempt_of(number)
    seconds = checked_seconds(seconds)
    is_present = number == trial.attempt and trial.state.is_in_flight
    if seconds is None or is_present or (attempt is not None and attempt.seconds is not None):
        return []
    return [Draft("extra", trial.number, {"attempt": number, "seconds": seconds})]


def checked_seconds(given: float | None) -> float | None:
    """How long an attempt took, as a float. Raises SettingsError for what is no length of time."""
    if given is None:
        return None
    if not is_number(given) or not is_finite(plain(given)) or plain(given) < 0:
        raise SettingsError(f"seconds={given!r} is not how long an attempt took: a number of at least 0, or None")
    return float(plain(given))


def told(current: Trial, checked: Checked, attempt: int, seconds: float | None) -> list[Draft]:
    """The result of an attempt: nothing new if it is the one that is known. Raises ResultConflict, TrialStateError."""
    data = {**checked.to_json(), "seconds": checked_seconds(seconds), "attempt": attempt}
    if current.state is not TrialState.COMPLETED:
        check_step(current, TrialState.COMPLETED)
        return [Draft("told", current.number, data)]
    is_same = dict(current.values) == checked.values
    if attempt != current.attempt:
        earlier = current.attempt_of(attempt)
        return [] if is_same and earlier and earlier.is_known else [Draft("extra", current.number, data)]
    if is_same:
        return []
    stored = ", ".join(f"{k}={v.value:.4g}" for k, v in current.values.items())
    raise ResultConflict(
        f"trial {current.number} already has {stored} ({current.ended_at[:19]}). Same values are ignored; to correct it: "
        f'tell({current.number}, ..., replace=True, reason="...")'
    )


def corrected(current: Trial, checked: Checked, reason: str) -> list[Draft]:
    """Another result in place of the one that is known; the same one again accepts it. Raises ResultConflict."""
    if dict(current.values) == checked.values:
        return accepted(current, reason) if reason else []
    if not reason:
        raise ResultConflict(
            f'trial {current.number}: a correction needs a reason: tell(..., replace=True, reason="...")'
        )
    if current.set_aside == DATA:  # other numbers, from where they were before
        checked = checked.aside(DATA, "measured on other data than the study's")
    return [Draft("corrected", current.number, {**checked.to_json(), "reason": reason})]


def accepted(current: Trial, reason: str) -> list[Draft]:
    """A result that is set aside counts from now on. Raises TrialStateError where there is none."""
    if current.state is not TrialState.COMPLETED:
        raise TrialStateError(f"trial {current.number} is {current.state}; only a result can be accepted")
    return [Draft("accepted", current.number, {"reason": reason})] if current.set_aside else []


def said(trial: Trial) -> Trial:
    """The same trial, after a warning in the log if its result is set aside as probably wrong."""
    if trial.set_aside and trial.set_aside != DATA:  # who adds a result of other data means to
        log.warning(
            'trial %d is set aside: %s. If it is right: study.accept(%d, reason="..."); else '
            'study.tell(%d, ..., replace=True, reason="...") corrects it',
            *(trial.number, "; ".join(trial.notes), trial.number, trial.number),
        )
    return trial
