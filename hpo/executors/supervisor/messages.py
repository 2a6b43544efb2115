"""What drivers, supervisors and workers say to each other, pickled, over pipes that are private to one program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpo.executors.supervisor.command import Command


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Driver to supervisor, first of all: what to run. Either `function` (pickled) or `command` is given."""

    function: bytes | None = None
    command: Command | None = None
    is_reused: bool = True
    """Whether one process may run several tasks."""
    logs: Path | None = None
    """Folder of the log files."""
    grace: float = 5.0
    """Seconds between SIGTERM and SIGKILL."""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """Worker to supervisor to driver: the function is loaded."""


@dataclass(frozen=True)
class Broken:
    """Worker to supervisor to driver: the function could not be loaded."""

    message: str
    log_tail: str


@dataclass(frozen=True)
class Cancel:
    """Driver to supervisor: end this task, if it is still the one that runs."""

    id: str
    grace: float


@dataclass(frozen=True)
class Stop:
    """Driver to supervisor: end everything and go."""

    grace: float
