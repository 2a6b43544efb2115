"""Processes: tasks run in fresh processes of this machine, each with its limits, none able to harm another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.boundary.public import public_class
from hpo.executors.base import Function, Pool
from hpo.executors.supervisor.pool import SupervisedPool
from hpo.executors.supervisor.supervised import Supervised


@public_class
@dataclass(frozen=True)
class Processes(Supervised):
    """Run tasks in processes of their own, on this machine.

    Each slot is a small supervising process, and below it the process that runs the function. A task beyond its timeout
    gets SIGTERM, and SIGKILL `grace` seconds later. One beyond its memory gets SIGKILL. Both include every process that
    the task started. A segfault, `os._exit` or a kill by the kernel fails that task only. Memory is checked ten times a
    second, so a burst can exceed its limit in between.

    The function may be anything that can be pickled, by name or by value: lambdas, and functions of notebooks and of
    `__main__`. What it prints goes to the logs, or nowhere.

    Example:
        >>> import hpo
        >>> executor = hpo.executors.Processes(2, env={"OMP_NUM_THREADS": "1"})
        >>> with executor.start(lambda payload: {"y": 2 * payload["x"]}) as pool:
        ...     pool.submit(hpo.executors.Task(id="17", payload={"x": 0.5}, timeout=60))
        ...     pool.wait()[0].value
        {'y': 1.0}
    """

    slots: int = 1
    """How many tasks run at once."""
    reuse: bool = True
    """Whether a process may run several tasks, which saves importing libraries again. It is replaced when it died, ran
    out of memory or was ended, and where a task brings another `env`. What a function leaves running as its own child
    (a cached pool of workers) lives as long as its process; what it leaves as an orphan is killed. False: one process
    per task."""
    devices: Sequence[str | int] = ()
    """GPUs of this machine, dealt out over the slots: each task finds its own in CUDA_VISIBLE_DEVICES. With fewer
    devices than slots they are shared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", self.checked_slots(self.slots))

    def start(self, function: Function | None = None) -> Pool:
        """Start the processes and load `function` in each.

        Raises ExecutorError if it cannot be pickled here or loaded there.
        """
        settings = self.settings(function, is_reused=self.reuse)
        return SupervisedPool(settings, self.slots, [str(device) for device in self.devices])
