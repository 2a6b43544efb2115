"""maximize() and minimize(): a study in one call, for the first minute."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpo.boundary.public import public
from hpo.errors import MetricError, MissingMetric, SettingsError
from hpo.executors import Inline, Processes
from hpo.problem.metrics import Constraint, Goal, Metric, Objective
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.running.budget import Budget
from hpo.running.display import Display, Show
from hpo.running.objective import Objective as Function
from hpo.running.runner import run
from hpo.storage import Storage
from hpo.study.open_study import open_study
from hpo.study.study import Study

Limit = str | tuple[float | None, float | None]
"""`"<= 5"`, `">= 0.8"`, `"<= 5 ms"`; or (lowest, highest), with None where there is no limit. Limits are inclusive."""

_VALUE = "value"
_LIMIT = re.compile(r"(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\s+([^\s\d<>=][^<>=]*))?")


@public
def maximize(
    objective: Function,
    space: Space | Mapping[str, Any],
    trials: int = 20,
    *,
    metric: str = _VALUE,
    limits: Mapping[str, Limit] | None = None,
    workers: int = 1,
    name: str | None = None,
    storage: str | Path | Storage | None = None,
    seed: int | None = None,
    progress: bool | Show | Display | None = None,
) -> Study:
    """Tune `objective` over `space` for the largest value, in one call.

    The same in steps, with all that can be set: `Problem`, `open_study`, `run`.

    Args:
        objective: Called with each trial, whose `params` it reads. It returns the value. With limits it returns a
            mapping of metric name to number: the value under `metric`, and each limited metric. It may fail as for
            `hpo.run`.
        space: A Space, or the mapping to make one of.
        trials: How many training runs in all.
        metric: What the value is called.
        limits: Limits by name of metric, inclusive: `{"latency_ms": "<= 5 ms", "recall": ">= 0.8", "size": (1, 10)}`.
            The unit is for the reader. A limit of `metric` itself is its threshold.
        workers: How many trials run at a time. With 1 they run in this thread, with more each in a process of its own.
        name: Keeps the study under this name. The same call then goes on with it, and `trials` counts all of its
            trials. None: the study lives in memory, and every call begins anew.
        storage: Where a study with a name is kept, as for `open_study`. None: in the file hpo.db.
        seed: A whole number that makes the suggestions repeatable. None: one is drawn.
        progress: What is shown meanwhile, as for `hpo.run`.

    Returns:
        The study; its `best` is the best trial within all limits.

    Raises:
        HpoError: What `Problem`, `open_study` and `run` raise. The error also tells the best result so far.

    Example:
        >>> import hpo
        >>> def train(trial):
        ...     return 1 - (trial.params["x"] - 0.3) ** 2
        >>> study = hpo.maximize(train, {"x": (0.0, 1.0)}, trials=10, seed=1, progress=False)
        >>> study.best.value > 0.99
        True
    """
    _check_order("maximize", objective, space)
    study = _opened("maximize", space, _metrics("maximize", metric, limits), name, storage, seed)
    return _tuned(study, objective, trials, workers, progress)


@public
def minimize(
    objective: Function,
    space: Space | Mapping[str, Any],
    trials: int = 20,
    *,
    metric: str = _VALUE,
    limits: Mapping[str, Limit] | None = None,
    workers: int = 1,
    name: str | None = None,
    storage: str | Path | Storage | None = None,
    seed: int | None = None,
    progress: bool | Show | Display | None = None,
) -> Study:
    """Tune `objective` over `space` for the smallest value, in one call. All else is as for `maximize`.

    Args:
        objective: Called with each trial; returns the value, or a mapping of metric name to number.
        space: A Space, or the mapping to make one of.
        trials: How many training runs in all.
        metric: What the value is called.
        limits: Limits by name of metric, such as `{"size_mb": "<= 20 MB"}`.
        workers: How many trials run at a time.
        name: Keeps the study under this name. None: it lives in memory.
        storage: Where a study with a name is kept. None: in the file hpo.db.
        seed: A whole number that makes the suggestions repeatable. None: one is drawn.
        progress: What is shown meanwhile, as for `hpo.run`.

    Returns:
        The study; its `best` is the best trial within all limits.

    Raises:
        HpoError: As for `maximize`.

    Example:
        >>> import hpo
        >>> def train(trial):
        ...     return {"loss": trial.params["x"] ** 2, "seconds": 2 + trial.params["x"]}
        >>> limits = {"seconds": "<= 2 s"}
        >>> study = hpo.minimize(train, {"x": (-1.0, 1.0)}, 10, metric="loss", limits=limits, seed=1, progress=False)
        >>> study.best.value < 0.01
        True
    """
    _check_order("minimize", objective, space)
    study = _opened("minimize", space, _metrics("minimize", metric, limits), name, storage, seed)
    return _tuned(study, objective, trials, workers, progress)


def limit_of(metric: str, given: object) -> tuple[float | None, float | None, str]:
    """Lower limit, upper limit and unit of a Limit. Raises MetricError for what is none."""
    if isinstance(given, str) and (found := _LIMIT.fullmatch(given.strip())):
        side, number, unit = found[1], float(found[2]), found[3] or ""
        return (None, number, unit) if side == "<=" else (number, None, unit)
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2:
        return given[0], given[1], ""
    raise MetricError(
        f'limits: {metric!r} has {given!r}. Write "<= 5" or ">= 5", with a unit "<= 5 ms", or both ends (4, 5); limits are '
        "inclusive"
    )


def _check_order(call: str, objective: object, space: object) -> None:
    if isinstance(objective, Space | Mapping) and callable(space):
        raise SettingsError(
            f"{call}: the objective comes first, then the space: hpo.{call}(objective, space, trials=20)"
        )


def _metrics(goal: Goal, metric: str, limits: Mapping[str, Limit] | None) -> list[Metric]:
    if limits is not None and not isinstance(limits, Mapping):
        raise MetricError(f'limits={limits!r} is not a mapping of metric to limit, like {{"latency_ms": "<= 5"}}')
    objective, constraints = Objective(metric, goal), []
    for name, given in (limits or {}).items():
        lower, upper, unit = limit_of(name, given)
        if name != metric:
            constraints.append(Constraint(name, lower=lower, upper=upper, unit=unit))
            continue
        threshold, other = (lower, upper) if goal == "maximize" else (upper, lower)
        if other is not None:
            side = ">=" if goal == "maximize" else "<="
            raise MetricError(f'limits: {metric!r} is to be {goal}d, so its limit is on the other side: "{side} ..."')
        objective = Objective(metric, goal, threshold=threshold, unit=unit)
    return [objective, *constraints]


def _opened(
    call: str,
    space: Space | Mapping[str, Any],
    metrics: Sequence[Metric],
    name: str | None,
    storage: str | Path | Storage | None,
    seed: int | None,
) -> Study:
    problem = Problem(space if isinstance(space, Space) else Space(space), metrics)
    if name is None and storage is not None:
        raise SettingsError(f'{call}(storage=...) keeps the study, which needs a name to be found by: name="digits"')
    if name is None:
        return open_study(call, problem, storage=":memory:", seed=seed)
    return open_study(name, problem, storage="hpo.db" if storage is None else storage, seed=seed)


def _tuned(
    study: Study, objective: Function, trials: int, workers: int, progress: bool | Show | Display | None
) -> Study:
    executor = Inline() if workers == 1 else Processes(workers)
    with _noting(study):
        run(study, objective, budget=Budget(trials=trials), executor=executor, progress=progress)
    return study


@contextmanager
def _noting(study: Study) -> Iterator[None]:
    """Add to an error what would be lost with it."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, MissingMetric) and study.problem.objectives[0].name == _VALUE:
            error.add_note(f'The value is called {_VALUE!r} where no name is given. Give it yours: metric="accuracy"')
        history = study.history
        if history.completed and study.storage.url == ":memory:":
            error.add_note(
                f"{history.closest()} is the best so far of {len(history.completed)} results. "
                'A study with a name is kept, and goes on when it is called again: name="digits"'
            )
        raise
