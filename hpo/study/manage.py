"""Whole studies: renamed, deleted, copied, backed up."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hpo.boundary.public import public
from hpo.errors import StorageError, StudyNotFound, TrialStateError, listing
from hpo.storage import Storage, open_storage
from hpo.storage.base import StudyRecord
from hpo.storage.open_storage import missing_file
from hpo.storage.paths import file_of, reaching, url_of
from hpo.storage.retry import retrying
from hpo.storage.stored_event import no_study
from hpo.study.new_events import freed
from hpo.study.study_log import StudyLog
from hpo.trials.events import Event
from hpo.trials.trial import Trial, TrialState


@public
def rename_study(name: str, new: str, *, storage: str | Path | Storage = "hpo.db") -> None:
    """Give a study another name. A program that has it open goes on.

    Args:
        name: The present name.
        new: The new one.
        storage: Where the study is: a file, a database URL or a `Storage`.

    Raises:
        StudyNotFound: There is no such study.
        StorageError: The new name is taken, or invalid.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("first", problem, storage=storage)
        >>> hpo.rename_study("first", "baseline", storage=storage)
        >>> storage.names()
        ['baseline']
    """
    with _opened(storage) as store:

        def step(again: bool) -> None:
            if not (again and store.load(new) and not store.load(name)):  # done, and the answer got lost
                store.rename(name, new)

        retrying(step)


@public
def delete_study(name: str, *, storage: str | Path | Storage = "hpo.db", force: bool = False) -> None:
    """Delete a study with all its trials, for good. A program that has it open gets StudyNotFound at its next step.

    Args:
        name: Its name.
        storage: Where the study is: a file, a database URL or a `Storage`.
        force: Whether to delete it also while trials are running, whose results are lost, and if it is damaged.

    Raises:
        StudyNotFound: There is no such study.
        TrialStateError: Trials are running, and `force` is False.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("first", problem, storage=storage)
        >>> hpo.delete_study("first", storage=storage)
        >>> storage.names()
        []
    """
    with _opened(storage) as store:
        if force:
            _delete(store, name, None)
            return
        while True:
            events, running = _read(store, _record(store, name))
            if running:
                numbers = listing(f"#{trial.number}" for trial in running)
                raise TrialStateError(
                    f"study {name!r} has running trials ({numbers}), whose results would be lost; end their runs first, or "
                    "delete it with force=True (`hpo delete --force`)"
                )
            if _delete(store, name, len(events)):
                return


@public
def copy_study(
    name: str, new: str = "", *, storage: str | Path | Storage = "hpo.db", to: str | Path | Storage | None = None
) -> None:
    """Copy a study under another name, or to another storage.

    The copy has every event and fact, also the seed, but its own id. `facts["copied"]` says which study it was copied
    from, and up to which event. Trials that run in the original wait to be run again in the copy. From then on the two
    are independent.

    Args:
        name: The study to copy.
        new: The name of the copy. Empty: the same name, in another storage.
        storage: Where the study is: a file, a database URL or a `Storage`.
        to: Where the copy goes. None: the same storage.

    Raises:
        StudyNotFound: There is no such study.
        StorageError: The new name is taken, or invalid.

    Example:
        >>> import hpo
        >>> storage = hpo.storage.MemoryStorage()
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("first", problem, storage=storage)
        >>> hpo.copy_study("first", "second", storage=storage)
        >>> storage.names()
        ['first', 'second']
    """
    with _opened(storage) as source:
        if to is None:
            _copy(source, name, new or name, source)
        else:
            with _opened(to, may_make=True) as target:
                _copy(source, name, new or name, target)


@public
def back_up(path: str | Path, *, storage: str | Path | Storage = "hpo.db", replace: bool = False) -> Path:
    """Write a whole storage as it is now to an SQLite file, while others go on working with it.

    The file is complete, or not there. The backup of an SQLite file is an exact copy, leases included; studies of other
    storages are copied one by one, as by `copy_study`.

    Args:
        path: The file to write.
        storage: What to back up: a file, a database URL or a `Storage`.
        replace: Whether a file that is there already may be replaced.

    Returns:
        The path of the backup.

    Raises:
        StorageError: The storage cannot be read, the file cannot be written, or it exists and `replace` is False.

    Example:
        >>> import hpo, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> study = hpo.open_study("first", problem, storage=folder / "hpo.db")
        >>> hpo.back_up(folder / "backup.db", storage=folder / "hpo.db").name
        'backup.db'
    """
    from hpo.storage import SqlStorage

    file = file_of(path)
    if file is None:
        raise StorageError("a backup is an SQLite file; give its path. To copy to a server: copy_study(..., to=...)")
    target = file.absolute()
    with _opened(storage) as store, reaching(target):
        _check_target(target, store, replace)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            if not (isinstance(store, SqlStorage) and store.copy_to(part)):
                with closing(SqlStorage(part)) as copy:
                    for name in store.names():
                        _copy(store, name, name, copy)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return target


def _check_target(target: Path, store: Storage, replace: bool) -> None:
    """Raises StorageError for a backup that would be written over something else."""
    log = target.with_name(f"{target.name}-wal")
    if store.url == url_of(Path(os.path.realpath(target))) or log.exists():
        raise StorageError(f"{target} is a storage in use; give the backup another name")
    if target.is_dir() or (target.exists() and not replace):
        way_out = "" if target.is_dir() else ", or replace it: replace=True (`hpo backup --replace`)"
        raise StorageError(f"{target} exists; give the backup another name{way_out}")
    if not target.parent.is_dir():
        raise StorageError(f"no folder {target.parent} for {target.name}; make it, or give another path")


@contextmanager
def _opened(where: str | Path | Storage, *, may_make: bool = False) -> Iterator[Storage]:
    """The storage, closed at the end where it was opened here. Raises StudyNotFound for a file that does not exist,
    StorageError for one that would be gone at the end."""
    if not may_make and (path := missing_file(where)):
        raise StudyNotFound(f"there is no file {path}; give the storage that holds the study")
    if where == ":memory:":
        raise StorageError("':memory:' is another, empty storage each time; give the MemoryStorage() that you have")
    store = open_storage(where)
    try:
        yield store
    finally:
        if store is not where:
            store.close()


def _record(store: Storage, name: str) -> StudyRecord:
    record = retrying(lambda _: store.load(name))
    if record is None:
        raise no_study(name, store.names())
    return record


def _read(store: Storage, record: StudyRecord) -> tuple[list[Event], list[Trial]]:
    """The log of a study, and the trials that run at its end."""
    study_log = StudyLog(record, store)
    events = study_log.events()
    return events, [trial for trial in study_log.state_of(events).trials if trial.state is TrialState.RUNNING]


def _delete(store: Storage, name: str, last: int | None) -> bool:
    def step(again: bool) -> bool:
        is_done = again and store.load(name) is None  # and the answer got lost
        return is_done or store.delete(name, last)

    return retrying(step)


def _copy(source: Storage, name: str, new: str, target: Storage) -> None:
    record = _record(source, name)
    events, running = _read(source, record)
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    of = {"from": name, "id": record.facts.get("id", ""), "events": len(events), "at": at}
    facts = {**record.facts, "id": uuid.uuid4().hex, "copied": of}
    for trial in running:
        draft = freed(trial, f"it ran in {name!r} when this study was copied from there")
        events.append(Event(len(events) + 1, at, draft.kind, draft.number, draft.data))
    made = retrying(lambda _: target.create(new, record.definition, facts, events))
    if made.facts.get("id") != facts["id"]:
        raise StorageError(f"there is a study {new!r} in {target.url} already; give the copy another name")
