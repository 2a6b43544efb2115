"""What a run tells while it goes: its steps, and the words for them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from hpo.common.text import counted
from hpo.running.budget import Budget, Room
from hpo.trials.formatting import best_words, duration, misses, short, with_unit
from hpo.trials.history import History, oriented
from hpo.trials.trial import Trial, TrialState


@dataclass(frozen=True)
class Progress:
    """One step of a run, for whoever shows it."""

    history: History
    elapsed: float
    """Seconds since the run began, on the executor's clock."""
    ended: Trial | None = None
    """The trial that just ended; None when the step is a message, or trials have started."""
    task: str = ""
    """The id of its task, after which an executor names its logs."""
    message: str = ""
    room: Room | None = None
    log: str = ""
    """The file that keeps what a failed trial wrote to standard error, where the executor keeps one."""
    delay: str = ""
    """Why nothing is started, or nothing is stored, at the moment, and for how long."""
    trace: str = ""
    """Of a failure of a kind not seen before in this run: the traceback, or the last lines the training wrote."""


@dataclass
class Estimate:
    """How long the rest of a run will take: what may still run, at the pace of what has ended."""

    budget: Budget
    ended: int = 0
    over_at: float | None = None
    """When the run would be over, as seen when the last trial ended; on the run's clock, as `elapsed`."""

    def count(self, step: Progress) -> None:
        """Take note of a trial's end."""
        if step.ended is None:
            return
        self.ended += 1
        if step.room is not None and step.room.trials < math.inf:
            n = max(step.room.trials, 0) + len(step.history.in_flight)
            self.over_at = step.elapsed + n * step.elapsed / self.ended

    def seconds(self, step: Progress) -> float | None:
        """Seconds left; None while nothing tells."""
        left = [] if self.over_at is None else [max(self.over_at - step.elapsed, 0.0)]
        if self.budget.wall_seconds is not None:
            left.append(max(self.budget.wall_seconds - step.elapsed, 0.0))
        return min(left, default=None)


def progress_line(history: History, trials: int | None = None, seconds_left: float | None = None) -> str:
    """`trial 24/60 | 2 running | best feasible accuracy 0.9772 (#18) | best infeasible 0.985 (#17: latency_ms 18.4 > 15
    ms) | limits missed: latency_ms 11/24 | ~6 min left`, without the parts that have nothing to say."""
    running = sum(t.state is TrialState.RUNNING for t in history.in_flight)
    parts = [_count(history, trials), f"{running} running" if running else ""]
    if history.completed:
        parts += [best_words(history), _tempting(history), _missed(history)]
    parts.append(f"{len(history.failed)} failed" if history.failed else "")
    parts.append(f"~{duration(seconds_left)} left" if seconds_left else "")
    return " | ".join(filter(None, parts))


def spending_words(budget: Budget, history: History) -> str:
    """`cost left 37.5 of 50`, what runs counted in full; the empty string where the budget limits no cost."""
    if budget.cost is None:
        return ""
    return f"cost left {short(max(budget.cost - budget.spent(history), 0.0))} of {short(float(budget.cost))}"


def clock_words(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def trial_words(history: History, trial: Trial) -> str:
    """`#17 accuracy 0.985, missed latency_ms 18.4 > 15 ms`, or how it failed."""
    if trial.state is not TrialState.COMPLETED:
        kind = f" ({trial.kind})" if trial.kind else ""
        return f"#{trial.number} {trial.state}{kind}" + (f": {trial.message}" if trial.message else "")
    values = [
        f"{m.name} {with_unit(m, trial.values[m.name].value)}"
        for m in history.problem.objectives or history.problem.metrics[:1]
        if m.name in trial.values
    ]
    broken = misses(tuple(history.problem.metrics), trial)
    aside = ", set aside" if trial.set_aside else ""
    return f"#{trial.number} {', '.join(values)}{aside}" + (f", missed {'; '.join(broken)}" if broken else "")


def log_words(step: Progress) -> str:
    """` (log: logs/digits-3-1.err)` after a failure, from the present folder where it lies below; else nothing."""
    path = Path(step.log)
    if not step.log or not path.exists():
        return ""
    return f" (log: {os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path})"


def resume_words(history: History) -> str:
    """`resuming: 24 trials, 3 failed, best feasible accuracy 0.9772 (#18)`."""
    failed = f"{len(history.failed)} failed" if history.failed else ""
    return f"resuming: {', '.join(filter(None, [counted(len(history.trials), 'trial'), failed, best_words(history)]))}"


def _count(history: History, trials: int | None) -> str:
    running = sum(t.state is TrialState.RUNNING for t in history.in_flight)
    n = history.n_started - running
    return f"trial {n}/{trials}" if trials else f"{counted(n, 'trial')} ended"


def _tempting(history: History) -> str:
    """The infeasible trial with a better objective than any feasible one, and what it broke."""
    if len(history.problem.objectives) != 1:
        return ""
    objective = history.problem.objectives[0]
    top = max(history.completed, key=lambda t: oriented(objective, t))
    broken = misses(tuple(history.problem.metrics), top)
    if not broken:
        return ""
    value = with_unit(objective, top.values[objective.name].value)
    return f"best infeasible {value} (#{top.number}: {'; '.join(broken)})"


def _missed(history: History) -> str:
    missed = [f"{name} {n}/{len(history.completed)}" for name, n in history.misses().items() if n]
    return f"limits missed: {', '.join(missed)}" if missed else ""
