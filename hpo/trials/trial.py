"""Trial: one evaluation, and the steps it may make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from typing import Any

from hpo.boundary.public import hinting
from hpo.common.frozen import Frozen
from hpo.errors import NotFound, listing
from hpo.problem.measurement import Measurement
from hpo.problem.space import key
from hpo.trials.attempt import Attempt

_SHOWN = 100
"""Letters of a failure's message in a `repr`."""


class TrialState(StrEnum):
    """Where a trial stands. Waiting and running trials are in flight; the others have ended.

    `STOPPED` is reserved: no trial gets there yet.

    Example:
        >>> import hpo
        >>> [state.name for state in hpo.TrialState if state.is_in_flight]
        ['WAITING', 'RUNNING']
    """

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"

    @property
    def is_in_flight(self) -> bool:
        """Asked or enqueued, and not ended."""
        return self in (TrialState.WAITING, TrialState.RUNNING)


TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.WAITING: frozenset({TrialState.RUNNING, TrialState.COMPLETED, TrialState.FAILED, TrialState.CANCELLED}),
    TrialState.RUNNING: frozenset(TrialState) - {TrialState.RUNNING},
    TrialState.FAILED: frozenset({TrialState.COMPLETED, TrialState.WAITING}),
    TrialState.CANCELLED: frozenset({TrialState.COMPLETED, TrialState.WAITING}),
    TrialState.COMPLETED: frozenset(),
    TrialState.STOPPED: frozenset(),
}
"""The steps a trial may make. A result that comes late, after a failure or a cancellation, is still a result; and what
failed by a fault that has been mended may be run again."""

LEARNED_KINDS = ("oom", "diverged", "timeout", "crash", "error")
"""Failures the params caused: their region is learned and avoided."""
RETRIED_KINDS = ("infra", "preempted")
"""Failures of the machines: the trial is run again and nothing is learned."""
FAILURE_KINDS = LEARNED_KINDS + RETRIED_KINDS

RANGE, LEAP, DATA = "range", "leap", "data"
"""Why a result is set aside: outside a declared range, far off all others, measured on other data. See results.py."""


@hinting
class Fixed(Frozen[str, Any]):
    """Params of a trial in the log: a plain mapping that refuses to be changed, for the study would change with it."""

    refusal = "the params of a trial cannot be changed; work on a copy: params = dict(trial.params)"


@hinting
@dataclass(frozen=True)
class Trial:
    """One evaluation of one configuration. Frozen; the study makes it.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> trial = hpo.open_study("parabola", problem, storage=":memory:").ask()
        >>> trial.number, trial.params, str(trial.state)
        (0, {'x': 0.5}, 'running')
    """

    number: int
    """Counted from 0 in each study."""
    params: Mapping[str, Any]
    """The configuration: a value for each active parameter."""
    state: TrialState
    """Where it stands."""
    seed: int
    """For the training's own randomness: 31 bits, a function of the study's seed and the number."""
    values: Mapping[str, Measurement] = field(default_factory=dict)
    """Its result by name of metric; empty while there is none."""
    source: str = "asked"
    """asked (suggested by a strategy), enqueued (made by hand) or added (measured elsewhere)."""
    why: Mapping[str, Any] = field(default_factory=dict)
    """Why this configuration: role, predictions, probabilities, what was known. See docs/explanation."""
    kind: str | None = None
    """Kind of the failure: oom, diverged, timeout, crash, error, infra or preempted. None: it has not failed."""
    message: str = ""
    """What happened, of a failure."""
    attempt: int = 1
    """Which attempt this is, counted from 1."""
    uncounted: int = 0
    """Earlier attempts that are not among the three a trial has: they never started, or machines lost others too."""
    owner: str = ""
    """The driver that runs it; empty for plain ask/tell."""
    asked_at: str = ""
    """When it was suggested, by the storage's clock (ISO 8601)."""
    started_at: str = ""
    """When its present attempt was given out; empty while it waits."""
    ended_at: str = ""
    """When it ended; empty while it has not."""
    seconds: float | None = None
    """How long the evaluation took, where the runner measured it."""
    earlier_seconds: float = 0.0
    """How long its other attempts took together; where nobody measured it, from given out to handed back, or to the end of
    their leases."""
    attempts: tuple[Attempt, ...] = field(default=(), repr=False)
    """All that were given out and may have run, the present one among them."""
    notes: tuple[str, ...] = ()
    """What to know of its result: what was dropped, why it is set aside, why it counts all the same."""
    set_aside: str = ""
    """Why its result is not among the answers until it is accepted: range, leap or data; empty where it counts."""
    objectives: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Names of the problem's objectives, for `value`."""

    @property
    def value(self) -> float:
        """The value of the single objective, in its own unit. Raises NotFound where there is no result, no objective, or
        more than one."""
        if not self.values:
            raise NotFound(f"trial {self.number} has no value: it is {self.state}")
        if len(self.objectives) != 1:
            have = listing(self.objectives) or "none"
            raise NotFound(
                f"trial {self.number} has no single value: objectives of the problem: {have}. See trial.values[name]"
            )
        return float(self.values[self.objectives[0]])

    def attempt_of(self, number: int) -> Attempt | None:
        """Its attempt of this number; None where that did not run."""
        return next((attempt for attempt in self.attempts if attempt.number == number), None)

    @cached_property
    def key(self) -> str:
        """The key of its params."""
        return key(self.params)

    def __hash__(self) -> int:
        return hash((self.number, self.seed))

    def __repr__(self) -> str:
        params = ", ".join(f"{k}={_short(v)}" for k, v in self.params.items())
        values = ", ".join(f"{k}={v.value:.4g}" for k, v in self.values.items())
        why = ": ".join(filter(None, [self.kind, self.message[:_SHOWN]]))
        ending = f" -> {values}" if values else f" ({why})" if self.kind else ""
        aside = f" [set aside: {self.set_aside}]" if self.set_aside else ""
        return f"Trial {self.number} {self.state}: {params}{ending}{aside}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """Everything about one trial, for export."""
    out = {f.name: getattr(trial, f.name) for f in fields(trial) if f.compare}
    out["notes"] = list(trial.notes)
    out["state"] = str(trial.state)
    out["params"] = dict(trial.params)
    out["why"] = dict(trial.why)
    out["values"] = _shown(trial.values)
    names = [f.name for f in fields(Attempt)]
    out["attempts"] = [{n: getattr(a, n) for n in names} | {"values": _shown(a.values)} for a in trial.attempts]
    return out


def _shown(values: Mapping[str, Measurement]) -> dict[str, dict[str, float | None]]:
    return {name: {"value": m.value, "sem": m.sem} for name, m in values.items()}
