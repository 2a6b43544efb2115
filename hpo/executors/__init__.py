"""Where tasks run: in this thread, in threads, in processes, as commands, on executors of others, on a simulated clock.

Names are loaded when they are first used, so that a supervising process loads only what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.boundary.public import face

if TYPE_CHECKING:
    from hpo.executors.base import CloseMode as CloseMode
    from hpo.executors.base import Executor as Executor
    from hpo.executors.base import Function as Function
    from hpo.executors.base import Kind as Kind
    from hpo.executors.base import Outcome as Outcome
    from hpo.executors.base import Pool as Pool
    from hpo.executors.base import Task as Task
    from hpo.executors.cluster.dask import Dask as Dask
    from hpo.executors.cluster.ray import Ray as Ray
    from hpo.executors.local.futures import Futures as Futures
    from hpo.executors.local.inline import Inline as Inline
    from hpo.executors.local.processes import Processes as Processes
    from hpo.executors.local.subprocess import Subprocess as Subprocess
    from hpo.executors.local.threads import Threads as Threads
    from hpo.executors.simulated.durations import Duration as Duration
    from hpo.executors.simulated.durations import Lognormal as Lognormal
    from hpo.executors.simulated.durations import Recorded as Recorded
    from hpo.executors.simulated.failures import Failures as Failures
    from hpo.executors.simulated.failures import Sick as Sick
    from hpo.executors.simulated.simulated import Simulated as Simulated
    from hpo.executors.slurm.executor import Slurm as Slurm

_HOME = {
    "CloseMode": "base",
    "Duration": "simulated.durations",
    "Dask": "cluster.dask",
    "Executor": "base",
    "Failures": "simulated.failures",
    "Function": "base",
    "Futures": "local.futures",
    "Inline": "local.inline",
    "Kind": "base",
    "Lognormal": "simulated.durations",
    "Outcome": "base",
    "Pool": "base",
    "Processes": "local.processes",
    "Recorded": "simulated.durations",
    "Sick": "simulated.failures",
    "Simulated": "simulated.simulated",
    "Slurm": "slurm.executor",
    "Ray": "cluster.ray",
    "Subprocess": "local.subprocess",
    "Threads": "local.threads",
    "Task": "base",
}

__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # which would take any name then
    __getattr__ = face(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
