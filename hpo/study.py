"""Study: the whole optimisation of one problem."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from hpo.book import Book
from hpo.boundary import face, public_members
from hpo.drafts import MOST_DEATHS, asked, handed_back, opened
from hpo.effort import Allowance, Timed
from hpo.errors import MetricError, MissingExtra, ResultConflict, SettingsError, TrialNotFound, did_you_mean, listing
from hpo.events import Draft, Event, Ledger, check_step
from hpo.history import History
from hpo.metrics import Metric, Results, checked_result
from hpo.problem import Problem
from hpo.provenance import masked, provenance
from hpo.randomness import generator
from hpo.replay import Replay
from hpo.replay import replay as replayed
from hpo.serialize import measurements_to_json, metric_to_json, problem_from_json
from hpo.storage import Storage
from hpo.storage.base import Lease, Log, StudyRecord
from hpo.storage.persistence import persistently
from hpo.strategies import Strategy
from hpo.strategies.base import AnytimeStrategy
from hpo.strategies.settings import from_json, to_json
from hpo.trial import FAILURE_KINDS, Trial, TrialState

if TYPE_CHECKING:
    import pandas as pd


@public_members
class Study:
    """Ask for configurations, tell what was measured. Made by `open_study`.

    Safe to use from many threads; any number of processes may share one storage. Everything is kept in the storage's
    log before a call returns, and nothing is remembered elsewhere: opening the study again goes on where it stopped.
    """

    def __init__(self, record: StudyRecord, storage: Storage, strategy: Strategy | None = None) -> None:
        self._record = record
        self._storage = storage
        self._strategy = strategy or from_json(record.facts["strategy"])
        self._book = Book(record, storage)

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name it is stored under."""
        return self._record.name

    @property
    def problem(self) -> Problem:
        """The problem, with the limits as last edited."""
        return self.history.problem

    @property
    def seed(self) -> int:
        """The seed all randomness of this study derives from."""
        seed: int = self._record.facts["seed"]
        return seed

    @property
    def facts(self) -> Mapping[str, Any]:
        """Who made the study, when, why and with what code; the seed and the strategy."""
        return self._record.facts

    @property
    def storage(self) -> Storage:
        """Where it is stored."""
        return self._storage

    # -- the loop -------------------------------------------------------------------------------------------------

    @overload
    def ask(self, n: None = None, *, owner: str = "", max_seconds: float | None = None, request: str = "") -> Trial: ...
    @overload
    def ask(self, n: int, *, owner: str = "", max_seconds: float | None = None, request: str = "") -> list[Trial]: ...
    def ask(
        self, n: int | None = None, *, owner: str = "", max_seconds: float | None = None, request: str = ""
    ) -> Trial | list[Trial]:
        """The next trial to run, or with `n` a list of at most `n`: distinct, and aware of everything in flight.

        Waiting trials (enqueued or to be repeated) are served first. `owner` marks trials that belong to a driver.
        Asking again with the same `request`, a text of your choice, gives the same trials: for callers that may lose an
        answer.
        With `max_seconds`, work for which there is no time is skipped in named steps (`why["skipped"]`: reused, screened,
        spread), so that the answer comes in about that time; replaying skips the same.
        Raises SpaceExhausted when every configuration of a finite space has been given out.
        """
        if n is not None and (not isinstance(n, int) or n < 1):
            raise SettingsError(f"ask({n!r}): ask() gives one trial, ask(8) a list of up to eight")
        if max_seconds is not None and not max_seconds > 0:
            raise SettingsError(f"ask(max_seconds={max_seconds!r}): give the seconds the answer may take, more than 0")
        allowance = None if max_seconds is None else Timed(max_seconds)
        suggest = partial(self._suggested, owner=owner, allowance=allowance)
        trials = self._book.give_out(n or 1, owner, suggest, request=request)
        return trials if n is not None else trials[0]

    def claim(
        self, n: int, owner: str, *, lease: float, within: Callable[[History], float] | None = None
    ) -> list[Trial]:
        """Up to `n` trials for a driver that runs them: as `ask`, with a lease.

        Whoever holds a trial must `renew` it before `lease` seconds of the storage's clock are over; else `reclaim`
        gives it to another. `within` says how many more may start, given the history; nobody else is given a trial
        between its answer and these trials, so that drivers together do not start more.
        """
        suggest = partial(self._suggested, owner=owner)
        return self._book.give_out(n, owner, suggest, lease=lease, within=within)

    def renew(self, trials: Iterable[Trial], owner: str, lease: float) -> list[Trial]:
        """Hold on to claimed trials for `lease` more seconds; returns those that are lost, to be stopped: another has
        taken them, or they have ended."""
        trials = list(trials)
        held = {trial.number: trial.attempt for trial in trials}
        kept = persistently(lambda _: self._storage.renew(self._record.id, owner, held, lease))
        return [trial for trial in trials if trial.number not in kept]

    def adopt(self, trials: Iterable[Trial], owner: str, lease: float) -> list[Trial]:
        """Watch over running trials from now on, in place of the drivers that had them; their attempts go on. Returns
        those that are still as given: the others have been taken, or have ended."""
        trials = list(trials)

        def decide(ledger: Ledger, log: Log) -> list[Draft]:
            mine = [trial for trial in trials if _same_attempt(ledger.trials[trial.number], trial)]
            log.put([Lease(trial.number, trial.attempt, owner, log.time() + lease) for trial in mine])
            return [Draft("adopted", trial.number, {"owner": owner}) for trial in mine]

        return self._book.trials_of(self._book.write(decide))

    def held(self) -> frozenset[int]:
        """Numbers of the trials whose lease has not run out."""
        with self._storage.transaction(self._record.id) as log:
            now = log.time()
            return frozenset(lease.number for lease in log.leases() if lease.until >= now)

    def reclaim(self, dead: Collection[str] = ()) -> list[Trial]:
        """Hand back the trials whose lease has run out, and those of owners known to be `dead`. Returns them: waiting, or
        failed after the third attempt, the tenth where owners died."""

        def decide(ledger: Ledger, log: Log) -> list[Draft]:
            now, over, idle = log.time(), [], []
            for lease in log.leases():
                trial = ledger.trials[lease.number]
                if trial.state is not TrialState.RUNNING or trial.attempt != lease.attempt:
                    idle.append(lease.number)
                elif lease.until < now:
                    over.append(lease.number)
            log.drop([*idle, *over])
            lost = [t for t in ledger.trials if dead and t.state is TrialState.RUNNING and t.owner in dead]
            unheard = [t for n in over if (t := ledger.trials[n]).owner not in dead]
            return [
                *(handed_back(t, "infra", "its driver died", most=MOST_DEATHS) for t in lost),
                *(handed_back(t, "infra", "its driver was not heard of any more") for t in unheard),
            ]

        return self._book.trials_of(self._book.write(decide))

    def tell(
        self,
        trial: Trial | int,
        values: Results,
        *,
        replace: bool = False,
        reason: str = "",
        seconds: float | None = None,
    ) -> Trial:
        """Record what was measured: a number or Measurement for each metric of the problem (tracked ones may be absent),
        or one alone where one metric is required. Telling the same values again changes nothing; to correct them,
        `replace=True` and a `reason`.

        A result counts whichever attempt of the trial it comes from; one that comes after another attempt's is kept in
        the log and changes nothing.
        Raises a ResultError when the result breaks the metrics' contracts (nothing is recorded), TrialNotFound.
        """
        number = _number(trial)

        def decide(problem: Problem, current: Trial) -> list[Draft]:
            attempt = trial.attempt if isinstance(trial, Trial) else current.attempt
            told = checked_result(problem.metrics, values, f"trial {number}")
            plain = {"values": measurements_to_json(told)}
            if current.state is not TrialState.COMPLETED:
                check_step(current, TrialState.COMPLETED)
                return [Draft("told", number, {**plain, "seconds": seconds, "attempt": attempt})]
            if dict(current.values) == told:
                return []
            if attempt != current.attempt and not replace:
                return [Draft("extra", number, {**plain, "seconds": seconds, "attempt": attempt})]
            if not replace:
                stored = ", ".join(f"{k}={v.value:.4g}" for k, v in current.values.items())
                raise ResultConflict(
                    f"trial {number} already has {stored} ({current.ended_at[:19]}). Same values are ignored; to correct "
                    f'it: tell({number}, ..., replace=True, reason="...")'
                )
            if not reason:
                raise ResultConflict(
                    f'trial {number}: a correction needs a reason: tell(..., replace=True, reason="...")'
                )
            return [Draft("corrected", number, {**plain, "reason": reason})]

        return self._book.change(number, decide)

    def fail(
        self, trial: Trial | int, kind: str = "error", message: str = "", *, seconds: float | None = None
    ) -> Trial:
        """Record that a trial gave no result. oom, diverged, timeout, crash and error are laid to its params, and
        the region is learned; infra and preempted are laid to the machines: the trial waits to be run again, three
        times at most, and nothing is learned. The failure of an attempt changes nothing once another has taken its
        place, or has brought the result."""
        number = _number(trial)
        if kind not in FAILURE_KINDS:
            hint = did_you_mean(str(kind), FAILURE_KINDS)
            raise SettingsError(f"failure kind {kind!r} is not one of {listing(FAILURE_KINDS)}.{hint}")

        def decide(_: Problem, current: Trial) -> list[Draft]:
            if isinstance(trial, Trial) and trial.attempt != current.attempt:
                return []
            draft = handed_back(current, kind, message, seconds)
            check_step(current, TrialState.WAITING if draft.kind == "requeued" else TrialState.FAILED)
            return [draft]

        return self._book.change(number, decide)

    def cancel(self, trial: Trial | int, reason: str = "", *, seconds: float | None = None) -> Trial:
        """End a trial that will not be run, or not to its end. Its configuration may be suggested again. A trial that has
        been given out again since is left alone."""
        return self._step(trial, TrialState.CANCELLED, "cancelled", reason, seconds)

    def requeue(self, trial: Trial | int, reason: str = "", *, seconds: float | None = None) -> Trial:
        """Have a trial run again: the next ask gives it out, as its next attempt. For a running one whose driver is gone,
        and for one that failed by a fault that has been mended. One that has been handed back since is left alone."""
        return self._step(trial, TrialState.WAITING, "requeued", reason, seconds)

    def enqueue(self, params: Mapping[str, Any], note: str = "") -> Trial:
        """Put a hand-made suggestion at the head of the queue. Raises ParamsError naming every fault."""
        written = self._book.write(lambda ledger, _: [opened(ledger, params, "enqueued", {"note": note})])
        return self._book.trials_of(written)[0]

    def add(self, params: Mapping[str, Any], values: Results, note: str = "") -> Trial:
        """Record a result from elsewhere: production, an earlier study, a colleague. Raises ParamsError, ResultError."""

        def decide(ledger: Ledger, _: Log) -> list[Draft]:
            told = checked_result(ledger.problem.metrics, values, "the added result")
            return [opened(ledger, params, "added", {"values": measurements_to_json(told), "note": note})]

        return self._book.trials_of(self._book.write(decide))[0]

    # -- answers --------------------------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """Everything known now, frozen."""
        return self._book.history()

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in order of number."""
        return self.history.trials

    @property
    def best(self) -> Trial:
        """The best feasible trial. Raises NoFeasibleTrial while there is none; see `closest`."""
        return self.history.best

    @property
    def recommended(self) -> Trial:
        """The trial to deploy when measurements are noisy: the best by the models' means, with every limit probably met.
        Without noise, `best` is what it says. Raises NoFeasibleTrial like `best`."""
        from hpo.bayes.recommend import recommended

        history = self.history
        return recommended(history) if history.best and self.problem.objectives else history.best

    def closest(self) -> Trial:
        """The trial that misses the limits by least."""
        return self.history.closest()

    @property
    def pareto_front(self) -> tuple[Trial, ...]:
        """The feasible trials that no other dominates."""
        return self.history.pareto_front

    def to_frame(self) -> pd.DataFrame:
        """One row a trial: number, state, `param.*`, `metric.*`, `ok.*`, seconds, role. Needs pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("to_frame needs pandas: pip install pandas. study.trials works without") from error
        return pd.DataFrame(self.history.records())

    # -- the record -----------------------------------------------------------------------------------------------

    def join(
        self,
        owner: str,
        command: Sequence[str | Sequence[str]] = (),
        *,
        reason: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Record who `owner` is, which will run trials: its code, machine, versions, the command it runs, if any, and the
        `settings` of its run. What looks like a secret in a command line is not stored."""
        facts = {**provenance(reason=reason), "data": self.facts.get("data", "")}
        data = {"owner": owner, "command": masked(command), "facts": facts, "settings": dict(settings or {})}
        self._book.write(lambda *_: [Draft("joined", None, data)])

    def origin(self, trial: Trial) -> Mapping[str, Any]:
        """Where a trial was run: `facts` of the driver that had it, and its `command`; those of the study's creation where
        none is known."""
        joined = [e.data for e in self.events() if e.kind == "joined" and e.data["owner"] == trial.owner]
        return joined[-1] if joined else {"owner": trial.owner, "command": [], "facts": self.facts}

    def edit_metric(self, metric: Metric, *, reason: str) -> Problem:
        """Change a metric's limits, unit, description or owner; the edit is logged with its reason and feasibility is
        judged anew. Role and goal stay what they are. Raises MetricError, NotFound."""
        if not isinstance(metric, Metric):
            raise MetricError(
                f"edit_metric({metric!r}): give the whole metric as it shall be: Constraint(name, upper=...)"
            )
        if not reason.strip():
            raise MetricError(f'metric {metric.name!r}: an edit needs a reason: edit_metric(..., reason="...")')

        def decide(ledger: Ledger, _: Log) -> list[Draft]:
            old = ledger.problem.metric(metric.name)
            if type(old) is not type(metric) or getattr(old, "goal", None) != getattr(metric, "goal", None):
                raise MetricError(
                    f"metric {metric.name!r}: its role and goal are what the trials were measured for and cannot change "
                    f"(stored {old!r}). Make a new study"
                )
            ledger.problem.with_metric(metric)
            return (
                [Draft("edited", None, {"metric": metric_to_json(metric), "reason": reason})] if old != metric else []
            )

        self._book.write(decide)
        return self.problem

    def events(self) -> list[Event]:
        """The log: every step ever recorded, in order."""
        return self._book.events()

    def replay(self) -> Replay:
        """Derive every suggestion again from what its ask saw, and say where the first differs."""
        return replayed(problem_from_json(self._record.definition), self.seed, self.events())

    def __repr__(self) -> str:
        history = self.history
        best = f", best #{history.best.number}" if history.has_best and len(self.problem.objectives) < 2 else ""
        return f"<Study {self.name!r}: {len(history.trials)} trials, {len(history.in_flight)} in flight{best}>"

    # -- inside ---------------------------------------------------------------------------------------------------

    def _suggested(
        self, history: History, n: int, saw: int, *, owner: str, allowance: Allowance | None = None
    ) -> list[Draft]:
        first, strategy = len(history.trials), self._strategy
        rng = generator(self.seed, "suggest", first)
        if allowance and isinstance(strategy, AnytimeStrategy):
            suggestions = strategy.suggest_within(history, n, rng, allowance)
        else:
            suggestions = strategy.suggest(history, n, rng)
        name = to_json(strategy)
        return [asked(first + i, s, name, saw, (first, n), owner) for i, s in enumerate(suggestions)]

    def _step(self, trial: Trial | int, state: TrialState, kind: str, reason: str, seconds: float | None) -> Trial:
        number = _number(trial)

        def decide(_: Problem, current: Trial) -> list[Draft]:
            if isinstance(trial, Trial) and trial.attempt != current.attempt:
                return []
            check_step(current, state)
            return [Draft(kind, number, {"reason": reason, "seconds": seconds})]

        return self._book.change(number, decide)


def _same_attempt(now: Trial, seen: Trial) -> bool:
    return now.state is TrialState.RUNNING and (now.attempt, now.owner) == (seen.attempt, seen.owner)


def _number(trial: Trial | int) -> int:
    if isinstance(trial, Trial):
        return trial.number
    try:
        return operator.index(trial)
    except TypeError:
        raise TrialNotFound(f"{trial!r} is no trial; give a trial, or its number as an int") from None


if not TYPE_CHECKING:  # which would take any name then
    __getattr__ = face(__name__, {})
