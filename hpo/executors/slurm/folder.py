"""The folder in which a pool and its Slurm jobs meet: what is to run, who runs it, how it ended.

    <folder>/<pool>/layout          the version of this layout
                    settings        the function or command, pickled once
                    batches/17      the tasks of one array; the array's task i runs task number 17 + i
                    claims/18       who runs task 18, or has decided that nobody will
                    stops/18        it is to end; how long it may take to
                    ended/18        its outcome
                    delivered/18    the same, once the driver has it
                    slurm/12_1.out  what Slurm itself and the job's Python wrote

The pool's name is new each time, and a task's number is used once. So no result can be taken for another's, whatever
Slurm's job ids and the tasks' own ids do. Files appear whole, and claims and outcomes once: the first stays. Only folders
and files of this user are believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pickle
import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from hpo.errors import ExecutorError
from hpo.executors.base import Kind, Outcome, Task
from hpo.executors.call import tail
from hpo.executors.slurm.own_files import is_own_folder, publish, read, read_text, unreadable
from hpo.executors.supervisor.messages import Settings

NOBODY = "nobody: its driver has ended it"
"""A claim by which no job may run the task any more."""

PLACE = "hpo runs this job on "
"""What the job's script says first, before the name of its node."""
LAYOUT = 2
"""Of these files and of what is pickled in them. Another one is refused: it could be misread."""
RESERVE = 1 << 14
"""Bytes set aside for an outcome, so that a disk that is full when a training ends takes it all the same."""

_PARTS = ("batches", "claims", "stops", "ended", "delivered", "slurm")


@dataclass(frozen=True)
class PoolFolder:
    """The files of one pool."""

    path: Path

    @classmethod
    def create(cls, parent: Path, settings: Settings) -> PoolFolder:
        """A new folder below `parent`; raises OSError where none can be made."""
        folder = cls(parent / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{uuid.uuid4().hex[:8]}")
        parent.mkdir(parents=True, exist_ok=True)
        folder.path.mkdir(mode=0o700)  # what is pickled here is run by jobs of this user
        for part in _PARTS:
            (folder.path / part).mkdir(mode=0o700)
        publish(folder.path / "layout", str(LAYOUT).encode())
        publish(folder.path / "settings", pickle.dumps(settings))
        return folder

    @classmethod
    def all(cls, parent: Path, skipped: Callable[[ValueError], None] | None = None) -> list[PoolFolder]:
        """The folders of this user below `parent`, the newest first. Raises OSError while they cannot be listed.
        `skipped` is told of those that cannot be believed, for others may write into them."""
        try:
            names = os.listdir(parent)
        except FileNotFoundError:
            return []
        folders = [cls(parent / name) for name in sorted(names, reverse=True)]
        own = [folder for folder in folders if folder.is_there and folder.path.lstat().st_uid == os.geteuid()]
        for folder in own:
            if skipped is not None and not folder.is_believed:
                skipped(unreadable(folder.path, "others may write into it"))
        return [folder for folder in own if folder.is_believed]

    @property
    def name(self) -> str:
        """Unlike that of any other pool."""
        return self.path.name

    @property
    def is_there(self) -> bool:
        """Whether nobody has removed it, or begun to, and this user may look into it."""
        with contextlib.suppress(PermissionError):
            return (self.path / "settings").exists()
        return False

    @property
    def is_believed(self) -> bool:
        """Whether all that stands in it was written by this user."""
        try:
            if not is_own_folder(self.path):
                return False
            is_private = not self.path.stat().st_mode & 0o077
            return is_private or all(is_own_folder(self.path / part) for part in _PARTS)
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            return False

    def check_layout(self) -> None:
        """Raises ValueError where another version of hpo has made it."""
        if read_text(self.path / "layout") != str(LAYOUT):
            raise unreadable(self.path, "another version of hpo has made it")

    def settings(self) -> Settings:
        """What to run. Raises ValueError where another may have written it, or another version of hpo."""
        path = self.path / "settings"
        self.check_layout()
        if not self.is_believed:
            raise unreadable(path, "its folder belongs to another user, or others may write into it")
        settings: Settings = pickle.loads(read(path))  # noqa: S301 - written by the driver
        return settings

    def add(self, first: int, tasks: Iterable[Task]) -> None:
        """Write down the tasks `first`, `first` + 1 and so on."""
        publish(self.path / "batches" / str(first), _json([dataclasses.asdict(task) for task in tasks]))

    def batch(self, first: int) -> list[Task]:
        """The tasks of one array. Raises ValueError."""
        path = self.path / "batches" / str(first)
        text = read(path)
        try:
            return [Task(**fields) for fields in json.loads(text)]
        except (ValueError, TypeError, ExecutorError) as error:
            raise unreadable(path, error) from error

    def arrays(self, skipped: Callable[[ValueError], None] | None = None) -> list[tuple[int, list[Task]]]:
        """All arrays and their first numbers, the newest first; raises FileNotFoundError while it is being removed.
        `skipped` is told of those that cannot be read; without it, the first of them is raised."""
        arrays = []
        for first in sorted(_numbers(self.path / "batches"), reverse=True):
            try:
                arrays.append((first, self.batch(first)))
            except ValueError as error:
                if skipped is None:
                    raise
                skipped(error)
        return arrays

    def claim(self, number: int, who: str) -> bool:
        """Whether `who` is the one that runs this task: the first to say so, now or earlier."""
        return publish(self.path / "claims" / str(number), who.encode()) or self.claimant(number) == who

    def claimant(self, number: int) -> str:
        """Who runs it; empty while nobody does."""
        return read_text(self.path / "claims" / str(number))

    def claimed_at(self, number: int) -> float | None:
        """Unix time of the claim, by the clock of the folder's machine."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "claims" / str(number)).stat().st_mtime
        return None

    def stop(self, number: int, grace: float) -> None:
        """Ask that this task end, within `grace` seconds."""
        path = self.path / "stops" / str(number)
        new = path.with_name(f".{uuid.uuid4().hex}")
        new.write_text(repr(grace))
        new.replace(path)

    def stop_asked(self, number: int) -> float | None:
        """The grace with which this task is to end; None if it may go on. Raises ValueError."""
        path = self.path / "stops" / str(number)
        grace = read_text(path)
        try:
            return float(grace) if grace else None
        except ValueError as error:
            raise unreadable(path, error) from error

    def set_aside(self, number: int) -> None:
        """Take the space for an outcome before it is known. Raises OSError where there is none."""
        self._reserve(number).write_bytes(b" " * RESERVE)

    def _reserve(self, number: int) -> Path:
        return self.path / "ended" / f".{number}"

    def end(self, number: int, outcome: Outcome) -> None:
        """Write down how it ended, durably; nothing happens if another outcome is there."""
        publish(self.path / "ended" / str(number), _json(dataclasses.asdict(outcome)), self._reserve(number))

    def has_ended(self, number: int) -> bool:
        """Whether there is an outcome."""
        return any((self.path / part / str(number)).exists() for part in ("ended", "delivered"))

    def ended(self) -> set[int]:
        """Numbers of the tasks that have ended and were not delivered."""
        return _numbers(self.path / "ended")

    def outcome(self, number: int) -> Outcome | None:
        """How it ended; None if it has not. Raises ValueError."""
        for path in (self.path / part / str(number) for part in ("delivered", "ended")):
            try:
                text = read(path)
            except FileNotFoundError:
                continue
            try:
                return _outcome_of(json.loads(text))
            except (ValueError, TypeError, ExecutorError) as error:
                raise unreadable(path, error) from error
        return None

    def deliver(self, number: int) -> None:
        """Its driver has the outcome. It is kept all the same: the driver may die before it has told anybody."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "ended" / str(number)).replace(self.path / "delivered" / str(number))

    def take_back(self, number: int) -> None:
        """The outcome, if there is one, is to be delivered again."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "delivered" / str(number)).replace(self.path / "ended" / str(number))

    def said(self, job: str) -> str:
        """The last lines that Slurm and the job's Python wrote."""
        return tail("".join(line for line in self._lines(job) if not line.startswith(PLACE)))

    def place(self, job: str) -> str:
        """The node on which it ran last, as its script says; empty where none has."""
        said = [line.removeprefix(PLACE).strip() for line in self._lines(job) if line.startswith(PLACE)]
        return said[-1] if said else ""

    def _lines(self, job: str) -> list[str]:
        return read_text(self.path / "slurm" / f"{job}.out").splitlines(keepends=True)

    def remove_if_done(self) -> None:
        """Remove everything, unless a task has not been delivered."""
        with contextlib.suppress(OSError, ValueError):
            numbers = {first + i for first, tasks in self.arrays() for i in range(len(tasks))}
            if numbers <= _numbers(self.path / "delivered"):
                self.remove()

    def remove(self) -> None:
        """Remove everything; what is left when that is cut off counts as removed."""
        with contextlib.suppress(OSError):
            (self.path / "settings").unlink()
        shutil.rmtree(self.path, ignore_errors=True)


def _numbers(folder: Path) -> set[int]:
    return {int(name) for name in os.listdir(folder) if name.isdecimal()}


def _outcome_of(fields: dict[str, Any]) -> Outcome:
    """Raises ValueError or TypeError for what no job writes. Fields that a later version writes are left out."""
    outcome = Outcome(
        **{field.name: fields[field.name] for field in dataclasses.fields(Outcome) if field.name in fields}
    )
    texts = (outcome.id, outcome.message, outcome.log_tail, outcome.place, *outcome.logs)
    numbers = (outcome.started_at or 0.0, outcome.seconds)
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
        or not all(isinstance(value or {}, dict) for value in (outcome.value, outcome.reported))
        or outcome.kind not in (None, *get_args(Kind))
    ):
        raise ValueError("it is not how a task ends")
    return dataclasses.replace(outcome, logs=tuple(outcome.logs))


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
