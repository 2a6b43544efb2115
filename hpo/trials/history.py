"""History: the trials of a study as one ask sees them, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hpo.boundary.public import public_members
from hpo.common.text import counted
from hpo.errors import NoFeasibleTrial
from hpo.problem.metrics import Metric, Objective, is_feasible, limit_words, shortfall
from hpo.problem.problem import Problem
from hpo.trials.pareto import is_non_dominated
from hpo.trials.trial import DATA, LEAP, Trial, TrialState


@public_members
@dataclass(frozen=True)
class History:
    """The trials of a study at one moment. A frozen value, which can be pickled anywhere.

    Args:
        problem: What is to be solved.
        seed: The study's seed.
        trials: All trials, in order of number.
        fitted: What the last suggestion by a model found, by metric; the next fit starts there.
        as_of: When the last event was written, by the storage's clock. Empty: there is none.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y"), hpo.Constraint("z", upper=1)])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:", seed=1)
        >>> added = study.add({"x": 0.5}, {"y": 3.0, "z": 2.0})
        >>> study.history.has_best, study.history.misses()
        (False, {'z': 1})
    """

    problem: Problem
    seed: int
    trials: tuple[Trial, ...] = ()
    fitted: Mapping[str, Any] = field(default_factory=dict)
    as_of: str = ""

    def __repr__(self) -> str:
        return f"<History: {summary(self)}>"

    @cached_property
    def completed(self) -> tuple[Trial, ...]:
        """Trials with a result, without those that are set aside for their range or their data: what models learn from."""
        return tuple(t for t in self.trials if has_result(t))

    @cached_property
    def failed(self) -> tuple[Trial, ...]:
        """Trials that ended in failure, of every kind."""
        return tuple(t for t in self.trials if t.state is TrialState.FAILED)

    @cached_property
    def in_flight(self) -> tuple[Trial, ...]:
        """Trials asked or enqueued and not ended."""
        return tuple(t for t in self.trials if t.state.is_in_flight)

    @cached_property
    def waiting(self) -> tuple[Trial, ...]:
        """Trials that nobody runs yet: enqueued, or to be run again."""
        return tuple(t for t in self.trials if t.state is TrialState.WAITING)

    @cached_property
    def n_started(self) -> int:
        """How many trials were given out to be run and not taken back; those added from elsewhere do not count."""
        return sum(map(counts_as_started, self.trials))

    @cached_property
    def feasible(self) -> tuple[Trial, ...]:
        """Completed trials that meet every limit and are not set aside: what may be an answer."""
        return tuple(t for t in self.completed if self._is_feasible(t))

    @cached_property
    def set_aside(self) -> tuple[Trial, ...]:
        """Trials whose result is no answer until it is accepted; `notes` of each say why."""
        return tuple(t for t in self.trials if t.set_aside)

    @cached_property
    def taken(self) -> Set[str]:
        """Keys of every configuration that needs no further trial: all but the cancelled ones."""
        return frozenset(t.key for t in self.trials if needs_no_further_trial(t))

    @property
    def best(self) -> Trial:
        """The feasible trial with the best value of the one objective (the first of equals; without an objective, the
        first feasible). Raises NoFeasibleTrial naming the closest trial and the limits missed."""
        objectives = self.problem.objectives
        if len(objectives) > 1:
            names = ", ".join(o.name for o in objectives)
            raise NoFeasibleTrial(f"with several objectives ({names}) there is no single best; see pareto_front")
        if not self.feasible:
            raise NoFeasibleTrial(self._nothing_feasible())
        if not objectives:
            return self.feasible[0]
        return max(self.feasible, key=lambda t: (oriented(objectives[0], t), -t.number))

    @property
    def has_best(self) -> bool:
        """Whether any trial is feasible."""
        return bool(self.feasible)

    def closest(self) -> Trial:
        """The completed trial that misses the limits by least: the sum over metrics of the shortfall in units of the
        spread seen. The best one where trials are feasible. Raises NoFeasibleTrial while nothing has completed."""
        if all(t.set_aside for t in self.completed):
            raise NoFeasibleTrial(self._nothing_completed())
        if len(self.problem.objectives) <= 1 and self.feasible:
            return self.best
        aside = np.array([bool(t.set_aside) for t in self.completed])
        return self.completed[int(np.argmin(np.where(aside, np.inf, self.violations())))]

    def violations(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Of each completed trial `[n]`: the sum over limited metrics of shortfall / spread, finite; 0 when feasible."""
        total = np.zeros(len(self.completed))
        for metric in self.problem.limited if self.completed else ():
            total += _relative_misses(metric, np.array([t.values[metric.name].value for t in self.completed]))
        return total

    @cached_property
    def pareto_front(self) -> tuple[Trial, ...]:
        """The feasible trials no other feasible trial dominates, in order of number."""
        if not self.feasible or not self.problem.objectives:
            return self.feasible
        Y = np.array([[oriented(o, t) for o in self.problem.objectives] for t in self.feasible])
        return tuple(t for t, keep in zip(self.feasible, is_non_dominated(Y), strict=True) if keep)

    def records(self) -> list[dict[str, Any]]:
        """One flat row a trial: number, state, `param.*`, `metric.*`, `ok.*` (limit met), seconds, role, kind."""
        return [self._record(t) for t in self.trials]

    def _is_feasible(self, t: Trial) -> bool:
        return not t.set_aside and is_feasible(self.problem.metrics, t.values)

    def _record(self, t: Trial) -> dict[str, Any]:
        told = t.values
        return {
            "number": t.number,
            "state": str(t.state),
            **{f"param.{name}": t.params.get(name) for name in self.problem.space.names},
            **{f"metric.{m.name}": told[m.name].value if m.name in told else None for m in self.problem.metrics},
            **{
                f"ok.{m.name}": shortfall(m, told[m.name].value) == 0 if m.name in told else None
                for m in self.problem.limited
            },
            "is_feasible": self._is_feasible(t) if t.state is TrialState.COMPLETED else None,
            "seconds": t.seconds,
            "role": t.why.get("role"),
            "kind": t.kind,
            "attempt": t.attempt,
            "seed": t.seed,
            "asked_at": t.asked_at,
            "ended_at": t.ended_at,
            "set_aside": t.set_aside,
            "notes": "; ".join(t.notes),
        }

    def misses(self) -> dict[str, int]:
        """For each limited metric: how many completed trials miss its limit."""
        return {
            m.name: sum(shortfall(m, t.values[m.name].value) > 0 for t in self.completed) for m in self.problem.limited
        }

    def _nothing_completed(self) -> str:
        if self.set_aside:
            return f"no trial has completed with a result that counts.{self._aside_words()}"
        if not self.failed:
            return "no trial has completed yet"
        last = self.failed[-1]
        said = f"#{last.number} ({last.kind}): {last.message}"
        return f"no trial has completed yet; {len(self.failed)} failed, the last, {said}"

    def _aside_words(self) -> str:
        if not self.set_aside:
            return ""
        last = self.set_aside[-1]
        return (
            f" {len(self.set_aside)} set aside, the last #{last.number}: {'; '.join(last.notes)}. If it is right: "
            f'study.accept({last.number}, reason="...")'
        )

    def _nothing_feasible(self) -> str:
        n = len(self.completed)
        if all(t.set_aside for t in self.completed):
            return self._nothing_completed()
        trial = self.closest()
        broken = [
            f"{m.name} {trial.values[m.name].value:.4g}, limit {limit_words(m)}"
            for m in self.problem.limited
            if shortfall(m, trial.values[m.name].value) > 0
        ]
        missed = ", ".join(f"{name} {count}/{n}" for name, count in self.misses().items() if count)
        return (
            f"no trial of {n} meets every limit. Closest: #{trial.number} ({'; '.join(broken)}). "
            f"Missed: {missed}. See study.closest().{self._aside_words()}".removesuffix(".")
        )


def summary(history: History) -> str:
    """`12 trials, 1 in flight, best #5`, for a `repr`."""
    is_one = history.has_best and len(history.problem.objectives) < 2
    best = f", best #{history.best.number}" if is_one else ""
    return f"{counted(len(history.trials), 'trial')}, {len(history.in_flight)} in flight{best}"


def has_result(trial: Trial) -> bool:
    """Whether models may learn from it. A leap they see as equal to the best of the others."""
    return trial.state is TrialState.COMPLETED and trial.set_aside in ("", LEAP)


def needs_no_further_trial(trial: Trial) -> bool:
    """Whether its configuration must not be suggested again."""
    return trial.state is not TrialState.CANCELLED and trial.set_aside != DATA


def counts_as_started(trial: Trial) -> bool:
    """Whether it uses up one of a budget's trials."""
    return trial.source != "added" and trial.state not in (TrialState.WAITING, TrialState.CANCELLED)


def oriented(objective: Objective, trial: Trial) -> float:
    """The trial's value of `objective`, signed so that larger is better."""
    return objective.sign * trial.values[objective.name].value


def _relative_misses(metric: Metric, values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    """How far each value misses the metric's limits, in units of the spread of `values`; finite."""
    limits = [limit for limit in metric.limits if limit is not None]
    size = max(float(np.max(np.abs(values))), *map(abs, limits))
    scale = 2.0**-8 if size > 1e300 else 1.0  # differences of the largest floats overflow
    lower, upper = (None if limit is None else scale * limit for limit in metric.limits)
    values = scale * values
    misses = np.zeros(len(values))
    if lower is not None:
        misses = np.maximum(misses, lower - values)
    if upper is not None:
        misses = np.maximum(misses, values - upper)
    spread = float(np.subtract(*np.percentile(values, [75, 25]))) or float(np.max(np.abs(values))) or 1.0
    return misses / max(spread, 1e-300 * float(np.max(misses)))
