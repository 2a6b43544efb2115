"""simulate(): how long a study would take on how many workers, at what cost, before anything is paid for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

from hpo.boundary.public import public
from hpo.common.randomness import trial_seed
from hpo.common.scalars import whole
from hpo.errors import SettingsError
from hpo.executors import Duration, Failures, Recorded, Simulated
from hpo.problem.metrics import Objective, Tracked
from hpo.problem.problem import Problem
from hpo.running.budget import Budget
from hpo.running.objective import Objective as Function
from hpo.running.runner import run
from hpo.strategies import Random, Strategy
from hpo.study.open_study import open_study
from hpo.study.study import Study
from hpo.trials.history import History
from hpo.trials.trial import RETRIED_KINDS

WORKERS = (1, 2, 4, 8, 16, 32)
_FEWEST_RESULTS = 10
_SHORTEST = 1e-9  # seconds, of runs whose trials take none
_PAYS = 0.5
"""More workers are said to help while a step to k times as many makes a study at least k to this power times as fast: 1.4
times for twice as many."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What one number of workers is expected to bring: medians over the repeats, but for `lost` and `failed`."""

    workers: int
    trials: float
    """Started within the budget."""
    seconds: float
    """From the first start to the last end."""
    worker_hours: float
    """All workers, from the first start to the last end, idle ones too: what is paid for."""
    speed_up: float
    """Trials in an hour, against the fewest workers of the forecast."""
    efficiency: float
    """`speed_up`, divided by how many times as many workers there are: 1 when none is ever idle."""
    cost: float | None = None
    """At the rate that was given."""
    lost: float = 0.0
    """Mean number of runs of a trial that were lost because a worker died; they were run again."""
    failed: float = 0.0
    """Mean number of trials that ended without a result."""
    best: float | None = None
    """Best feasible value of the objective to expect; None where nothing tells, or most repeats found nothing feasible."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What `simulate` found, a row for each number of workers, the fewest first."""

    rows: tuple[Capacity, ...]
    repeats: int
    n_results: int
    """Results from which it is known what trials would measure; with 0 the forecast tells time and cost only."""
    n_seconds: int
    """Trials whose recorded seconds were drawn from; 0 where a duration was given."""
    objective: Objective | None = None
    """What `best` is a value of."""

    @property
    def enough(self) -> Capacity:
        """The row beyond which more workers no longer help much: twice as many are less than 1.4 times as fast."""
        for row, more in zip(self.rows, self.rows[1:], strict=False):
            if more.speed_up < row.speed_up * (more.workers / row.workers) ** _PAYS:
                return row
        return self.rows[-1]

    @property
    def advice(self) -> str:
        """What the rows mean, in one sentence."""
        first, enough, last = self.rows[0].workers, self.enough, self.rows[-1]
        if len(self.rows) == 1:
            return "Give several numbers of workers to see from which on more no longer help."
        if enough is last:
            gain = f"{last.speed_up:.3g} times as fast as {first}"
            return f"More workers help up to {last.workers} at least: they are {gain}."
        return (
            f"More than {enough.workers} workers no longer help much: {last.workers} are "
            f"{last.speed_up / enough.speed_up:.2g} times as fast as {enough.workers}, for "
            f"{last.worker_hours / enough.worker_hours:.2g} times the worker-hours."
        )


@public
def simulate(
    what: Study | Problem,
    *,
    workers: Sequence[int] = WORKERS,
    trials: int = 100,
    wall: float | str | None = None,
    duration: Duration | float | None = None,
    failures: Failures | None = None,
    timeout: float | None = None,
    rate: float | None = None,
    strategy: Strategy | None = None,
    repeats: int = 5,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Forecast how long a study would take on several numbers of workers, and what it would cost, on a simulated clock.

    If `what` is a study with at least ten results, and two for each parameter, simulated trials return what its models
    predict, and its own strategy suggests them. Otherwise params are random, and only time and cost are forecast. The
    study is only read. Suggesting takes no time on the simulated clock.

    Args:
        what: A study, or a problem.
        workers: The numbers of workers to compare.
        trials: The budget of each run in trials.
        wall: The budget of each run in time, as in `Budget`. None: no limit.
        duration: Seconds of a trial: a number, `Lognormal`, `Recorded` or a function. None: a recorded one of the
            study, at random.
        failures: What goes wrong with workers. None: nothing.
        timeout: Simulated seconds that a trial may take. None: no limit.
        rate: What a worker costs per hour, in a unit of your own. None: no cost is told.
        strategy: What suggests, in place of the study's own strategy, or of `Random` for a problem.
        repeats: How many runs for each number of workers; the forecast tells their medians.
        seed: Makes the forecast repeatable.
        progress: Called with the number of runs done and of all runs.

    Returns:
        A `Forecast`; its fields are below.

    Raises:
        SettingsError: Nothing tells how long trials take, or a number is invalid.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> forecast = hpo.simulate(problem, workers=(1, 4), trials=20, duration=600.0, repeats=1)
        >>> [row.seconds for row in forecast.rows]
        [12000.0, 3000.0]
    """
    if not isinstance(what, Study | Problem):
        raise SettingsError(f"simulate({what!r}): give a study, or a problem to make one of")
    workers, repeats, seed = _checked(workers, repeats, rate, seed)
    history = what.history if isinstance(what, Study) else None
    problem = what.problem if isinstance(what, Study) else what
    budget = Budget(trials=trials, wall=wall)
    recorded = [t.seconds for t in history.trials if t.seconds is not None] if history else []
    if duration is None:
        duration = Recorded(_known(recorded, what))
        n_seconds = len(recorded)
    else:
        n_seconds = 0
    is_learned = history is not None and len(history.completed) >= max(_FEWEST_RESULTS, 2 * len(problem.space))
    if strategy is None:
        strategy = what.strategy if is_learned and isinstance(what, Study) else Random()
    function = _expected(history) if is_learned and history else _nothing(problem)
    objective = problem.objectives[0] if is_learned and len(problem.objectives) == 1 else None

    runs: list[list[_Ended]] = []
    for n in workers:
        runs.append([])
        for repeat in range(repeats):
            luck = trial_seed(seed, repeat)
            study = open_study("simulated", problem, storage=":memory:", seed=luck, strategy=strategy)
            executor = Simulated(n, duration, failures=failures or Failures(), seed=luck)
            ended = run(study, function, budget=budget, executor=executor, timeout=timeout, progress=False)
            if ended.interrupted:
                raise KeyboardInterrupt
            runs[-1].append(_Ended.of(study.history, ended.seconds, objective))
            if progress:
                progress((len(runs) - 1) * repeats + repeat + 1, len(workers) * repeats)
    rows = tuple(_row(n, ends, rate, (workers[0], runs[0])) for n, ends in zip(workers, runs, strict=True))
    n_results = len(history.completed) if is_learned and history else 0
    return Forecast(rows=rows, repeats=repeats, n_results=n_results, n_seconds=n_seconds, objective=objective)


@dataclass(frozen=True)
class _Ended:
    """One simulated run."""

    trials: int
    seconds: float
    lost: int
    failed: int
    best: float | None

    @classmethod
    def of(cls, history: History, seconds: float, objective: Objective | None) -> _Ended:
        dead = sum(t.kind in RETRIED_KINDS for t in history.failed)
        return cls(
            trials=history.n_started,
            seconds=seconds,
            lost=sum(t.attempt - 1 for t in history.trials) + dead,
            failed=len(history.failed),
            best=history.best.values[objective.name].value if objective and history.has_best else None,
        )


def _row(n: int, runs: Sequence[_Ended], rate: float | None, base: tuple[int, Sequence[_Ended]]) -> Capacity:
    seconds = median(r.seconds for r in runs)
    speed_up = _pace(runs) / _pace(base[1])
    hours = n * seconds / 3600
    found = [r.best for r in runs if r.best is not None]
    return Capacity(
        workers=n,
        trials=median(r.trials for r in runs),
        seconds=seconds,
        worker_hours=hours,
        speed_up=speed_up,
        efficiency=speed_up * base[0] / n,
        cost=None if rate is None else rate * hours,
        lost=mean(r.lost for r in runs),
        failed=mean(r.failed for r in runs),
        best=median(found) if 2 * len(found) > len(runs) else None,
    )


def _pace(runs: Sequence[_Ended]) -> float:
    """Trials a second."""
    return median(r.trials / max(r.seconds, _SHORTEST) for r in runs)


def _expected(history: History) -> Function:
    from hpo.bayes.predict import PosteriorMeanObjective

    expected = PosteriorMeanObjective.of(history)
    return lambda trial: expected.at(trial.params)


def _nothing(problem: Problem) -> Function:
    names = [m.name for m in problem.metrics if not isinstance(m, Tracked)]
    return lambda _: dict.fromkeys(names, 0.0)


def _known(recorded: Sequence[float], what: Study | Problem) -> Sequence[float]:
    if any(recorded):
        return recorded
    have = f"study {what.name!r} has no trial whose seconds were recorded" if isinstance(what, Study) else "no results"
    raise SettingsError(
        f"{have}, so nothing tells how long a trial takes; give a duration: --duration 10min, or duration=600.0"
    )


def _checked(workers: Sequence[int], repeats: int, rate: float | None, seed: int) -> tuple[list[int], int, int]:
    counts, n_repeats, own_seed = [whole(n) or 0 for n in workers], whole(repeats) or 0, whole(seed)
    faults = []
    if own_seed is None:
        faults.append(f"seed: {seed!r} is not a whole number")
    if not counts or min(counts) < 1:
        faults.append(f"workers: whole numbers of at least 1, like 1,8,32, got {workers!r}")
    if n_repeats < 1:
        faults.append(f"repeats: {repeats!r} is not a whole number of at least 1")
    if rate is not None and not 0 <= rate < math.inf:
        faults.append(f"rate: {rate!r} is no cost per hour")
    if faults or own_seed is None:
        raise SettingsError(*faults)
    return sorted(set(counts)), n_repeats, own_seed
