"""A pool on a Dask cluster. Loads Dask."""

from __future__ import annotations

import contextlib
import math
import pickle
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from distributed import Adaptive, Client, Future
from distributed.deploy.cluster import Cluster

from hpo.errors import ExecutorError
from hpo.executors.base import Outcome
from hpo.executors.call import describe
from hpo.executors.cluster import installed, remote_worker
from hpo.executors.cluster.dask_client import ANSWER, address_of, answer, close, local_cluster, loop_of
from hpo.executors.cluster.dask_remote import RUN, RemoteWorker, forget_topic
from hpo.executors.cluster.dask_workers import Watch, Workers
from hpo.executors.cluster.pool import TICK, ClusterPool, Handed
from hpo.executors.supervisor.messages import Settings

CONNECT = 30.0
"""Seconds in which the scheduler must answer at first."""

RECONNECT = 60.0
"""Seconds for which a scheduler that was lost is looked for."""


class Demand(Adaptive):
    """As many workers as the tasks in flight need, and never fewer than run one."""

    def __init__(self, cluster: Cluster, n_wanted: Callable[[], int], threads: Callable[[], int], **named: Any) -> None:
        super().__init__(cluster, interval=TICK, **named)
        self._n_wanted = n_wanted
        self._threads = threads

    async def target(self) -> int:
        """Number of workers that should be."""
        busy = sum(1 for keys in (await self.scheduler.processing(workers=None)).values() if keys)
        return max(busy, math.ceil(self._n_wanted() / self._threads()))


class DaskPool(ClusterPool):
    """Every task is a Dask task with its own key; events report its start, its end, and lost workers."""

    cluster = "Dask"

    def __init__(
        self,
        settings: Settings,
        cluster: str | Cluster | Client | None,
        slots: int | None,
        scale: tuple[int, int] | None,
        release_after: float,
        limit_memory: bool,
    ) -> None:
        super().__init__(settings)
        self._slots = slots
        self._scale = scale
        self._plugin = RemoteWorker(self.name, settings, slots, limit_memory)
        self._own = local_cluster(slots) if cluster is None else None
        self._cluster = self._own or cluster
        self._client: Client | None = None
        self._adaptive: Adaptive | None = None
        self._lost_at = 0.0
        self._futures: dict[str, Future[Outcome | None]] = {}
        self._allowed: dict[str, frozenset[str] | None] = {}
        """Where tasks may run, of those in `_futures`; None: everywhere."""
        self._unseen: dict[str, float] = {}
        """Cancelled tasks that no worker runs, and since when, on the monotonic clock."""
        self._workers = Workers({}, {})
        self._watch = Watch()
        try:
            self._connect(CONNECT)
        except BaseException as error:
            self._let_go()
            if isinstance(error, (OSError, RuntimeError)) and not isinstance(
                error, ExecutorError
            ):  # nobody answers, or it is closed
                raise ExecutorError(f"no Dask scheduler answers at {self._cluster!r}: {describe(error)}") from error
            raise
        if scale is not None:
            assert isinstance(cluster, Cluster)
            self._adapt(cluster, scale, release_after)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Slots, or threads of the cluster: of the most workers it may have, or of those it has; without idle ones that are
        avoided, and at least 1."""
        n_left_out, workers = self._n_left_out(), self._workers
        if self._slots is not None and not n_left_out:
            return self._slots
        n = self._scale[1] * self._threads_each() if self._scale else workers.threads(workers.fit)
        return max(1, min(n - n_left_out, self._slots or n))

    def _n_left_out(self) -> int:
        """Idle threads where nothing is to start."""
        workers = self._workers
        left_out = workers.left_out(self._avoided)
        return max(0, workers.threads(left_out) - self._n_begun({workers.place(address) for address in left_out}))

    def _threads_each(self) -> int:
        return self._workers.threads_each()

    def _adapt(self, cluster: Cluster, scale: tuple[int, int], release_after: float) -> None:
        def adaptive(cluster: Cluster, **named: Any) -> Demand:
            return Demand(cluster, self._n_wanted, self._threads_each, **named)

        patience = max(1, round(release_after / TICK))
        self._adaptive = cluster.adapt(adaptive, minimum=scale[0], maximum=scale[1], wait_count=patience)  # type: ignore[arg-type]

    def _n_wanted(self) -> int:
        """Threads that are needed, beside those that are left out."""
        n = len(self._queue.in_flight())
        return n and n + self._n_left_out()

    # the cluster

    def _places(self) -> int:
        """Where Dask's own threads limit what runs, one more waits for each, so that they need not wait for us."""
        if self._client is None or self._client.status != "running" or not self._workers.fit:
            return 0
        is_limited = self._slots is not None and self._own is None
        return self.capacity if is_limited else 2 * self.capacity

    def _hand_over(self, handed: Handed) -> None:
        client, task = self._client, handed.task
        assert client is not None
        allowed = self._workers.allowed(task, self._avoided)
        future = client.submit(
            eval,
            RUN,
            {"pool": self.name, "token": handed.token, "pickled": pickle.dumps(task)},
            key=handed.token,
            pure=False,
            retries=0,
            resources=self._workers.asked(task) or None,
            workers=None if allowed is None else sorted(allowed),
        )
        self._futures[handed.token] = future
        self._allowed[handed.token] = allowed

    def _note(self, client: Client, told: dict[str, Any]) -> None:
        """A worker reports on a task."""
        token = told["token"]
        if (handed := self._handed.get(token)) is None:
            return
        handed.place = self._workers.place(told["worker"])
        if "begun_at" in told:
            handed.begun_at = told["begun_at"]
        elif told["outcome"]:
            self._arrive(token, pickle.loads(told["outcome"]))  # noqa: S301 - written by our own worker
        else:
            self._fetch(client, token)

    def _fetch(self, client: Client, token: str) -> None:
        loop_of(client).add_callback(self._follow, client, token, self._futures[token])

    async def _follow(self, client: Client, token: str, future: Future[Outcome | None]) -> None:
        """In the client's loop: bring the outcome into the pool's thread."""
        try:
            outcome = await future
        except CancelledError:
            self._calls.put(lambda: self._drop(client, token))
        except Exception as error:
            why = f"Dask lost the task: {describe(error)}"
            self._calls.put(lambda: self._miss(token, why))
        else:
            lost = "Dask lost the outcome"
            self._calls.put(lambda: self._arrive(token, outcome) if outcome else self._lose([token], lost))

    def _miss(self, token: str, why: str) -> None:
        """A task has failed. If it was at a worker that joined without our hpo, it goes elsewhere."""
        handed = self._handed.get(token)
        if handed is not None and handed.begun_at is None and self._workers.unfit and not self._allowed[token]:
            self._give_again([token])
        else:
            self._lose([token], why)

    def _drop(self, client: Client, token: str) -> None:
        """The scheduler has forgotten a task that we did not cancel: it was replaced, or is gone."""
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
            answers = answer(
                client, lambda: client.run(remote_worker.cancel_on_worker, self.name, graces, on_error="ignore")
            )
        except (OSError, ValueError):  # a worker hangs or has just gone: asked again soon
            return
        running = {token for tokens in answers.values() for token in tokens}
        now = time.monotonic()
        unseen = {token for token in graces if token not in running and self._futures[token].status == "pending"}
        self._unseen = {token: self._unseen.get(token, now) for token in unseen}
        for token in [token for token, since in self._unseen.items() if now - since >= TICK / 2]:
            message = "cancelled before it started"
            self._arrive(token, Outcome(id=self._handed[token].task.id, kind="cancelled", message=message))

    def _move(self) -> None:
        client = self._client
        waiting = [handed for handed in self._handed.values() if handed.begun_at is None and handed.grace is None]
        to_move = {
            handed.token
            for handed in waiting
            if self._workers.allowed(handed.task, self._avoided) != self._allowed[handed.token]
        }
        if client is None or not to_move:
            return
        with contextlib.suppress(OSError, ValueError):  # a worker hangs or has just gone: asked again soon
            answers = answer(
                client, lambda: client.run(remote_worker.withdraw_on_worker, self.name, to_move, on_error="ignore")
            )
            self._give_again(to_move.difference(*answers.values()))

    def _forget(self, token: str) -> None:
        self._unseen.pop(token, None)
        self._allowed.pop(token, None)
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
        with contextlib.suppress(OSError, ValueError):  # it may have just gone
            self._learn(client)
        self._move()
        for token in [token for token, future in self._futures.items() if future.status != "pending"]:
            self._fetch(client, token)  # nothing was heard of its end
        waiting = [handed for handed in self._handed.values() if handed.begun_at is None]
        self._notices += self._watch.words(address_of(client), self._workers, waiting, self._waiting())

    def _learn(self, client: Client, patience: float = ANSWER) -> None:
        """Which workers there are, and whether new ones have our hpo."""
        before = self._workers
        if answer(client, client.nthreads).keys() == before.known.keys():
            return
        scheduler = client.scheduler
        assert scheduler is not None
        known = answer(client, lambda: scheduler.identity(n_workers=-1))["workers"]
        found: dict[str, dict[str, str]] = {}
        if new := [address for address in known if address not in before.known]:
            with contextlib.suppress(
                OSError, ValueError
            ):  # one hangs or goes: what is not known is not held against it
                found = answer(
                    client,
                    lambda: client.run(eval, installed.expression(), workers=new, on_error="ignore"),
                    patience,
                )
        whose = f"the workers of {address_of(client)}"
        misfits = installed.misfits(found, whose, is_function=self._settings.function is not None)
        unfit = {address: why for address, why in {**before.unfit, **misfits}.items() if address in known}
        self._workers = Workers(known, unfit)
        if misfits and not self._workers.fit and not before.fit:
            raise ExecutorError(installed.sentences(misfits))
        if misfits:
            self._notices.append(f"{installed.sentences(misfits)}; no trial starts there")

    # the connection

    def _connect(self, patience: float) -> None:
        given = self._cluster
        if isinstance(given, Client):
            assert given.scheduler is not None
            client = Client(given.scheduler.address, security=given.security, timeout=patience, set_as_default=False)
        else:
            client = Client(given, timeout=patience, set_as_default=False)
        self._client = client
        self._workers = Workers({}, {})
        found = answer(client, lambda: client.run_on_scheduler(eval, installed.expression()), patience)
        if why := installed.misfits(
            {"the scheduler": found}, f"the machines of {address_of(client)}", is_function=False
        ):
            raise ExecutorError(installed.sentences(why))
        self._learn(client, patience)
        client.subscribe_topic("all", self._hear)
        client.subscribe_topic(self.name, lambda event: self._calls.put(lambda: self._note(client, event[1])))
        client.register_plugin(self._plugin, name=self.name)

    def _hear(self, event: tuple[float, Any]) -> None:
        """In the client's loop: what the scheduler tells everybody."""
        message = event[1]
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            had, worker = [*message["processing-tasks"], *message["lost-computed-tasks"]], message["worker"]
            why = f"the Dask worker {worker} was lost"
            self._calls.put(lambda: self._lose(had, why, self._workers.place(worker)))

    def _disconnect(self, client: Client) -> None:
        self._lose([*self._handed], "the Dask scheduler was lost")
        self._notices.append(
            f"the Dask scheduler at {address_of(client)} was lost; it is looked for for {RECONNECT:g} s"
        )
        self._client, self._lost_at = None, time.monotonic()
        close(client)

    def _reconnect(self) -> None:
        try:
            self._connect(ANSWER)
        except OSError as error:
            if self._client is not None:  # it went while the pool connected
                close(self._client)
                self._client = None
            if time.monotonic() - self._lost_at > RECONNECT:
                raise ExecutorError(f"the Dask scheduler was lost, and is not back after {RECONNECT:g} s") from error
        else:
            assert self._client is not None
            self._notices.append(f"the Dask scheduler at {address_of(self._client)} is back")

    def _let_go(self) -> None:
        if self._adaptive is not None:
            self._adaptive.loop.add_callback(self._adaptive.stop)
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError, ValueError):  # gone already, and its workers with it
                client.unsubscribe_topic("all")
                answer(client, lambda: client.unregister_worker_plugin(self.name), self._settings.grace + ANSWER)
                client.unsubscribe_topic(self.name)
                answer(client, lambda: client.run_on_scheduler(forget_topic, self.name))
            close(client)
        if self._adaptive is not None and self._scale is not None:
            self._adaptive.cluster.scale(self._scale[0])
        if self._own is not None:
            self._own.close()
