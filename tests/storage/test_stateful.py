"""Whatever is done to a storage, in memory and on disk the same comes out."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from hpo.errors import HpoError
from hpo.storage import MemoryStorage, SqlStorage, Storage, StudyRecord
from hpo.trials.events import Draft, Event

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DATA = st.dictionaries(st.text(), SCALARS | st.lists(SCALARS, max_size=3), max_size=3)
DRAFTS = st.lists(
    st.builds(Draft, st.sampled_from(["asked", "told", "noted"]), st.none() | st.integers(0, 50), DATA), max_size=4
)


class Aborted(Exception):
    pass


class Storages(RuleBasedStateMachine):
    """One storage in memory, and two doors to one file; the file must behave as the memory, through either door."""

    studies: Bundle[int] = Bundle("studies")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.memory = MemoryStorage()
        self.files = [SqlStorage(self.folder / "hpo.db"), SqlStorage(self.folder / "hpo.db")]

    @rule(target=studies, name=NAMES, definition=DATA, facts=DATA, door=st.integers(0, 1))
    def create(self, name: str, definition: dict[str, Any], facts: dict[str, Any], door: int) -> int:
        expected = self.memory.create(name, definition, facts)
        assert same(self.files[door].create(name, definition, facts), expected)
        return expected.id

    @rule(target=studies, source=studies, name=NAMES, door=st.integers(0, 1))
    def copy(self, source: int, name: str, door: int) -> int:
        expected, written = (
            outcome(partial(copied, storage, source, name)) for storage in (self.memory, self.files[door])
        )
        assert written == expected
        record = self.memory.load(name)
        return source if record is None else record.id

    @rule(data=st.data(), new=NAMES, door=st.integers(0, 1))
    def rename(self, data: st.DataObject, new: str, door: int) -> None:
        old = data.draw(st.sampled_from([*self.memory.names(), new]))
        expected = outcome(partial(self.memory.rename, old, new))
        assert outcome(partial(self.files[door].rename, old, new)) == expected

    @rule(data=st.data(), last=st.none() | st.integers(0, 4), door=st.integers(0, 1))
    def delete(self, data: st.DataObject, last: int | None, door: int) -> None:
        name = data.draw(st.sampled_from([*self.memory.names(), "unheard of"]))
        expected = outcome(partial(self.memory.delete, name, last))
        assert outcome(partial(self.files[door].delete, name, last)) == expected

    @rule(study=studies, batches=st.lists(DRAFTS, max_size=3), abort=st.booleans(), door=st.integers(0, 1))
    def append(self, study: int, batches: list[list[Draft]], abort: bool, door: int) -> None:
        expected, written = (
            outcome(partial(transact, storage, study, batches, abort)) for storage in (self.memory, self.files[door])
        )
        assert written == expected

    @rule(study=studies, after=st.integers(-1, 12), door=st.integers(0, 1))
    def read(self, study: int, after: int, door: int) -> None:
        expected, found = (outcome(partial(told, storage, study, after)) for storage in (self.memory, self.files[door]))
        assert found == expected

    @rule(name=NAMES, door=st.integers(0, 1))
    def load(self, name: str, door: int) -> None:
        assert same(self.files[door].load(name), self.memory.load(name))

    @rule(door=st.integers(0, 1))
    def reopen(self, door: int) -> None:
        self.files[door].close()
        self.files[door] = SqlStorage(self.folder / "hpo.db")

    @invariant()
    def agree(self) -> None:
        names = self.memory.names()
        for file in self.files:
            assert file.names() == names
            for name in names:
                record = self.memory.load(name)
                assert record is not None
                assert same(file.load(name), record)
                events = file.events(record.id)
                assert events == self.files[0].events(record.id)
                assert timeless(events) == timeless(self.memory.events(record.id))
                assert [event.seq for event in events] == list(range(1, len(events) + 1))

    def teardown(self) -> None:
        for file in getattr(self, "files", []):
            file.close()
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)


def transact(storage: Storage, study: int, batches: Sequence[Sequence[Draft]], abort: bool) -> list[str]:
    """Append each batch in one transaction, perhaps leave it by an exception; what was seen on the way."""
    seen = []
    with suppress(Aborted), storage.transaction(study) as log:
        for batch in batches:
            seen += [timeless(log.append(batch)), timeless(log.events(2))]
        if abort:
            raise Aborted
    return seen


def copied(storage: Storage, source: int, name: str) -> str:
    """Make a study of the log of another; what it then is."""
    record = storage.create(name, {}, {}, storage.events(source))
    return repr(record) + timeless(storage.events(record.id))


def told(storage: Storage, study: int, after: int) -> str:
    """The events after some event."""
    return timeless(storage.events(study, after))


def outcome(step: Callable[[], object]) -> str:
    """What came of it, an error by its type."""
    try:
        return repr(step())
    except HpoError as error:
        return type(error).__name__


def timeless(events: Sequence[Event]) -> str:
    """All but the time, as text: repr tells 1 from 1.0 and -0.0 from 0.0."""
    return repr([dataclasses.replace(event, at="") for event in events])


def same(one: StudyRecord | None, other: StudyRecord | None) -> bool:
    return repr(one) == repr(other)


Storages.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestStorages = Storages.TestCase
