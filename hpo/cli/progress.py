"""What a run shows while it goes: one live line on a terminal, one plain line per ended trial elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hpo.budget import Budget
from hpo.cli.console import echo
from hpo.history import History
from hpo.report.words import best_words, duration, misses, with_unit
from hpo.runner import Progress
from hpo.text import shown
from hpo.trial import Trial, TrialState

if TYPE_CHECKING:
    from rich.live import Live


class Display(Protocol):
    """Shows the steps of a run; open for as long as the run lasts."""

    def __enter__(self) -> Callable[[Progress], None]: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Estimate:
    """How long the rest of a run will take: what may still run, at the pace of what has ended."""

    budget: Budget
    ended: int = 0

    def count(self, step: Progress) -> None:
        """Take note of a trial's end."""
        self.ended += step.ended is not None

    def seconds(self, step: Progress) -> float | None:
        """Seconds left; None while nothing tells."""
        left = []
        if self.ended and step.room is not None and step.room.trials < float("inf"):
            n = max(step.room.trials, 0) + len(step.history.in_flight)
            left.append(n * step.elapsed / self.ended)
        if self.budget.wall_seconds is not None:
            left.append(max(self.budget.wall_seconds - step.elapsed, 0.0))
        return min(left, default=None)


def progress_line(history: History, trials: int | None = None, seconds_left: float | None = None) -> str:
    """`trial 24/60 | 2 running | best feasible accuracy 0.9772 (#18) | best infeasible 0.985 (#17: latency_ms 18.4 > 15
    ms) | limits missed: latency_ms 11/24 | ~6 min left`, without the parts that have nothing to say."""
    running = sum(t.state is TrialState.RUNNING for t in history.trials)
    parts = [_count(history, trials), f"{running} running" if running else ""]
    if history.completed:
        parts += [best_words(history), _tempting(history), _missed(history)]
    parts.append(f"{len(history.failed)} failed" if history.failed else "")
    parts.append(f"~{duration(seconds_left)} left" if seconds_left else "")
    return " | ".join(filter(None, parts))


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


def resume_words(history: History) -> str:
    """`resuming: 24 trials, best feasible accuracy 0.9772 (#18)`."""
    return f"resuming: {len(history.trials)} trials, {best_words(history)}"


@dataclass
class Plain:
    """One line per ended trial and per message; no escape codes."""

    budget: Budget
    log_hint: Callable[[Progress], str]
    estimate: Estimate = field(init=False)

    def __post_init__(self) -> None:
        self.estimate = Estimate(self.budget)

    def __enter__(self) -> Callable[[Progress], None]:
        return self.show

    def __exit__(self, *_: object) -> None:
        return

    def show(self, step: Progress) -> None:
        """Print what happened."""
        self.estimate.count(step)
        if step.message:
            echo(step.message)
        if step.ended is not None:
            rest = progress_line(step.history, self.budget.trials, self.estimate.seconds(step)).split(" | ")
            words = trial_words(step.history, step.ended) + self.log_hint(step)
            echo(" | ".join([rest[0], words, *rest[1:]]))


@dataclass
class Terminal:
    """A line that is rewritten, below failures and messages that stay."""

    budget: Budget
    log_hint: Callable[[Progress], str]
    estimate: Estimate = field(init=False)
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self.estimate = Estimate(self.budget)
        self.live = Live("", console=Console(highlight=False), auto_refresh=False)

    def __enter__(self) -> Callable[[Progress], None]:
        self.live.start()
        return self.show

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def show(self, step: Progress) -> None:
        """Rewrite the line."""
        from rich.text import Text

        self.estimate.count(step)
        if step.message:
            self.live.console.print(Text(shown(step.message, lines=True)))
        if step.ended is not None and step.ended.state is not TrialState.COMPLETED:
            self.live.console.print(Text(shown(trial_words(step.history, step.ended) + self.log_hint(step))))
        line = progress_line(step.history, self.budget.trials, self.estimate.seconds(step))
        self.live.update(Text(shown(line)), refresh=True)


@dataclass
class Quiet:
    """Nothing at all."""

    def __enter__(self) -> Callable[[Progress], None]:
        return lambda _: None

    def __exit__(self, *_: object) -> None:
        return


def _count(history: History, trials: int | None) -> str:
    ended = [t for t in history.trials if t.source != "added" and t.state in (TrialState.COMPLETED, TrialState.FAILED)]
    return f"trial {len(ended)}" + (f"/{trials}" if trials else "")


def _tempting(history: History) -> str:
    """The infeasible trial with a better objective than any feasible one, and what it broke."""
    if len(history.problem.objectives) != 1:
        return ""
    objective = history.problem.objectives[0]
    sign = 1 if objective.goal == "maximize" else -1
    top = max(history.completed, key=lambda t: sign * t.values[objective.name].value)
    broken = misses(tuple(history.problem.metrics), top)
    if not broken:
        return ""
    value = with_unit(objective, top.values[objective.name].value)
    return f"best infeasible {value} (#{top.number}: {'; '.join(broken)})"


def _missed(history: History) -> str:
    missed = [f"{name} {n}/{len(history.completed)}" for name, n in history.misses().items() if n]
    return f"limits missed: {', '.join(missed)}" if missed else ""
