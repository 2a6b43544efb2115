"""A pool on a Ray cluster, and its far end in actors. Loads Ray."""

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

from hpo.errors import ExecutorError
from hpo.executors import far
from hpo.executors.base import Outcome, Work
from hpo.executors.call import describe
from hpo.executors.engine import EnginePool, Handed
from hpo.executors.wire import Settings


class Seat:
    """The actor beside which works run, one at a time; a second thread of its hears of cancellations."""

    def __init__(self, pool: str, settings: Settings) -> None:
        self._pool = pool
        self._settings = settings

    def begin(self) -> None:
        """Answers once the actor has its place."""

    def run(self, token: str, work: Work) -> Outcome:
        """Run a work, under a supervisor that stays warm for the next."""
        return far.run_there(self._pool, self._settings, work, lambda: False, token)

    def cancel(self, token: str, grace: float) -> None:
        """End the work, or do not start it."""
        far.cancel_there(self._pool, {token: grace})

    def close(self) -> None:
        """End the supervisor."""
        far.release(self._pool)


@dataclass(frozen=True)
class Shape:
    """What Ray sets aside for a work."""

    num_cpus: float
    num_gpus: int
    memory: int | None

    @classmethod
    def of(cls, work: Work) -> Shape:
        """As it asks; one CPU if it says nothing."""
        return cls(1.0 if work.cpus is None else work.cpus, work.gpus, work.memory)


@dataclass(eq=False)
class Place:
    """A seat as the driver knows it."""

    shape: Shape
    actor: Any
    has_begun: bool = False
    """Whether it was given what it needs; until then nothing runs there."""
    token: str | None = None
    """Of the work in hand."""
    free_since: float = field(default_factory=time.monotonic)


class RayPool(EnginePool):
    """One actor for each work at a time. Actors stay for the next work of the same shape, and go when there is none."""

    engine = "Ray"

    def __init__(self, settings: Settings, address: str | None, slots: int | None, release_after: float) -> None:
        super().__init__(settings)
        self._slots = slots
        self._release_after = release_after
        _connect(address, slots)
        try:
            self._settings_there = ray.put(settings)
            self._seat = ray.remote(Seat)
            self._n_cpus = _cpus()
        except BaseException:
            _disconnect()
            raise
        self._seats: list[Place] = []
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Slots, or CPUs of the cluster; at least 1."""
        return max(1, self._n_cpus) if self._slots is None else self._slots

    # the engine

    def _places(self) -> int:
        return self.capacity

    def _hand_over(self, handed: Handed) -> None:
        place = self._free_place(Shape.of(handed.work))
        place.token = handed.token
        done: Future[Outcome] = place.actor.run.remote(handed.token, handed.work).future()
        done.add_done_callback(lambda done: self._calls.put(lambda: self._arrive(place, handed.token, done)))

    def _free_place(self, shape: Shape) -> Place:
        free = [place for place in self._seats if place.token is None]
        for place in free:
            if place.shape == shape:
                return place
        self._leave(*free)  # what they keep for the next of their kind may be what this one needs
        return self._new_place(shape)

    def _new_place(self, shape: Shape) -> Place:
        options = {"num_cpus": shape.num_cpus, "num_gpus": shape.num_gpus, "memory": shape.memory}
        actor = self._seat.options(max_concurrency=2, max_restarts=0, max_task_retries=0, **options).remote(
            self.name, self._settings_there
        )
        place = Place(shape, actor)
        begun: Future[None] = actor.begin.remote().future()
        begun.add_done_callback(lambda begun: self._calls.put(lambda: self._begin(place, begun)))
        self._seats.append(place)
        return place

    def _begin(self, place: Place, begun: Future[None]) -> None:
        place.has_begun = begun.exception() is None

    def _arrive(self, place: Place, token: str, done: Future[Outcome]) -> None:
        """A work has ended, or its actor has."""
        if place.token == token:
            place.token, place.free_since = None, time.monotonic()
        error = done.exception()
        if error is None:
            self._end(token, done.result())
        else:
            self._kill(place)
            self._lose([token], f"the Ray worker was lost: {describe(error)}")

    def _end_there(self, cancelled: list[Handed]) -> None:
        for handed in cancelled:
            place = self._place_of(handed.token)
            assert place is not None
            if place.has_begun:
                place.actor.cancel.remote(handed.token, handed.grace)
            else:
                message = "cancelled before it started"
                self._end(handed.token, Outcome(id=handed.work.id, kind="cancelled", message=message))
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
        self._n_cpus = _cpus()
        now = time.monotonic()
        for place in [place for place in self._seats if place.token is None]:
            if now - place.free_since > self._release_after:
                self._leave(place)

    def _kill(self, place: Place) -> None:
        """End an actor at once; its supervisor notices, and ends what ran."""
        if place in self._seats:
            self._seats.remove(place)
            with contextlib.suppress(Exception):  # it is gone already
                ray.kill(place.actor)

    def _leave(self, *places: Place) -> None:
        """Let go of actors that have no work in hand, when their supervisors have gone."""
        closing = [place.actor.close.remote() for place in places if place.has_begun]
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


def _connect(address: str | None, slots: int | None) -> None:
    global _n_pools, _is_ours
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
                raise ExecutorError(f"no Ray cluster answers at {address!r}: {describe(error)}") from error
            _is_ours = True
        _n_pools += 1


def _disconnect() -> None:
    global _n_pools, _is_ours
    with _lock:
        _n_pools -= 1
        if _n_pools == 0 and _is_ours:
            ray.shutdown()
            _is_ours = False


def _cpus() -> int:
    return int(ray.cluster_resources().get("CPU", 0))
