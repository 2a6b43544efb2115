"""A pool on a Dask cluster, and its far end in the workers. Loads Dask."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from distributed import Adaptive, Client, Future, LocalCluster, Worker, WorkerPlugin, get_worker
from distributed.deploy.cluster import Cluster

from hpo.errors import ExecutorError
from hpo.executors import far
from hpo.executors.base import Outcome, Work
from hpo.executors.call import describe
from hpo.executors.engine import TICK, EnginePool, Handed
from hpo.executors.wire import Settings

CONNECT = 30.0
"""Seconds in which the scheduler must answer at first."""

RECONNECT = 60.0
"""Seconds for which a scheduler that was lost is looked for."""

ANSWER = 5.0
"""Seconds in which workers must answer; they are asked again."""

T = TypeVar("T")


class FarEnd(WorkerPlugin):
    """What each worker, also one that comes later, holds for a pool: what to run, and the warm supervisors."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings

    def setup(self, worker: Worker) -> None:
        """A driver that was cut off comes back under its old name."""
        far.admit(self.name)

    async def teardown(self, worker: Worker) -> None:
        """The pool is closed, or the worker goes."""
        await asyncio.to_thread(far.release, self.name)


def run_on_worker(pool: str, token: str, work: Work) -> Outcome:
    """The task, in a thread of a worker."""
    worker = get_worker()
    plugin = worker.plugins[pool]
    assert isinstance(plugin, FarEnd)

    def is_dropped() -> bool:
        """Whether nobody wants the result: the driver is gone, or has given the work up."""
        task = worker.state.tasks.get(token)
        return task is None or task.state == "cancelled"

    return far.run_there(pool, plugin.settings, work, is_dropped, token)


class Demand(Adaptive):
    """As many workers as the works in flight need, and never fewer than have work in hand."""

    def __init__(
        self, cluster: Cluster, n_in_flight: Callable[[], int], threads: Callable[[], int], **named: Any
    ) -> None:
        super().__init__(cluster, interval=TICK, **named)
        self._n_in_flight = n_in_flight
        self._threads = threads

    async def target(self) -> int:
        """Number of workers that should be."""
        busy = sum(1 for keys in (await self.scheduler.processing(workers=None)).values() if keys)
        return max(busy, math.ceil(self._n_in_flight() / self._threads()))


class DaskPool(EnginePool):
    """Every work is a task with a key of its own; tasks tell their end, the scheduler tells which workers are lost."""

    engine = "Dask"

    def __init__(
        self,
        settings: Settings,
        cluster: str | Cluster | Client | None,
        slots: int | None,
        scale: tuple[int, int] | None,
        release_after: float,
    ) -> None:
        super().__init__(settings)
        self._slots = slots
        self._scale = scale
        self._own = _local(slots) if cluster is None else None
        self._cluster = self._own or cluster
        self._client: Client | None = None
        self._adaptive: Adaptive | None = None
        self._lost_at = 0.0
        self._futures: dict[str, Future[Outcome]] = {}
        self._unseen: dict[str, float] = {}
        """Cancelled works that no worker runs, and since when, on the monotonic clock."""
        self._nthreads: dict[str, int] = {}
        self._resources: set[str] | None = None
        """That workers declare; None: to be asked."""
        try:
            self._connect(CONNECT)
        except BaseException as error:
            self._let_go()
            if isinstance(error, (OSError, RuntimeError)):  # nobody there; a cluster that is closed
                raise ExecutorError(f"no Dask scheduler answers at {self._cluster!r}: {describe(error)}") from error
            raise
        if scale is not None:
            assert isinstance(cluster, Cluster)
            self._adapt(cluster, scale, release_after)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Slots, or threads of the cluster: of the most workers it may have, or of those it has; at least 1."""
        if self._slots is not None:
            return self._slots
        if self._scale is not None:
            return self._scale[1] * self._threads_each()
        return max(1, sum(self._nthreads.values()))

    def _threads_each(self) -> int:
        """Of a worker; 1 while there was none."""
        return min(self._nthreads.values(), default=1)

    def _adapt(self, cluster: Cluster, scale: tuple[int, int], release_after: float) -> None:
        def adaptive(cluster: Cluster, **named: Any) -> Demand:
            return Demand(cluster, lambda: len(self._ledger.in_flight()), self._threads_each, **named)

        patience = max(1, round(release_after / TICK))
        self._adaptive = cluster.adapt(adaptive, minimum=scale[0], maximum=scale[1], wait_count=patience)  # type: ignore[arg-type]

    # the engine

    def _places(self) -> int:
        """Where Dask's own threads limit what runs, one more waits for each, so that they need not wait for us."""
        if self._client is None or self._client.status != "running":
            return 0
        is_limited = self._slots is not None and self._own is None
        return self.capacity if is_limited else 2 * self.capacity

    def _hand_over(self, handed: Handed) -> None:
        client, work = self._client, handed.work
        assert client is not None
        future = client.submit(
            run_on_worker,
            self.name,
            handed.token,
            work,
            key=handed.token,
            pure=False,
            retries=0,
            resources=self._asked(client, work),
        )
        self._futures[handed.token] = future
        _loop(client).add_callback(self._follow, client, handed.token, future)

    async def _follow(self, client: Client, token: str, future: Future[Outcome]) -> None:
        """In the client's loop: bring the outcome into the pool's thread."""
        try:
            outcome = await future
        except CancelledError:
            self._calls.put(lambda: self._drop(client, token))
        except Exception as error:
            why = f"Dask lost the work: {describe(error)}"
            self._calls.put(lambda: self._lose([token], why))
        else:
            self._calls.put(lambda: self._arrive(token, outcome))

    def _drop(self, client: Client, token: str) -> None:
        """The scheduler has forgotten a work: unless we wished so, it is another one, or none at all."""
        if token in self._handed and client is self._client:
            self._disconnect(client)

    def _arrive(self, token: str, outcome: Outcome) -> None:
        self._end(token, outcome)
        self._forget(token)

    def _end_there(self, cancelled: list[Handed]) -> None:
        client = self._client
        if client is None:
            return
        graces = {handed.token: handed.grace for handed in cancelled}
        try:
            answers = _answer(client, lambda: client.run(far.cancel_there, self.name, graces, on_error="ignore"))
        except (OSError, ValueError):  # a worker hangs or goes this moment: asked again soon
            return
        running = {token for tokens in answers.values() for token in tokens}
        now = time.monotonic()
        unseen = {token for token in graces if token not in running and self._futures[token].status == "pending"}
        self._unseen = {token: self._unseen.get(token, now) for token in unseen}
        for token in [token for token, since in self._unseen.items() if now - since >= TICK / 2]:
            message = "cancelled before it started"
            self._arrive(token, Outcome(id=self._handed[token].work.id, kind="cancelled", message=message))

    def _forget(self, token: str) -> None:
        self._unseen.pop(token, None)
        future = self._futures.pop(token, None)
        if future is not None:
            future.release()

    def _tend(self) -> None:
        client = self._client
        if client is not None and client.status != "running":
            self._disconnect(client)
            client = None
        if client is None:
            self._reconnect()
            return
        with contextlib.suppress(OSError, ValueError):  # it may be gone this moment
            self._learn(_answer(client, client.nthreads))

    def _learn(self, nthreads: dict[str, int]) -> None:
        if nthreads.keys() != self._nthreads.keys():
            self._resources = None
        self._nthreads = nthreads

    def _asked(self, client: Client, work: Work) -> dict[str, float] | None:
        """The resources of a work, of those that workers declare."""
        asked = {"CPU": work.cpus, "GPU": work.gpus, "MEMORY": work.memory}
        if not any(asked.values()):
            return None
        if self._resources is None:
            workers: Iterable[dict[str, Any]] = client.scheduler_info(n_workers=-1)["workers"].values()
            self._resources = {name for worker in workers for name in worker["resources"]}
        return {name: amount for name, amount in asked.items() if amount and name in self._resources} or None

    # the connection

    def _connect(self, patience: float) -> None:
        given = self._cluster
        if isinstance(given, Client):
            assert given.scheduler is not None
            client = Client(given.scheduler.address, security=given.security, timeout=patience, set_as_default=False)
        else:
            client = Client(given, timeout=patience, set_as_default=False)
        self._client = client
        client.register_plugin(FarEnd(self.name, self._settings), name=self.name)
        client.subscribe_topic("all", self._hear)
        self._learn(_answer(client, client.nthreads))

    def _hear(self, event: tuple[float, Any]) -> None:
        """In the client's loop: what the scheduler tells everybody."""
        message = event[1]
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            had = [*message["processing-tasks"], *message["lost-computed-tasks"]]
            self._calls.put(lambda: self._lose(had, f"the Dask worker {message['worker']} was lost"))

    def _disconnect(self, client: Client) -> None:
        self._lose([*self._handed], "the Dask scheduler was lost")
        self._client, self._lost_at = None, time.monotonic()
        _close(client)

    def _reconnect(self) -> None:
        try:
            self._connect(ANSWER)
        except OSError as error:
            if self._client is not None:  # it went while we made ourselves known
                _close(self._client)
                self._client = None
            if time.monotonic() - self._lost_at > RECONNECT:
                raise ExecutorError(f"the Dask scheduler was lost, and is not back after {RECONNECT:g} s") from error

    def _let_go(self) -> None:
        if self._adaptive is not None:
            self._adaptive.loop.add_callback(self._adaptive.stop)
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError, ValueError):  # gone already, and its workers with it
                client.unsubscribe_topic("all")
                _answer(client, lambda: client.unregister_worker_plugin(self.name), self._settings.grace + ANSWER)
            _close(client)
        if self._adaptive is not None and self._scale is not None:
            self._adaptive.cluster.scale(self._scale[0])
        if self._own is not None:
            self._own.close()


def _local(slots: int | None) -> LocalCluster:
    """One worker, since works run beside it and not in it, with a thread for each slot."""
    return LocalCluster(
        n_workers=1, threads_per_worker=slots or os.cpu_count(), host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )


def _answer(client: Client, ask: Callable[[], Awaitable[T]], patience: float = ANSWER) -> T:
    """What a method of `client` says; raises TimeoutError. Awaited in its loop, because outside it would wait for ever."""

    async def asked() -> T:
        return await ask()

    future = asyncio.run_coroutine_threadsafe(asked(), _loop(client).asyncio_loop)
    try:
        return future.result(patience)
    finally:
        future.cancel()


def _loop(client: Client) -> Any:
    """The loop of a client that was started, which is one of asyncio."""
    return client.loop


def _close(client: Client) -> None:
    with contextlib.suppress(OSError):  # nobody answers its farewell
        client.close(timeout=ANSWER)
