"""Study: the whole optimisation of one problem. The only stateful class of the library."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from hpo.effort import Allowance, Timed
from hpo.encoding import key
from hpo.errors import (
    DefinitionChanged,
    MetricError,
    MissingExtra,
    ResultConflict,
    SettingsError,
    StudyNotFound,
    TrialNotFound,
    did_you_mean,
    listing,
)
from hpo.events import Draft, Event, Ledger, check_step, trial_after
from hpo.history import History
from hpo.metrics import Metric, Result, checked_result
from hpo.problem import Problem
from hpo.provenance import provenance, without_secrets
from hpo.randomness import fresh_seed, generator
from hpo.replay import Replay
from hpo.replay import replay as replayed
from hpo.serialize import measurements_to_json, metric_to_json, problem_from_json, problem_to_json
from hpo.storage import Storage, open_storage
from hpo.storage.base import Lease, Log, StudyRecord
from hpo.storage.persistence import persistently
from hpo.storage.steps import Decide, Step, Steps
from hpo.strategies import Bayesian, Strategy
from hpo.strategies.base import AnytimeStrategy
from hpo.strategies.settings import from_json, to_json
from hpo.suggestion import Suggestion
from hpo.trial import FAILURE_KINDS, RETRIED_KINDS, Trial, TrialState

if TYPE_CHECKING:
    import pandas as pd

MOST_ATTEMPTS = 3
"""How often a trial is run before a failure of the machines counts as its failure."""
_NEAR = 8
"""Events of others that are read at once rather than looked through."""


class Study:
    """Ask for configurations, tell what was measured. Made by `open_study`.

    Safe to use from many threads; any number of processes may share one storage. Everything is kept in the storage's
    log before a call returns, and nothing is remembered elsewhere: opening the study again goes on where it stopped.
    """

    def __init__(self, record: StudyRecord, storage: Storage, strategy: Strategy | None = None) -> None:
        self._record = record
        self._storage = storage
        self._strategy = strategy or from_json(record.facts["strategy"])
        self._ledger = Ledger(problem_from_json(record.definition), record.facts["seed"])
        self._asking = threading.Lock()
        self._lock = threading.RLock()
        self._steps = Steps(self._attempt)

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
        return self._ledger.seed

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
        trials = self._ask(n or 1, owner, allowance=allowance, request=request)
        return trials if n is not None else trials[0]

    def claim(
        self, n: int, owner: str, *, lease: float, within: Callable[[History], float] | None = None
    ) -> list[Trial]:
        """Up to `n` trials for a driver that runs them: as `ask`, with a lease.

        Whoever holds a trial must `renew` it before `lease` seconds of the storage's clock are over; else `reclaim`
        gives it to another. `within` says how many more may start, given the history; nobody else is given a trial
        between its answer and these trials, so that drivers together do not start more.
        """
        return self._ask(n, owner, lease=lease, within=within)

    def renew(self, trials: Iterable[Trial], owner: str, lease: float) -> list[Trial]:
        """Hold on to claimed trials for `lease` more seconds; returns those that are lost, to be stopped: another has
        taken them, or they have ended."""
        trials = list(trials)
        held = {trial.number: trial.attempt for trial in trials}
        kept = persistently(lambda _: self._storage.renew(self._record.id, owner, held, lease))
        return [trial for trial in trials if trial.number not in kept]

    def reclaim(self) -> list[Trial]:
        """Hand back the trials whose lease has run out. Returns them: waiting, or failed after the third attempt."""

        def decide(ledger: Ledger, log: Log) -> list[Draft]:
            now, over, idle = log.time(), [], []
            for lease in log.leases():
                trial = ledger.trials[lease.number]
                if trial.state is not TrialState.RUNNING or trial.attempt != lease.attempt:
                    idle.append(lease.number)
                elif lease.until < now:
                    over.append(lease.number)
            log.drop([*idle, *over])
            return [
                _handed_back(ledger.trials[number], "infra", "its driver was not heard of any more") for number in over
            ]

        return [self._now(e.number, e.seq) for e in self._transact(decide) if e.number is not None]

    def tell(
        self,
        trial: Trial | int,
        values: Mapping[str, Result],
        *,
        replace: bool = False,
        reason: str = "",
        seconds: float | None = None,
    ) -> Trial:
        """Record what was measured: a number or Measurement for each metric of the problem (tracked ones may be
        absent). Telling the same values again changes nothing; to correct them, `replace=True` and a `reason`.

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

        return self._change(number, decide)

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
            draft = _handed_back(current, kind, message, seconds)
            check_step(current, TrialState.WAITING if draft.kind == "requeued" else TrialState.FAILED)
            return [draft]

        return self._change(number, decide)

    def cancel(self, trial: Trial | int, reason: str = "") -> Trial:
        """End a trial that will not be run. Its configuration may be suggested again."""
        return self._step(trial, TrialState.CANCELLED, "cancelled", reason)

    def requeue(self, trial: Trial | int, reason: str = "") -> Trial:
        """Hand a running trial back: the next ask gives it out again, as its next attempt."""
        return self._step(trial, TrialState.WAITING, "requeued", reason)

    def enqueue(self, params: Mapping[str, Any], note: str = "") -> Trial:
        """Put a hand-made suggestion at the head of the queue. Raises ParamsError naming every fault."""
        (event,) = self._write(lambda ledger: [self._opened(ledger, params, "enqueued", {"note": note})])
        return self._now(event.number or 0, event.seq)

    def add(self, params: Mapping[str, Any], values: Mapping[str, Result], note: str = "") -> Trial:
        """Record a result from elsewhere: production, an earlier study, a colleague. Raises ParamsError, ResultError."""

        def decide(ledger: Ledger) -> list[Draft]:
            told = checked_result(ledger.problem.metrics, values, "the added result")
            return [self._opened(ledger, params, "added", {"values": measurements_to_json(told), "note": note})]

        (event,) = self._write(decide)
        return self._now(event.number or 0, event.seq)

    # -- answers --------------------------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """Everything known now, frozen."""
        with self._lock:
            self._refresh()
            return self._ledger.history()

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
            raise MissingExtra('to_frame needs pandas: pip install "hpo[frame]". study.trials works without') from error
        return pd.DataFrame(self.history.records())

    # -- the record -----------------------------------------------------------------------------------------------

    def join(self, owner: str, command: Sequence[str | Sequence[str]] = (), *, reason: str = "") -> None:
        """Record who `owner` is, which will run trials: its code, machine, versions, and the command it runs, if any.
        What looks like a secret in a command line is not stored."""
        flat = without_secrets(["", *(part if isinstance(part, str) else "-" for part in command)])[1:]
        parts = [
            text if isinstance(part, str) else without_secrets(["", *part])[1:]
            for part, text in zip(command, flat, strict=True)
        ]
        facts = {**provenance(reason=reason), "data": self.facts.get("data", "")}
        self._write(lambda _: [Draft("joined", None, {"owner": owner, "command": parts, "facts": facts})])

    def origin(self, trial: Trial) -> Mapping[str, Any]:
        """Where a trial was run: `facts` of the driver that had it, and its `command`; those of the study's creation where
        none is known."""
        joined = [e.data for e in self.events() if e.kind == "joined" and e.data["owner"] == trial.owner]
        return joined[-1] if joined else {"owner": trial.owner, "command": [], "facts": self.facts}

    def edit_metric(self, metric: Metric, *, reason: str) -> Problem:
        """Change a metric's limits, unit, description or owner; the edit is logged with its reason and feasibility is
        judged anew. Role and goal are frozen once trials exist. Raises MetricError."""

        def decide(ledger: Ledger) -> list[Draft]:
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

        self._write(decide)
        return self.problem

    def events(self) -> list[Event]:
        """The log: every step ever recorded, in order."""
        return persistently(lambda _: self._storage.events(self._record.id))

    def replay(self) -> Replay:
        """Derive every suggestion again from what its ask saw, and say where the first differs."""
        return replayed(problem_from_json(self._record.definition), self.seed, self.events())

    def __repr__(self) -> str:
        history = self.history
        best = f", best #{history.best.number}" if history.has_best and len(self.problem.objectives) < 2 else ""
        return f"<Study {self.name!r}: {len(history.trials)} trials, {len(history.in_flight)} in flight{best}>"

    # -- inside ---------------------------------------------------------------------------------------------------

    def _ask(
        self,
        n: int,
        owner: str,
        *,
        allowance: Allowance | None = None,
        request: str = "",
        lease: float | None = None,
        within: Callable[[History], float] | None = None,
    ) -> list[Trial]:
        name = request or uuid.uuid4().hex

        def step(again: bool) -> list[Event] | None:
            """One try; None when another has asked meanwhile, or ended a trial that waits: by a late result, perhaps."""
            with self._lock:
                self._refresh()
                history, saw, last_ask = self._ledger.history(), self._ledger.seq, self._ledger.last_ask
            most = n if within is None else int(min(n, within(history)))
            waiting = [t for t in history.trials if t.state is TrialState.WAITING][:most]
            drafts = [Draft("started", t.number, {"owner": owner}, name) for t in waiting]
            if len(drafts) < most and not (request and self._is_answered(request)):
                drafts += self._suggested(history, most - len(drafts), saw, owner, allowance, name)
            with self._lock:
                with self._storage.transaction(self._record.id) as log:
                    self._ledger.apply(log.events(self._ledger.seq))
                    if (again or request) and (answered := log.answered(name)):
                        return answered
                    now = self._ledger.trials
                    is_outdated = self._ledger.last_ask != last_ask or len(now) != len(history.trials)
                    if is_outdated or any(now[t.number].state is not TrialState.WAITING for t in waiting):
                        return None
                    if lease is not None:
                        until, attempts = log.time() + lease, {t.number: t.attempt for t in waiting}
                        numbers = [draft.number for draft in drafts if draft.number is not None]
                        log.put([Lease(number, attempts.get(number, 1), owner, until) for number in numbers])
                    written = log.append(drafts)
                self._ledger.apply(written)
                return written

        with self._asking:
            while (written := persistently(step)) is None:
                pass
            return [self._now(e.number, e.seq) for e in written if e.number is not None]

    def _is_answered(self, request: str) -> bool:
        with self._storage.transaction(self._record.id) as log:
            return bool(log.answered(request))

    def _suggested(
        self, history: History, n: int, saw: int, owner: str, allowance: Allowance | None, request: str
    ) -> list[Draft]:
        first, strategy = len(history.trials), self._strategy
        rng = generator(self.seed, "suggest", first)
        if allowance and isinstance(strategy, AnytimeStrategy):
            suggestions = strategy.suggest_within(history, n, rng, allowance)
        else:
            suggestions = strategy.suggest(history, n, rng)
        name = to_json(self._strategy)
        return [
            Draft("asked", first + i, _asked(s, name, saw, (first, n), owner), request)
            for i, s in enumerate(suggestions)
        ]

    def _write(self, decide: Callable[[Ledger], Sequence[Draft]]) -> list[Event]:
        """Append what `decide` makes of the log as it stands; nobody else appends in between."""
        return self._transact(lambda ledger, _: decide(ledger))

    def _transact(self, decide: Decide) -> list[Event]:
        """The same, for what also needs the transaction."""

        def decide_there(ledger: Ledger, log: Log) -> Sequence[Draft]:
            if ledger.seq < log.last:
                ledger.apply(log.events(ledger.seq))
            return decide(ledger, log)

        return self._steps.write(decide_there)

    def _now(self, number: int, seq: int) -> Trial:
        """A trial, not as it was before the event `seq`: one that was found there after its answer got lost is not read
        yet."""
        with self._lock:
            if self._ledger.seq < seq:
                self._refresh()
            return self._ledger.trials[number]

    def _attempt(self, steps: Sequence[Step]) -> None:
        with self._lock:
            ledger = self._ledger.copy()
            with self._storage.transaction(self._record.id) as log:
                for step in steps:
                    step.write(ledger, log)
            self._ledger = ledger

    def _refresh(self) -> None:
        self._ledger.apply(persistently(lambda _: self._storage.events(self._record.id, self._ledger.seq)))

    def _step(self, trial: Trial | int, state: TrialState, kind: str, reason: str) -> Trial:
        number = _number(trial)

        def decide(_: Problem, current: Trial) -> list[Draft]:
            check_step(current, state)
            return [Draft(kind, number, {"reason": reason})]

        return self._change(number, decide)

    def _change(self, number: int, decide: Callable[[Problem, Trial], Sequence[Draft]]) -> Trial:
        """Append what `decide` makes of one trial as it stands; what it then is. Where others have written much, only
        what concerns the trial is read: with many processes that tell, reading all would be most of their work."""
        now: list[Trial] = []

        def decide_there(ledger: Ledger, log: Log) -> Sequence[Draft]:
            if 0 < log.last - ledger.seq <= _NEAR:
                ledger.apply(log.events(ledger.seq))
            unread = log.events(ledger.seq, number) if ledger.seq < log.last and isinstance(number, int) else []
            problem, trial = ledger.trial_after(number, unread)
            if trial is None:
                ledger.apply(log.events(ledger.seq))
                trial = self._known(ledger, number)
            now[:] = [trial]
            return decide(problem, trial)

        for event in self._steps.write(decide_there):
            now[:] = [trial_after(now[0], event, self.seed)]
        return now[0]

    def _known(self, ledger: Ledger, number: int) -> Trial:
        if not isinstance(number, int) or not 0 <= number < len(ledger.trials):
            have = f"the study has 0-{len(ledger.trials) - 1}" if ledger.trials else "the study has none yet"
            raise TrialNotFound(f"no trial {number}; {have}")
        return ledger.trials[number]

    def _opened(self, ledger: Ledger, params: Mapping[str, Any], kind: str, data: Mapping[str, Any]) -> Draft:
        canonical = ledger.problem.space.canonical(params)
        role = "replicate" if key(canonical) in ledger.history().taken else kind
        return Draft(kind, len(ledger.trials), {"params": canonical, "why": {"role": role}, **data})


def open_study(
    name: str,
    problem: Problem | None = None,
    *,
    storage: str | Path | Storage = "hpo.db",
    seed: int | None = None,
    strategy: Strategy | None = None,
    author: str = "",
    reason: str = "",
    data: str = "",
) -> Study:
    """Create the study `name`, or resume it.

    Without a problem the study must exist. `storage` is a file (SQLite), ":memory:", a database URL or a Storage. A
    study that was given no seed draws one and keeps it. `strategy` defaults to the stored one, Bayesian when new. `data`
    names the data that is trained on, such as `fingerprint("train.csv")`: results on other data do not compare.

    Raises StudyNotFound, DefinitionChanged (the stored problem, seed or data differ from the given; field by field).
    """
    if not isinstance(name, str) or not name.strip():
        raise SettingsError(f"a study needs a name that says what is tuned, got {name!r}")
    store = open_storage(storage)
    record = store.load(name)
    if record is None:
        if problem is None:
            known = store.names()
            raise StudyNotFound(
                f"no study {name!r} in {store.url}.{did_you_mean(name, known)} "
                + (f"It has {listing(known)}" if known else "It has none yet; give a problem to create it")
            )
        facts = {
            "seed": fresh_seed() if seed is None else int(seed),
            "strategy": to_json(strategy or Bayesian()),
            **provenance(author, reason, data),
        }
        record = store.create(name, problem_to_json(problem), facts)
    study = Study(record, store, strategy)
    if problem is not None:
        differences = study.problem.differences(problem)
        if seed is not None and seed != study.seed:
            differences.append(f"seed: stored {study.seed}, given {seed}")
        if data and data != study.facts.get("data"):
            differences.append(f"data: stored {study.facts.get('data') or 'none'}, given {data}")
        if differences:
            raise DefinitionChanged(
                name,
                differences,
                "Leave the problem out to go on with the stored one, edit limits with study.edit_metric(...), "
                "or pick a new name",
            )
    return study


def _asked(s: Suggestion, strategy: Mapping[str, Any], saw: int, batch: tuple[int, int], owner: str) -> dict[str, Any]:
    data = {"params": s.params, "why": s.why, "saw": saw, "batch": list(batch), "strategy": strategy, "owner": owner}
    return {**data, "fitted": s.fitted} if s.fitted else data


def _handed_back(trial: Trial, kind: str, message: str, seconds: float | None = None) -> Draft:
    """How a trial without a result goes on: to be run again after a failure of the machines, else failed."""
    if kind in RETRIED_KINDS and trial.attempt < MOST_ATTEMPTS:
        return Draft("requeued", trial.number, {"reason": f"{kind}: {message}" if message else kind})
    return Draft("failed", trial.number, {"kind": kind, "message": message[:1000], "seconds": seconds})


def _number(trial: Trial | int) -> int:
    return trial.number if isinstance(trial, Trial) else trial
