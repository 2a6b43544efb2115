"""run(): ask, submit, wait, tell, until the budget is spent. The only loop of the library."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from hpo.budget import Budget, Room
from hpo.errors import ExecutorError, ResultError, SettingsError, SpaceExhausted, TrialFailed
from hpo.executors import CloseMode, Executor, Inline, Outcome, Pool, Work
from hpo.history import History
from hpo.metrics import Measurement, Result
from hpo.study import Study
from hpo.trial import Trial, TrialState

log = logging.getLogger(__name__)

Objective = Callable[[Trial], Mapping[str, Result]]
"""What is tuned: a trial in (params, number, seed), a mapping of metric name to number or Measurement out."""

_HOPELESS = 10
_TICK = 0.5


@dataclass(frozen=True)
class Progress:
    """One step of a run, for whoever shows it."""

    history: History
    elapsed: float
    """Seconds since the run began."""
    ended: Trial | None = None
    """The trial that just ended; None when the step is a message."""
    message: str = ""
    room: Room | None = None


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    reason: str
    seconds: float
    interrupted: bool = False


def run(
    study: Study,
    objective: Objective | None = None,
    *,
    budget: Budget,
    executor: Executor | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Run trials of `study` on `executor` (in this thread by default) until `budget` is spent.

    objective: called with each trial; None for executors that run a command. It may raise TrialFailed(kind) to say
        why there is no result; any other exception is a failure of kind error; NaN or infinity, of kind diverged.
    timeout, memory: seconds and bytes per trial; need an isolated executor.
    progress: called in this thread after each step.

    A first Ctrl-C asks for nothing more and lets running trials end; a second cancels them. Either way no trial is left
    running. Trials that a killed run on this machine left running are run again first.

    Raises ResultError when the objective breaks the metrics' contracts (the run stops: every trial would), and
    ExecutorError when the first ten trials all fail.
    """
    budget.check(study.problem)
    limits = [s for s in (timeout, budget.timeout) if s is not None]
    runner = _Runner(study, objective, budget, min(limits, default=None), memory, progress or _silent)
    return runner.run(executor or Inline())


def owner() -> str:
    """This process, as trials name it: `host:pid:start time`."""
    return f"{platform.node()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def reclaim(study: Study) -> list[Trial]:
    """Hand back the running trials of runs on this machine whose process is gone. Returns them, waiting."""
    out = []
    for trial in study.trials:
        if trial.state is TrialState.RUNNING and trial.owner and _is_gone(trial.owner):
            out.append(study.requeue(trial, "its driver died"))
    return out


def _is_gone(who: str) -> bool:
    host, pid, started = who.rsplit(":", 2)
    if host != platform.node():
        return False
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - float(started)) > 1.0
    except psutil.NoSuchProcess:
        return True


class _Runner:
    def __init__(
        self,
        study: Study,
        objective: Objective | None,
        budget: Budget,
        timeout: float | None,
        memory: int | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self.study, self.objective, self.budget = study, objective, budget
        self.timeout, self.memory, self.progress = timeout, memory, progress
        self.began = time.monotonic()
        self.me = owner()
        self.running: dict[str, int] = {}
        self.interrupts = 0

    def run(self, executor: Executor) -> Run:
        if reclaimed := reclaim(self.study):
            self._say(f"{len(reclaimed)} trials of a killed run are run again: #{reclaimed[0].number} ...")
        function = None if self.objective is None else _Evaluate(self.objective)
        pool = executor.start(function)
        try:
            with self._interruptible():
                reason = self._loop(pool)
                self._finish(pool.close(CloseMode.DRAIN))
        except BaseException as error:
            self._abandon(pool, error)
            if isinstance(error, KeyboardInterrupt) and self.interrupts:
                return Run("interrupted twice: running trials were cancelled", self._elapsed(), interrupted=True)
            raise
        return Run(reason, self._elapsed(), interrupted=self.interrupts > 0)

    def _loop(self, pool: Pool) -> str:
        ending = ""
        while True:
            if not ending:
                ending = self._fill(pool)
            if not self.running:
                return ending or "nothing more to run"
            self._finish(pool.wait(_TICK))
            if self.interrupts and not ending:
                ending = "interrupted: running trials were let end"

    def _fill(self, pool: Pool) -> str:
        """Start what capacity and budget allow. Returns why nothing will ever be started again, or nothing."""
        while free := pool.capacity - len(self.running):
            room = self.budget.room(self.study.history, self._elapsed())
            if room.trials < 1:
                return room.reason if room.is_final else ""
            try:
                trials = self.study.ask(int(min(free, room.trials)), owner=self.me)
            except SpaceExhausted as error:
                return "" if self.running else str(error)
            for trial in trials:
                self._submit(pool, trial)
            if self.interrupts:
                return "interrupted: running trials were let end"
        return ""

    def _submit(self, pool: Pool, trial: Trial) -> None:
        work_id = f"{self.study.name}-{trial.number}-{trial.attempt}"
        payload = dict(trial.params) if self.objective is None else _payload(trial)
        env = {"HPO_TRIAL": str(trial.number), "HPO_SEED": str(trial.seed)} if self.objective is None else {}
        self.running[work_id] = trial.number
        pool.submit(Work(id=work_id, payload=payload, timeout=self.timeout, memory=self.memory, env=env))

    def _finish(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            number = self.running.pop(outcome.id)
            trial = self._tell(number, outcome)
            history = self.study.history
            log.info("trial %d %s", number, trial.state, extra={"trial": number, "state": str(trial.state)})
            self.progress(Progress(history, self._elapsed(), trial, room=self.budget.room(history, self._elapsed())))
            errors = [t for t in history.failed if t.kind in ("error", "crash")]
            if not history.completed and len(errors) >= _HOPELESS:
                raise ExecutorError(
                    f"the first {len(errors)} trials all failed; the last, #{errors[-1].number}: {errors[-1].message}. "
                    "Nothing more is started, so that no more is spent"
                )

    def _tell(self, number: int, outcome: Outcome) -> Trial:
        if outcome.kind == "cancelled":
            return self.study.cancel(number, outcome.message or "cancelled")
        if outcome.kind is not None:
            return self.study.fail(number, outcome.kind, _reason(outcome), seconds=outcome.seconds)
        assert outcome.value is not None
        value = dict(outcome.value)
        if self.objective is not None:
            if "failed" in value:
                kind, message = value["failed"]
                return self.study.fail(number, kind, message, seconds=outcome.seconds)
            value = {name: Measurement(*told) for name, told in value["values"].items()}
        broken = [name for name, told in value.items() if not _is_finite(told)]
        if broken:
            return self.study.fail(number, "diverged", f"{', '.join(broken)} not finite", seconds=outcome.seconds)
        try:
            return self.study.tell(number, value, seconds=outcome.seconds)
        except ResultError as error:
            self.study.cancel(number, str(error))
            raise

    def _abandon(self, pool: Pool, error: BaseException) -> None:
        """Leave nothing running, whatever happened."""
        for outcome in pool.close(CloseMode.KILL):
            number = self.running.pop(outcome.id, None)
            if number is not None:
                with contextlib.suppress(ResultError):  # the trial is cancelled; the first such error is on its way up
                    self._tell(number, outcome)
        for number in self.running.values():
            self.study.cancel(number, f"the run ended: {type(error).__name__}")

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn the first Ctrl-C into a flag and the second into KeyboardInterrupt. Only the main thread gets signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_interrupt(*_: object) -> None:
            self.interrupts += 1
            if self.interrupts > 1:
                raise KeyboardInterrupt
            self._say(f"interrupted: {len(self.running)} running trials are let end; again to cancel them")

        before = signal.signal(signal.SIGINT, on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _say(self, message: str) -> None:
        self.progress(Progress(self.study.history, self._elapsed(), message=message))

    def _elapsed(self) -> float:
        return time.monotonic() - self.began


@dataclass(frozen=True)
class _Evaluate:
    """The user's objective as executors see it: a payload in, plain JSON out."""

    objective: Objective

    def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        trial = Trial(state=TrialState.RUNNING, **payload)
        try:
            told = self.objective(trial)
        except TrialFailed as failure:
            return {"failed": [failure.kind, str(failure)]}
        if not isinstance(told, Mapping):
            raise SettingsError(f"the objective returned {told!r}; return a mapping of metric name to number")
        return {"values": {name: _plain(value) for name, value in told.items()}}


def _payload(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "seed": trial.seed,
        "attempt": trial.attempt,
        "why": dict(trial.why),
    }


def _plain(value: Any) -> list[Any]:
    """[value, sem] with numbers as floats; what is no number stays as it is, for the contracts to refuse."""
    pair: list[Any] = [value.value, value.sem] if isinstance(value, Measurement) else [value, None]
    return [float(v) if hasattr(v, "__float__") and not isinstance(v, str | bool) else v for v in pair]


def _is_finite(told: Any) -> bool:
    value = told.value if isinstance(told, Measurement) else told
    return not isinstance(value, float) or math.isfinite(value)


def _reason(outcome: Outcome) -> str:
    """What the executor says, and the last line the training wrote where that says more."""
    last = outcome.log_tail.strip().rsplit("\n", 1)[-1][:300]
    return outcome.message if not last or last in outcome.message else f"{outcome.message}: {last}"


def _silent(_: Progress) -> None:
    return
