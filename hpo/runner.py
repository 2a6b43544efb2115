"""run(): ask, submit, wait, tell, until the budget is spent. The only loop of the library."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from hpo.budget import Budget, Room
from hpo.drivers import LEASE, heartbeat, left_behind, others_at_work, owner, reclaim
from hpo.errors import ExecutorError, ResultConflict, ResultError, SettingsError, SpaceExhausted, TrialStateError
from hpo.evaluation import Evaluate, Failure, Objective, payload_of, result_of
from hpo.executors import CloseMode, Executor, Inline, Outcome, Pool, Work
from hpo.history import History
from hpo.interrupts import Interrupts
from hpo.limits import NOTICE, Limits
from hpo.redact import redact
from hpo.study import Study
from hpo.trial import Trial, TrialState

log = logging.getLogger(__name__)

_HOPELESS = 10
_TICK = 0.5


@dataclass(frozen=True)
class Progress:
    """One step of a run, for whoever shows it."""

    history: History
    elapsed: float
    """Seconds since the run began, on the executor's clock."""
    ended: Trial | None = None
    """The trial that just ended; None when the step is a message."""
    work: str = ""
    """The id of its work, after which an executor names its logs."""
    message: str = ""
    room: Room | None = None


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
    progress: Callable[[Progress], None] | None = None,
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
    progress: called in this thread after each step.

    A first Ctrl-C asks for nothing more and lets running trials end; a second cancels them. Either way no trial is left
    running; but where trials outlive their driver, the first Ctrl-C and SIGTERM leave them, and the next run takes them
    back. Trials that a killed run left running are run again: those of this machine first of all, those of another when
    their lease is over. Several runs, on several machines, may share a study.

    Raises ResultError when the objective breaks the metrics' contracts (the run stops: every trial would),
    ExecutorError when the first ten trials all fail, and SettingsError when the budget cannot be kept to.
    """
    if not isinstance(budget, Budget):
        raise SettingsError(f"run(budget={budget!r}): give a Budget, such as hpo.Budget(trials=60)")
    budget.check(study.problem)
    patience = lease if idle is None else idle
    limits = Limits(timeout=timeout, memory=memory, cpus=cpus, gpus=gpus, lease=lease, notice=notice, idle=patience)
    executor = executor or Inline()
    _check(objective, executor)
    return _Runner(study, objective, budget.priced(cpus, gpus), limits, progress or _silent).run(executor)


def _check(objective: Objective | None, executor: object) -> None:
    """Raise SettingsError for what nothing can be run with."""
    if isinstance(executor, type) or not callable(getattr(executor, "start", None)):
        raise SettingsError(f"run(executor={executor!r}): give an executor, such as hpo.executors.Processes(4)")
    if objective is None and not getattr(executor, "command", None):
        raise SettingsError(f"run: no objective; {executor!r} calls one: run(study, objective, ...)")


class _Runner:
    def __init__(
        self,
        study: Study,
        objective: Objective | None,
        budget: Budget,
        limits: Limits,
        progress: Callable[[Progress], None],
    ) -> None:
        self.study, self.objective, self.budget, self.limits, self.progress = study, objective, budget, limits, progress
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
        self.trace = ""
        """The last lines of the traceback, or of what was written, of the work that ended last."""
        self.ended: deque[Outcome] = deque()
        """What the pool has delivered and the study has not been told yet."""
        self.interrupts = Interrupts(self._say)

    def run(self, executor: Executor) -> Run:
        settings = {"budget": self.budget.to_json(), "limits": asdict(self.limits)}
        self.study.join(self.me, getattr(executor, "command", None) or (), settings=settings)
        pool = executor.start(None if self.objective is None else Evaluate(self.objective))
        try:
            self.clock, self.began = pool.clock, pool.clock()
            self.timeout = self.limits.time_limit(self.budget, pool.grace)
            if pool.survives:  # what another driver left is known by its id: that of no other study of this name
                self.works = f"{self.study.name}-{self.study.facts.get('id', '')[:12]}"
            self._take_over(pool)
            with self.interrupts.watched(lambda: self._first_words(pool), self._last_words), self._heartbeat(pool):
                reason = self._loop(pool)
                mode = CloseMode.DETACH if self._is_detaching(pool) else CloseMode.DRAIN
                with self.interrupts.waiting():
                    self.ended.extend(pool.close(mode))
                self._finish()
        except BaseException as error:
            self._abandon(pool, error)
            if isinstance(error, KeyboardInterrupt) and self.interrupts.count:
                return self._ended("interrupted twice: running trials were cancelled")
            raise
        return self._ended(reason)

    def _ended(self, reason: str) -> Run:
        was_told = self.interrupts.count > 0 or self.interrupts.terminated_at is not None
        return Run(reason, self._elapsed(), was_told, tuple(self.stopped), tuple(self.running.values()))

    def _loop(self, pool: Pool) -> str:
        ending = ""
        while True:
            if time.monotonic() - self.looked > self.limits.lease / 3:
                self.looked = time.monotonic()
                self._take_over(pool)
            ending = ending or self._interruption(pool) or self._fill(pool)
            if self._is_detaching(pool):
                return ending
            if not self.running:
                if ending or not self._may_get_work():
                    return ending or self._what_is_over()
                with self.interrupts.waiting():
                    time.sleep(_TICK)
            with self.interrupts.waiting():
                self.ended.extend(pool.wait(_TICK))
            self._finish()
            self._end_overdue(pool)

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
            history = self.study.history
            facts = {"trial": trial.number, "state": str(trial.state)}
            trace = f"\n{self.trace}" if trial.kind and self.trace else ""
            log.info("trial %d %s%s", trial.number, trial.state, trace, extra=facts)
            elapsed = self._elapsed()
            self.progress(Progress(history, elapsed, trial, outcome.id, room=self.budget.room(history, elapsed)))
            if len(history.failed) >= _HOPELESS and all(t.source == "added" for t in history.completed):
                last = history.failed[-1]
                raise ExecutorError(
                    f"the first {len(history.failed)} trials all failed; the last, #{last.number}: {last.message}. "
                    "Nothing more is started, so that no more is spent; study.requeue(trial) has one run again when the "
                    f"fault is mended\n{self.trace}".rstrip()
                )

    def _deliver(self, outcome: Outcome) -> Trial | None:
        """Tell the study how a work ended; None where that is another driver's business."""
        trial, self.busy = self.running.pop(outcome.id), time.monotonic()
        self.trace = outcome.log_tail
        if outcome.id in self.lost and outcome.kind is not None:
            self.lost.remove(outcome.id)
            return None
        try:
            return self._tell(trial, outcome)
        except (TrialStateError, ResultConflict) as error:  # somebody has ended it by hand: what they said stays
            self._say(f"what trial {trial.number} brought is not recorded: {error}")
            return self.study.trials[trial.number]

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
            result = result_of(outcome.value, is_command=self.objective is None)
            if isinstance(result, Failure):
                return self.study.fail(trial, result.kind, result.message, seconds=seconds)
            return self.study.tell(trial, result, seconds=seconds)
        except ResultConflict:
            raise
        except ResultError as error:
            self._end(trial, str(error), seconds)
            raise

    def _tell_reported(self, trial: Trial, outcome: Outcome) -> Trial | None:
        """The trial with what its command had reported before its time was over; None where that is no whole result."""
        result = result_of(outcome.reported or {}, is_command=True)
        if isinstance(result, Failure):
            return None
        try:
            told = self.study.tell(trial, result, seconds=outcome.seconds)
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
            return now
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
                self._say(f"{len(adopted)} trials that went on without a driver are watched again")
        if reclaimed := reclaim(self.study):
            self._say(f"{len(reclaimed)} trials of a killed run are run again: #{reclaimed[0].number} ...")

    def _heartbeat(self, pool: Pool) -> AbstractContextManager[None]:
        def lose(ids: set[str]) -> None:
            self._lose(pool, ids)

        return heartbeat(self.study, self.me, self.limits.lease, lambda: dict(self.running), lose)

    def _lose(self, pool: Pool, ids: set[str]) -> None:
        """Another driver has taken these over; their works are ended, but for those that it watches now."""
        lost = {id: trial for id, trial in self.running.items() if id in ids}
        self.lost |= set(lost)
        now = self.study.trials
        pool.cancel([id for id, trial in lost.items() if now[trial.number].attempt != trial.attempt])

    # -- ends -----------------------------------------------------------------------------------------------------

    def _interruption(self, pool: Pool) -> str:
        if self.interrupts.terminated_at is not None:
            word, rest = "terminated", f"had {self.limits.notice:g} s to end"
        elif self.interrupts.count:
            word, rest = "interrupted", "were let end"
        else:
            return ""
        return f"{word}: running trials {'go on' if pool.survives else rest}"

    def _is_detaching(self, pool: Pool) -> bool:
        if pool.survives and self._interruption(pool):
            self.hand_back = True  # what was not handed over yet
            return True
        return False

    def _first_words(self, pool: Pool) -> str:
        n = len(self.running)
        if pool.survives:
            return f"interrupted: {n} running trials go on; the next run takes them back"
        return f"interrupted: {n} running trials are let end; again to cancel them"

    def _last_words(self) -> str:
        return f"terminated: {len(self.running)} running trials have {self.limits.notice:g} s to end"

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
        is_meant = isinstance(error, KeyboardInterrupt | ResultError | ExecutorError | SettingsError)
        mode = CloseMode.KILL if is_meant or not pool.survives else CloseMode.DETACH
        self.ended.extend(pool.close(mode))
        while self.ended:
            with contextlib.suppress(ResultError):  # the trial is cancelled; the first such error is on its way up
                self._deliver(self.ended.popleft())
        for id, trial in self.running.items() if mode is CloseMode.KILL else ():
            if id not in self.lost:
                self._end(trial, f"the run ended: {type(error).__name__}")
        if mode is CloseMode.KILL:
            self.running.clear()

    def _room(self, history: History) -> float:
        return self.budget.room(history, self._elapsed()).trials

    def _say(self, message: str) -> None:
        self.progress(Progress(self.study.history, self._elapsed(), message=message))

    def _elapsed(self) -> float:
        return self.clock() - self.began


def _reason(outcome: Outcome) -> str:
    """What the executor says, and the last line the training wrote where that says more."""
    last = redact(outcome.log_tail.strip().rsplit("\n", 1)[-1])[:300]
    return outcome.message if not last or last in outcome.message else f"{outcome.message}: {last}"


def _silent(_: Progress) -> None:
    return
