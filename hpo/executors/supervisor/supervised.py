"""Supervised: what all executors have in common whose tasks run in processes under a supervisor."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.errors import ExecutorError
from hpo.executors.base import Function, at_least_one_slot, only_function
from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.messages import Settings
from hpo.executors.supervisor.pickling import pickle_function


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """How tasks are logged, how they are ended, and what their environment holds."""

    logs: str | os.PathLike[str] | None = None
    """Folder for what the tasks write: `<task id>.out` and `<task id>.err`, created if absent, on the machine where the
    task runs. Outcomes name the files."""
    grace: float = 5.0
    """Seconds from SIGTERM to SIGKILL."""
    env: Mapping[str, str] = field(default_factory=dict)
    """For all tasks, e.g. {"OMP_NUM_THREADS": "1"}; set before the function's modules are imported."""

    @property
    def isolated(self) -> bool:
        """Always True."""
        return True

    def checked_slots(self, slots: Any) -> int:
        """The slots as an int. Raises ExecutorError for settings that no supervised executor can have, and on systems that
        have no fork."""
        name = type(self).__name__
        n = at_least_one_slot(name, slots)
        if self.grace < 0:
            raise ExecutorError(f"{name}: grace is seconds, 0 or more, got {self.grace}")
        if not hasattr(os, "fork"):
            raise ExecutorError(f"{name} needs a POSIX system (Linux, macOS); use Threads here")
        return n

    def settings(
        self,
        function: Function | None,
        command: Sequence[str | Sequence[str]] | None = None,
        *,
        is_reused: bool = False,
        is_local: bool = True,
    ) -> Settings:
        """What supervisors run: `function`, or `command`. is_local: whether the folder of logs is made now, and here.

        Raises ExecutorError if there is neither or both, or if the function cannot be pickled.
        """
        if command and function is not None:
            raise ExecutorError(f"{type(self).__name__} runs its command and no function; got {function!r}")
        logs = None if self.logs is None else Path(self.logs).absolute()
        settings = Settings(
            function=None if command else pickle_function(only_function(function, self)),
            command=Command.of(command) if command else None,
            is_reused=is_reused,
            logs=logs,
            grace=self.grace,
            env=dict(self.env),
        )
        if logs is not None and is_local:
            logs.mkdir(parents=True, exist_ok=True)
        return settings
