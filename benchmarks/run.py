"""One run: a contender on a problem, evaluation by evaluation, and the record of it.

Evaluations happen here, not in the contender's process. The luck of the k-th evaluation asked for (noise, failures,
durations) depends on the problem, the seed and k alone, so all contenders meet the same.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

import hpo
from benchmarks import score
from benchmarks.clock import simulate
from benchmarks.problems.base import BenchProblem, Outcome
from benchmarks.records import Run, definition, rounded, steps
from benchmarks.score import Values
from benchmarks.suites import Mode
from hpo.problem.space import key
from hpo.trials.trial import LEARNED_KINDS

CPU_LIMIT = 1800.0
"""CPU seconds of a contender in one run; when they are spent, the best so far counts."""
CHECKPOINTS = 10
"""How often a noisy run is asked for its recommendation, evenly spread over its evaluations."""


class AskedTrial(Protocol):
    """One configuration to evaluate."""

    @property
    def id(self) -> int: ...
    @property
    def params(self) -> Mapping[str, Any]: ...


class Asked(Protocol):
    """What an ask gave, and the CPU seconds it took."""

    @property
    def trials(self) -> Sequence[AskedTrial]: ...
    @property
    def cpu(self) -> float: ...


class Driven(Protocol):
    """A contender, from the outside: `benchmarks.process.ContenderProcess`. RuntimeError when it dies."""

    def open(self, problem: hpo.Problem, seed: int, *, budget: int, q: int) -> None: ...
    def ask(self, n: int = 1) -> Asked: ...
    def tell(self, id: int, outcome: Outcome) -> float: ...
    def recommend(self) -> Mapping[str, Any] | None: ...


class LimitExceededError(RuntimeError):
    """The CPU seconds of a run are spent."""


class OutsideError(RuntimeError):
    """The contender has given params that are not in the space."""


@dataclass(frozen=True)
class Evaluation:
    """One asked configuration and how its evaluation ends."""

    id: int
    key: str
    outcome: Outcome
    truth: Values | None
    """The exact metrics; None if the evaluation fails."""


@dataclass
class Trace:
    """What has happened so far in one run."""

    contender: Driven
    bench: BenchProblem
    seed: int
    total: int
    cpu_limit: float
    n_asked: int = 0
    ask_cpu: list[float] = field(default_factory=list)
    tell_cpu: float = 0.0
    truths: list[Values | None] = field(default_factory=list)
    """In the order in which they were told."""
    ends: list[float] = field(default_factory=list)
    """When each of them ended, on the simulated clock."""
    recommended: list[tuple[int, Values | None]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Keys of the configurations that were told to have failed by their own fault."""
    failed: int = 0
    repeated: int = 0

    def ask(self, n: int) -> list[Evaluation]:
        """Ask for `n` configurations and evaluate them; fewer or none when the contender has no more."""
        asked = self.contender.ask(n)
        self.ask_cpu.append(asked.cpu)
        evaluations = [self._evaluated(trial) for trial in list(asked.trials)[:n]]
        self._check_limit()
        return evaluations

    def tell(self, evaluation: Evaluation, now: float) -> None:
        """Hand over the result at the time `now`."""
        outcome = evaluation.outcome
        self.truths.append(evaluation.truth)
        self.ends.append(now)
        if outcome.failure is not None:
            self.failed += 1
            if outcome.failure in LEARNED_KINDS:
                self.broken.add(evaluation.key)
        self.tell_cpu += self.contender.tell(evaluation.id, outcome)
        self._check_limit()

    def checkpoint(self) -> None:
        """Note the recommendation of a noisy run, if the next tenth of its evaluations is complete."""
        done, reached = len(self.truths), len(self.truths) * CHECKPOINTS // self.total
        before = self.recommended[-1][0] * CHECKPOINTS // self.total if self.recommended else 0
        if self.bench.family == "noisy" and reached > before:
            params = self.contender.recommend()
            self.recommended.append((done, None if params is None else self.bench.truth(self._checked(params))))

    def losses(self) -> list[float]:
        """The curve of the run so far."""
        if self.bench.family == "noisy":
            return score.recommended_losses(self.bench, self.recommended, len(self.truths))
        return score.losses(self.bench, self.truths)

    def _evaluated(self, trial: AskedTrial) -> Evaluation:
        params, name = self._checked(trial.params), key(trial.params)
        self.repeated += name in self.broken
        outcome = self.bench.evaluate(params, luck(self.bench.name, self.seed, self.n_asked))
        self.n_asked += 1
        exact = outcome.values if self.bench.report is None else self.bench.truth(params)
        return Evaluation(trial.id, name, outcome, None if outcome.failure is not None else exact)

    def _checked(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Params outside of the space are the contender's fault, not the problem's."""
        fault = self.bench.problem.space.fault(params)
        if fault is not None:
            raise OutsideError(f"outside of the space: {fault}")
        return params

    def _check_limit(self) -> None:
        spent = sum(self.ask_cpu) + self.tell_cpu
        if spent > self.cpu_limit:
            raise LimitExceededError(f"{spent:.0f} CPU seconds, over the limit of {self.cpu_limit:.0f}")


def luck(problem: str, seed: int, k: int) -> np.random.Generator:
    """The generator of the k-th evaluation asked for, from 0: the same for every contender."""
    return np.random.default_rng([zlib.crc32(problem.encode()), seed, k])


def run(name: str, contender: Driven, bench: BenchProblem, mode: Mode, seed: int, cpu_limit: float = CPU_LIMIT) -> Run:
    """Do it to the end, or until the contender has no more to suggest, dies, or has spent its CPU seconds.

    Only RuntimeError is taken for the contender's death; anything wrong with the problem is raised.
    """
    started = time.perf_counter()
    trace = Trace(contender, bench, seed, mode.total(bench), cpu_limit)
    died, simulated = "", 0.0
    try:
        contender.open(bench.problem, seed, budget=trace.total, q=mode.q)
        if mode.is_on_a_clock:
            simulated = _on_a_clock(trace, mode.q)
        else:
            _in_rounds(trace, mode.q)
    except RuntimeError as error:
        died = f"{(str(error) or repr(error)).strip().splitlines()[-1]:.200}"
    curve = trace.losses()
    return Run(
        contender=name,
        mode=mode.name,
        problem=bench.name,
        definition=definition(bench),
        seed=seed,
        total=trace.total,
        evaluations=len(trace.truths),
        curve=steps(curve),
        clock=tuple((rounded(trace.ends[at - 1]), loss) for at, loss in steps(curve)) if mode.is_on_a_clock else (),
        simulated=rounded(simulated or max(trace.ends, default=0.0)),
        first_feasible=score.first_feasible(bench.problem, trace.truths),
        failed=trace.failed,
        repeated=trace.repeated,
        ask_cpu=rounded(sum(trace.ask_cpu)),
        ask_median=rounded(float(np.median(trace.ask_cpu))) if trace.ask_cpu else 0.0,
        tell_cpu=rounded(trace.tell_cpu),
        wall=round(time.perf_counter() - started, 2),
        died=died,
    )


def _in_rounds(trace: Trace, q: int) -> None:
    """Ask for a batch, tell all of it, ask for the next. A batch that comes short is not made up for."""
    for asked in range(0, trace.total, q):
        evaluations = trace.ask(min(q, trace.total - asked))
        if not evaluations:
            return
        for evaluation in evaluations:
            trace.tell(evaluation, 0.0)
        trace.checkpoint()


def _on_a_clock(trace: Trace, n_workers: int) -> float:
    """Ask for one whenever a worker is free; the time at which the last evaluation ends."""

    def start() -> tuple[Evaluation, float] | None:
        if trace.n_asked >= trace.total:
            return None
        evaluations = trace.ask(1)
        return (evaluations[0], evaluations[0].outcome.seconds) if evaluations else None

    def finish(evaluation: Evaluation, now: float) -> None:
        trace.tell(evaluation, now)
        trace.checkpoint()

    return simulate(n_workers, start, finish)
