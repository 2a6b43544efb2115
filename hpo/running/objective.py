"""The user's objective as executors see it: a payload in, plain JSON out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.common.scalars import NoNumber, is_finite, is_number, plain, words
from hpo.errors import NotANumber, SettingsError, TrialFailed, did_you_mean, listing
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Metric, Result, Results, Tracked
from hpo.trials.trial import FAILURE_KINDS, Trial, TrialState

Objective = Callable[[Trial], Results]
"""What is tuned: a trial in (params, number, seed), a mapping of metric name to number or Measurement out; one number or
Measurement alone where the problem requires one metric."""
_SHOWN = 200


@dataclass(frozen=True)
class Evaluate:
    """Calls the objective on the worker; `result_of` reads its answer here."""

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
            return {"value": _packed(told)}
        if not isinstance(told, Mapping):
            return {"returned": repr(told)[:_SHOWN]}
        return {"values": {str(name): _packed(value) for name, value in told.items()}}


def check_objective(objective: object) -> None:
    """Raise SettingsError for what cannot be called with a trial."""
    if not callable(objective):
        raise SettingsError(
            f"the objective is {objective!r}, which cannot be called. Give the function itself: run(study, train, ...)"
        )
    if any(map(inspect.iscoroutinefunction, (objective, type(objective).__call__))):
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


@dataclass(frozen=True)
class Reading:
    """What a training reported."""

    values: Mapping[str, Result]
    ignored: tuple[str, ...] = ()
    """Names in the log of a command that are no metrics."""


def payload_of(trial: Trial) -> dict[str, Any]:
    """What the objective is given of a trial."""
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "seed": trial.seed,
        "attempt": trial.attempt,
        "why": dict(trial.why),
    }


def result_of(value: Mapping[str, Any], metrics: Sequence[Metric], *, is_command: bool) -> Reading | Failure:
    """The result that an executor brought: of a command as it printed it, of an objective as `Evaluate` packed it. Raises
    NotANumber for what is no mapping.

    A command's standard output is a log too: names that are no metrics are ignored there, unless a metric is missing that
    one of them may be a misspelling of; with no metric at all it has reported nothing. NaN or infinity in an objective or a
    constraint is a failure, `diverged`, and so is the null that JSON has for them.
    """
    told = dict(value)
    names = [m.name for m in metrics]
    required = [m.name for m in metrics if not isinstance(m, Tracked)]
    if is_command and not told.keys() & set(names):
        hint = next(filter(None, (did_you_mean(name, told) for name in required)), "")
        only = f", only {listing(told)}.{hint}" if told else ""
        return Failure("error", f"the command ended well but reported no metrics of the study ({listing(names)}){only}")
    if not is_command:
        if fault := fault_of(told):
            return Failure("infra", fault)
        if "returned" in told:
            raise NotANumber(
                f"the objective returned {told['returned']}; return a mapping of metric name to number, or the number "
                "alone where the problem requires one metric"
            )
        if "failed" in told:
            return _failure(*told["failed"])
        if "value" in told and len(required) != 1:
            raise NotANumber(
                f"the objective returned {told['value'][0]} alone; return a mapping of metric name to number, like "
                f"{{{', '.join(f'{name!r}: ...' for name in required)}}}"
            )
        packed = {required[0]: told["value"]} if "value" in told else told["values"]
        told = {name: Measurement(*map(_unpacked, pair)) for name, pair in packed.items()}
    if broken := [name for name, result in told.items() if name in required and not _is_finite(result)]:
        return Failure("diverged", f"{', '.join(broken)} not finite")
    ignored = sorted(told.keys() - set(names)) if is_command and told.keys() >= set(required) else []
    return Reading({name: result for name, result in told.items() if name not in ignored}, tuple(ignored))


def fault_of(answer: Mapping[str, Any]) -> str:
    """Why this is nothing that `Evaluate` has packed; empty where it is. An objective is not to blame for that: what it
    said was changed or lost on the way."""
    match answer:
        case {"returned": str()} | {"failed": [str(), str()]}:
            return ""
        case {"value": pair} if _is_packed(pair):
            return ""
        case {"values": {**pairs}} if all(map(_is_packed, pairs.values())):
            return ""
    return f"what came back from the worker is no answer of an objective: {str(dict(answer))[:_SHOWN]}"


def _is_packed(pair: object) -> bool:
    def is_part(part: object) -> bool:
        return part is None or is_number(part) or (isinstance(part, dict) and part.keys() == {"shown"})

    return isinstance(pair, list) and len(pair) == 2 and all(map(is_part, pair))


def _packed(value: Any) -> list[Any]:
    """[value, sem] as JSON: numbers of every library as Python's own; of what is no number, what it looked like."""
    pair = [value.value, value.sem] if isinstance(value, Measurement) else [value, None]
    return [number if is_number(number := plain(v)) or v is None else {"shown": words(v)} for v in pair]


def _unpacked(value: Any) -> Any:
    return NoNumber(value["shown"]) if isinstance(value, dict) else value


def _is_finite(told: Any) -> bool:
    """Of what is no number at all, the contracts tell; None is the null of a command."""
    pair = (told.value, told.sem) if isinstance(told, Measurement) else (told,)
    return told is not None and all(is_finite(number) for number in pair if is_number(number))


def _failure(kind: str, message: str) -> Failure:
    """What TrialFailed said; an unknown kind counts as `error`."""
    if kind in FAILURE_KINDS:
        return Failure(kind, message)
    said = kind if message == kind else f"{kind}: {message}"
    return Failure("error", f"{said} (TrialFailed takes a kind first, one of {listing(FAILURE_KINDS)})")
