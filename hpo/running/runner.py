"""run(): ask, submit, wait, tell, until the budget is spent. The only loop of the library."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import TypeVar

from hpo.boundary.public import public
from hpo.common.text import counted
from hpo.errors import (
    ExecutorError,
    ResultError,
    SettingsError,
    SpaceExhausted,
    StorageError,
    StudyNotFound,
    listing,
)
from hpo.executors import CloseMode, Executor, Inline, Outcome, Pool
from hpo.running.budget import Budget
from hpo.running.display import Display, Show, display_of
from hpo.running.failures import HOPELESS, Failures, blamed, has_results, hopeless_words, mended, no_result_words
from hpo.running.heartbeat import LEASE, Heartbeat, heartbeat, left_behind, others_at_work, owner, reclaim
from hpo.running.in_flight import InFlight
from hpo.running.machines import Machines
from hpo.running.objective import Evaluate, Objective, check_objective
from hpo.running.outage import CALL, OUTAGE, Outage
from hpo.running.progress import Progress
from hpo.running.run_result import Run, interrupt
from hpo.running.shutdown import Shutdown, Stage
from hpo.running.signals import Interrupts
from hpo.running.starting import Starter
from hpo.running.telling import Teller, failure_of
from hpo.running.trial_limits import NOTICE, TrialLimits
from hpo.running.untold_results import kept
from hpo.storage.base import PATIENCE
from hpo.storage.retry import patient
from hpo.study.study import Study
from hpo.trials.formatting import duration
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState

T = TypeVar("T")
log = logging.getLogger(__name__)

_TICK = 0.5


@public
def run(
    study: Study,
    objective: Objective | None = None,
    *,
    budget: Budget,
    executor: Executor | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    cpus: float | None = None,
    gpus: int = 0,
    lease: float = LEASE,
    notice: float = NOTICE,
    idle: float | None = None,
    outage: float | str = OUTAGE,
    progress: bool | Show | Display | None = None,
) -> Run:
    """Run trials of `study` until `budget` is spent.

    Several runs, on several machines, may share a study. Trials that a killed run left running are run again: those of
    this machine at once, those of another when their lease is over.

    A first Ctrl-C starts nothing more and lets the running trials finish. A second cancels them. A third does not wait
    for them to clean up. The run then raises KeyboardInterrupt, whose attribute `run` is what would have been returned.
    On an executor whose tasks outlive their driver, a first Ctrl-C or SIGTERM leaves them running, and the next run
    takes them back.

    Args:
        study: The study.
        objective: Called with each trial. It returns a mapping of metric name to number or `Measurement`, or one of
            these alone where the problem requires one metric. It may raise `TrialFailed` to say why there is no result.
            Any other exception is a failure of kind error; NaN and infinity are one of kind diverged. None: the
            executor runs a command.
        budget: When to stop.
        executor: Where trials run. None: one after another in this thread.
        timeout: Seconds that a trial may take. Needs an executor that runs trials in processes of their own.
        memory: Bytes that a trial may use. Needs such an executor too.
        cpus: CPUs for each trial, for executors that assign them.
        gpus: GPUs for each trial, for executors that assign them.
        lease: Seconds without a sign of life after which another run may take over the trials of this one.
        notice: Seconds that running trials have after SIGTERM, which a preempted machine sends. Then they are ended and
            handed back, to be run again.
        idle: Seconds to wait with nothing to run while other drivers hold trials that they may hand back. None: one
            lease.
        outage: Seconds, or text like "2h", for which the run goes on while the storage does not answer. Trials go on,
            and their results are kept until they can be stored; nothing new is started. For so long it also tries to
            start trials that a scheduler refuses, if others ran before.
        progress: None shows a line on a terminal and in a notebook, and elsewhere a line for each trial that ends, on
            standard error. False shows nothing. A function is called instead, in this thread, with each step.

    Returns:
        How the run ended; the fields of `Run` are below.

    Raises:
        ResultError: A result breaks the contracts of the metrics. The trials in flight have ended by then.
        ExecutorError: A trial failed by a bug of the program (a NameError, a missing command) before any had a result;
            the first ten trials all failed; or machines lost twelve trials in a row over ten minutes, which wait to be
            run again.
        StorageError: The storage did not answer for longer than `outage`. The message names a file with the results
            that could not be stored.
        SettingsError: An argument is invalid, or the executor cannot enforce the budget.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=":memory:", seed=1)
        >>> ended = hpo.run(study, lambda trial: -trial.params["x"] ** 2, budget=hpo.Budget(trials=8), progress=False)
        >>> ended.completed, ended.failed
        (8, 0)
    """
    if not isinstance(study, Study):
        raise SettingsError(
            f"run: the first argument is a study, as open_study makes it, and is a {type(study).__name__} here. Write "
            "hpo.run(study, objective, ...)"
        )
    if not isinstance(budget, Budget):
        trials = budget if isinstance(budget, int) else 60
        raise SettingsError(f"run(budget={budget!r}): give a Budget, such as hpo.Budget(trials={trials})")
    patience = lease if idle is None else idle
    limits = TrialLimits(
        timeout=timeout, memory=memory, cpus=cpus, gpus=gpus, lease=lease, notice=notice, idle=patience, outage=outage
    )
    executor = executor or Inline()
    _check(objective, executor)
    budget = budget.priced(cpus, gpus)
    with display_of(progress, budget, sys.stderr) as display:
        runner = _Runner(study, objective, budget, limits, display)
        try:
            ended = runner.run(executor)
        except (KeyboardInterrupt, ResultError, ExecutorError) as stop:
            raise stop.with_traceback(None)  # noqa: B904 - the same one, without the frames in between
        if not runner.interrupts.count:
            display.end(f"ended after {duration(ended.seconds)}: {ended.reason}")
    if runner.interrupts.count:
        raise interrupt(study, ended, runner._shown())
    return ended


def _check(objective: Objective | None, executor: object) -> None:
    """Raise SettingsError for what nothing can be run with."""
    if isinstance(executor, type) or not callable(getattr(executor, "start", None)):
        raise SettingsError(f"run(executor={executor!r}): give an executor, such as hpo.executors.Processes(4)")
    if objective is not None:
        check_objective(objective)
    elif not getattr(executor, "command", None):
        raise SettingsError(f"run: no objective; {executor!r} calls one: run(study, objective, ...)")


class _Runner:
    def __init__(
        self,
        study: Study,
        objective: Objective | None,
        budget: Budget,
        limits: TrialLimits,
        display: Display,
    ) -> None:
        self.study, self.objective, self.budget, self.limits, self.display = study, objective, budget, limits, display
        self.clock = time.monotonic
        self.began = self.clock()
        self.looked = self.busy = time.monotonic()
        self.me = owner()
        self.interrupts = Interrupts(self._say)
        self.starter = Starter(study, self.me, limits, is_command=objective is None)
        self.in_flight = InFlight()
        self.shutdown = Shutdown(self.interrupts, limits.notice)
        self.teller = Teller(study, self._say, self.shutdown, is_command=objective is None)
        self.results: list[Trial] = []
        """Trials of this run that have completed or failed."""
        self.failures = Failures(study)
        self.machines = Machines(self.clock, float(limits.outage))
        self.outage = Outage(float(limits.outage), self._say)
        self.known: History | None = None
        """As it was when the storage was last read: what is shown needs no storage."""

    def run(self, executor: Executor) -> Run:
        self.budget.check(self._await(self._history).problem)
        self.display.begin(self._state())
        settings = {"budget": self.budget.to_json(), "limits": asdict(self.limits)}
        self._await(
            lambda: self.study.leases.join(self.me, getattr(executor, "command", None) or (), settings=settings)
        )
        pool = executor.start(None if self.objective is None else Evaluate(self.objective))
        with self.interrupts.watched(lambda: self._first_words(pool), self._last_words):
            try:
                reason = self._run_on(pool)
            except BaseException as error:
                self.interrupts.cleaning_up(lambda: pool.cancel(list(self.in_flight.held), grace=0.0))
                if isinstance(error, KeyboardInterrupt) and self.in_flight.held and pool.grace:
                    n = counted(len(self.in_flight.held), "running trial")
                    now = "interrupt again (Ctrl-C) to kill at once"
                    self._say(f"interrupted again: {n} cancelled, with {pool.grace:g} s to end; {now}")
                untold = self._abandon(pool, error)
                if isinstance(error, KeyboardInterrupt) and self.interrupts.count:
                    may_run = any("may still run" in trial.message for trial in self.teller.stopped)
                    rest = "; what cannot be stopped may still run" if may_run else ""
                    words = f"; {untold}" if untold else ""
                    return self._ended(f"interrupted twice: running trials were cancelled{rest}{words}")
                if untold and isinstance(error, StorageError):
                    raise type(error)(f"{error} {untold[0].upper()}{untold[1:]}") from error
                raise
        return self._ended(reason)

    def _run_on(self, pool: Pool) -> str:
        """Run trials until the end. Returns why it is the end."""
        self.clock, self.began = pool.clock, pool.clock()
        self.machines = Machines(self.clock, float(self.limits.outage))
        self.starter.timeout = self.limits.time_limit(self.budget, pool.grace)
        if pool.survives:  # what another driver left is known by its id: that of no other study of this name
            self.starter.name = f"{self.study.name}-{self.study.facts.get('id', '')[:12]}"
        self._await(lambda: self._take_over(pool))
        if again := self._await(lambda: mended(self.study)):
            self._say(f"run again: {counted(len(again), 'trial')} that failed because of an error in the program")
        with heartbeat(self.study, self.me, self.limits.lease, lambda: dict(self.in_flight.held)) as beating:
            self._loop(pool, beating)
            self.shutdown.heed(survives=pool.survives)
            mode = CloseMode.DETACH if self.shutdown.stage is Stage.DETACHED else CloseMode.DRAIN
            with self.interrupts.waiting():
                self._arrive(pool.close(mode))
            if untold := self._finish_or_keep():
                return f"{self.shutdown.reason}; {untold}"
        return self.shutdown.reason + no_result_words(self.study, self._shown())

    def _ended(self, reason: str) -> Run:
        failed = sum(trial.state is TrialState.FAILED for trial in self.results)
        left, stopped = tuple(self.in_flight.held.values()), tuple(self.teller.stopped)
        is_asked_for, n_completed = self.shutdown.is_asked_for, len(self.results) - failed
        return Run(reason, self._elapsed(), is_asked_for, stopped, left, n_completed, failed)

    def _loop(self, pool: Pool, beating: Heartbeat) -> None:
        while True:
            self.shutdown.heed(survives=pool.survives)
            if self.shutdown.stage is Stage.DETACHED:
                return
            if self.outage.may_try() and self._reach(lambda: self._talk(pool, beating)) and self._is_over():
                return
            self._wait(pool)
            if self.in_flight.held and self.shutdown.stop_overdue(self.budget, self._elapsed()):
                pool.cancel(list(self.in_flight.held))

    def _talk(self, pool: Pool, beating: Heartbeat) -> None:
        """All that the loop tells the study and learns from it; done again later where the storage does not answer."""
        if self.outage.is_on:
            self._history()  # else there may be nothing to ask
        self._finish()
        lease = self.limits.lease
        rested = self.outage.over_at + lease  # other drivers have to renew theirs first
        if not self.outage.is_on and time.monotonic() > max(self.looked + lease / 3, rested):
            self.looked = time.monotonic()
            self._take_over(pool)
        if gone := self.in_flight.lose(beating.lost(), lambda: self.study.trials):
            pool.cancel(gone)
        if self.shutdown.stage is Stage.RUNNING and not self._is_held():
            self._fill(pool)
        if not self.in_flight.held:
            self._raise_what_holds()
            if self.shutdown.stage is not Stage.RUNNING or not self._may_get_task():
                self.shutdown.end(self.shutdown.reason or self._what_is_over())

    def _is_over(self) -> bool:
        return self.shutdown.stage is Stage.OVER

    def _wait(self, pool: Pool) -> None:
        """For something to end, or a pause to be over."""
        for words in (*self.machines.news(), *pool.notices()):
            self._say(words)
        pool.avoid(self.machines.avoided())
        due, is_idle = self.machines.due(), not self.in_flight.n_live
        pool.alarm(due)
        with self.interrupts.waiting():
            self._arrive(pool.wait(_TICK))
            if is_idle and not (self.machines.is_pausing or self.clock() >= due):
                time.sleep(_TICK)
            elif is_idle and self.clock() < due:
                time.sleep(min(_TICK, due - self.clock()))

    def _is_held(self) -> bool:
        """Whether nothing more is started: a result broke its contract, or a trial failed by what looks like a bug and no
        other has proved that it is none, or the machines lose all."""
        return self.teller.fault is not None or self.failures.show_a_bug or bool(self.machines.hopeless())

    def _raise_what_holds(self) -> None:
        if self.teller.fault is not None:
            raise self.teller.fault
        if self.failures.show_a_bug:
            raise self.failures.bug()
        if words := self.machines.hopeless():
            n = len(self._history().waiting)
            waits = f"{counted(n, 'trial')} {'waits' if n == 1 else 'wait'} to be run again. " if n else ""
            raise ExecutorError(f"{words}. {waits}The run stops here. Mend the machines and run it again, to go on")

    def _may_get_task(self) -> bool:
        """Whether it is worth waiting: for machines, or for what other drivers may hand back."""
        if self.machines.is_pausing:
            return True
        return time.monotonic() - self.busy < self.limits.idle and others_at_work(self.study, self.me)

    def _what_is_over(self) -> str:
        room = self.budget.room(self._history(), self._elapsed())
        return room.reason if room.trials < 1 else "nothing more to run"

    def _fill(self, pool: Pool) -> None:
        """Start what capacity, budget and machines allow."""
        while self.shutdown.stage is Stage.RUNNING:
            free = pool.capacity - len(self.in_flight.held)  # below 0 where a cluster has shrunk
            room = self.budget.room(self._history(), self._elapsed()) if free > 0 else None
            if room is None:
                return
            if room.trials < 1:
                if room.is_final:
                    self.shutdown.drain(room.reason)
                return
            if (n := int(min(free, self.machines.room()))) < 1:
                return
            try:
                trials = self.starter.claimed(n, self._room, self.machines.suspects)
            except SpaceExhausted as error:
                if not self.in_flight.held:
                    self.shutdown.drain(str(error))
                return
            if not trials:
                return
            self._submit(pool, trials)
            self.shutdown.heed(survives=pool.survives)

    def _submit(self, pool: Pool, trials: list[Trial]) -> None:
        tasks = [self.starter.task(trial) for trial in trials]
        self.in_flight.start(tasks, trials)
        self.busy = time.monotonic()
        pool.submit(*tasks)
        self.machines.started({task.id: trial.number for task, trial in zip(tasks, trials, strict=True)})
        if self.display.wants_starts:
            self._history()
            self.display.show(self._state())

    def _arrive(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            kind, message = failure_of(outcome, is_command=self.objective is None)
            trial = self.in_flight.arrive(outcome)
            self.in_flight.ended.append((outcome, self.machines.ended(trial.number, outcome, kind, message)))

    def _finish(self) -> None:
        """Tell the study what has ended; what it is told is forgotten here."""
        while self.in_flight.ended:
            outcome, counts = self.in_flight.ended[0]
            trial = self._deliver(outcome, counts)
            self.in_flight.forget(outcome.id)
            self.busy = time.monotonic()
            if trial is not None:
                self._show_end(trial, outcome)

    def _deliver(self, outcome: Outcome, counts: bool) -> Trial | None:
        """Tell the study how a task ended; None where that is another driver's business."""
        ours = self.in_flight.held[outcome.id]
        if outcome.id in self.in_flight.lost and outcome.kind is not None:
            self.study.leases.bill(ours, outcome.seconds)
            return None
        had_fault = self.teller.fault is not None
        trial = self.teller.tell(ours, outcome, counts=counts)
        if self.teller.fault is not None and not had_fault and (others := len(self.in_flight.held) - 1):
            self._say(f"a result is refused: nothing more is started; {counted(others, 'running trial')} may end first")
        return trial

    def _show_end(self, trial: Trial, outcome: Outcome) -> None:
        if trial.state in (TrialState.COMPLETED, TrialState.FAILED):
            self.results.append(trial)
        self.known = history = self.study.leases.known
        trace = self.failures.note(trial, outcome, history)
        if self._is_held():
            trace = ""  # it is in the error that the run ends with
        elapsed, log_file = self._elapsed(), outcome.logs[-1] if trial.kind and outcome.logs else ""
        room = self.budget.room(history, elapsed)
        step = Progress(history, elapsed, trial, outcome.id, room=room, log=log_file, trace=trace, delay=self._delay())
        self.display.show(step)
        if len(history.failed) >= HOPELESS and len(blamed(history)) >= HOPELESS and not has_results(history):
            raise ExecutorError(hopeless_words(self.study, outcome.log_tail))

    # -- the storage ----------------------------------------------------------------------------------------------

    def _reach(self, step: Callable[[], object]) -> bool:
        """Do what needs the storage; whether it has answered. Raises StorageError when patience with it is over."""
        try:
            with patient(CALL):
                step()
        except StorageError as error:
            n_live, n_ended = self.in_flight.n_live, len(self.in_flight.ended)
            self.outage.bear(error, n_live, n_ended, is_leaving=self.shutdown.is_notice_over and not n_live)
            if self.display.wants_starts and self.known is not None:
                self.display.show(self._state())
            return False
        self.outage.end()
        return True

    def _await(self, step: Callable[[], T]) -> T:
        """What a step at the beginning answers, as soon as the storage does."""
        answers: list[T] = []
        while not self._reach(lambda: answers.append(step())):
            if self.shutdown.is_asked_for:
                raise KeyboardInterrupt
            with self.interrupts.waiting():
                time.sleep(_TICK)
        return answers[0]

    def _finish_or_keep(self) -> str:
        """Tell what there is to tell, or else write it down; then what is said of it."""
        try:
            with patient(CALL if self.outage.is_on else PATIENCE):
                self._finish()
        except StorageError as error:
            log.warning("what has ended cannot be stored: %s", error)
            untold = self.in_flight.take_untold()
            return kept(self.study, self._shown().problem.metrics, untold, is_command=self.objective is None)
        return ""

    def _history(self) -> History:
        self.known = self.study.history
        return self.known

    def _shown(self) -> History:
        """The history for what is shown, which never waits for the storage."""
        return self.known or self._history()

    # -- trials of other drivers ----------------------------------------------------------------------------------

    def _take_over(self, pool: Pool) -> None:
        """Go on with what an earlier driver left: watch what still runs, hand back the rest."""
        if pool.survives:
            left = {self.starter.id(trial): trial for trial in left_behind(self.study)}
            self.in_flight.find({id: left[id] for id in pool.reattach(left)})
            adopted = self.study.leases.adopt(self.in_flight.found.values(), self.me, self.limits.lease)
            self.in_flight.adopt(map(self.starter.id, adopted))
            if adopted:
                self._say(f"watching again: {counted(len(adopted), 'trial')} that went on without a driver")
        if reclaimed := reclaim(self.study):
            numbers = listing(f"#{trial.number}" for trial in reclaimed)
            self._say(f"run again: {counted(len(reclaimed), 'trial')} of a killed run: {numbers}")

    # -- ends -----------------------------------------------------------------------------------------------------

    def _first_words(self, pool: Pool) -> str:
        n_live, n_kept = self.in_flight.n_live, len(self.in_flight.ended)
        n, is_one = counted(n_live, "running trial"), n_live == 1
        kept = f"; {counted(n_kept, 'result')} cannot be stored at the moment" if n_kept and self.outage.is_on else ""
        if not n_live:
            end = f"{kept}; interrupt again (Ctrl-C) to end without" if kept else ""
            return f"interrupted: no trial is running, and no more are started{end}"
        if pool.survives:
            them = "it" if is_one else "them"
            return f"interrupted: {n} {'goes' if is_one else 'go'} on; the next run takes {them} back{kept}"
        end = f"interrupt again (Ctrl-C) to cancel {'it' if is_one else 'them'}"
        return f"interrupted: waiting for {n} to end{kept}; {end}"

    def _last_words(self) -> str:
        n, is_one = counted(self.in_flight.n_live, "running trial"), self.in_flight.n_live == 1
        return f"terminated: {n} {'has' if is_one else 'have'} {self.limits.notice:g} s to end"

    def _abandon(self, pool: Pool, error: BaseException) -> str:
        """Leave nothing running, whatever happened; but what outlives its driver and is not to blame. What is to be said of
        results that cannot be stored."""
        is_meant = isinstance(error, KeyboardInterrupt | ResultError | ExecutorError | SettingsError | StudyNotFound)
        mode = CloseMode.KILL if is_meant or not pool.survives else CloseMode.DETACH
        self._arrive(pool.close(mode))
        untold = self._finish_or_keep()
        if mode is CloseMode.KILL:
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
            with suppress(StorageError), patient(CALL):  # else their leases run out
                for id, trial in self.in_flight.held.items():
                    if id not in self.in_flight.lost:
                        self.teller.end(trial, f"the run ended: {why}")
            self.in_flight.held.clear()
        return untold

    def _room(self, history: History) -> float:
        return self.budget.room(history, self._elapsed()).trials

    def _say(self, message: str) -> None:
        if self.known is None:
            log.warning("%s", message)
        else:
            self.display.show(Progress(self.known, self._elapsed(), message=message, delay=self._delay()))

    def _state(self) -> Progress:
        history, elapsed = self._shown(), self._elapsed()
        return Progress(history, elapsed, room=self.budget.room(history, elapsed), delay=self._delay())

    def _delay(self) -> str:
        return " | ".join(
            filter(None, [self.outage.words(self.in_flight.n_live, len(self.in_flight.ended)), self.machines.words()])
        )

    def _elapsed(self) -> float:
        return self.clock() - self.began
