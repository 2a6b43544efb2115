"""Dask: tasks run on a cluster of Dask, each under a supervisor beside the worker that got it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError, MissingExtra
from hpo.executors.base import Function, Pool
from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.supervised import Supervised

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster


@public_class
@dataclass(frozen=True)
class Dask(Supervised):
    """Run tasks on a Dask cluster: a function, or a command for each task as `Subprocess` does.

    Each task runs in processes of its own beside a worker, held to its limits there as `Processes` does it here. When
    that worker or the scheduler dies, the task ends as "infra". hpo must be installed, in the same version, where the
    scheduler and the workers run.

    The `cpus`, `gpus` and `memory` of a task become the resources CPU, GPU and MEMORY (bytes) if workers declare them:
    `dask worker --resources "GPU=2 MEMORY=64e9"`.

    Example:
        >>> import hpo
        >>> here = hpo.executors.Dask()  # a cluster of this machine, from start to close
        >>> there = hpo.executors.Dask("tcp://10.0.0.1:8786", slots=16)
        >>> here.slots, there.slots
        (None, 16)
    """

    cluster: str | Cluster | Client | None = None
    """The scheduler's address, a cluster, or a client of it; None: a cluster of this machine, ended by `close`."""
    slots: int | None = None
    """Most tasks at the cluster at once. None: its threads, counted anew as workers come and go."""
    _: KW_ONLY
    command: Sequence[str | Sequence[str]] | None = None
    """What to run instead of a function; as in `Subprocess`."""
    scale: tuple[int, int] | None = None
    """Least and most workers. The cluster grows while tasks wait for a place; it needs to be a cluster that can `adapt`.
    It shrinks to the least when the pool closes."""
    release_after: float = 60.0
    """With `scale`: seconds after which a worker without a task is let go."""
    reuse: bool = True
    """Whether a process may run several tasks, as in `Processes`."""
    limit_memory: bool = True
    """Whether a task that names no `memory` is held to its share of its worker's (`--memory-limit`): that, by as many such
    tasks as run there at once. A cluster that this executor starts itself has no limit."""

    def __post_init__(self) -> None:
        slots = self.checked_slots(1 if self.slots is None else self.slots)
        object.__setattr__(self, "slots", None if self.slots is None else slots)
        if self.scale is not None:
            least, most = self.scale
            if not 0 <= least <= most or most < 1:
                raise ExecutorError(f"Dask: scale is (least, most) workers, as (0, 10), got {self.scale}")
            if not hasattr(self.cluster, "adapt"):
                raise ExecutorError(f"Dask: scale needs a cluster object that can adapt, got {self.cluster!r}")
        if not self.release_after > 0:
            raise ExecutorError(f"Dask: release_after is seconds, above 0, got {self.release_after}")
        if self.command is not None:
            Command.of(self.command)

    def start(self, function: Function | None = None) -> Pool:
        """Connect, and make `function` or the command known to all workers, those to come too.

        Raises ExecutorError if the function cannot be pickled, or no scheduler answers; MissingExtra without Dask.
        """
        settings = self.settings(function, self.command, is_reused=self.reuse, is_local=False)
        try:
            from hpo.executors.cluster.dask_pool import DaskPool
        except ModuleNotFoundError as error:
            if error.name not in ("dask", "distributed"):
                raise
            raise MissingExtra("Dask needs distributed: pip install distributed") from error
        return DaskPool(settings, self.cluster, self.slots, self.scale, self.release_after, self.limit_memory)
