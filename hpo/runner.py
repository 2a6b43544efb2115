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
from hpo.errors import ExecutorError, HpoError, ResultError, SettingsError, SpaceExhausted, TrialFailed
from hpo.executors import CloseMode, Executor, Inline, Outcome, Pool, Work
from hpo.history import History
from hpo.metrics import Measurement, Result
from hpo.study import Study
from hpo.trial import Trial, TrialState

log = logging.getLogger(__name__)

Objective = Callable[[Trial], Mapping[str, Result]]
"""What is tuned: a trial in (params, number, seed), a mapping of metric name to number or Measurement out."""

LEASE = 60.0
"""Seconds for which a driver holds a trial; it renews three times in that time."""
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
    lease: float = LEASE,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Run trials of `study` on `executor` (in this thread by default) until `budget` is spent.

    objective: called with each trial; None for executors that run a command. It may raise TrialFailed(kind) to say
        why there is no result; any other exception is a failure of kind error; NaN or infinity, of kind diverged.
    timeout, memory: seconds and bytes per trial; need an isolated executor.
    lease: seconds after which another driver may take over the trials of this one, when it is not heard of any more.
    progress: called in this thread after each step.

    A first Ctrl-C asks for nothing more and lets running trials end; a second cancels them. Either way no trial is left
    running. Trials that a killed run left running are run again: those of this machine first of all, those of another
    when their lease is over. Several runs, on several machines, may share a study.

    Raises ResultError when the objective breaks the metrics' contracts (the run stops: every trial would), and
    ExecutorError when the first ten trials all fail.
    """
    budget.check(study.problem)
    limits = [s for s in (timeout, budget.timeout) if s is not None]
    runner = _Runner(study, objective, budget, min(limits, default=None), memory, lease, progress or _silent)
    return runner.run(executor or Inline())


def owner() -> str:
    """This process, as trials name it: `host:pid:start time`."""
    return f"{platform.node()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def reclaim(study: Study) -> list[Trial]:
    """Hand back the running trials of runs on this machine whose process is gone, and those whose lease is over. Returns
    them."""
    out = study.reclaim()
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
        lease: float,
        progress: Callable[[Progress], None],
    ) -> None:
        self.study, self.objective, self.budget = study, objective, budget
        self.timeout, self.memory, self.lease, self.progress = timeout, memory, lease, progress
        self.began = time.monotonic()
        self.looked = self.began
        self.me = owner()
        self.running: dict[str, Trial] = {}
        self.lost: set[str] = set()
        """Works whose trials another driver has taken over."""
        self.interrupts = 0

    def run(self, executor: Executor) -> Run:
        self.study.join(self.me, getattr(executor, "command", None) or ())
        if reclaimed := reclaim(self.study):
            self._say(f"{len(reclaimed)} trials of a killed run are run again: #{reclaimed[0].number} ...")
        function = None if self.objective is None else _Evaluate(self.objective)
        pool = executor.start(function)
        try:
            with self._interruptible(), self._heartbeat(pool):
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
            if time.monotonic() - self.looked > self.lease / 3:
                self.looked = time.monotonic()
                self.study.reclaim()
            if not ending:
                ending = self._fill(pool)
            if not self.running:
                return ending or "nothing more to run"
            self._finish(pool.wait(_TICK))
            if self.interrupts and not ending:
                ending = "interrupted: running trials were let end"

    def _fill(self, pool: Pool) -> str:
        """Start what capacity and budget allow. Returns why nothing will ever be started again, or nothing."""
        while (free := pool.capacity - len(self.running)) > 0:  # it is below 0 where a cluster has shrunk
            room = self.budget.room(self.study.history, self._elapsed())
            if room.trials < 1:
                return room.reason if room.is_final else ""
            try:
                trials = self.study.claim(free, self.me, lease=self.lease, within=self._room)
            except SpaceExhausted as error:
                return "" if self.running else str(error)
            if not trials:
                return ""
            for trial in trials:
                self._submit(pool, trial)
            if self.interrupts:
                return "interrupted: running trials were let end"
        return ""

    def _submit(self, pool: Pool, trial: Trial) -> None:
        work_id = f"{self.study.name}-{trial.number}-{trial.attempt}"
        payload = dict(trial.params) if self.objective is None else _payload(trial)
        env = {"HPO_TRIAL": str(trial.number), "HPO_SEED": str(trial.seed)} if self.objective is None else {}
        self.running[work_id] = trial
        pool.submit(Work(id=work_id, payload=payload, timeout=self.timeout, memory=self.memory, env=env))

    def _finish(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            given = self.running.pop(outcome.id)
            if outcome.id in self.lost and outcome.kind is not None:
                self.lost.remove(outcome.id)
                continue
            trial = self._tell(given, outcome)
            history = self.study.history
            log.info("trial %d %s", trial.number, trial.state, extra={"trial": trial.number, "state": str(trial.state)})
            self.progress(Progress(history, self._elapsed(), trial, room=self.budget.room(history, self._elapsed())))
            errors = [t for t in history.failed if t.kind in ("error", "crash")]
            if not history.completed and len(errors) >= _HOPELESS:
                raise ExecutorError(
                    f"the first {len(errors)} trials all failed; the last, #{errors[-1].number}: {errors[-1].message}. "
                    "Nothing more is started, so that no more is spent"
                )

    def _tell(self, trial: Trial, outcome: Outcome) -> Trial:
        if outcome.kind == "cancelled":
            return self._cancel(trial, outcome.message or "cancelled")
        if outcome.kind is not None:
            return self.study.fail(trial, outcome.kind, _reason(outcome), seconds=outcome.seconds)
        assert outcome.value is not None
        value = dict(outcome.value)
        if self.objective is not None:
            if "failed" in value:
                kind, message = value["failed"]
                return self.study.fail(trial, kind, message, seconds=outcome.seconds)
            value = {name: Measurement(*told) for name, told in value["values"].items()}
        broken = [name for name, told in value.items() if not _is_finite(told)]
        if broken:
            return self.study.fail(trial, "diverged", f"{', '.join(broken)} not finite", seconds=outcome.seconds)
        try:
            return self.study.tell(trial, value, seconds=outcome.seconds)
        except ResultError as error:
            self._cancel(trial, str(error))
            raise

    def _abandon(self, pool: Pool, error: BaseException) -> None:
        """Leave nothing running, whatever happened."""
        for outcome in pool.close(CloseMode.KILL):
            trial = self.running.pop(outcome.id, None)
            if trial is not None and outcome.id not in self.lost:
                with contextlib.suppress(ResultError):  # the trial is cancelled; the first such error is on its way up
                    self._tell(trial, outcome)
        for id, trial in self.running.items():
            if id not in self.lost:
                self._cancel(trial, f"the run ended: {type(error).__name__}")

    def _cancel(self, trial: Trial, reason: str) -> Trial:
        """Unless another attempt has taken its place, or has ended the trial."""
        now = self.study.trials[trial.number]
        is_ours = now.state is TrialState.RUNNING and now.attempt == trial.attempt
        return self.study.cancel(trial, reason) if is_ours else now

    @contextlib.contextmanager
    def _heartbeat(self, pool: Pool) -> Iterator[None]:
        """Renew the leases from a thread of its own, and end the works whose trials another driver has taken over."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self.lease / 3):
                held = dict(self.running)
                try:
                    gone = {trial.number for trial in self.study.renew(held.values(), self.me, self.lease)}
                except HpoError:
                    log.exception("the leases could not be renewed")
                    continue
                lost = {id for id, trial in held.items() if trial.number in gone and id in self.running}
                self.lost |= lost
                if lost:
                    pool.cancel(lost)

        thread = threading.Thread(target=beat, name="hpo-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _room(self, history: History) -> float:
        return self.budget.room(history, self._elapsed()).trials

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
