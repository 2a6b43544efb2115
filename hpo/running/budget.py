"""Budget: what may be spent on a study, as pure functions of its history."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from hpo.boundary.public import public_class
from hpo.common.frozen import Frozen
from hpo.common.scalars import is_finite, plain, whole
from hpo.common.text import counted
from hpo.errors import SettingsError
from hpo.problem.problem import Problem
from hpo.trials.attempt import Attempt
from hpo.trials.history import History
from hpo.trials.trial import Trial

_UNITS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Room(NamedTuple):
    """How many more trials may start now, and when none, why."""

    trials: float
    reason: str = ""
    is_final: bool = False
    """Whether no end of a trial in flight can make room again."""


@public_class
@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a run stops: at the first of these limits that is reached.

    A trial that is running counts in full, so running trials cannot exceed a limit. Lengths of time are seconds, or
    text like "90s", "30min", "2h".

    Each attempt of a trial is paid for once, by the seconds that its driver measured. Where nobody measured them, it is
    paid for as long as its lease lasted, and at most its limit: `trial_seconds`, or the time that `reserve` pays for.
    An attempt that may still run unobserved counts in full until that time is over. One that never started costs
    nothing.

    Args:
        trials: How many trials in all, however many attempts each needs. Earlier runs of the study count; results added
            from elsewhere do not.
        wall: How long one run may take. Then nothing more is started.
        overtime: How much longer trials in flight may go on after `wall`, before they are ended. None: until they end
            by themselves.
        worker_seconds: The time of all trials together, over the whole study. Needs `trial_seconds`.
        trial_seconds: The longest that one attempt of a trial may take. It is ended after that.
        cost: The cost of all trials together, over the whole study, in a unit of your own. Needs `reserve`.
        reserve: The most that one attempt can cost. It is set aside while the attempt runs.
        cost_of: What an attempt did cost: the name of a metric; a rate per second; or rates per hour of each resource,
            `{"cpu": 0.05, "gpu": 2.1}`. None: each attempt costs its reserve.
        target: A value of the single objective. A feasible trial that reaches it is good enough.

    Raises:
        SettingsError: A limit is invalid, none is given, or one lacks another that it needs.

    Example:
        >>> import hpo
        >>> budget = hpo.Budget(trials=60, wall="2h")
        >>> budget.wall_seconds
        7200.0
    """

    trials: int | None = None
    wall: float | str | None = None
    overtime: float | str | None = None
    worker_seconds: float | str | None = None
    trial_seconds: float | str | None = None
    cost: float | None = None
    reserve: float | None = None
    cost_of: str | float | Mapping[str, float] | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        given = self.trials
        for f in fields(self):
            object.__setattr__(self, f.name, plain(getattr(self, f.name)))
        if isinstance(self.cost_of, Mapping):
            object.__setattr__(self, "cost_of", Frozen({name: plain(rate) for name, rate in self.cost_of.items()}))
        trials = whole(self.trials)
        if given is not None and (trials is None or trials < 1):
            raise SettingsError(f"budget.trials: {given!r} is not a whole number of at least 1")
        for name in ("wall", "overtime", "worker_seconds", "trial_seconds"):
            self._time(name)
        for name in ("cost", "reserve"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0 and is_finite(value)):
                raise SettingsError(f"budget.{name}: {value!r} is not a positive number")
        self._check_rates()
        if self.cost is not None and self.reserve is None:
            raise SettingsError(
                "budget.cost needs budget.reserve, the most that one trial can cost: it is set aside while a trial is "
                "in flight, so that the cost can never be overdrawn. Budget(cost=50.0, reserve=2.0)"
            )
        if self.cost is None and (self.reserve is not None or self.cost_of is not None):
            raise SettingsError("budget.reserve and budget.cost_of go with budget.cost, which is not given")
        if self.worker_seconds is not None and self.trial_seconds is None:
            raise SettingsError(
                "budget.worker_seconds needs budget.trial_seconds, the most that one trial may take: it is set aside "
                "while a trial is in flight. Budget(worker_seconds='20h', trial_seconds='30min')"
            )
        if self.overtime is not None and self.wall is None:
            raise SettingsError("budget.overtime goes with budget.wall, which is not given")
        if self.target is not None and not (_is_number(self.target) and is_finite(self.target)):
            raise SettingsError(f"budget.target: {self.target!r} is not a finite number")
        if (self.trials, self.wall, self.worker_seconds, self.cost, self.target) == (None,) * 5:
            raise SettingsError("a budget limits something: Budget(trials=60), Budget(wall='2h'), Budget(cost=50, ...)")

    def to_json(self) -> dict[str, Any]:
        """The limits that are given."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in given.items() if v is not None}

    @property
    def timeout(self) -> float | None:
        """Seconds after which one attempt would use more than is set aside for it."""
        limits = [self._time("trial_seconds")]
        if isinstance(self.cost_of, int | float) and self.reserve is not None:
            limits.append(self.reserve / self.cost_of)
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def wall_words(self) -> str:
        """`wall` as it was given; a number with its unit."""
        return self.wall if isinstance(self.wall, str) else f"{self.wall:g} s"

    @property
    def wall_seconds(self) -> float | None:
        """`wall` in seconds."""
        return self._time("wall")

    @property
    def latest(self) -> float | None:
        """Seconds into a run at which what still runs is ended."""
        wall, overtime = self._time("wall"), self._time("overtime")
        return None if wall is None or overtime is None else wall + overtime

    def priced(self, cpus: float | None, gpus: int) -> Budget:
        """With the rate per second of a trial that is given these resources, in place of the rates of each."""
        if not isinstance(self.cost_of, Mapping):
            return self
        counts = {"cpu": 1.0 if cpus is None else cpus, "gpu": gpus}
        rate = sum(price * counts[name] for name, price in self.cost_of.items()) / 3600.0
        if not rate > 0:
            raise SettingsError(
                f"budget.cost_of: at {dict(self.cost_of)!r} a trial with {counts['cpu']:g} cpus and {gpus} gpus costs "
                "nothing; give the run the resources that are paid for"
            )
        return replace(self, cost_of=rate)

    def check(self, problem: Problem) -> None:
        """Raises SettingsError when the budget does not fit the problem."""
        if isinstance(self.cost_of, str):
            problem.metric(self.cost_of)
        if self.target is not None and len(problem.objectives) != 1:
            n = len(problem.objectives)
            raise SettingsError(f"budget.target needs exactly one objective; the problem has {n}. Use thresholds")

    def spent(self, history: History) -> float:
        """Cost so far, with the reserve of everything that runs."""
        limit, as_of = self.timeout, history.as_of
        return sum(self._cost(t, limit, as_of) for t in history.trials if t.attempts)

    def room(self, history: History, elapsed: float) -> Room:
        """How many trials may start, `elapsed` seconds into the run; waiting ones are yet to start, and use it too."""
        rooms = [Room(math.inf)]
        if self.trials is not None:
            reason = f"{counted(self.trials, 'trial')}, the budget, {'has' if self.trials == 1 else 'have'} been run"
            rooms.append(Room(self.trials - history.n_started, reason, is_final=not history.in_flight))
        if self.wall_seconds is not None and elapsed >= self.wall_seconds:
            rooms.append(Room(0, f"the wall time of {self.wall_words} is over", is_final=True))
        worker_seconds, most = self._time("worker_seconds"), self._time("trial_seconds")
        if worker_seconds is not None and most is not None:
            rooms.append(self._share(worker_seconds, self.worked(history), most, "worker seconds", history))
        if self.cost is not None and self.reserve is not None:
            rooms.append(self._share(self.cost, self.spent(history), self.reserve, "the cost", history))
        if self.target is not None and self.is_target_met(history):
            rooms.append(Room(0, f"the target of {self.target:.4g} is reached", is_final=True))
        return min(rooms, key=lambda room: (room.trials > 0, not room.is_final, room.trials))

    def is_target_met(self, history: History) -> bool:
        """Whether the best feasible trial reaches the target."""
        if self.target is None or not history.has_best:
            return False
        objective = history.problem.objectives[0]
        value = history.best.values[objective.name].value
        return value >= self.target if objective.goal == "maximize" else value <= self.target

    def worked(self, history: History) -> float:
        """Seconds of all attempts so far, with the most that those which run may take."""
        limit, as_of = self.timeout, history.as_of
        return sum(attempt.billed(limit, as_of) for attempt in _attempts(history))

    def _cost(self, trial: Trial, limit: float | None, as_of: str) -> float:
        reserve = self.reserve or 0.0
        if isinstance(self.cost_of, int | float):
            return self.cost_of * sum(attempt.billed(limit, as_of) for attempt in trial.attempts)
        if not isinstance(self.cost_of, str):
            return reserve * len(trial.attempts)
        results = [trial.values if a.number == trial.attempt else a.values for a in trial.attempts]
        return sum(values[self.cost_of].value if self.cost_of in values else reserve for values in results)

    def _share(self, limit: float, used: float, reserve: float, what: str, history: History) -> Room:
        """How many more trials fit into `limit`, each with its reserve."""
        trials = math.floor((limit - used) / reserve + 1e-9)
        reason = f"{used:.4g} of {what}, {limit:.4g}, is used; a trial may take {reserve:.4g}"
        if trials < 1 and (n := sum(attempt.is_held(self.timeout, history.as_of) for attempt in _attempts(history))):
            reason += f", and {counted(n, 'lost attempt')} may run on"
        return Room(trials, reason, is_final=not history.in_flight)

    def _time(self, name: str) -> float | None:
        given = getattr(self, name)
        try:
            return None if given is None else seconds(given)
        except SettingsError as error:
            raise SettingsError(f"budget.{name}: {error}") from error

    def _check_rates(self) -> None:
        rates = self.cost_of if isinstance(self.cost_of, Mapping) else {"": self.cost_of}
        for name, rate in rates.items():
            where = f"budget.cost_of.{name}" if name else "budget.cost_of"
            if isinstance(self.cost_of, Mapping) and name not in ("cpu", "gpu"):
                raise SettingsError(f"{where}: no such resource (have: cpu, gpu)")
            if rate is not None and not isinstance(rate, str) and not (isinstance(rate, int | float) and rate > 0):
                raise SettingsError(f"{where}: {rate!r} is neither a positive rate nor the name of a metric")


def _attempts(history: History) -> Iterator[Attempt]:
    return (attempt for trial in history.trials for attempt in trial.attempts)


def seconds(given: float | str) -> float:
    """`90`, `"90s"`, `"30min"`, `"2h"`, `"1h30min"` in seconds. Raises SettingsError."""
    if isinstance(given, int | float) and not isinstance(given, bool) and given > 0 and is_finite(given):
        return float(given)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smhd])", given) if isinstance(given, str) else []
    if not isinstance(given, str) or not parts or "".join(n + u for n, u in parts) != given.replace(" ", ""):
        raise SettingsError(
            f'{given!r} is no length of time; write seconds, or text like "90s", "30min", "2h", "1h30min"'
        )
    if not 0 < (total := sum(float(n) * _UNITS[u] for n, u in parts)) < math.inf:
        what = "no time at all; give more than 0 s" if total == 0 else "longer than a clock can tell"
        raise SettingsError(f"{given!r} is {what}")
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
