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
    """The root of all errors of this library.

    Example:
        >>> import hpo
        >>> try:
        ...     hpo.Float(1.0, 0.1)
        ... except hpo.HpoError as error:
        ...     print(type(error).__name__)
        SpaceError
    """


class DefinitionError(HpoError, ValueError):
    """An invalid definition. `problems` holds every fault that was found, a sentence each.

    Example:
        >>> import hpo
        >>> try:
        ...     hpo.Space({"2lr": hpo.Float(0, 1), "x y": hpo.Float(0, 1)})
        ... except hpo.errors.DefinitionError as error:
        ...     print(len(error.problems))
        2
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__(problems[0] if len(problems) == 1 else "\n".join(f"- {p}" for p in problems))


class SpaceError(DefinitionError):
    """An invalid parameter, condition or linear constraint.

    Example:
        >>> import hpo
        >>> hpo.Float(0, 1, log=True)
        Traceback (most recent call last):
            ...
        hpo.errors.SpaceError: ...
    """


class MetricError(DefinitionError):
    """An invalid objective, constraint or tracked metric.

    Example:
        >>> import hpo
        >>> hpo.Constraint("latency_ms")
        Traceback (most recent call last):
            ...
        hpo.errors.MetricError: constraint 'latency_ms' has no limit. ...
    """


class SettingsError(DefinitionError):
    """An invalid study file, budget, strategy setting or argument. The message names the key.

    Example:
        >>> import hpo
        >>> hpo.Budget(trials=0)
        Traceback (most recent call last):
            ...
        hpo.errors.SettingsError: budget.trials: 0 is not a whole number of at least 1
    """


class DefinitionChanged(DefinitionError):
    """The stored study has another definition.

    Args:
        study: The name of the study.
        differences: A line for each field that differs. Also an attribute.
        ways_out: What can be done.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> first, second = (hpo.Problem(hpo.Space({"x": (0, n)}), [hpo.Objective("y")]) for n in (1, 2))
        >>> study = hpo.open_study("parabola", first, storage=storage)
        >>> try:
        ...     hpo.open_study("parabola", second, storage=storage)
        ... except hpo.errors.DefinitionChanged as error:
        ...     print(*error.differences)
        x.high: stored 1, given 2
    """

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
    """Params that do not belong to the space.

    Example:
        >>> import hpo
        >>> hpo.Space({"x": (0.0, 1.0)}).canonical({"x": 2.0})
        Traceback (most recent call last):
            ...
        hpo.errors.ParamsError: params {'x': 2.0}: x=2.0 is outside [0, 1]
    """


class ResultError(HpoError, ValueError):
    """A result that breaks the contracts of the metrics. Nothing was recorded.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y"), hpo.Objective("z")])
        >>> study = hpo.open_study("two", problem, storage=":memory:")
        >>> try:
        ...     study.tell(study.ask(), {"y": 1.0})
        ... except hpo.errors.ResultError as error:
        ...     print(type(error).__name__)
        MissingMetric
    """


class MissingMetric(ResultError):
    """A metric of the problem is missing from the result.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y"), hpo.Objective("z")])
        >>> study = hpo.open_study("two", problem, storage=":memory:")
        >>> study.tell(study.ask(), {"y": 1.0})
        Traceback (most recent call last):
            ...
        hpo.errors.MissingMetric: ...
    """


class UnknownMetric(ResultError):
    """The result names a metric that the problem does not have.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:")
        >>> study.tell(study.ask(), {"y": 1.0, "f1": 0.5})
        Traceback (most recent call last):
            ...
        hpo.errors.UnknownMetric: ...
    """


class NotANumber(ResultError, TypeError):
    """A value that is no number at all: text, None, a list.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:")
        >>> study.tell(study.ask(), {"y": "good"})
        Traceback (most recent call last):
            ...
        hpo.errors.NotANumber: ...
    """


class NotFinite(ResultError):
    """A value that is NaN or infinite.

    Example:
        >>> import hpo, math
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:")
        >>> study.tell(study.ask(), {"y": math.nan})
        Traceback (most recent call last):
            ...
        hpo.errors.NotFinite: ...
    """


class ResultConflict(ResultError):
    """The trial has another result already.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:")
        >>> trial = study.tell(study.ask(), 1.0)
        >>> study.tell(trial, 2.0)
        Traceback (most recent call last):
            ...
        hpo.errors.ResultConflict: ...
    """


class TrialStateError(HpoError, RuntimeError):
    """The trial cannot make this step from the state it is in.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:")
        >>> trial = study.tell(study.ask(), 1.0)
        >>> study.cancel(trial)
        Traceback (most recent call last):
            ...
        hpo.errors.TrialStateError: ...
    """


class NotFound(HpoError, LookupError):
    """Something that was asked for by name or number does not exist.

    Example:
        >>> import hpo
        >>> hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("accuracy")]).metric("acuracy")
        Traceback (most recent call last):
            ...
        hpo.errors.NotFound: no metric 'acuracy' (have: accuracy). Did you mean 'accuracy'?
    """


class StudyNotFound(NotFound):
    """The storage has no study of this name, or it was deleted while it was open.

    Example:
        >>> import hpo
        >>> hpo.open_study("digits", storage=":memory:")
        Traceback (most recent call last):
            ...
        hpo.errors.StudyNotFound: no study 'digits' in :memory:. It has none yet; give a problem to create it
    """


class TrialNotFound(NotFound):
    """The study has no trial of this number.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> hpo.open_study("parabola", problem, storage=":memory:").tell(7, 1.0)
        Traceback (most recent call last):
            ...
        hpo.errors.TrialNotFound: ...
    """


class NoFeasibleTrial(NotFound):
    """No completed trial meets every limit. `Study.closest` gives the one that misses them by least.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> hpo.open_study("parabola", problem, storage=":memory:").best
        Traceback (most recent call last):
            ...
        hpo.errors.NoFeasibleTrial: no trial has completed yet
    """


class SpaceExhausted(HpoError, RuntimeError):
    """Every configuration of a finite space has been tried or is in flight.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"layers": [1, 2]}), [hpo.Objective("y")])
        >>> study = hpo.open_study("small", problem, storage=":memory:")
        >>> trials = study.ask(2)
        >>> study.ask()
        Traceback (most recent call last):
            ...
        hpo.errors.SpaceExhausted: ...
    """


class TrialFailed(HpoError, RuntimeError):
    """Raised by your objective to say that this trial has no result, and why.

    Args:
        kind: oom, diverged, timeout, crash or error: the params caused it, and the models learn to avoid such regions.
            infra or preempted: the machine did; the trial is run again.
        message: What happened. Empty: the kind is all that is told.

    Example:
        >>> import hpo
        >>> def train(trial):
        ...     if trial.params["lr"] > 0.5:
        ...         raise hpo.TrialFailed("diverged", "the loss is above 1e6")
        ...     return trial.params["lr"]
        >>> study = hpo.maximize(train, {"lr": (0.0, 1.0)}, trials=6, seed=0, progress=False)
        >>> {trial.kind for trial in study.history.failed}
        {'diverged'}
    """

    def __init__(self, kind: str, message: str = "") -> None:
        self.kind = kind
        super().__init__(message or kind)


class StorageError(HpoError, RuntimeError):
    """The storage cannot be used: locked, full, too new, on a network file system.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> storage.close()
        >>> storage.names()
        Traceback (most recent call last):
            ...
        hpo.errors.StorageError: ...
    """


class ConnectionLost(StorageError):
    """The database is away, full or locked, or the connection broke in the middle of a step, which may be stored or
    not.

    The same step may succeed later; repeating it stores nothing twice.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:")
        >>> try:
        ...     trial = study.ask(request="first")
        ... except hpo.errors.ConnectionLost:
        ...     trial = study.ask(request="first")
        >>> trial.number
        0
    """

    is_unanswered = False
    """Whether nobody is at the address of the server: it may be wrong."""


class StudyDamaged(StorageError):
    """What is stored of a study cannot be read: bytes were lost or changed. Other studies of the storage can be read.

    Example:
        >>> import hpo
        >>> issubclass(hpo.errors.StudyDamaged, hpo.errors.StorageError)
        True
    """


class ExecutorError(HpoError, RuntimeError):
    """An executor cannot do what it was asked, or trials fail for a reason that more trials will not cure.

    Example:
        >>> import hpo
        >>> hpo.executors.Threads(0)
        Traceback (most recent call last):
            ...
        hpo.errors.ExecutorError: Threads needs at least one slot, got 0
    """


class MissingExtra(HpoError, ImportError):
    """An optional package is not installed. The message shows the command that installs it.

    Example:
        >>> import hpo
        >>> issubclass(hpo.errors.MissingExtra, ImportError)
        True
    """


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
