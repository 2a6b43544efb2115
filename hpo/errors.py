"""Every error the library raises on purpose.

    HpoError
    ├── DefinitionError (ValueError)       an invalid space, metric or problem
    │   ├── SpaceError                     parameters, bounds, conditions, linear constraints
    │   ├── MetricError                    objectives, constraints, thresholds
    │   ├── SettingsError                  a study file, a budget, a strategy's settings
    │   └── DefinitionChanged              the stored study was defined otherwise
    ├── ParamsError (ValueError)           params outside the space
    ├── ResultError (ValueError)           a result that breaks the metrics' contracts; nothing is recorded
    │   ├── MissingMetric, UnknownMetric, NotANumber, NotFinite
    │   └── ResultConflict                 the trial already has another result
    ├── TrialStateError (RuntimeError)     the trial cannot make this step
    ├── NotFound (LookupError)
    │   ├── StudyNotFound, TrialNotFound
    │   └── NoFeasibleTrial                no completed trial meets every limit
    ├── SpaceExhausted (RuntimeError)      every configuration of a finite space has been tried
    ├── TrialFailed (RuntimeError)       raised by an objective, to say how the trial failed
    ├── StorageError (RuntimeError)
    │   ├── ConnectionLost                 the database is away or locked; the step may be stored or not
    │   └── StudyDamaged                   what is stored of a study cannot be read
    ├── ExecutorError (RuntimeError)
    └── MissingExtra (ImportError)

Each is also the builtin a caller would guess. A message says what was given, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class HpoError(Exception):
    """The root of all errors of this library."""


class DefinitionError(HpoError, ValueError):
    """An invalid definition: `problems` holds every fault found, one sentence each."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__(problems[0] if len(problems) == 1 else "\n".join(f"- {p}" for p in problems))


class SpaceError(DefinitionError):
    """An invalid parameter, condition or linear constraint."""


class MetricError(DefinitionError):
    """An invalid objective, constraint or tracked metric."""


class SettingsError(DefinitionError):
    """An invalid study file, budget or strategy setting; the offending key is named."""


class DefinitionChanged(DefinitionError):
    """The stored study has another definition; `differences` holds one line per field."""

    def __init__(self, study: str, differences: Sequence[str], ways_out: str) -> None:
        self.differences = tuple(differences)
        self.problems = self.differences
        HpoError.__init__(
            self,
            f"study {study!r} is stored with another definition: {'; '.join(differences)}. {ways_out}",
        )
        self._given = (study, self.differences, ways_out)

    def __reduce__(self) -> tuple[type[DefinitionChanged], tuple[str, Sequence[str], str], dict[str, object]]:
        return type(self), self._given, vars(self)


class ParamsError(HpoError, ValueError):
    """Params that do not belong to the space."""


class ResultError(HpoError, ValueError):
    """A result that breaks the contracts of the metrics. Nothing was recorded."""


class MissingMetric(ResultError):
    """A metric of the problem is absent from the result."""


class UnknownMetric(ResultError):
    """The result names a metric the problem does not have."""


class NotANumber(ResultError, TypeError):
    """A value is no number at all: text, None, a list."""


class NotFinite(ResultError):
    """A value is NaN or infinite."""


class ResultConflict(ResultError):
    """The trial already has another result."""


class TrialStateError(HpoError, RuntimeError):
    """The trial cannot make this step from the state it is in."""


class NotFound(HpoError, LookupError):
    """Something asked for by name or number does not exist."""


class StudyNotFound(NotFound):
    """No study of this name in the storage."""


class TrialNotFound(NotFound):
    """No trial of this number in the study."""


class NoFeasibleTrial(NotFound):
    """No completed trial meets every limit."""


class SpaceExhausted(HpoError, RuntimeError):
    """Every configuration of a finite space has been tried or is in flight."""


class TrialFailed(HpoError, RuntimeError):
    """Raised inside an objective: this trial has no result, and `kind` says why.

    oom, diverged, timeout, crash and error are attributed to the params; infra and preempted to the machine.
    """

    def __init__(self, kind: str, message: str = "") -> None:
        self.kind = kind
        super().__init__(message or kind)


class StorageError(HpoError, RuntimeError):
    """The storage cannot be used: locked, full, too new, on a network file system."""


class ConnectionLost(StorageError):
    """The database is away, full or locked, or the connection broke in the middle of a step, which may be stored or not.
    The same step may succeed later."""

    is_unanswered = False
    """Whether nobody is at the address of the server: it may be wrong."""


class StudyDamaged(StorageError):
    """What is stored of a study cannot be read: bytes were lost or changed. Other studies of the storage can be."""


class ExecutorError(HpoError, RuntimeError):
    """An executor cannot do what it was asked."""


class MissingExtra(HpoError, ImportError):
    """An optional dependency is not installed; the message shows the command that installs it."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest known name, in either case, or the empty string."""
    close = _closest(given, known)
    return "" if close is None else f" Did you mean {close!r}?"


def misspelt(wanted: str, given: Iterable[str]) -> str:
    """` Is 'x' a misspelling of it?` for the closest of the names given in place of the wanted one, or the empty string."""
    close = _closest(wanted, given)
    return "" if close is None else f" Is {close!r} a misspelling of it?"


def _closest(name: str, names: Iterable[str]) -> str | None:
    known = {name.lower(): name for name in names}
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return known[close[0]] if close else None


def listing(names: Iterable[str], most: int = 8) -> str:
    """`a, b, c` for a message; long lists are cut and say so."""
    names = list(names)
    shown = ", ".join(names[:most])
    return f"{shown}, and {len(names) - most} more" if len(names) > most else shown
