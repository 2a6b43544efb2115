"""Steps: what the threads of a process want to write to a study, many of them in one transaction.

A commit waits for the disk, and a disk can be waited for only some hundred times a second. So whoever writes takes along
what the others have laid down meanwhile; all are acknowledged after the commit, none before.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hpo.errors import ConnectionLost, HpoError, StorageError
from hpo.events import Draft, Event, Ledger
from hpo.storage.base import Log
from hpo.storage.persistence import persistently

Decide = Callable[[Ledger, Log], Sequence[Draft]]
"""Makes drafts of the log as it stands, after the steps before it in the same transaction. The ledger may be behind the
log: who needs all of it applies what is missing."""


@dataclass(eq=False)
class Step:
    """What one thread wants to write, and what came of it."""

    decide: Decide
    written: list[Event] = field(default_factory=list)
    error: Exception | None = None
    """Why nothing was written."""
    is_done: bool = False
    called: threading.Event = field(default_factory=threading.Event)
    """It is done, or its thread has to write for all."""
    request: str = field(default_factory=lambda: uuid.uuid4().hex)
    is_tried: bool = False

    def write(self, ledger: Ledger, log: Log) -> None:
        """Append to the log what is decided, or find it there if its answer got lost. A refusal concerns this step alone;
        raises what concerns the transaction."""
        self.error, self.written = None, log.answered(self.request) if self.is_tried else []
        self.is_tried = True
        if self.written:
            return
        try:
            drafts = self.decide(ledger, log)
        except StorageError:
            raise
        except HpoError as error:
            self.error = error
            return
        self.written = log.append([Draft(d.kind, d.number, d.data, self.request) for d in drafts])

    def news(self, ledger: Ledger) -> list[Event]:
        """What was written, if it is what `ledger` has to hear next; it may be behind."""
        return self.written if self.written and self.written[0].seq == ledger.seq + 1 else []


class Steps:
    """The threads that write to one study: one at a time writes, for all that wait."""

    def __init__(self, attempt: Callable[[Sequence[Step]], None]) -> None:
        """`attempt` writes steps, in order, in one transaction."""
        self._attempt = attempt
        self._guard = threading.Lock()
        self._waiting: list[Step] = []
        self._writer: Step | None = None

    def write(self, decide: Decide) -> list[Event]:
        """The events of a step, once they are stored. Raises what `decide` raises, and StorageError."""
        step = Step(decide)
        with self._guard:
            self._waiting.append(step)
            if self._writer is None:
                self._writer = step
                step.called.set()
        try:
            step.called.wait()
            if not step.is_done:
                self._write_all()
        finally:
            self._leave(step)
        if step.error is not None:
            raise step.error
        return step.written

    def _write_all(self) -> None:
        with self._guard:
            steps, self._waiting = self._waiting, []
        try:
            self._store(steps)
        finally:
            with self._guard:
                self._waiting[:0] = [step for step in steps if not step.is_done]  # this thread was interrupted
            for step in steps:
                if step.is_done:
                    step.called.set()

    def _leave(self, step: Step) -> None:
        """Let another write, if it was this one's turn."""
        with self._guard:
            if step in self._waiting:
                self._waiting.remove(step)
            if self._writer is step:
                self._writer = self._waiting[0] if self._waiting else None
                if self._writer is not None:
                    self._writer.called.set()

    def _store(self, steps: Sequence[Step]) -> None:
        """In one transaction, again when the connection breaks; should that be impossible, one by one, so that a step
        that cannot be stored stops no other. Then each is done: written, or with its error."""
        try:
            persistently(lambda _: self._attempt(steps))
        except Exception as error:
            if len(steps) > 1 and not isinstance(error, ConnectionLost):
                for step in steps:
                    self._store([step])
                return
            for step in steps:
                step.error = error
        for step in steps:
            step.is_done = True
