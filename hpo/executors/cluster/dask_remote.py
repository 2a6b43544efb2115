"""What runs on the workers of Dask: what they hold, and the task that they run. Loads Dask."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from hpo.executors.base import Outcome, Task
from hpo.executors.cluster import remote_worker
from hpo.executors.supervisor.messages import Settings

SMALL = 4096
"""Bytes of an outcome that a worker sends along with its end. A larger one is fetched."""

RUN = "__import__('hpo.executors.cluster.dask_remote', fromlist=['*']).run_on_dask_worker(pool, token, pickled)"
"""The task, for `eval`: a worker without hpo says so, where it would end if it could not load a task."""

_LOADED = "(lambda names: (exec(source, names), names['load'](pickled))[1])({})"


def load(pickled: bytes) -> object:
    """The plugin of a worker; without hpo it does nothing, since a worker that cannot load a plugin as it joins ends,
    whoever else needs it. Stands alone: workers are sent its source."""
    import importlib
    import pickle

    try:
        return importlib.import_module("hpo.executors.cluster.dask_remote").RemoteWorker(*pickle.loads(pickled))  # noqa: S301 - written by the driver of this very program
    except Exception:
        from distributed import WorkerPlugin

        return WorkerPlugin()


class RemoteWorker(WorkerPlugin):
    """What each worker, also one that comes later, holds for a pool: what to run, and the warm supervisors."""

    def __init__(self, name: str, settings: Settings, slots: int | None, limit_memory: bool) -> None:
        self.name = name
        self.settings = settings
        self.slots = slots
        self.limit_memory = limit_memory

    def __reduce__(self) -> tuple[Any, ...]:
        pickled = pickle.dumps((self.name, self.settings, self.slots, self.limit_memory))
        return eval, (_LOADED, {"source": inspect.getsource(load), "pickled": pickled})

    def setup(self, worker: Worker) -> None:
        """A driver that was cut off comes back under its old name."""
        remote_worker.admit(self.name)

    async def teardown(self, worker: Worker) -> None:
        """The pool is closed, or the worker goes."""
        await asyncio.to_thread(remote_worker.release, self.name)

    def share(self, worker: Worker, task: Task) -> int | None:
        """The part of the worker's memory that is a task's, if as many of its kind run as can; None without a limit."""
        limit = worker.memory_manager.memory_limit
        if not limit or not self.limit_memory:
            return None
        has = worker.state.total_resources
        asked = {"CPU": task.cpus, "GPU": task.gpus}
        at_once = [int(has[name] // amount) for name, amount in asked.items() if amount and name in has]
        return int(limit) // max(1, min(worker.state.nthreads, self.slots or worker.state.nthreads, *at_once))


def run_on_dask_worker(pool: str, token: str, pickled: bytes) -> Outcome | None:
    """Run a task, in a thread of a worker. The pool hears of its start and of its end by events, a small outcome with it:
    to fetch what a task returns, the driver asks the scheduler, and that asks the worker."""
    worker, task = get_worker(), pickle.loads(pickled)  # noqa: S301 - written by the driver of this very program
    plugin = worker.plugins[pool]
    assert isinstance(plugin, RemoteWorker)

    def is_dropped() -> bool:
        """Whether nobody wants the result: the driver is gone, or has given the task up."""
        task = worker.state.tasks.get(token)
        return task is None or task.state == "cancelled"

    def begin(at: float) -> None:
        worker.log_event(pool, {"token": token, "begun_at": at})

    share = plugin.share(worker, task)
    outcome = remote_worker.run_on_worker(pool, plugin.settings, task, is_dropped, token, share=share, begin=begin)
    ended = pickle.dumps(outcome)
    is_small = len(ended) <= SMALL
    worker.log_event(pool, {"token": token, "outcome": ended if is_small else b""})
    return None if is_small else outcome


def forget_topic(name: str, dask_scheduler: Any) -> None:
    """At the scheduler: keep nothing of the events of a pool that is over."""
    dask_scheduler._broker._topics.pop(name, None)
