"""StudyLog: the log of one study, and the state of it that this process keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from hpo.errors import StorageError, StudyDamaged, StudyNotFound, TrialNotFound
from hpo.problem.json_format import problem_from_json
from hpo.problem.problem import Problem
from hpo.storage.base import AppendsIfUnchanged, Log, Storage, StudyRecord
from hpo.storage.forks import renewed_in_children
from hpo.storage.group_commit import Decide, GroupCommit, Step
from hpo.storage.retry import retrying
from hpo.trials.events import Draft, Event, StudyState, trial_after
from hpo.trials.history import History
from hpo.trials.trial import Trial

Look = Callable[[bool], Sequence[Trial]]
"""The study's trials as far as this process has read the log, or with True as they stand."""

Decision = Callable[[Problem, Trial, Look], Sequence[Draft]]
"""Makes drafts of one trial as it stands, under the problem as it stands."""

_WAYS_OUT = "Restore a backup of it; other studies there can be read all the same"
_NEAR = 8
"""Events of others that are read at once rather than looked through."""


class StudyLog:
    """Safe to use from many threads. What a method returns is stored; nothing is remembered that is not.

    No thread sees the state while it is changed, in a transaction or not. Should the change fail or be interrupted, the
    state is dropped, and whoever needs it next builds it again from the log.
    """

    def __init__(self, record: StudyRecord, storage: Storage) -> None:
        self._id, self._name = record.id, record.name
        self._storage = storage
        self.first_problem = _first_problem(record, storage)
        """The problem as first given, before any edit."""
        self._seed = int(record.facts["seed"])
        self._state: StudyState | None = None
        self.was_shared = False
        """Whether, when the last ask of this process was served, others had been since the one before."""
        self._last_given: int | None = None
        """The last event by which an ask of this process gave out trials."""
        self.renew_locks()
        renewed_in_children(self)

    def renew_locks(self) -> None:
        """New locks: those that another thread holds while a process is forked are never released in the child."""
        self.asking = threading.RLock()
        """For threads of this process that ask, as long as it takes: they would only make suggestions in vain."""
        self._lock = threading.RLock()
        self._steps = GroupCommit(self._attempt)

    def history(self) -> History:
        """Everything known now."""
        with self._lock:
            return self._refreshed().history()

    def known(self) -> History:
        """Everything known since the last step here; reads nothing, but at first."""
        with self._lock:
            return (self._state or self._refreshed()).history()

    def events(self, after: int = 0) -> list[Event]:
        """The log after event `after`."""
        with self._named():
            return retrying(lambda _: self._storage.events(self._id, after))

    def state_of(self, events: Sequence[Event]) -> StudyState:
        """What `events`, a beginning of the log, add up to."""
        with self._named():
            return self._read(events)

    def write(self, decide: Decide, request: str = "") -> list[Event]:
        """Append what `decide` makes of the state as it stands; nobody else appends in between. With a `request` for which
        something was written already, that is returned."""

        def decide_there(study_state: StudyState, log: Log) -> Sequence[Draft]:
            if study_state.seq < log.last:
                study_state.apply(log.events(study_state.seq))
            return decide(study_state, log)

        return self._steps.write(decide_there, request=request)

    def change(self, number: int, decide: Decision) -> Trial:
        """Append what `decide` makes of one trial as it stands; what it then is. Raises TrialNotFound."""
        (answer,) = self.change_all([(number, decide)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def change_all(self, changes: Sequence[tuple[int, Decision]]) -> list[Trial | Exception]:
        """The same for several trials, mostly in one transaction; of each what it then is, or why it is as it was.
        Raises StorageError."""
        pending = [_Change(number, decide, self._seed) for number, decide in changes]
        steps = [Step(change.decide, change.fold, is_of_one_trial=True) for change in pending]
        self._steps.write_all(steps)
        for step in steps:
            if isinstance(step.error, StorageError):
                raise step.error
        return [step.error or change.after() for step, change in zip(steps, pending, strict=True)]

    def seen(self) -> tuple[History, int, int]:
        """Everything known now, the last event, and the last that gave out a trial."""
        with self._lock:
            study_state = self._refreshed()
            return study_state.history(), study_state.seq, study_state.last_ask

    def answered(self, request: str) -> list[Trial]:
        """The trials that were given out for this request; none before."""

        def look(_: bool) -> list[Event]:
            with self.transaction() as log:
                return log.answered(request)

        found = retrying(look)
        self.seen()
        return self.trials_of(found)

    def is_shared(self, last_ask: int) -> bool:
        """Whether others ask, too: the last event that gave out trials, `last_ask`, is none of this process."""
        if self._last_given is None:  # what was there before this process
            self._last_given = last_ask
        return self._last_given != last_ask

    def given_out(self, written: Sequence[Event]) -> list[Trial]:
        """The trials of these events, which an ask of this process has written."""
        if written:
            self._last_given = written[-1].seq
        return self.trials_of(written)

    def renew(self, owner: str, held: Mapping[int, int], seconds: float) -> set[int]:
        """See `Storage.renew`."""
        return self._storage.renew(self._id, owner, held, seconds)

    def trials_of(self, events: Sequence[Event]) -> list[Trial]:
        """The trials that these concern, as they are now or were after these."""
        with self._lock:
            study_state = self._state
            if study_state is None or (
                events and study_state.seq < events[-1].seq
            ):  # found there, after their answer got lost
                study_state = self._refreshed()
            return [study_state.trials[event.number] for event in events if event.number is not None]

    @contextmanager
    def transaction(self) -> Iterator[Log]:
        """Exclusive access to the log."""
        with self._named(), self._storage.transaction(self._id) as log:
            yield log

    def _attempt(self, steps: Sequence[Step]) -> None:
        self.known()  # read before the log is locked: a long one takes a while, and others would wait for it
        if len(steps) == 1 and self._is_appended(steps[0]):
            return
        with self._writing() as (study_state, log):
            for step in steps:
                step.write(study_state, log)
                _fold(study_state, step.news(study_state))

    def _is_appended(self, step: Step) -> bool:
        """Whether a step was stored in one message: it follows from what is known, and the storage finds that true."""
        if not isinstance(self._storage, AppendsIfUnchanged):
            return False
        append = partial(self._storage.append_if_unchanged, self._id)
        with self._lock, self._named():
            study_state, self._state = self._state, None
            if study_state is None:
                return False
            is_stored = step.append_alone(study_state, append)
            study_state.apply(step.news(study_state))
            self._state = study_state
        return is_stored

    @contextmanager
    def _writing(self) -> Iterator[tuple[StudyState, Log]]:
        """The state and the log in one transaction. What is written is to be applied to the state inside: events that
        it refuses are not stored."""
        with self._lock:
            with self.transaction() as log:
                study_state = self._state
                if (
                    study_state is None or study_state.seq > log.last
                ):  # more than there is: the storage has been set back
                    study_state = self._read(log.events())
                self._state = None
                yield study_state, log
            self._state = study_state

    def _refreshed(self) -> StudyState:
        """The state, with all that is stored. Where it does not fit to the log, the log counts."""
        study_state = self._state or self._read(())
        seen = study_state.seq
        news = self.events(seen)
        self._state = None
        try:
            study_state.apply(news)
        except Exception:
            study_state = self.state_of(self.events() if seen else news)
        self._state = study_state
        return study_state

    def _read(self, events: Sequence[Event]) -> StudyState:
        study_state = StudyState(self.first_problem, self._seed)
        study_state.apply(events)
        return study_state

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


class _Change:
    """A step that concerns one trial. Where others have written much, only what concerns the trial is read: with many
    processes that tell, reading all would be most of their work."""

    def __init__(self, number: int, decide: Decision, seed: int) -> None:
        self._number, self._decide, self._seed = number, decide, seed
        self._before: Trial | None = None
        self._now: Trial | None = None

    def decide(self, study_state: StudyState, log: Log) -> Sequence[Draft]:
        """What to write of the trial as it stands."""
        if 0 < log.last - study_state.seq <= _NEAR:
            study_state.apply(log.events(study_state.seq))
        is_behind = study_state.seq < log.last and isinstance(self._number, int)
        unread = log.events(study_state.seq, self._number) if is_behind else []
        problem, trial = study_state.trial_after(self._number, unread)
        if trial is None:
            study_state.apply(log.events(study_state.seq))
            trial = _known(study_state, self._number)
        self._before = trial

        def look(is_all_read: bool) -> Sequence[Trial]:
            if is_all_read:
                study_state.apply(log.events(study_state.seq))
            return study_state.trials

        return self._decide(problem, trial, look)

    def fold(self, written: Sequence[Event]) -> None:
        """Keep what the trial becomes."""
        self._now = self._before
        for event in written:
            self._now = trial_after(self._now, event, self._seed)

    def after(self) -> Trial:
        """The trial once it is written."""
        assert self._now is not None
        return self._now


def _fold(study_state: StudyState, written: Sequence[Event]) -> None:
    """Apply events that are about to be stored. What does not fit is a fault of whoever made them, not of the log."""
    try:
        study_state.apply(written)
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


def _known(study_state: StudyState, number: int) -> Trial:
    if not isinstance(number, int) or not 0 <= number < len(study_state.trials):
        have = f"the study has 0-{len(study_state.trials) - 1}" if study_state.trials else "the study has none yet"
        raise TrialNotFound(f"no trial {number}; {have}")
    return study_state.trials[number]
