"""Processes: tasks run in fresh processes of this machine, each with its limits, none able to harm another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError
from hpo.executors.base import Function, Pool, at_least_one_slot, only_function
from hpo.executors.supervisor.messages import Settings
from hpo.executors.supervisor.pickling import pickle_function
from hpo.executors.supervisor.pool import SupervisedPool


@public_class
@dataclass(frozen=True)
class Processes:
    """Run up to `slots` tasks at once in processes of their own.

    Each slot is a small supervising process and, below it, the process that runs the function. A task that exceeds its
    timeout gets SIGTERM, and SIGKILL `grace` seconds later; one that exceeds its memory gets SIGKILL; both with every
    process they started, also those in sessions of their own. A segfault, `os._exit` or a kill by the kernel fails that
    task only. Memory is looked at ten times a second, so a burst can overshoot its limit in between.

    The function must be picklable or defined by value (lambdas, notebooks and `__main__` are fine). What it prints is
    no outcome: it goes to `<logs>/<task id>.out` and `.err`, or nowhere.
    """

    slots: int = 1
    reuse: bool = True
    """Whether a process may run several tasks, which saves importing libraries again. It is replaced when it died, ran
    out of memory or was ended, and where a task brings another `env`. What a function leaves running as its own child
    (a cached pool of workers) lives as long as its process; what it leaves as an orphan is killed. False: one process
    per task."""
    logs: str | os.PathLike[str] | None = None
    """Folder for what the tasks write; created if absent."""
    grace: float = 5.0
    """Seconds from SIGTERM to SIGKILL."""
    env: Mapping[str, str] = field(default_factory=dict)
    """For all tasks, e.g. {"OMP_NUM_THREADS": "1"}; set before the function's modules are imported."""

    devices: Sequence[str | int] = ()
    """GPUs of this machine, dealt out over the slots: each task finds its own in CUDA_VISIBLE_DEVICES. With fewer
    devices than slots they are shared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", check_slots("Processes", self.slots, self.grace))

    @property
    def isolated(self) -> bool:
        """Always True."""
        return True

    def start(self, function: Function | None = None) -> Pool:
        """Start the processes and load `function` in each.

        Raises ExecutorError if it cannot be pickled here or loaded there.
        """
        pickled = pickle_function(only_function(function, self))
        settings = Settings(
            function=pickled, is_reused=self.reuse, logs=log_folder(self.logs), grace=self.grace, env=dict(self.env)
        )
        return SupervisedPool(settings, self.slots, [str(device) for device in self.devices])


def check_slots(name: str, slots: int, grace: float) -> int:
    """The slots as an int. Raises ExecutorError for settings that no supervised executor can have, and on systems that
    have no fork."""
    n = at_least_one_slot(name, slots)
    if grace < 0:
        raise ExecutorError(f"{name}: grace is seconds, 0 or more, got {grace}")
    if not hasattr(os, "fork"):
        raise ExecutorError(f"{name} needs a POSIX system (Linux, macOS); use Threads here")
    return n


def log_folder(folder: str | os.PathLike[str] | None) -> Path | None:
    """The folder as an absolute path, created if absent."""
    if folder is None:
        return None
    path = Path(folder).absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path
