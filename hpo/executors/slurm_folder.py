"""The folder in which a pool and its Slurm jobs meet: what is to run, who runs it, how it ended.

    <folder>/<pool>/settings        the function or command, pickled once
                    batches/17      the works of one array; the array's task i runs work number 17 + i
                    claims/18       who runs work 18, or has decided that nobody will
                    stops/18        it is to end; how long it may take to
                    ended/18        its outcome
                    delivered/18    the same, once the driver has it
                    slurm/12_1.out  what Slurm itself and the job's Python wrote

The pool's name is new each time, and a work's number is used once. So no result can be taken for another's, whatever
Slurm's job ids and the works' own ids do. Files appear whole, and claims and outcomes once: the first stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hpo.executors.base import Outcome, Work
from hpo.executors.call import tail
from hpo.executors.wire import Settings

NOBODY = "nobody: its driver has ended it"
"""A claim by which no job may run the work any more."""

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
            (folder.path / part).mkdir()
        _publish(folder.path / "settings", pickle.dumps(settings))
        return folder

    @classmethod
    def all(cls, parent: Path) -> list[PoolFolder]:
        """The folders below `parent`, the newest first."""
        return [cls(path.parent) for path in sorted(parent.glob("*/settings"), reverse=True)]

    @property
    def name(self) -> str:
        """Unlike that of any other pool."""
        return self.path.name

    @property
    def is_there(self) -> bool:
        """Whether nobody has removed it, or begun to."""
        return (self.path / "settings").exists()

    def settings(self) -> Settings:
        """What to run."""
        settings: Settings = pickle.loads((self.path / "settings").read_bytes())  # noqa: S301 - written by the driver
        return settings

    def add(self, first: int, works: Iterable[Work]) -> None:
        """Write down the works `first`, `first` + 1 and so on."""
        _publish(self.path / "batches" / str(first), _json([dataclasses.asdict(work) for work in works]))

    def batch(self, first: int) -> list[Work]:
        """The works of one array."""
        return [Work(**fields) for fields in json.loads((self.path / "batches" / str(first)).read_bytes())]

    def arrays(self) -> list[tuple[int, list[Work]]]:
        """All arrays and their first numbers, the newest first; raises FileNotFoundError while it is being removed."""
        return [(first, self.batch(first)) for first in sorted(_numbers(self.path / "batches"), reverse=True)]

    def claim(self, number: int, who: str) -> bool:
        """Whether `who` is the one that runs this work: the first to say so, now or earlier."""
        return _publish(self.path / "claims" / str(number), who.encode()) or self.claimant(number) == who

    def claimant(self, number: int) -> str:
        """Who runs it; empty while nobody does."""
        return _read(self.path / "claims" / str(number))

    def claimed_at(self, number: int) -> float | None:
        """Unix time of the claim, by the clock of the folder's machine."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "claims" / str(number)).stat().st_mtime
        return None

    def stop(self, number: int, grace: float) -> None:
        """Ask that this work end, within `grace` seconds."""
        path = self.path / "stops" / str(number)
        new = path.with_name(f".{uuid.uuid4().hex}")
        new.write_text(repr(grace))
        new.replace(path)

    def stop_asked(self, number: int) -> float | None:
        """The grace with which this work is to end; None if it may go on."""
        grace = _read(self.path / "stops" / str(number))
        return float(grace) if grace else None

    def end(self, number: int, outcome: Outcome) -> None:
        """Write down how it ended, durably; nothing happens if another outcome is there."""
        _publish(self.path / "ended" / str(number), _json(dataclasses.asdict(outcome)))

    def ended(self) -> set[int]:
        """Numbers of the works that have ended and were not delivered."""
        return _numbers(self.path / "ended")

    def outcome(self, number: int) -> Outcome | None:
        """How it ended; None if it has not."""
        text = _read(self.path / "delivered" / str(number)) or _read(self.path / "ended" / str(number))
        if not text:
            return None
        fields = json.loads(text)
        return Outcome(**{**fields, "logs": tuple(fields["logs"])})

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
        return tail(_read(self.path / "slurm" / f"{job}.out"))

    def remove_if_done(self) -> None:
        """Remove everything, unless a work has not been delivered."""
        with contextlib.suppress(OSError):
            numbers = {first + i for first, works in self.arrays() for i in range(len(works))}
            if numbers <= _numbers(self.path / "delivered"):
                self.remove()

    def remove(self) -> None:
        """Remove everything; what is left when that is cut off counts as removed."""
        with contextlib.suppress(OSError):
            (self.path / "settings").unlink()
        shutil.rmtree(self.path, ignore_errors=True)


def _publish(path: Path, data: bytes) -> bool:
    """Let the file appear, whole and on disk; False if there is one already."""
    new = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)  # unlike a rename it replaces nothing
        except FileExistsError:
            if new.stat().st_nlink == 1:  # 2: ours, and the file server was asked twice
                return False
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _numbers(folder: Path) -> set[int]:
    return {int(name) for name in os.listdir(folder) if not name.startswith(".")}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
