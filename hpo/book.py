"""Book: the log of one study, and the ledger of it that this process keeps."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from hpo.errors import StorageError, StudyDamaged, StudyNotFound, TrialNotFound
from hpo.events import Draft, Event, Ledger, trial_after
from hpo.history import History
from hpo.problem import Problem
from hpo.serialize import problem_from_json
from hpo.storage.base import Lease, Log, Storage, StudyRecord
from hpo.storage.forks import renewed_in_children
from hpo.storage.persistence import persistently
from hpo.storage.steps import Decide, Step, Steps
from hpo.trial import Trial, TrialState

Suggest = Callable[[History, int, int], Sequence[Draft]]
"""Makes drafts of at most n new trials from a history and the last event that it saw: (history, n, saw)."""

Look = Callable[[bool], Sequence[Trial]]
"""The study's trials as far as this process has read the log, or with True as they stand."""

_WAYS_OUT = "Restore a backup of it; other studies there can be read all the same"
_NEAR = 8
"""Events of others that are read at once rather than looked through."""


class Book:
    """Safe to use from many threads. What a method returns is stored; nothing is remembered that is not.

    The ledger is in nobody's hands while it is changed, in a transaction or not: should that fail or be interrupted
    anywhere, it is gone, and the next who needs it makes it anew from the log.
    """

    def __init__(self, record: StudyRecord, storage: Storage) -> None:
        self._id, self._name = record.id, record.name
        self._storage = storage
        self.first_problem = _first_problem(record, storage)
        """The problem as first given, before any edit."""
        self._seed = int(record.facts["seed"])
        self._ledger: Ledger | None = None
        self.renew_locks()
        renewed_in_children(self)

    def renew_locks(self) -> None:
        """New locks: those that another thread holds while a process is forked are never released in the child."""
        self._asking = threading.RLock()
        self._lock = threading.RLock()
        self._steps = Steps(self._attempt)

    def history(self) -> History:
        """Everything known now."""
        with self._lock:
            return self._refreshed().history()

    def known(self) -> History:
        """Everything known since the last step here; reads nothing, but at first."""
        with self._lock:
            return (self._ledger or self._refreshed()).history()

    def events(self, after: int = 0) -> list[Event]:
        """The log after event `after`."""
        with self._named():
            return persistently(lambda _: self._storage.events(self._id, after))

    def ledger_of(self, events: Sequence[Event]) -> Ledger:
        """What `events`, a beginning of the log, add up to."""
        with self._named():
            return self._read(events)

    def write(self, decide: Decide) -> list[Event]:
        """Append what `decide` makes of the ledger as it stands; nobody else appends in between."""

        def decide_there(ledger: Ledger, log: Log) -> Sequence[Draft]:
            if ledger.seq < log.last:
                ledger.apply(log.events(ledger.seq))
            return decide(ledger, log)

        return self._steps.write(decide_there)

    def change(self, number: int, decide: Callable[[Problem, Trial, Look], Sequence[Draft]]) -> Trial:
        """Append what `decide` makes of one trial as it stands; what it then is. Where others have written much, only
        what concerns the trial is read: with many processes that tell, reading all would be most of their work. Raises
        TrialNotFound."""
        found: list[Trial] = []
        now: list[Trial] = []

        def decide_there(ledger: Ledger, log: Log) -> Sequence[Draft]:
            if 0 < log.last - ledger.seq <= _NEAR:
                ledger.apply(log.events(ledger.seq))
            unread = log.events(ledger.seq, number) if ledger.seq < log.last and isinstance(number, int) else []
            problem, trial = ledger.trial_after(number, unread)
            if trial is None:
                ledger.apply(log.events(ledger.seq))
                trial = _known(ledger, number)
            found[:] = [trial]

            def look(is_all_read: bool) -> Sequence[Trial]:
                if is_all_read:
                    ledger.apply(log.events(ledger.seq))
                return ledger.trials

            return decide(problem, trial, look)

        def fold(written: Sequence[Event]) -> None:
            now[:] = found
            for event in written:
                now[:] = [trial_after(now[0], event, self._seed)]

        self._steps.write(decide_there, fold)
        return now[0]

    def give_out(
        self,
        n: int,
        owner: str,
        suggest: Suggest,
        *,
        request: str = "",
        lease: float | None = None,
        within: Callable[[History], float] | None = None,
        later: Collection[int] = (),
        is_first: bool = False,
    ) -> list[Trial]:
        """At most `n` trials: those that wait, then new ones. See `Study.ask` and `Study.claim`."""
        name, is_known = request or uuid.uuid4().hex, bool(request) and not is_first

        def step(again: bool) -> list[Event] | None:
            """One try; None when another has asked meanwhile, or ended a trial that waits: by a late result, perhaps."""
            with self._lock:
                seen = self._refreshed()
                history, saw, last_ask = seen.history(), seen.seq, seen.last_ask
            most = n if within is None else max(0, int(min(n, within(history))))
            waiting = [t for t in history.waiting if t.number not in later][:most]
            drafts = [Draft("started", t.number, {"owner": owner}, name) for t in waiting]
            if len(drafts) < most and not (is_known and self._is_answered(name)):
                new = suggest(history, most - len(drafts), saw)
                drafts += [Draft(draft.kind, draft.number, draft.data, name) for draft in new]
            with self._writing() as (ledger, log):
                ledger.apply(log.events(ledger.seq))
                if (again or is_known) and (answered := log.answered(name)):
                    return answered
                now = ledger.trials
                is_outdated = ledger.last_ask != last_ask or len(now) != len(history.trials)
                if is_outdated or any(now[t.number].state is not TrialState.WAITING for t in waiting):
                    return None
                if lease is not None:
                    until, attempts = log.time() + lease, {t.number: t.attempt for t in waiting}
                    numbers = [draft.number for draft in drafts if draft.number is not None]
                    log.put([Lease(number, attempts.get(number, 1), owner, until) for number in numbers])
                written = log.append(drafts)
                _fold(ledger, written)
                return written

        with self._asking:
            while (written := persistently(step)) is None:
                pass
            return self.trials_of(written)

    def trials_of(self, events: Sequence[Event]) -> list[Trial]:
        """The trials that these concern, as they are now or were after these."""
        with self._lock:
            ledger = self._ledger
            if ledger is None or (events and ledger.seq < events[-1].seq):  # found there, after their answer got lost
                ledger = self._refreshed()
            return [ledger.trials[event.number] for event in events if event.number is not None]

    @contextmanager
    def transaction(self) -> Iterator[Log]:
        """Exclusive access to the log."""
        with self._named(), self._storage.transaction(self._id) as log:
            yield log

    def _is_answered(self, request: str) -> bool:
        with self.transaction() as log:
            return bool(log.answered(request))

    def _attempt(self, steps: Sequence[Step]) -> None:
        with self._writing() as (ledger, log):
            for step in steps:
                step.write(ledger, log)
                _fold(ledger, step.news(ledger))

    @contextmanager
    def _writing(self) -> Iterator[tuple[Ledger, Log]]:
        """The ledger and the log in one transaction. What is written is to be applied to the ledger inside: events that
        it refuses are not stored."""
        with self._lock:
            with self.transaction() as log:
                ledger = self._ledger
                if ledger is None or ledger.seq > log.last:  # more than there is: the storage has been set back
                    ledger = self._read(log.events())
                self._ledger = None
                yield ledger, log
            self._ledger = ledger

    def _refreshed(self) -> Ledger:
        """The ledger, with all that is stored. Where it does not fit to the log, the log counts."""
        ledger = self._ledger or self._read(())
        seen = ledger.seq
        news = self.events(seen)
        self._ledger = None
        try:
            ledger.apply(news)
        except Exception:
            ledger = self.ledger_of(self.events() if seen else news)
        self._ledger = ledger
        return ledger

    def _read(self, events: Sequence[Event]) -> Ledger:
        ledger = Ledger(self.first_problem, self._seed)
        ledger.apply(events)
        return ledger

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors inside that concern the study as a whole name it, and say what to do."""
        try:
            yield
        except StudyNotFound as error:
            raise StudyNotFound(
                f"study {self._name!r} is no longer in {self._storage.url}: it was deleted while it was open here. Nothing "
                "more is recorded of it"
            ) from error
        except StudyDamaged as error:
            raise StudyDamaged(
                f"study {self._name!r} in {self._storage.url} cannot be read: {error}. {_WAYS_OUT}"
            ) from error


def _fold(ledger: Ledger, written: Sequence[Event]) -> None:
    """Apply events that are about to be stored. What does not fit is a fault of whoever made them, not of the log."""
    try:
        ledger.apply(written)
    except StudyDamaged as error:
        raise error.__cause__ or StorageError(str(error)) from error


def _first_problem(record: StudyRecord, storage: Storage) -> Problem:
    try:
        if not isinstance(record.facts["seed"], int):
            raise TypeError("the seed is no whole number")
        return problem_from_json(record.definition)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StudyDamaged(
            f"study {record.name!r} in {storage.url} cannot be read: its definition: {type(error).__name__}: {error}. "
            f"{_WAYS_OUT}"
        ) from error


def _known(ledger: Ledger, number: int) -> Trial:
    if not isinstance(number, int) or not 0 <= number < len(ledger.trials):
        have = f"the study has 0-{len(ledger.trials) - 1}" if ledger.trials else "the study has none yet"
        raise TrialNotFound(f"no trial {number}; {have}")
    return ledger.trials[number]
