"""The loop of a run: ask, submit, wait, tell, until nothing runs any more. The only loop of the library.

It is one class, since every step decides which one is next. What it decides by has classes beside it: what is in flight,
how the run shuts down, whether machines and storage work, and what is announced.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import TypeVar

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
from hpo.executors import CloseMode, Executor, Outcome, Pool
from hpo.running.announcer import Announcer
from hpo.running.budget import Budget
from hpo.running.display import Display
from hpo.running.failures import HOPELESS, Failures, blamed, has_results, hopeless_words, mended, no_result_words
from hpo.running.heartbeat import Heartbeat, heartbeat, left_behind, others_at_work, owner, reclaim
from hpo.running.in_flight import InFlight
from hpo.running.machines import Machines
from hpo.running.objective import Evaluate, Objective
from hpo.running.outage import CALL, Outage
from hpo.running.run_result import Run
from hpo.running.shutdown import Shutdown, Stage, interrupted_words, terminated_words
from hpo.running.signals import Interrupts
from hpo.running.starting import Starter
from hpo.running.telling import Teller, failure_of
from hpo.running.trial_limits import TrialLimits
from hpo.running.untold_results import kept
from hpo.storage.base import PATIENCE
from hpo.storage.retry import patient
from hpo.study.study import Study
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState

T = TypeVar("T")
log = logging.getLogger(__name__)

_TICK = 0.5
"""Seconds between two looks at clock, storage and signals while nothing ends."""


class RunLoop:
    """One run: what it holds, and what it does next."""

    def __init__(
        self,
        study: Study,
        objective: Objective | None,
        budget: Budget,
        limits: TrialLimits,
        display: Display,
    ) -> None:
        self.study, self.objective, self.budget, self.limits = study, objective, budget, limits
        self.clock = time.monotonic
        self.began = self.clock()
        self.looked = self.busy = time.monotonic()
        self.me = owner()
        self.announcer = Announcer(study, budget, display, self.elapsed, self._delay)
        self.say = self.announcer.say
        self.interrupts = Interrupts(self.say)
        self.starter = Starter(study, self.me, limits, is_command=objective is None)
        self.in_flight = InFlight()
        self.shutdown = Shutdown(self.interrupts, limits.notice)
        self.teller = Teller(study, self.say, self.shutdown, is_command=objective is None)
        self.results: list[Trial] = []
        """Trials of this run that have completed or failed."""
        self.failures = Failures(study)
        self.machines = Machines(self.clock, float(limits.outage))
        self.outage = Outage(float(limits.outage), self.say)

    def run(self, executor: Executor) -> Run:
        self.budget.check(self._await(self.announcer.read).problem)
        self.announcer.begin()
        settings = {"budget": self.budget.to_json(), "limits": asdict(self.limits)}
        self._await(
            lambda: self.study.leases.join(self.me, getattr(executor, "command", None) or (), settings=settings)
        )
        pool = executor.start(None if self.objective is None else Evaluate(self.objective))
        with self.interrupts.watched(lambda: self._interrupted(pool), self._terminated):
            try:
                reason = self._run_on(pool)
            except BaseException as error:
                self.interrupts.cleaning_up(lambda: pool.cancel(list(self.in_flight.held), grace=0.0))
                if isinstance(error, KeyboardInterrupt) and self.in_flight.held and pool.grace:
                    n = counted(len(self.in_flight.held), "running trial")
                    now = "interrupt again (Ctrl-C) to kill at once"
                    self.say(f"interrupted again: {n} cancelled, with {pool.grace:g} s to end; {now}")
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
            self.say(f"run again: {counted(len(again), 'trial')} that failed because of an error in the program")
        with heartbeat(self.study, self.me, self.limits.lease, lambda: dict(self.in_flight.held)) as beating:
            self._loop(pool, beating)
            self.shutdown.heed(survives=pool.survives)
            mode = CloseMode.DETACH if self.shutdown.stage is Stage.DETACHED else CloseMode.DRAIN
            with self.interrupts.waiting():
                self._arrive(pool.close(mode))
            if untold := self._finish_or_keep():
                return f"{self.shutdown.reason}; {untold}"
        return self.shutdown.reason + no_result_words(self.study, self.announcer.shown())

    def _ended(self, reason: str) -> Run:
        failed = sum(trial.state is TrialState.FAILED for trial in self.results)
        left, stopped = tuple(self.in_flight.held.values()), tuple(self.teller.stopped)
        is_asked_for, n_completed = self.shutdown.is_asked_for, len(self.results) - failed
        return Run(reason, self.elapsed(), is_asked_for, stopped, left, n_completed, failed)

    def _loop(self, pool: Pool, beating: Heartbeat) -> None:
        while True:
            self.shutdown.heed(survives=pool.survives)
            if self.shutdown.stage is Stage.DETACHED:
                return
            if self.outage.may_try() and self._reach(lambda: self._talk(pool, beating)) and self._is_over():
                return
            self._wait(pool)
            if self.in_flight.held and self.shutdown.stop_overdue(self.budget, self.elapsed()):
                pool.cancel(list(self.in_flight.held))

    def _talk(self, pool: Pool, beating: Heartbeat) -> None:
        """All that the loop tells the study and learns from it; done again later where the storage does not answer."""
        if self.outage.is_on:
            self.announcer.read()  # else there may be nothing to ask
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
            self.say(words)
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
        """Whether nothing more is started: a result broke its contract, a trial failed by what looks like a bug and no
        trial has a result, or the machines lose everything."""
        return self.teller.fault is not None or self.failures.show_a_bug or bool(self.machines.hopeless())

    def _raise_what_holds(self) -> None:
        if self.teller.fault is not None:
            raise self.teller.fault
        if self.failures.show_a_bug:
            raise self.failures.bug()
        if words := self.machines.hopeless():
            n = len(self.announcer.read().waiting)
            waits = f"{counted(n, 'trial')} {'waits' if n == 1 else 'wait'} to be run again. " if n else ""
            raise ExecutorError(f"{words}. {waits}The run stops here. Mend the machines and run it again, to go on")

    def _may_get_task(self) -> bool:
        """Whether it is worth waiting: for machines, or for what other drivers may hand back."""
        if self.machines.is_pausing:
            return True
        return time.monotonic() - self.busy < self.limits.idle and others_at_work(self.study, self.me)

    def _what_is_over(self) -> str:
        room = self.budget.room(self.announcer.read(), self.elapsed())
        return room.reason if room.trials < 1 else "nothing more to run"

    def _fill(self, pool: Pool) -> None:
        """Start what capacity, budget and machines allow."""
        while self.shutdown.stage is Stage.RUNNING:
            free = pool.capacity - len(self.in_flight.held)  # below 0 where a cluster has shrunk
            room = self.budget.room(self.announcer.read(), self.elapsed()) if free > 0 else None
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
        if self.announcer.is_live:
            self.announcer.read()
            self.announcer.update()

    def _arrive(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            kind, message = failure_of(outcome, is_command=self.objective is None)
            trial = self.in_flight.arrive(outcome)
            self.in_flight.ended.append((outcome, self.machines.ended(trial.number, outcome, kind, message)))

    def _finish(self) -> None:
        """Tell the study what has ended; what it is told is forgotten here."""
        self.teller.tell_together([(self.in_flight.held[o.id], o) for o, _ in self.in_flight.ended])
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
            self.say(f"a result is refused: nothing more is started; {counted(others, 'running trial')} may end first")
        return trial

    def _show_end(self, trial: Trial, outcome: Outcome) -> None:
        if trial.state in (TrialState.COMPLETED, TrialState.FAILED):
            self.results.append(trial)
        history = self.announcer.keep(self.study.leases.known)
        trace = self.failures.note(trial, outcome, history)
        self.announcer.ended(trial, outcome, trace="" if self._is_held() else trace)  # the run's error has it
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
            self.announcer.update()
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
            return kept(self.study, self.announcer.shown().problem.metrics, untold, is_command=self.objective is None)
        return ""

    # -- trials of other drivers ----------------------------------------------------------------------------------

    def _take_over(self, pool: Pool) -> None:
        """Go on with what an earlier driver left: watch what still runs, hand back the rest."""
        if pool.survives:
            left = {self.starter.id(trial): trial for trial in left_behind(self.study)}
            self.in_flight.find({id: left[id] for id in pool.reattach(left)})
            adopted = self.study.leases.adopt(self.in_flight.found.values(), self.me, self.limits.lease)
            self.in_flight.adopt(map(self.starter.id, adopted))
            if adopted:
                self.say(f"watching again: {counted(len(adopted), 'trial')} that went on without a driver")
        if reclaimed := reclaim(self.study):
            numbers = listing(f"#{trial.number}" for trial in reclaimed)
            self.say(f"run again: {counted(len(reclaimed), 'trial')} of a killed run: {numbers}")

    # -- ends -----------------------------------------------------------------------------------------------------

    def _interrupted(self, pool: Pool) -> str:
        n_kept = len(self.in_flight.ended) if self.outage.is_on else 0
        return interrupted_words(self.in_flight.n_live, n_kept, survives=pool.survives)

    def _terminated(self) -> str:
        return terminated_words(self.in_flight.n_live, self.limits.notice)

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
        return self.budget.room(history, self.elapsed()).trials

    def _delay(self) -> str:
        """Why nothing is started, or nothing is stored, at the moment."""
        away = self.outage.words(self.in_flight.n_live, len(self.in_flight.ended))
        return " | ".join(filter(None, [away, self.machines.words()]))

    def elapsed(self) -> float:
        """Seconds since the run began, on the pool's clock."""
        return self.clock() - self.began
