"""Book: the log of one study, and the ledger of it that this process keeps."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hpo.errors import StudyDamaged, StudyNotFound, TrialNotFound
from hpo.events import Draft, Event, Ledger, trial_after
from hpo.history import History
from hpo.problem import Problem
from hpo.serialize import problem_from_json
from hpo.storage.base import Lease, Log, Storage, StudyRecord
from hpo.storage.persistence import persistently
from hpo.storage.steps import Decide, Step, Steps
from hpo.trial import Trial, TrialState

Suggest = Callable[[History, int, int], Sequence[Draft]]
"""Makes drafts of at most n new trials from a history and the last event that it saw: (history, n, saw)."""

_WAYS_OUT = "Restore a backup of it; other studies there can be read all the same"
_NEAR = 8
"""Events of others that are read at once rather than looked through."""


class Book:
    """Safe to use from many threads. What a method returns is stored; nothing is remembered that is not."""

    def __init__(self, record: StudyRecord, storage: Storage) -> None:
        self._id, self._name = record.id, record.name
        self._storage = storage
        self.first_problem = _first_problem(record, storage)
        """The problem as first given, before any edit."""
        self._ledger = Ledger(self.first_problem, record.facts["seed"])
        self._asking = threading.Lock()
        self._lock = threading.RLock()
        self._steps = Steps(self._attempt)

    def history(self) -> History:
        """Everything known now."""
        with self._lock:
            self._refresh()
            return self._ledger.history()

    def events(self, after: int = 0) -> list[Event]:
        """The log after event `after`."""
        with self._named():
            return persistently(lambda _: self._storage.events(self._id, after))

    def ledger_of(self, events: Sequence[Event]) -> Ledger:
        """What `events`, a beginning of the log, add up to."""
        ledger = Ledger(self.first_problem, self._ledger.seed)
        with self._named():
            ledger.apply(events)
        return ledger

    def write(self, decide: Decide) -> list[Event]:
        """Append what `decide` makes of the ledger as it stands; nobody else appends in between."""

        def decide_there(ledger: Ledger, log: Log) -> Sequence[Draft]:
            if ledger.seq < log.last:
                ledger.apply(log.events(ledger.seq))
            return decide(ledger, log)

        return self._steps.write(decide_there)

    def change(self, number: int, decide: Callable[[Problem, Trial], Sequence[Draft]]) -> Trial:
        """Append what `decide` makes of one trial as it stands; what it then is. Where others have written much, only
        what concerns the trial is read: with many processes that tell, reading all would be most of their work. Raises
        TrialNotFound."""
        now: list[Trial] = []

        def decide_there(ledger: Ledger, log: Log) -> Sequence[Draft]:
            if 0 < log.last - ledger.seq <= _NEAR:
                ledger.apply(log.events(ledger.seq))
            unread = log.events(ledger.seq, number) if ledger.seq < log.last and isinstance(number, int) else []
            problem, trial = ledger.trial_after(number, unread)
            if trial is None:
                ledger.apply(log.events(ledger.seq))
                trial = _known(ledger, number)
            now[:] = [trial]
            return decide(problem, trial)

        for event in self._steps.write(decide_there):
            now[:] = [trial_after(now[0], event, self._ledger.seed)]
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
    ) -> list[Trial]:
        """At most `n` trials: those that wait, then new ones. See `Study.ask` and `Study.claim`."""
        name = request or uuid.uuid4().hex

        def step(again: bool) -> list[Event] | None:
            """One try; None when another has asked meanwhile, or ended a trial that waits: by a late result, perhaps."""
            with self._lock:
                self._refresh()
                history, saw, last_ask = self._ledger.history(), self._ledger.seq, self._ledger.last_ask
            most = n if within is None else max(0, int(min(n, within(history))))
            waiting = history.waiting[:most]
            drafts = [Draft("started", t.number, {"owner": owner}, name) for t in waiting]
            if len(drafts) < most and not (request and self._is_answered(request)):
                new = suggest(history, most - len(drafts), saw)
                drafts += [Draft(draft.kind, draft.number, draft.data, name) for draft in new]
            with self._lock:
                with self.transaction() as log:
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
            return self.trials_of(written)

    def trials_of(self, events: Sequence[Event]) -> list[Trial]:
        """The trials that these concern, as they are now or were after these."""
        with self._lock:
            if events and self._ledger.seq < events[-1].seq:  # found there, after their answer got lost
                self._refresh()
            return [self._ledger.trials[event.number] for event in events if event.number is not None]

    @contextmanager
    def transaction(self) -> Iterator[Log]:
        """Exclusive access to the log."""
        with self._named(), self._storage.transaction(self._id) as log:
            yield log

    def _is_answered(self, request: str) -> bool:
        with self.transaction() as log:
            return bool(log.answered(request))

    def _attempt(self, steps: Sequence[Step]) -> None:
        with self._lock:
            with self.transaction() as log:
                ledger = self._ledger.copy() if len(steps) > 1 else self._ledger
                for step in steps:
                    step.write(ledger, log)
                    if ledger is not self._ledger:
                        ledger.apply(step.news(ledger))
            if ledger is self._ledger:
                ledger.apply(steps[0].news(ledger))
            self._ledger = ledger

    def _refresh(self) -> None:
        events = self.events(self._ledger.seq)
        with self._named():
            self._ledger.apply(events)

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
