"""Slurm: tasks run as jobs of a cluster, go on without their driver, and are found again by the next one."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError
from hpo.executors.base import Function, Pool, Task
from hpo.executors.slurm.commands import check_programs
from hpo.executors.slurm.folder import PoolFolder
from hpo.executors.slurm.pool import SlurmPool
from hpo.executors.supervisor.command import Command, refuse_text
from hpo.executors.supervisor.supervised import Supervised

MIB = 1 << 20
OVERHEAD = 100
"""MiB a job needs beside its task: Python and the supervisor."""
SPARE = 120.0
"""Seconds a job may take beside its task, to start and to end."""


@public_class
@dataclass(frozen=True)
class Slurm(Supervised):
    """Run tasks as jobs of a Slurm cluster, from a machine that has sbatch, squeue and scancel.

    Each job is a Python of its own, which takes about a second to start. Limits, kills and logs in it are those of
    `Processes`, or with a `command` those of `Subprocess`. Jobs go on when their driver ends; a pool that is started
    later finds them by `reattach`. Slurm's accounting is not used.

    Example:
        >>> import hpo
        >>> executor = hpo.executors.Slurm("/shared/hpo", slots=64, partition="gpu", gpus=1)
        >>> executor.slots, executor.isolated
        (64, True)
    """

    folder: str | os.PathLike[str]
    """A folder that is the same on this machine and on all nodes: tasks and outcomes pass through it."""
    slots: int = 1
    """How many jobs run at once."""
    _: KW_ONLY
    command: Sequence[str | Sequence[str]] = ()
    """What to run, as for `Subprocess`; empty: the function that `start` is given."""
    partition: str | None = None
    """None: the cluster's default."""
    options: Sequence[str] = ()
    """More options of sbatch, e.g. ("--account=vision", "--exclude=n7"); they win over those made from the other fields."""
    cpus: float = 1
    """For each task that does not say; rounded up."""
    memory: int | None = None
    """Bytes for each task that does not say; held to as `Task.memory` is. None: what the cluster gives, and its limits."""
    gpus: int = 0
    """For each task that asks for none itself."""
    python: str = sys.executable
    """The interpreter of the jobs. Another than this one must find hpo, and the function's module, by itself."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", self.checked_slots(self.slots))
        refuse_text(self.options, "Slurm: options")
        refuse_text(self.command, "Slurm: command")
        if self.command:
            Command.of(self.command)
        Task(id="any", payload={}, cpus=self.cpus, memory=self.memory, gpus=self.gpus)

    @property
    def names(self) -> frozenset[str]:
        """The params that the placeholders of a command ask for, to be checked against a space."""
        return Command.of(self.command).names if self.command else frozenset()

    def start(self, function: Function | None = None) -> Pool:
        """Write down what to run; jobs start with the first tasks.

        Raises ExecutorError if Slurm's programs are missing, the function cannot be pickled or the folder cannot be
        used. What Slurm refuses (no such partition) is raised by the pool's `wait`.
        """
        check_programs()
        try:
            parent = Path(self.folder).absolute()
            settings = self.settings(function, self.command)
            own = PoolFolder.create(parent, settings)
        except OSError as error:
            raise ExecutorError(f"Slurm cannot use the folder {self.folder!s}: {error}") from error
        return SlurmPool(self, parent, own, settings)

    def with_defaults(self, task: Task) -> Task:
        """The task with what it does not say for itself."""
        return replace(
            task, cpus=task.cpus or self.cpus, memory=task.memory or self.memory, gpus=task.gpus or self.gpus
        )

    def requests(self, task: Task) -> tuple[str, ...]:
        """The options of sbatch for a task; tasks with equal ones may share an array."""
        made = ["--nodes=1", "--ntasks=1", f"--cpus-per-task={math.ceil(task.cpus or self.cpus)}"]
        if self.partition is not None:
            made.append(f"--partition={self.partition}")
        if task.memory is not None:
            made.append(f"--mem={math.ceil(task.memory / MIB) + OVERHEAD}M")
        if task.gpus:
            made.append(f"--gres=gpu:{task.gpus}")
        if task.timeout is not None:
            made.append(f"--time={math.ceil((task.timeout + self.grace + SPARE) / 60)}")
        return (*made, *self.options)
