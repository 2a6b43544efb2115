"""The user's objective as executors see it: a payload in, plain JSON out."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import NotANumber, SettingsError, TrialFailed, listing
from hpo.metrics import Measurement, Results, is_number
from hpo.trial import FAILURE_KINDS, Trial, TrialState

Objective = Callable[[Trial], Results]
"""What is tuned: a trial in (params, number, seed), a mapping of metric name to number or Measurement out; one number or
Measurement alone where the problem requires one metric."""
_SHOWN = 200


@dataclass(frozen=True)
class Evaluate:
    """Calls the objective at the far end; `result_of` reads its answer here."""

    objective: Objective

    def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        trial = Trial(state=TrialState.RUNNING, **payload)
        try:
            told = self.objective(trial)
        except TrialFailed as failure:
            return {"failed": [failure.kind, str(failure)]}
        except AttributeError as error:
            if error.obj is trial.params and error.name in trial.params:
                error.add_note(f'(params are a mapping: write trial.params["{error.name}"])')
            raise
        if isinstance(told, Measurement) or is_number(told):
            return {"value": _plain(told)}
        if not isinstance(told, Mapping):
            return {"returned": repr(told)[:_SHOWN]}
        return {"values": {name: _plain(value) for name, value in told.items()}}


def check_objective(objective: object) -> None:
    """Raise SettingsError for what cannot be called with a trial."""
    if not callable(objective):
        raise SettingsError(
            f"the objective is {objective!r}, which cannot be called. Give the function itself: run(study, train, ...)"
        )
    if inspect.iscoroutinefunction(objective):
        raise SettingsError("the objective is async, and nothing awaits it here. Write def train(trial)")
    try:
        signature = inspect.signature(objective)
    except (TypeError, ValueError):  # of a builtin
        return
    try:
        signature.bind(None)
    except TypeError as error:
        name = getattr(objective, "__name__", type(objective).__name__)
        raise SettingsError(
            f"the objective is called with the trial alone, which does not fit {name}{signature}: {error}. Write "
            'def train(trial), and read trial.params["lr"] in it'
        ) from None


@dataclass(frozen=True)
class Failure:
    """Why there is no result."""

    kind: str
    message: str


def payload_of(trial: Trial) -> dict[str, Any]:
    """What the objective is given of a trial."""
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "seed": trial.seed,
        "attempt": trial.attempt,
        "why": dict(trial.why),
    }


def result_of(value: Mapping[str, Any], *, is_command: bool) -> Results | Failure:
    """The metrics that an executor brought: of a command as they are, of an objective as `Evaluate` packed them. Raises
    NotANumber for what is no mapping."""
    told = dict(value)
    if not is_command:
        if "returned" in told:
            raise NotANumber(
                f"the objective returned {told['returned']}; return a mapping of metric name to number, or the number "
                "alone where the problem requires one metric"
            )
        if "failed" in told:
            return _failure(*told["failed"])
        if "value" in told:
            number, sem = told["value"]
            alone = number if sem is None else Measurement(number, sem)
            return alone if _is_finite(alone) else Failure("diverged", f"{number} is not finite")
        told = {name: Measurement(*packed) for name, packed in told["values"].items()}
    broken = [name for name, result in told.items() if not _is_finite(result)]
    return Failure("diverged", f"{', '.join(broken)} not finite") if broken else told


def _plain(value: Any) -> list[Any]:
    """[value, sem] with numbers as floats; what is no number stays as it is, for the contracts to refuse."""
    pair: list[Any] = [value.value, value.sem] if isinstance(value, Measurement) else [value, None]
    return [float(v) if hasattr(v, "__float__") and not isinstance(v, str | bool) else v for v in pair]


def _is_finite(told: Any) -> bool:
    numbers = (told.value, told.sem) if isinstance(told, Measurement) else (told,)
    return all(not isinstance(number, float) or math.isfinite(number) for number in numbers)


def _failure(kind: str, message: str) -> Failure:
    """What TrialFailed said; of no known kind, what it is all the same: an error."""
    if kind in FAILURE_KINDS:
        return Failure(kind, message)
    said = kind if message == kind else f"{kind}: {message}"
    return Failure("error", f"{said} (TrialFailed takes a kind first, one of {listing(FAILURE_KINDS)})")
