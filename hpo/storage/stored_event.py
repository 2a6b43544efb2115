"""StoredEvent: an event as it is stored, its data as JSON text."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hpo.errors import StorageError, StudyDamaged, StudyNotFound, did_you_mean, listing
from hpo.trials.events import Draft, Event


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """`Event` with its data written out; immutable to the bottom."""

    seq: int
    at: str
    kind: str
    number: int | None
    data: str
    request: str = ""

    def event(self) -> Event:
        """The event, with data nobody else holds. Raises StudyDamaged where they cannot be read."""
        return Event(self.seq, self.at, self.kind, self.number, from_text(self.data, f"event {self.seq} ({self.kind})"))


def copied_lines(events: Sequence[Event]) -> list[StoredEvent]:
    """Events of another study as the lines of a new one. Raises StorageError for a log with a gap."""
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        raise StorageError("a study begins with event 1, and has no gap")
    drafts = lines([Draft(event.kind, event.number, event.data) for event in events], 0, 0.0)
    return [replace(line, at=event.at) for line, event in zip(drafts, events, strict=True)]


def lines(drafts: Iterable[Draft], last: int, time: float) -> list[StoredEvent]:
    """`drafts` as the lines after `last`, at a `time` in Unix seconds. Raises StorageError for data that are no JSON
    values, and for a number that is no plain int: a database may keep another type, such as numpy's, as bytes."""
    at = stamp(time)
    return [
        StoredEvent(
            seq,
            at,
            draft.kind,
            _checked_number(draft),
            to_text(draft.data, f"the data of event {draft.kind!r}"),
            draft.request,
        )
        for seq, draft in enumerate(drafts, start=last + 1)
    ]


def now() -> str:
    """The present time by this machine's clock, as `stamp` writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def stamp(time: float) -> str:
    """Unix seconds as text: UTC, ISO 8601, always with microseconds, so that texts sort as times do."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds")


def to_text(data: Mapping[str, Any], what: str) -> str:
    """JSON in ASCII. Floats are written by `repr`, the shortest text that reads back to the same 64 bits.

    Raises StorageError naming `what` for anything that would not come back equal: NaN and infinity, keys that are not
    text, objects. Tuples come back as lists.
    """
    try:
        text = json.dumps(dict(data), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StorageError(f"{what} cannot be stored: {error}. Give JSON values only") from error
    for mapping in _mappings(data):
        for key in mapping:
            if not isinstance(key, str):
                raise StorageError(f"{what} cannot be stored: the key {key!r} is not text. Give JSON values only")
    return text


def from_text(text: str, what: str) -> dict[str, Any]:
    """What `to_text` wrote. Raises StudyDamaged naming `what` for anything else."""
    try:
        data = json.loads(text)
    except (TypeError, ValueError) as error:
        raise StudyDamaged(f"{what} is damaged: its text is no JSON ({error})") from error
    if not isinstance(data, dict):
        raise StudyDamaged(f"{what} is damaged: its text is no JSON object")
    return data


def checked_name(name: str) -> str:
    """`name`, if every database can hold it. Raises StorageError."""
    if not name.strip() or "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise StorageError(f"a study cannot be called {name!r}; give a name of visible characters, without NUL")
    return name


def check_rename(old: str, new: str, names: Collection[str]) -> None:
    """Raises what `Storage.rename` raises, given the names there are."""
    if old not in names:
        raise no_study(old, names)
    if checked_name(new) != old and new in names:
        raise StorageError(f"there is a study {new!r} already; delete or rename that one first, or give another name")


def no_study(name: str, names: Collection[str]) -> StudyNotFound:
    """That there is no study of this name, and which there are."""
    have = f"have: {listing(names)}" if names else "there is none yet"
    return StudyNotFound(f"no study {name!r} ({have}).{did_you_mean(name, names)}")


def _checked_number(draft: Draft) -> int | None:
    if draft.number is not None and type(draft.number) is not int:
        raise StorageError(
            f"event {draft.kind!r} cannot be stored: its number {draft.number!r} is of type {type(draft.number).__name__}. "
            "Give the trial's number as an int, or None"
        )
    return draft.number


def _mappings(value: Any) -> Iterable[Mapping[Any, Any]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _mappings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _mappings(inner)
