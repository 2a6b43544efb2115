"""Where work runs: in this thread, in threads, in processes, as commands, on executors of others, on a simulated clock.

Names are loaded when they are first used, so that a supervising process loads only what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.boundary import face

if TYPE_CHECKING:
    from hpo.executors.base import CloseMode as CloseMode
    from hpo.executors.base import Executor as Executor
    from hpo.executors.base import Function as Function
    from hpo.executors.base import Kind as Kind
    from hpo.executors.base import Outcome as Outcome
    from hpo.executors.base import Pool as Pool
    from hpo.executors.base import Work as Work
    from hpo.executors.dask import Dask as Dask
    from hpo.executors.durations import Duration as Duration
    from hpo.executors.durations import Lognormal as Lognormal
    from hpo.executors.durations import Recorded as Recorded
    from hpo.executors.futures import Futures as Futures
    from hpo.executors.inline import Inline as Inline
    from hpo.executors.processes import Processes as Processes
    from hpo.executors.ray import Ray as Ray
    from hpo.executors.simulated import Simulated as Simulated
    from hpo.executors.simulated_failures import Failures as Failures
    from hpo.executors.simulated_failures import Sick as Sick
    from hpo.executors.slurm import Slurm as Slurm
    from hpo.executors.subprocess import Subprocess as Subprocess
    from hpo.executors.threads import Threads as Threads

_HOME = {
    "CloseMode": "base",
    "Duration": "durations",
    "Dask": "dask",
    "Executor": "base",
    "Failures": "simulated_failures",
    "Function": "base",
    "Futures": "futures",
    "Inline": "inline",
    "Kind": "base",
    "Lognormal": "durations",
    "Outcome": "base",
    "Pool": "base",
    "Processes": "processes",
    "Recorded": "durations",
    "Sick": "simulated_failures",
    "Simulated": "simulated",
    "Slurm": "slurm",
    "Ray": "ray",
    "Subprocess": "subprocess",
    "Threads": "threads",
    "Work": "base",
}

__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # which would take any name then
    __getattr__ = face(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
