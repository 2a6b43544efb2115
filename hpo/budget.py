"""Budget: what may be spent on a study, as pure functions of its history."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from hpo.errors import SettingsError
from hpo.history import History
from hpo.metrics import Tracked
from hpo.problem import Problem
from hpo.trial import Trial, TrialState

_UNITS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Room(NamedTuple):
    """How many more trials may start now, and when none, why."""

    trials: float
    reason: str = ""
    is_final: bool = False
    """Whether no end of a trial in flight can make room again."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits on spending; whichever is reached first ends the run. What runs counts in full, so the limits are never
    overdrawn by trials that were already under way.

    trials: trials in all, those of earlier runs of the study included, results added from elsewhere not.
    wall: seconds, or text like "90s", "30min", "2h", for one run; trials in flight then are let end.
    cost: in the user's own unit, over the whole study. Needs `reserve`, the most one trial can cost, set aside while it
        is in flight; `cost_of` says what it did cost: the name of a metric, or a rate per second of evaluation. Without
        `cost_of` each trial costs its reserve.
    target: value of the one objective at which the best feasible trial is good enough.

    Raises SettingsError for what cannot be.
    """

    trials: int | None = None
    wall: float | str | None = None
    cost: float | None = None
    reserve: float | None = None
    cost_of: str | float | None = None
    target: float | None = None
    wall_seconds: float | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "wall_seconds", None if self.wall is None else seconds(self.wall))
        if self.trials is not None and (not isinstance(self.trials, int) or self.trials < 1):
            raise SettingsError(f"budget.trials: {self.trials!r} is not a whole number of at least 1")
        for name in ("cost", "reserve"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
                raise SettingsError(f"budget.{name}: {value!r} is not a positive number")
        if self.cost is not None and self.reserve is None:
            raise SettingsError(
                "budget.cost needs budget.reserve, the most that one trial can cost: it is set aside while a trial is "
                "in flight, so that the cost can never be overdrawn. Budget(cost=50.0, reserve=2.0)"
            )
        if self.cost is None and (self.reserve is not None or self.cost_of is not None):
            raise SettingsError("budget.reserve and budget.cost_of go with budget.cost, which is not given")
        if (self.trials, self.wall, self.cost, self.target) == (None, None, None, None):
            raise SettingsError("a budget limits something: Budget(trials=60), Budget(wall='2h'), Budget(cost=50, ...)")

    @property
    def timeout(self) -> float | None:
        """Seconds after which one trial would cost more than its reserve, where cost goes by the second."""
        if isinstance(self.cost_of, int | float) and self.reserve is not None:
            return self.reserve / self.cost_of
        return None

    def check(self, problem: Problem) -> None:
        """Raises SettingsError when the budget does not fit the problem."""
        if isinstance(self.cost_of, str):
            metric = problem.metric(self.cost_of)
            if isinstance(metric, Tracked):
                return
        if self.target is not None and len(problem.objectives) != 1:
            n = len(problem.objectives)
            raise SettingsError(f"budget.target needs exactly one objective; the problem has {n}. Use thresholds")

    def spent(self, history: History) -> float:
        """Cost so far, with the reserve of everything that runs."""
        return sum(self._cost(t) for t in history.trials if t.source != "added")

    def room(self, history: History, elapsed: float) -> Room:
        """How many trials may start, `elapsed` seconds into the run; waiting ones are yet to start, and use it too."""
        rooms = [Room(math.inf)]
        if self.trials is not None:
            reason = f"{self.trials} trials, the budget, have been run"
            rooms.append(Room(self.trials - history.n_started, reason, is_final=not history.in_flight))
        if self.wall_seconds is not None and elapsed >= self.wall_seconds:
            rooms.append(Room(0, f"the wall time of {self.wall} is over", is_final=True))
        if self.cost is not None and self.reserve is not None:
            free = self.cost - self.spent(history)
            reason = (
                f"{self.cost - free:.4g} of the cost of {self.cost:.4g} is spent; a trial may cost {self.reserve:.4g}"
            )
            rooms.append(Room(math.floor(free / self.reserve + 1e-9), reason, is_final=not history.in_flight))
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

    def _cost(self, trial: Trial) -> float:
        reserve = self.reserve or 0.0
        if trial.state is TrialState.RUNNING:
            return reserve
        if trial.state is TrialState.WAITING:
            return 0.0
        if isinstance(self.cost_of, str):
            told = trial.values.get(self.cost_of)
            return told.value if told is not None else 0.0 if trial.state is TrialState.CANCELLED else reserve
        if self.cost_of is not None:
            return (trial.seconds or 0.0) * self.cost_of
        return 0.0 if trial.state is TrialState.CANCELLED else reserve


def seconds(given: float | str) -> float:
    """`90`, `"90s"`, `"30min"`, `"2h"`, `"1h30min"` in seconds. Raises SettingsError."""
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < math.inf:
        return float(given)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smhd])", given) if isinstance(given, str) else []
    if not isinstance(given, str) or not parts or "".join(n + u for n, u in parts) != given.replace(" ", ""):
        raise SettingsError(
            f'{given!r} is no length of time; write seconds, or text like "90s", "30min", "2h", "1h30min"'
        )
    return sum(float(n) * _UNITS[u] for n, u in parts)
