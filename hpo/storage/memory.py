"""MemoryStorage: studies of one process, gone with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from hpo.errors import StorageError, StudyNotFound
from hpo.storage.base import Lease, Log, StudyRecord
from hpo.storage.forks import renewed_in_children
from hpo.storage.stored_event import StoredEvent, check_rename, checked_name, copied_lines, lines, no_study, to_text
from hpo.storage.writer_lock import WriterLock
from hpo.trials.events import Draft, Event


@dataclass
class _Study:
    id: int
    definition: str
    facts: str
    lines: list[StoredEvent] = field(default_factory=list)
    state: tuple[int, Mapping[int, Lease]] = (0, MappingProxyType({}))
    """How many of the lines are committed, and the leases: set in one go, so that a step is there whole or not at all."""


class MemoryStorage:
    """Studies in the memory of this process, gone with it: for tests, and for studies that are not worth a file.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("parabola", problem, storage=storage)
        >>> storage.names()
        ['parabola']
    """

    def __init__(self) -> None:
        self._studies: dict[str, _Study] = {}
        self._last_id = 0
        self._closed = False
        self.renew_locks()
        renewed_in_children(self)

    def renew_locks(self) -> None:
        """New locks, for the child of a fork; what it holds is a copy from then on."""
        self._guard = threading.RLock()
        self._turn = WriterLock()

    @property
    def url(self) -> str:
        """`:memory:`; opening that gives another, empty storage."""
        return ":memory:"

    def create(
        self, name: str, definition: Mapping[str, Any], facts: Mapping[str, Any], events: Sequence[Event] = ()
    ) -> StudyRecord:
        """Store a new study, or return the one of this name."""
        texts = to_text(definition, "the definition"), to_text(facts, "the facts")
        committed = copied_lines(events)
        with self._guard:
            self._check_open()
            if checked_name(name) not in self._studies:
                self._last_id += 1
                self._studies[name] = _Study(self._last_id, *texts, committed, (len(committed), {}))
            return self._record(name)

    def rename(self, old: str, new: str) -> StudyRecord:
        """Give a study another name."""
        with self._guard:
            self._check_open()
            check_rename(old, new, self._studies)
            self._studies[new] = self._studies.pop(old)
            return self._record(new)

    def delete(self, name: str, last: int | None = None) -> bool:
        """Delete a study."""
        self._check_open()
        with self._turn.taken(), self._guard:
            if name not in self._studies:
                raise no_study(name, self._studies)
            if last is not None and last != self._studies[name].state[0]:
                return False
            del self._studies[name]
            return True

    def load(self, name: str) -> StudyRecord | None:
        """The study of this name, or None."""
        with self._guard:
            self._check_open()
            return self._record(name) if name in self._studies else None

    def names(self) -> list[str]:
        """Names of all studies, oldest first."""
        with self._guard:
            self._check_open()
            return sorted(self._studies, key=lambda name: self._studies[name].id)

    def events(self, study: int, after: int = 0) -> list[Event]:
        """The committed events with `seq > after`."""
        with self._guard:
            found = self._find(study)
            shown = found.lines[max(after, 0) : found.state[0]]
        return [line.event() for line in shown]

    @contextmanager
    def transaction(self, study: int) -> Iterator[Log]:
        """Exclusive access to the study's log."""
        self._check_open()
        with self._turn.taken():
            with self._guard:
                found = self._find(study)
            n, held = found.state
            del found.lines[n:]  # of a step that was interrupted
            log = _MemoryLog(found.lines, held)
            try:
                yield log
            finally:
                log.ended = True
            found.lines.extend(log.new)
            found.state = len(found.lines), log.now_held()

    def renew(self, study: int, owner: str, held: Mapping[int, int], seconds: float) -> set[int]:
        """Renew the owner's leases."""
        with self._turn.taken(), self._guard:
            found = self._find(study)
            n_lines, leases = found.state
            kept = {n for n, a in held.items() if n in leases and (leases[n].owner, leases[n].attempt) == (owner, a)}
            found.state = n_lines, {**leases, **{n: replace(leases[n], until=time.time() + seconds) for n in kept}}
        return kept

    def close(self) -> None:
        """Forget everything."""
        if not self._closed:
            with self._turn.taken(), self._guard:
                self._closed = True
                self._studies.clear()

    def __repr__(self) -> str:
        return "MemoryStorage()"

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("this storage in memory was closed, and what it held is gone; open another")

    def _find(self, study: int) -> _Study:
        self._check_open()
        for found in self._studies.values():
            if found.id == study:
                return found
        raise StudyNotFound(f"no study with id {study} in memory: it was deleted, or never there")

    def _record(self, name: str) -> StudyRecord:
        study = self._studies[name]
        return StudyRecord(study.id, name, json.loads(study.definition), json.loads(study.facts))


class _MemoryLog:
    """What the transaction changes, beside what was committed before it: copying all that at each step would make long
    studies slow."""

    def __init__(self, committed: Sequence[StoredEvent], held: Mapping[int, Lease]) -> None:
        self._committed, self._held = committed, held
        self.new: list[StoredEvent] = []
        self.changed: dict[int, Lease | None] = {}
        self.ended = False

    @property
    def last(self) -> int:
        return len(self._committed) + len(self.new)

    def events(self, after: int = 0, number: int | None = None) -> list[Event]:
        self._check()
        after, n = max(after, 0), len(self._committed)
        later = (*self._committed[after:], *self.new[max(after - n, 0) :])
        return [line.event() for line in later if number is None or line.number in (None, number)]

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        self._check()
        new = lines(drafts, len(self._committed) + len(self.new), time.time())
        self.new.extend(new)
        return [line.event() for line in new]

    def answered(self, request: str) -> list[Event]:
        self._check()
        return [line.event() for line in (*self._committed, *self.new) if line.request == request]

    def time(self) -> float:
        self._check()
        return time.time()

    def leases(self) -> list[Lease]:
        self._check()
        return [lease for _, lease in sorted(self.now_held().items())]

    def put(self, leases: Sequence[Lease]) -> None:
        self._check()
        self.changed.update((lease.number, lease) for lease in leases)

    def drop(self, numbers: Sequence[int]) -> None:
        self._check()
        self.changed.update(dict.fromkeys(numbers))

    def now_held(self) -> Mapping[int, Lease]:
        """The leases with what was changed."""
        if not self.changed:
            return self._held
        return {n: lease for n, lease in {**self._held, **self.changed}.items() if lease is not None}

    def _check(self) -> None:
        if self.ended:
            raise StorageError("this log's transaction has ended; open another")
