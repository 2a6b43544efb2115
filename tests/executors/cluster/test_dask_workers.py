from __future__ import annotations

from typing import Any

import pytest

from hpo.executors import Task
from hpo.executors.cluster import dask_workers
from hpo.executors.cluster.dask_workers import Watch, Workers
from hpo.executors.cluster.pool import QUIET, Handed

A1, A2, B, C = "tcp://10.0.0.1:1001", "tcp://10.0.0.1:1002", "tcp://10.0.0.2:1001", "tcp://10.0.0.3:1001"


def workers(*addresses: str, unfit: tuple[str, ...] = (), **resources: dict[str, float]) -> Workers:
    known = {a: {"nthreads": 2, "resources": resources.get(f"on_{i}", {})} for i, a in enumerate(addresses)}
    return Workers(known, dict.fromkeys(unfit, "has no hpo"))


def task(**asked: Any) -> Task:
    return Task(id="a", payload={}, **asked)


def test_a_place_is_a_host_unless_there_is_one_alone() -> None:
    assert [workers(A1, A2, B).place(a) for a in (A1, A2, B, C)] == ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert workers(A1, A2).place(A1) == A1
    assert workers("tcp://127.0.0.1:1", B).place("tcp://127.0.0.1:1") == "tcp://127.0.0.1:1"
    assert workers().place(A1) == A1


def test_avoided_hosts_and_workers_are_left_out_while_there_are_others() -> None:
    cluster = workers(A1, A2, B)
    assert cluster.allowed(task(), ()) is None
    assert cluster.allowed(task(), {"10.0.0.1"}) == frozenset({B})
    assert cluster.allowed(task(), {A1}) == frozenset({A2, B})
    assert cluster.allowed(task(), {"10.0.0.1", "10.0.0.2"}) is None, "a wish"
    assert cluster.allowed(task(), {"10.0.0.9"}) is None
    left_out = [cluster.left_out(avoided) for avoided in ((), {A1}, {"10.0.0.1"}, {"10.0.0.1", B})]
    assert left_out == [set(), {A1}, {A1, A2}, set()]
    assert [cluster.threads(addresses) for addresses in left_out] == [0, 2, 4, 0]


def test_what_only_an_avoided_worker_can_hold_goes_there() -> None:
    cluster = workers(A1, B, on_0={"GPU": 2.0}, on_1={"GPU": 1.0})
    assert cluster.allowed(task(gpus=1), {"10.0.0.1"}) == frozenset({B})
    assert cluster.allowed(task(gpus=2), {"10.0.0.1"}) == frozenset({A1})


def test_nothing_goes_where_nothing_can_run() -> None:
    assert workers(A1, B, unfit=(B,)).allowed(task(), ()) == frozenset({A1})
    assert workers(A1, B, unfit=(B,)).allowed(task(), {"10.0.0.1"}) == frozenset({A1}), "more than a wish"
    assert workers(A1, B, unfit=(B,)).left_out({"10.0.0.1"}) == set()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_what_tasks_wait_for_is_said_once_and_again_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch, at = Clock(), Watch(), "tcp://10.0.0.1:8786"
    monkeypatch.setattr(dask_workers, "time", clock)

    def later(seconds: float, now: Workers, waiting: str = "1 trial waits") -> list[str]:
        clock.now += seconds
        return watch.words(at, now, [], waiting)

    assert later(0.0, workers(), waiting="") == later(2 * QUIET, workers(), waiting="") == [], "nothing waits"
    assert later(0.0, workers()) == later(QUIET / 2, workers()) == []
    assert later(QUIET / 2, workers()) == [f"the Dask scheduler at {at} has no workers yet; 1 trial waits"]
    assert later(10 * QUIET, workers()) == []
    assert later(1.0, workers(A1)) == [f"the Dask scheduler at {at} has 1 worker now"]
    assert later(10 * QUIET, workers(A1)) == later(0.0, workers()) == []
    assert later(QUIET, workers(), "2 trials wait") == [
        f"the last worker of the Dask scheduler at {at} has left; 2 trials wait"
    ]


def test_what_no_worker_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = Clock(), Watch()
    monkeypatch.setattr(dask_workers, "time", clock)
    cluster = workers(A1, B, on_0={"GPU": 1.0}, on_1={"GPU": 2.0})
    waiting = [Handed("t1", task(gpus=1), since=0.0), Handed("t2", task(gpus=4), since=0.0)]
    assert watch.words("tcp://s", cluster, waiting, "2 trials wait") == []
    clock.now = QUIET
    assert watch.words("tcp://s", cluster, waiting, "2 trials wait") == [
        "no worker of the Dask scheduler at tcp://s can hold a trial: a trial asks for GPU=4, and the most that a worker "
        "has is GPU=2; 2 trials wait"
    ]
    assert watch.words("tcp://s", cluster, waiting, "2 trials wait") == []
