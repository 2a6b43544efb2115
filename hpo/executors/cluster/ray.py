"""Ray: tasks run on a cluster of Ray, each under a supervisor beside the actor that got it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError, MissingExtra
from hpo.executors.base import Function, Pool
from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.supervised import Supervised


@public_class
@dataclass(frozen=True)
class Ray(Supervised):
    """Run tasks on a Ray cluster: a function, or a command for each task as `Subprocess` does.

    Each task runs in processes of its own beside a worker, held to its limits there as `Processes` does it here. When
    that worker dies, the task ends as "infra". hpo must be installed, in the same version, on all nodes.

    Ray reserves what a task asks for: `cpus` (1 if it asks for none), `gpus` and `memory`. A task that no node can hold
    waits forever. A program has one connection to Ray; if it has one already, that one is used.

    Example:
        >>> import hpo
        >>> here = hpo.executors.Ray()  # a cluster of this machine, from start to close
        >>> there = hpo.executors.Ray("10.0.0.1:6379", slots=16)
        >>> here.slots, there.slots
        (None, 16)
    """

    address: str | None = None
    """Of the head; None: a cluster of this machine, ended by `close`."""
    slots: int | None = None
    """Most tasks at the cluster at once. None: its CPUs, counted anew as nodes come and go."""
    _: KW_ONLY
    command: Sequence[str | Sequence[str]] | None = None
    """What to run instead of a function; as in `Subprocess`."""
    release_after: float = 60.0
    """Seconds after which what a task was given is handed back when no other task wants it, so that an autoscaler can let
    go of nodes."""
    reuse: bool = True
    """Whether a process may run several tasks, as in `Processes`."""
    limit_memory: bool = True
    """Whether a task that names no `memory` is held to its share of its node's (`ray start --memory`): that, by as many
    such tasks as run there at once. A cluster that this executor starts itself has no limit."""

    def __post_init__(self) -> None:
        slots = self.checked_slots(1 if self.slots is None else self.slots)
        object.__setattr__(self, "slots", None if self.slots is None else slots)
        if not self.release_after > 0:
            raise ExecutorError(f"Ray: release_after is seconds, above 0, got {self.release_after}")
        if self.command is not None:
            Command.of(self.command)

    def start(self, function: Function | None = None) -> Pool:
        """Connect, unless this program is connected.

        Raises ExecutorError if the function cannot be pickled, or no cluster answers; MissingExtra without Ray.
        """
        settings = self.settings(function, self.command, is_reused=self.reuse, is_local=False)
        try:
            from hpo.executors.cluster.ray_pool import RayPool
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise MissingExtra("Ray needs ray: pip install ray") from error
        return RayPool(settings, self.address, self.slots, self.release_after, self.limit_memory)
