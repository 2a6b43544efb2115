"""A pool on a Ray cluster, and the actors beside which its tasks run. Loads Ray."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hpo.errors import ExecutorError
from hpo.executors.base import Outcome, Task
from hpo.executors.call import describe
from hpo.executors.cluster import installed, remote_worker
from hpo.executors.cluster.pool import QUIET, ClusterPool, Handed
from hpo.executors.cluster.ray_nodes import Nodes, Shape
from hpo.executors.supervisor.messages import Settings

ANSWER = 15.0
"""Seconds in which the nodes must say what they have installed before anything starts."""

COMES_UP = 5.0
"""Seconds in which an actor may come up that has a node. Until then it is not known to wait for one."""


class Seat:
    """The actor beside which tasks run, one at a time; its second thread receives cancellations."""

    def __init__(self, pool: str, settings: Settings, shape: Shape, slots: int | None, limit_memory: bool) -> None:
        self._pool = pool
        self._settings = settings
        self._node: str = ray.get_runtime_context().get_node_id()
        resources = {node["NodeID"]: node["Resources"] for node in ray.nodes()}
        self._share = shape.share(resources.get(self._node, {}), slots) if limit_memory else None

    def begin(self) -> str:
        """Answers once the actor has its place, with the id of the node."""
        return self._node

    def run(self, token: str, task: Task) -> Outcome:
        """Run a task, under a supervisor that stays warm for the next."""
        return remote_worker.run_on_worker(self._pool, self._settings, task, lambda: False, token, share=self._share)

    def cancel(self, token: str, grace: float) -> None:
        """End the task, or do not start it."""
        remote_worker.cancel_on_worker(self._pool, {token: grace})

    def close(self) -> None:
        """End the supervisor."""
        remote_worker.release(self._pool)


@dataclass(eq=False)
class Place:
    """A seat as the driver knows it."""

    shape: Shape
    actor: Any
    barred: frozenset[str]
    """Ids of the nodes where it was not to come up."""
    node: str = ""
    """The id of that where it has what it needs; until it is known nothing runs."""
    token: str | None = None
    """Of the task that runs."""
    free_since: float = field(default_factory=time.monotonic)


class RayPool(ClusterPool):
    """One actor for each task at a time. Actors stay for the next task of the same shape, and go when there is none."""

    cluster = "Ray"

    def __init__(
        self, settings: Settings, address: str | None, slots: int | None, release_after: float, limit_memory: bool
    ) -> None:
        super().__init__(settings)
        self._slots = slots
        self._release_after = release_after
        self._nodes = Nodes({}, {})
        self._looks: dict[str, Any] = {}
        """By the id of a node: what it has installed, which it was asked and has not said yet."""
        self._lack = ""
        self._seats: list[Place] = []
        is_own = _connect(address, slots)
        try:
            self._named_there = self.name, ray.put(settings), slots, limit_memory and not is_own
            self._seat = ray.remote(Seat)
            self._learn(ANSWER)
        except BaseException:
            _disconnect()
            raise
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Slots, or CPUs of the cluster; without idle ones that are avoided, and at least 1."""
        nodes = self._nodes
        if not (left_out := nodes.left_out(self._avoided)) and self._slots is not None:
            return self._slots
        places = {nodes.place(id) for id in left_out}
        n = nodes.cpus(nodes.fit) - max(0, nodes.cpus(left_out) - self._n_begun(places))
        return max(1, n if self._slots is None else min(self._slots, n))

    # the cluster

    def _places(self) -> int:
        return 0 if self._nodes.unfit.keys() == self._nodes.known.keys() != set() else self.capacity

    def _hand_over(self, handed: Handed) -> None:
        place = self._free_place(Shape.of(handed.task))
        place.token = handed.token
        self._sit(place)
        done: Future[Outcome] = place.actor.run.remote(handed.token, handed.task).future()
        done.add_done_callback(lambda done: self._calls.put(lambda: self._arrive(place, handed.token, done)))

    def _free_place(self, shape: Shape) -> Place:
        barred = self._nodes.barred(shape, self._avoided)
        free = [place for place in self._seats if place.token is None]
        for place in free:
            if place.shape == shape and place.node not in barred:
                return place
        self._leave(*free)  # what they keep for the next of their kind may be what this one needs
        return self._new_place(shape, barred)

    def _new_place(self, shape: Shape, barred: frozenset[str]) -> Place:
        options: dict[str, Any] = {"num_cpus": shape.num_cpus, "num_gpus": shape.num_gpus, "memory": shape.memory}
        if barred:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(barred))})"}
        pool, settings, slots, limit_memory = self._named_there
        actor = self._seat.options(max_concurrency=2, max_restarts=0, max_task_retries=0, **options).remote(
            pool, settings, shape, slots, limit_memory
        )
        place = Place(shape, actor, barred)
        begun: Future[str] = actor.begin.remote().future()
        begun.add_done_callback(lambda begun: self._calls.put(lambda: self._begin(place, begun)))
        self._seats.append(place)
        return place

    def _begin(self, place: Place, begun: Future[str]) -> None:
        if begun.exception() is None:
            place.node = begun.result()
            self._sit(place)

    def _sit(self, place: Place) -> None:
        """The task starts, if its place is there."""
        if place.node and place.token in self._handed:
            handed = self._handed[place.token]
            handed.place, handed.begun_at = self._nodes.place(place.node), time.time()

    def _move(self) -> None:
        """Tasks that wait for a node that is now avoided ask for another one."""
        to_move = [
            place.token
            for place in self._seats
            if place.token in self._handed
            and not place.node
            and place.barred != self._nodes.barred(place.shape, self._avoided)
        ]
        self._give_again(token for token in to_move if token)

    def _arrive(self, place: Place, token: str, done: Future[Outcome]) -> None:
        """A task has ended, or its actor has."""
        if place.token == token:
            place.token, place.free_since = None, time.monotonic()
        error = done.exception()
        if error is None:
            self._end(token, done.result())
            self._make_room()
        else:
            self._kill(place)
            self._lose([token], f"the Ray worker was lost: {describe(error)}")

    def _make_room(self) -> None:
        """Give an idle place to a task that waits for a node, or release what the place holds. Places that are starting are
        left alone: with short tasks the idle place would always be quicker, and a second one would never start."""
        late = time.monotonic() - COMES_UP
        for free in [place for place in self._seats if place.token is None]:
            held = [place for place in self._seats if not place.node and place.token in self._handed]
            waiting = [place for place in held if place.token and self._handed[place.token].since <= late]
            alike = [place for place in waiting if place.shape == free.shape and free.node not in place.barred]
            if alike and alike[0].token:
                self._give_again([alike[0].token])
            elif waiting:
                self._leave(free)

    def _end_there(self, cancelled: list[Handed]) -> None:
        for handed in cancelled:
            place = self._place_of(handed.token)
            assert place is not None
            if place.node:
                place.actor.cancel.remote(handed.token, handed.grace)
            else:
                message = "cancelled before it started"
                self._end(handed.token, Outcome(id=handed.task.id, kind="cancelled", message=message))
                self._kill(place)

    def _forget(self, token: str) -> None:
        place = self._place_of(token)
        if place is not None:
            self._kill(place)

    def _place_of(self, token: str) -> Place | None:
        return next((place for place in self._seats if place.token == token), None)

    def _tend(self) -> None:
        if not ray.is_initialized():
            raise ExecutorError("the connection to Ray was closed")
        self._learn(0.0)
        self._move()
        self._make_room()
        self._tell()
        now = time.monotonic()
        for place in [place for place in self._seats if place.token is None]:
            if now - place.free_since > self._release_after:
                self._leave(place)

    def _learn(self, patience: float) -> None:
        """Which nodes there are, and whether new ones have our hpo."""
        self._nodes = nodes = Nodes.of(ray.nodes(), self._nodes.unfit)
        for id in nodes.known.keys() - self._looks.keys():
            self._looks[id] = _look(id)
        asked = {look: id for id, look in self._looks.items() if look is not None}
        if not asked:
            return
        said, _ = ray.wait(list(asked), num_returns=len(asked), timeout=patience)
        found = {}
        for look in said:
            self._looks[asked[look]] = None
            with contextlib.suppress(Exception):  # it has left
                found[asked[look]] = ray.get(look)
        where = f"the nodes of the Ray cluster at {ray.get_runtime_context().gcs_address}"
        misfits = installed.misfits(found, where, is_function=self._settings.function is not None)
        named = installed.sentences({nodes.place(id): why for id, why in misfits.items()})
        self._nodes = Nodes(nodes.known, {**nodes.unfit, **misfits})
        if misfits and self._nodes.unfit.keys() == nodes.known.keys():
            raise ExecutorError(named)
        if misfits:
            self._notices.append(f"{named}; no trial starts there")

    def _tell(self) -> None:
        """Of what tasks wait for, once that has lasted for a while, and again when it has changed."""
        now, words = time.monotonic(), ""
        for place in self._seats:
            handed = self._handed.get(place.token or "")
            if handed is not None and not place.node and now - handed.since >= QUIET:
                words = self._nodes.lack(place.shape, ray.available_resources())
                break
        if words and words != self._lack:
            self._notices.append(f"{words}; {self._waiting()}")
        self._lack = words

    def _kill(self, place: Place) -> None:
        """End an actor at once; its supervisor notices, and ends what ran."""
        if place in self._seats:
            self._seats.remove(place)
            with contextlib.suppress(Exception):  # it is gone already
                ray.kill(place.actor)

    def _leave(self, *places: Place) -> None:
        """Release actors that run no task, once their supervisors have gone."""
        closing = [place.actor.close.remote() for place in places if place.node]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=self._settings.grace + 5.0)
        for place in places:
            self._kill(place)

    def _let_go(self) -> None:
        if ray.is_initialized():
            self._leave(*self._seats)
        _disconnect()


_lock = threading.Lock()
_n_pools = 0
_is_ours = False
"""Whether the connection of this process was made here, and ends with the last pool."""
_is_local = False
"""Whether the cluster was made with it."""


def _connect(address: str | None, slots: int | None) -> bool:
    """Returns whether the cluster is one that was started here, where nobody has set limits."""
    global _n_pools, _is_ours, _is_local
    with _lock:
        if not ray.is_initialized():
            named: dict[str, Any] = {"address": address}
            if address is None:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                named = {"address": "local", "num_cpus": slots, "include_dashboard": False}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # tips about its future versions, files that it leaves to be closed
                    ray.init(**named, log_to_driver=False, configure_logging=False)
            except (OSError, RuntimeError, ValueError) as error:
                if "ersion mismatch" in str(error):
                    raise ExecutorError(f"the Ray cluster at {address!r} is another one: {describe(error)}") from error
                raise ExecutorError(f"no Ray cluster answers at {address!r}: {describe(error)}") from error
            _is_ours, _is_local = True, address is None
        _n_pools += 1
        return _is_ours and _is_local


def _disconnect() -> None:
    global _n_pools, _is_ours
    with _lock:
        _n_pools -= 1
        if _n_pools == 0 and _is_ours:
            ray.shutdown()
            _is_ours = False


def _look(node: str) -> Any:
    """Ask a node what it has installed; what is sent there needs no hpo."""
    look = eval(f"lambda: {installed.expression()}", {"__name__": "__main__"})  # noqa: S307 - a text of ours
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0)(look).options(scheduling_strategy=there).remote()
