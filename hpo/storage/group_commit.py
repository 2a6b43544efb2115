"""GroupCommit: what the threads of a process want to write to a study, many of them in one transaction.

A commit waits for the disk, and a disk can be waited for only some hundred times a second. So whoever writes takes along
what the others have queued meanwhile; all are acknowledged after the commit, none before.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import NoReturn, cast

from hpo.errors import ConnectionLost, HpoError, StorageError
from hpo.storage.base import Log
from hpo.storage.retry import retrying
from hpo.storage.stored_event import now
from hpo.trials.events import Draft, Event, StudyState

Decide = Callable[[StudyState, Log], Sequence[Draft]]
"""Makes drafts of the log as it stands, after the steps before it in the same transaction. The state may be behind the
log: who needs all of it applies what is missing."""


Fold = Callable[[Sequence[Event]], None]
"""Is given what was written, before it is committed: what it raises takes the step back."""


@dataclass(eq=False)
class Step:
    """What one thread wants to write, and what came of it."""

    decide: Decide
    fold: Fold | None = None
    is_of_one_trial: bool = False
    """Whether what it writes follows from its trial, and from events of none, alone."""
    written: list[Event] = field(default_factory=list)
    error: Exception | None = None
    """Why nothing was written."""
    is_done: bool = False
    calls: SimpleQueue[None] = field(default_factory=SimpleQueue)
    """It is done, or its thread has to write for all. Unlike an Event, a queue can be left at any moment."""
    request: str = field(default_factory=lambda: uuid.uuid4().hex)
    is_tried: bool = False
    has_left: bool = False
    """Its thread is not waiting for it any more."""

    def write(self, study_state: StudyState, log: Log) -> None:
        """Append to the log what is decided, or find it there if its answer got lost. A refusal concerns this step alone;
        raises what concerns the transaction."""
        self.error, self.written = None, log.answered(self.request) if self.is_tried else []
        self.is_tried = True
        if not self.written:
            try:
                drafts = self.decide(study_state, log)
            except StorageError:
                raise
            except HpoError as error:
                self.error = error
                return
            self.written = log.append([Draft(d.kind, d.number, d.data, self.request) for d in drafts])
        if self.fold is not None:
            self.fold(self.written)

    def append_alone(
        self, study_state: StudyState, append: Callable[[int, Callable[[], Draft | None]], Event | None]
    ) -> bool:
        """Have `append(after, make)` store what follows from `study_state`, the log of one trial up to event `after`, where
        that is all there is of it. False where it is not, or where it was tried before and may be stored."""
        if self.is_tried or not self.is_of_one_trial:
            return False
        self.is_tried = True
        event = append(study_state.seq, lambda: self._made_of(study_state))
        if event is None:
            self.is_tried = False
            return False
        self.written = [event]
        if self.fold is not None:
            self.fold(self.written)
        return True

    def _made_of(self, study_state: StudyState) -> Draft | None:
        """What it would write if this were all there is; None where there is more to say than one event."""
        try:
            drafts = self.decide(study_state, cast(Log, _EndOfLog(study_state.seq)))
            if len(drafts) != 1:
                return None
            draft = replace(drafts[0], request=self.request)
            if self.fold is not None:
                self.fold([Event(study_state.seq + 1, now(), draft.kind, draft.number, draft.data)])
        except (HpoError, LookupError):
            return None
        return draft

    def news(self, study_state: StudyState) -> list[Event]:
        """What was written, if it is what `state` has to hear next; it may be behind."""
        return self.written if self.written and self.written[0].seq == study_state.seq + 1 else []


@dataclass(frozen=True)
class _EndOfLog:
    """The log as if nothing had been written since event `last`."""

    last: int

    def events(self, after: int = 0, number: int | None = None) -> NoReturn:
        """Nobody has looked."""
        raise LookupError


class GroupCommit:
    """The threads that write to one study: one at a time writes, for all that wait."""

    def __init__(self, attempt: Callable[[Sequence[Step]], None]) -> None:
        """`attempt` writes steps, in order, in one transaction."""
        self._attempt = attempt
        self._guard = threading.RLock()
        self._waiting: list[Step] = []
        self._taken: list[Step] = []
        """What the writer writes now."""
        self._writer: Step | None = None

    def write(self, decide: Decide, fold: Fold | None = None, request: str = "") -> list[Event]:
        """The events of a step, once they are stored; with a `request`, those that are stored for it already. Raises what
        `decide` and `fold` raise, and StorageError."""
        step = Step(decide, fold)
        if request:
            step.request, step.is_tried = request, True
        self.write_all([step])
        if step.error is not None:
            raise step.error
        return step.written

    def write_all(self, steps: Sequence[Step]) -> None:
        """Steps of one thread, in order and mostly in one transaction. Then each is done: written, or with its error."""
        try:
            try:
                for step in steps:
                    self._enter(step)
                for step in steps:
                    step.calls.get()
                    if not step.is_done:
                        self._write_all()
                    self._leave(step)
            finally:
                self._leave_all(steps)
        finally:
            self._leave_all(steps)  # for what interrupted even that

    def _leave_all(self, steps: Sequence[Step]) -> None:
        for step in steps:
            step.has_left = True
        for step in steps:
            self._leave(step)

    def _enter(self, step: Step) -> None:
        with self._guard:
            self._waiting.append(step)
            if self._writer is None:
                self._writer = step
                step.calls.put(None)

    def _leave(self, step: Step) -> None:
        """Call those that are done, and let another write, if it was this one's turn. May be called again."""
        step.has_left = True
        with self._guard:
            if self._writer is step:
                for other in self._taken:
                    if other.is_done:
                        other.calls.put(None)
                left = [s for s in (*self._taken, *self._waiting) if not s.is_done and not s.has_left]
                if left:
                    left[0].calls.put(None)
                self._taken, self._waiting, self._writer = [], left, left[0] if left else None
            elif step in self._waiting:
                self._waiting.remove(step)

    def _write_all(self) -> None:
        with self._guard:
            self._taken, self._waiting = self._waiting, []
        self._store(self._taken)

    def _store(self, steps: Sequence[Step]) -> None:
        """In one transaction, again when the connection breaks; should that be impossible, one by one, so that a step
        that cannot be stored stops no other. Then each is done: written, or with its error."""
        try:
            retrying(lambda _: self._attempt(steps))
        except Exception as error:
            if len(steps) > 1 and not isinstance(error, ConnectionLost):
                for step in steps:
                    self._store([step])
                return
            for step in steps:
                step.error = error
        for step in steps:
            step.is_done = True
