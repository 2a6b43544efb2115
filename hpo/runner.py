"""run(): ask, submit, wait, tell, until the budget is spent. The only loop of the library."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field

from hpo.boundary import public
from hpo.budget import Budget
from hpo.display import Display, Show, display_of
from hpo.drivers import LEASE, Heartbeat, heartbeat, left_behind, others_at_work, owner, reclaim
from hpo.errors import (
    ExecutorError,
    ResultConflict,
    ResultError,
    SettingsError,
    SpaceExhausted,
    StudyNotFound,
    TrialStateError,
    listing,
)
from hpo.evaluation import Evaluate, Failure, Objective, check_objective, payload_of, result_of
from hpo.executors import CloseMode, Executor, Inline, Outcome, Pool, Work
from hpo.failures import HOPELESS, Failures, has_results, hopeless_words, mended, no_result_words
from hpo.history import History
from hpo.interrupts import Interrupts
from hpo.limits import NOTICE, Limits
from hpo.progress import Progress
from hpo.redact import redact
from hpo.study import Study
from hpo.text import counted
from hpo.trial import Trial, TrialState
from hpo.words import duration

log = logging.getLogger(__name__)

_TICK = 0.5


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    reason: str
    seconds: float
    interrupted: bool = False
    stopped: tuple[Trial, ...] = ()
    """Trials that were ended before their time: cancelled, or handed back to be run again."""
    left: tuple[Trial, ...] = ()
    """Trials that go on without this driver; the next run takes them back."""
    completed: int = field(default=0, compare=False)
    """How many trials of this run have brought a result."""
    failed: int = field(default=0, compare=False)
    """How many trials of this run have failed."""


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
    progress: bool | Show | Display | None = None,
) -> Run:
    """Run trials of `study` on `executor` (in this thread by default) until `budget` is spent.

    objective: called with each trial; None for executors that run a command. It may raise TrialFailed(kind) to say
        why there is no result; any other exception is a failure of kind error; NaN or infinity, of kind diverged.
    timeout, memory: seconds and bytes per trial; need an isolated executor.
    cpus, gpus: per trial, for executors that deal them out.
    lease: seconds after which another driver may take over the trials of this one, when it is not heard of any more.
    notice: seconds that running trials have after SIGTERM, which a preempted machine sends; then they are ended and
        handed back, to be run again.
    idle: seconds to wait with nothing to run while other drivers hold trials that they may hand back; a lease long by
        default.
    progress: by default a line that is kept up to date on a terminal (standard error) and in a notebook, elsewhere a plain
        line on standard error for each trial that ends; False for nothing. A function is called in this thread with each
        trial that ends and with each message, and nothing else is shown.

    A first Ctrl-C asks for nothing more and lets running trials end; a second cancels them, and a third does not wait for
    them to clean up. Either way no trial is left running, and the run raises KeyboardInterrupt when it is over; its
    attribute `run` is the Run. Where trials outlive their driver, the first Ctrl-C and SIGTERM leave them, and the next
    run takes them back. Trials that a killed run left running are run again: those of this machine first of all, those of
    another when their lease is over. Several runs, on several machines, may share a study.

    Raises ResultError when a result breaks the metrics' contracts, after the trials in flight have ended; ExecutorError
    when a trial fails by a bug of the program (a NameError, a command that does not exist) and none has a result yet, and
    when the first ten trials all fail; SettingsError when the budget cannot be kept to.
    """
    if not isinstance(study, Study):
        raise SettingsError(
            f"run: the first argument is a study, as open_study makes it, and is a {type(study).__name__} here. Write "
            "hpo.run(study, objective, ...)"
        )
    if not isinstance(budget, Budget):
        trials = budget if isinstance(budget, int) else 60
        raise SettingsError(f"run(budget={budget!r}): give a Budget, such as hpo.Budget(trials={trials})")
    budget.check(study.problem)
    patience = lease if idle is None else idle
    limits = Limits(timeout=timeout, memory=memory, cpus=cpus, gpus=gpus, lease=lease, notice=notice, idle=patience)
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
        raise _interrupt(study, ended)
    return ended


def _check(objective: Objective | None, executor: object) -> None:
    """Raise SettingsError for what nothing can be run with."""
    if isinstance(executor, type) or not callable(getattr(executor, "start", None)):
        raise SettingsError(f"run(executor={executor!r}): give an executor, such as hpo.executors.Processes(4)")
    if objective is not None:
        check_objective(objective)
    elif not getattr(executor, "command", None):
        raise SettingsError(f"run: no objective; {executor!r} calls one: run(study, objective, ...)")


def _interrupt(study: Study, ended: Run) -> KeyboardInterrupt:
    n = len(study.history.completed)
    is_stored = study.storage.url != ":memory:"
    where = "stored" if is_stored else "in memory"
    kept = f"{counted(n, 'result')} {'is' if n == 1 else 'are'} {where}" if n else "no trial has a result yet"
    again = f". To go on, run study {study.name!r} again" if is_stored else ""
    stop = KeyboardInterrupt(f"{ended.reason}; {kept}{again}")
    stop.run = ended  # type: ignore[attr-defined]
    return stop


class _Runner:
    def __init__(
        self,
        study: Study,
        objective: Objective | None,
        budget: Budget,
        limits: Limits,
        display: Display,
    ) -> None:
        self.study, self.objective, self.budget, self.limits, self.display = study, objective, budget, limits, display
        self.clock = time.monotonic
        self.began = self.clock()
        self.looked = self.busy = time.monotonic()
        self.me = owner()
        self.works = study.name
        """What the ids of its works begin with."""
        self.running: dict[str, Trial] = {}
        self.lost: set[str] = set()
        """Works whose trials another driver has taken over."""
        self.stopping = ""
        """Why running trials are being ended."""
        self.hand_back = False
        """Whether trials that are ended shall be run again."""
        self.stopped: list[Trial] = []
        self.is_log_said = False
        """Whether it was said which names in a command's output are taken for log."""
        self.results: list[Trial] = []
        """Trials of this run that have completed or failed."""
        self.failures = Failures(study)
        self.fault: ResultError | None = None
        """The first result that broke its contract."""
        self.ended: deque[Outcome] = deque()
        """What the pool has delivered and the study has not been told yet."""
        self.interrupts = Interrupts(self._say)

    def run(self, executor: Executor) -> Run:
        self.display.begin(self._state())
        settings = {"budget": self.budget.to_json(), "limits": asdict(self.limits)}
        self.study.join(self.me, getattr(executor, "command", None) or (), settings=settings)
        pool = executor.start(None if self.objective is None else Evaluate(self.objective))
        with self.interrupts.watched(lambda: self._first_words(pool), self._last_words):
            try:
                reason = self._run_on(pool)
            except BaseException as error:
                self.interrupts.cleaning_up(lambda: pool.cancel(list(self.running), grace=0.0))
                if isinstance(error, KeyboardInterrupt) and self.running and pool.grace:
                    n = counted(len(self.running), "running trial")
                    now = "interrupt again (Ctrl-C) to kill at once"
                    self._say(f"interrupted again: {n} cancelled, with {pool.grace:g} s to end; {now}")
                self._abandon(pool, error)
                if isinstance(error, KeyboardInterrupt) and self.interrupts.count:
                    may_run = any("may still run" in trial.message for trial in self.stopped)
                    rest = "; what cannot be stopped may still run" if may_run else ""
                    return self._ended(f"interrupted twice: running trials were cancelled{rest}")
                raise
        return self._ended(reason + no_result_words(self.study))

    def _run_on(self, pool: Pool) -> str:
        """Run trials until the end. Returns why it is the end."""
        self.clock, self.began = pool.clock, pool.clock()
        self.timeout = self.limits.time_limit(self.budget, pool.grace)
        if pool.survives:  # what another driver left is known by its id: that of no other study of this name
            self.works = f"{self.study.name}-{self.study.facts.get('id', '')[:12]}"
        self._take_over(pool)
        if again := mended(self.study):
            self._say(f"run again: {counted(len(again), 'trial')} that failed because of an error in the program")
        with heartbeat(self.study, self.me, self.limits.lease, lambda: dict(self.running)) as beating:
            reason = self._loop(pool, beating)
            mode = CloseMode.DETACH if self._is_detaching(pool) else CloseMode.DRAIN
            with self.interrupts.waiting():
                self.ended.extend(pool.close(mode))
            self._finish()
        return reason

    def _ended(self, reason: str) -> Run:
        was_told = self.interrupts.count > 0 or self.interrupts.terminated_at is not None
        failed = sum(trial.state is TrialState.FAILED for trial in self.results)
        left, n_completed = tuple(self.running.values()), len(self.results) - failed
        return Run(reason, self._elapsed(), was_told, tuple(self.stopped), left, n_completed, failed)

    def _loop(self, pool: Pool, beating: Heartbeat) -> str:
        ending = ""
        while True:
            if time.monotonic() - self.looked > self.limits.lease / 3:
                self.looked = time.monotonic()
                self._take_over(pool)
            self._lose(pool, beating.lost())
            ending = ending or self._interruption(pool)
            if not ending and not self._is_held():
                ending = self._fill(pool)
            if self._is_detaching(pool):
                return ending
            if not self.running:
                self._raise_what_holds()
                if ending or not self._may_get_work():
                    return ending or self._what_is_over()
                with self.interrupts.waiting():
                    time.sleep(_TICK)
            with self.interrupts.waiting():
                self.ended.extend(pool.wait(_TICK))
            self._finish()
            self._end_overdue(pool)

    def _is_held(self) -> bool:
        """Whether nothing more is started: a result broke its contract, or a trial failed by what looks like a bug and no
        other has proved that it is none."""
        return self.fault is not None or self.failures.show_a_bug

    def _raise_what_holds(self) -> None:
        if self.fault is not None:
            raise self.fault
        if self._is_held():
            raise self.failures.bug()

    def _may_get_work(self) -> bool:
        """Whether it is worth waiting for what other drivers may hand back."""
        return time.monotonic() - self.busy < self.limits.idle and others_at_work(self.study, self.me)

    def _what_is_over(self) -> str:
        room = self.budget.room(self.study.history, self._elapsed())
        return room.reason if room.trials < 1 else "nothing more to run"

    def _fill(self, pool: Pool) -> str:
        """Start what capacity and budget allow. Returns why nothing will ever be started again, or nothing."""
        while (free := pool.capacity - len(self.running)) > 0:  # it is below 0 where a cluster has shrunk
            room = self.budget.room(self.study.history, self._elapsed())
            if room.trials < 1:
                return room.reason if room.is_final else ""
            try:
                trials = self.study.claim(free, self.me, lease=self.limits.lease, within=self._room)
            except SpaceExhausted as error:
                return "" if self.running else str(error)
            if not trials:
                return ""
            self._submit(pool, trials)
            if ending := self._interruption(pool):
                return ending
        return ""

    def _submit(self, pool: Pool, trials: list[Trial]) -> None:
        works = [self._work(trial) for trial in trials]
        self.running.update({work.id: trial for work, trial in zip(works, trials, strict=True)})
        self.busy = time.monotonic()
        pool.submit(*works)
        self._show_starts()

    def _work(self, trial: Trial) -> Work:
        is_command = self.objective is None
        return Work(
            id=self._work_id(trial),
            payload=dict(trial.params) if is_command else payload_of(trial),
            timeout=self.timeout,
            memory=self.limits.memory,
            cpus=self.limits.cpus,
            gpus=self.limits.gpus,
            env={"HPO_TRIAL": str(trial.number), "HPO_SEED": str(trial.seed)} if is_command else {},
        )

    def _work_id(self, trial: Trial) -> str:
        return f"{self.works}-{trial.number}-{trial.attempt}"

    def _finish(self) -> None:
        while self.ended:
            outcome = self.ended.popleft()
            trial = self._deliver(outcome)
            if trial is None:
                continue
            history = self.study.known
            if trial.state in (TrialState.COMPLETED, TrialState.FAILED):
                self.results.append(trial)
            trace = self.failures.note(trial, outcome, history)
            if self._is_held():
                trace = ""  # it is in the error that the run ends with
            elapsed, log_file = self._elapsed(), outcome.logs[-1] if trial.kind and outcome.logs else ""
            room = self.budget.room(history, elapsed)
            step = Progress(history, elapsed, trial, outcome.id, room=room, log=log_file, trace=trace)
            self.display.show(step)
            if len(history.failed) >= HOPELESS and not has_results(history):
                raise ExecutorError(hopeless_words(self.study, outcome.log_tail))

    def _deliver(self, outcome: Outcome) -> Trial | None:
        """Tell the study how a work ended; None where that is another driver's business."""
        trial, self.busy = self.running.pop(outcome.id), time.monotonic()
        if outcome.id in self.lost and outcome.kind is not None:
            self.lost.remove(outcome.id)
            self.study.bill(trial, outcome.seconds)
            return None
        try:
            return self._tell(trial, outcome)
        except (TrialStateError, ResultConflict) as error:  # somebody has ended it by hand: what they said stays
            self._say(f"what trial {trial.number} brought is not recorded: {error}")
            return self.study.bill(trial, outcome.seconds)

    def _tell(self, trial: Trial, outcome: Outcome) -> Trial:
        seconds = outcome.seconds
        if outcome.kind == "cancelled":
            return self._end(trial, self.stopping or outcome.message or "cancelled", seconds)
        if outcome.reported is not None and (late := self._tell_reported(trial, outcome)):
            return late
        if outcome.kind is not None:
            return self.study.fail(trial, outcome.kind, _reason(outcome), seconds=seconds)
        assert outcome.value is not None
        if outcome.message:
            self._say(f"trial {trial.number}: {outcome.message}")
        try:
            result = result_of(outcome.value, self.study.known.problem.metrics, is_command=self.objective is None)
            if isinstance(result, Failure):
                return self.study.fail(trial, result.kind, result.message, seconds=seconds)
            if result.ignored and not self.is_log_said:
                self.is_log_said = True
                self._say(f"taken for log, as no metrics of the problem: {listing(result.ignored)}")
            return self.study.tell(trial, result.values, seconds=seconds)
        except ResultConflict:
            raise
        except ResultError as error:
            if self.fault is None:
                self.fault = error
                if others := len(self.running):
                    may_end = f"{counted(others, 'running trial')} may end first"
                    self._say(f"a result is refused: nothing more is started; {may_end}")
            return self._end(trial, str(error), seconds)

    def _tell_reported(self, trial: Trial, outcome: Outcome) -> Trial | None:
        """The trial with what its command had reported before its time was over; None where that is no whole result."""
        try:
            result = result_of(outcome.reported or {}, self.study.problem.metrics, is_command=True)
            if isinstance(result, Failure):
                return None
            told = self.study.tell(trial, result.values, seconds=outcome.seconds)
        except ResultConflict:
            raise
        except ResultError:
            return None
        note = f"trial {trial.number} was {outcome.message}; what it had reported by then counts"
        self.study.note(note)
        self._say(note)
        return told

    def _end(self, trial: Trial, reason: str, seconds: float | None = None) -> Trial:
        """Of a trial without a result, unless another attempt has taken its place or has ended it."""
        now = self.study.trials[trial.number]
        if now.state is not TrialState.RUNNING or now.attempt != trial.attempt:
            return self.study.bill(trial, seconds)
        if self.hand_back:
            now = self.study.requeue(trial, reason, seconds=seconds)
        else:
            now = self.study.cancel(trial, reason, seconds=seconds)
        self.stopped.append(now)
        return now

    # -- trials of other drivers ----------------------------------------------------------------------------------

    def _take_over(self, pool: Pool) -> None:
        """Go on with what an earlier driver left: watch what still runs, hand back the rest."""
        if pool.survives:
            left = {self._work_id(trial): trial for trial in left_behind(self.study)}
            found = pool.reattach(left)
            adopted = self.study.adopt([left[id] for id in found], self.me, self.limits.lease)
            self.running.update({id: left[id] for id in found})
            self.lost |= found - {self._work_id(trial) for trial in adopted}
            if adopted:
                self._say(f"watching again: {counted(len(adopted), 'trial')} that went on without a driver")
        if reclaimed := reclaim(self.study):
            numbers = listing(f"#{trial.number}" for trial in reclaimed)
            self._say(f"run again: {counted(len(reclaimed), 'trial')} of a killed run: {numbers}")

    def _lose(self, pool: Pool, ids: set[str]) -> None:
        """Other drivers have taken these over; their works are ended, but for those that they watch now."""
        if not ids:
            return
        lost = {id: trial for id, trial in self.running.items() if id in ids}
        self.lost |= set(lost)
        now = self.study.trials
        pool.cancel([id for id, trial in lost.items() if now[trial.number].attempt != trial.attempt])

    # -- ends -----------------------------------------------------------------------------------------------------

    def _interruption(self, pool: Pool) -> str:
        if self.interrupts.terminated_at is not None:
            word, rest = "terminated", f"had {self.limits.notice:g} s to end"
        elif self.interrupts.count:
            word, rest = "interrupted", ""
        else:
            return ""
        rest = "go on" if pool.survives else rest
        return f"{word}: running trials {rest}" if rest else word

    def _is_detaching(self, pool: Pool) -> bool:
        if pool.survives and self._interruption(pool):
            self.hand_back = True  # what was not handed over yet
            return True
        return False

    def _first_words(self, pool: Pool) -> str:
        if not self.running:
            return "interrupted: no trial is running, and no more are started"
        n, is_one = counted(len(self.running), "running trial"), len(self.running) == 1
        if pool.survives:
            return f"interrupted: {n} {'goes' if is_one else 'go'} on; the next run takes {'it' if is_one else 'them'} back"
        return f"interrupted: waiting for {n} to end; interrupt again (Ctrl-C) to cancel {'it' if is_one else 'them'}"

    def _last_words(self) -> str:
        n, is_one = counted(len(self.running), "running trial"), len(self.running) == 1
        return f"terminated: {n} {'has' if is_one else 'have'} {self.limits.notice:g} s to end"

    def _end_overdue(self, pool: Pool) -> None:
        """End what still runs when the wall time and the overtime are over, or the notice after SIGTERM is."""
        if self.stopping or not self.running:
            return
        latest, since = self.budget.latest, self.interrupts.terminated_at
        if since is not None and time.monotonic() - since >= self.limits.notice:
            self.stopping, self.hand_back = "preempted: the machine was to be given back", True
        elif latest is not None and self._elapsed() >= latest:
            self.stopping = f"stopped: the wall time of {self.budget.wall} is over"
        if self.stopping:
            pool.cancel(list(self.running))

    def _abandon(self, pool: Pool, error: BaseException) -> None:
        """Leave nothing running, whatever happened; but what outlives its driver and is not to blame."""
        is_meant = isinstance(error, KeyboardInterrupt | ResultError | ExecutorError | SettingsError | StudyNotFound)
        mode = CloseMode.KILL if is_meant or not pool.survives else CloseMode.DETACH
        self.ended.extend(pool.close(mode))
        while self.ended:
            self._deliver(self.ended.popleft())
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
        for id, trial in self.running.items() if mode is CloseMode.KILL else ():
            if id not in self.lost:
                self._end(trial, f"the run ended: {why}")
        if mode is CloseMode.KILL:
            self.running.clear()

    def _room(self, history: History) -> float:
        return self.budget.room(history, self._elapsed()).trials

    def _say(self, message: str) -> None:
        self.display.show(Progress(self.study.history, self._elapsed(), message=message))

    def _show_starts(self) -> None:
        if self.display.wants_starts:
            self.display.show(self._state())

    def _state(self) -> Progress:
        history, elapsed = self.study.history, self._elapsed()
        return Progress(history, elapsed, room=self.budget.room(history, elapsed))

    def _elapsed(self) -> float:
        return self.clock() - self.began


def _reason(outcome: Outcome) -> str:
    """What the executor says, and the last line the training wrote where that says more."""
    last = redact(outcome.log_tail.strip().rsplit("\n", 1)[-1])[:300]
    return outcome.message if not last or last in outcome.message else f"{outcome.message}: {last}"
