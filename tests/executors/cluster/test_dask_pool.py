from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster

from hpo.errors import ExecutorError
from hpo.executors import Dask, Task
from hpo.executors.cluster import dask_pool, dask_workers
from hpo.executors.cluster import pool as engine
from hpo.testing.executors import (
    await_that,
    behave,
    collect,
    is_gone,
)
from tests.executors.cluster.local_dask import local


def test_a_client_is_used_and_left_as_it_was(cluster: LocalCluster) -> None:
    with Client(cluster, set_as_default=False) as client:
        with Dask(client).start(behave) as pool:
            assert pool.capacity == 4
            pool.submit(Task(id="a", payload={"do": "pass", "value": 1}))
            assert collect(pool, 1)[0].value == {"value": 1}
        assert client.submit(lambda x: x + 1, 1).result() == 2


def test_capacity_is_that_of_the_cluster() -> None:
    with local(1, threads=2) as cluster, Dask(cluster).start(behave) as pool, Dask(cluster, 7).start(behave) as seven:
        assert (pool.capacity, seven.capacity) == (2, 7)
        for workers in (2, 1, 0):
            cluster.scale(workers)
            await_that(lambda n=workers: pool.capacity == max(1, 2 * n), "the pool notices")  # type: ignore[misc]
        pool.submit(Task(id="a", payload={"do": "pass"}), Task(id="b", payload={"do": "pass"}))
        assert pool.wait(0.0) == []
        pool.cancel(["b"])
        assert [(o.id, o.kind) for o in collect(pool, 1)] == [("b", "cancelled")]
        cluster.scale(1)
        assert [(o.id, o.kind) for o in collect(pool, 1)] == [("a", None)]


def test_an_elastic_cluster_grows_with_the_task_and_shrinks_without(tmp_path: Path) -> None:
    with local(0) as cluster:
        pool = Dask(cluster, scale=(0, 2), release_after=1.0).start(behave)
        assert pool.capacity == 2
        for name in "ab":
            gate, mark = str(tmp_path / f"{name}.gate"), str(tmp_path / name)
            pool.submit(Task(id=name, payload={"do": "hold", "gate": gate, "mark": mark}))
        await_that((tmp_path / "a").exists, "a worker comes")
        await_that((tmp_path / "b").exists, "another one comes, and a place there")
        processes = [psutil.Process(nanny.pid) for nanny in cluster.workers.values()]
        assert len(processes) == 2
        (tmp_path / "a.gate").touch()
        assert collect(pool, 1)[0].id == "a"
        await_that(lambda: sum(process.is_running() for process in processes) == 1, "the one without task goes")
        assert not is_gone(tmp_path / "b")
        (tmp_path / "b.gate").touch()
        assert [(o.id, o.kind) for o in collect(pool, 1)] == [("b", None)]
        await_that(lambda: not any(process.is_running() for process in processes), "the other one goes")

        pool.submit(Task(id="d", payload={"do": "pass", "value": 1}))
        assert collect(pool, 1)[0].value == {"value": 1}
        processes = [psutil.Process(nanny.pid) for nanny in cluster.workers.values()]
        pool.close()
        await_that(lambda: not any(process.is_running() for process in processes), "none outlives the pool")


def test_places_are_named_and_avoided_and_what_waits_there_moves(cluster: LocalCluster, tmp_path: Path) -> None:
    with Dask(cluster, grace=0.1).start(behave) as pool:
        gates = {name: tmp_path / f"{name}.gate" for name in "abcdefgh"}
        for name, gate in gates.items():
            payload = {"do": "hold", "gate": str(gate), "mark": str(tmp_path / name), "value": name}
            pool.submit(Task(id=name, payload=payload))
        await_that(lambda: sum((tmp_path / name).exists() for name in gates) == 4, "all threads are taken")
        first = next(name for name in gates if (tmp_path / name).exists())
        gates[first].touch()
        bad = collect(pool, 1)[0].place
        assert cluster.scheduler is not None
        assert bad in cluster.scheduler.workers
        await_that(lambda: sum((tmp_path / name).exists() for name in gates) == 5, "another one starts")
        pool.avoid({bad})
        running = {name for name in gates if (tmp_path / name).exists()} - {first}
        await_that(lambda: pool.capacity == 4, "what has begun there leaves the other's threads free")
        time.sleep(1.0)  # what was on its way has moved by now
        for gate in gates.values():
            gate.touch()
        places = {outcome.id: outcome.place for outcome in collect(pool, 7)}
        assert bad in {places[name] for name in running}, "what has begun runs on"
        assert bad not in {places[name] for name in gates.keys() - running - {first}}
        assert pool.capacity == 2, "its idle threads do not count"
        pool.submit(*(Task(id=f"w{i}", payload={"do": "pass"}) for i in range(8)))
        assert bad not in {outcome.place for outcome in collect(pool, 8)}
        pool.avoid(set(places.values()) | {bad})
        pool.submit(Task(id="z", payload={"do": "pass", "value": 1}))
        assert collect(pool, 1)[0].value == {"value": 1}, "a wish, where nothing is left"


def test_a_lost_worker_is_named_and_what_it_had_had_begun(cluster: LocalCluster, tmp_path: Path) -> None:
    with Dask(cluster, 1, grace=0.1).start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "hang", "mark": str(tmp_path / "mark")}))
        await_that((tmp_path / "mark").exists, "it starts")
        psutil.Process(int((tmp_path / "mark").read_text())).parents()[1].kill()
        outcome = collect(pool, 1)[0]
    assert outcome.kind == "infra"
    assert outcome.started_at is not None
    assert outcome.place.startswith("tcp://127.0.0.1:")
    assert outcome.place in outcome.message


def test_no_workers_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "QUIET", 0.5)
    told: list[str] = []

    def tell(n: int) -> bool:
        told.extend(pool.notices())
        return len(told) == n

    with local(0) as cluster, Dask(cluster).start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "pass"}))
        await_that(lambda: tell(1), "somebody is told")
        cluster.scale(1)
        assert collect(pool, 1)[0].kind is None
        await_that(lambda: tell(2), "and told again")
        at = f"the Dask scheduler at {cluster.scheduler_address} has"
    assert told == [f"{at} no workers yet; 1 trial waits", f"{at} 1 worker now"]


def test_workers_without_hpo_are_refused_and_left_out_later(tmp_path: Path) -> None:
    (tmp_path / "hpo.py").write_text("raise ModuleNotFoundError(\"No module named 'hpo'\", name='hpo')")
    with local(0) as cluster:
        address = cluster.scheduler_address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
        command += ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--local-directory", str(tmp_path)]
        pool = Dask(cluster).start(behave)
        assert cluster.scheduler is not None
        scheduler, told = cluster.scheduler, list[str]()
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as worker:
            try:
                await_that(lambda: len(scheduler.workers) == 1, "it joins all the same")
                with pytest.raises(
                    ExecutorError, match=f"the workers of {address} have no hpo: install the same version"
                ):
                    Dask(cluster).start(behave)
                with pytest.raises(ExecutorError, match="have no hpo: install the same version"):
                    collect(pool, 1)
                pool.close()
                cluster.scale(1)
                await_that(lambda: len(scheduler.workers) == 2, "one with hpo comes")
                with Dask(cluster).start(behave) as second:
                    told += second.notices()
                    second.submit(*(Task(id=str(i), payload={"do": "pass", "value": i}) for i in range(6)))
                    assert {outcome.kind for outcome in collect(second, 6)} == {None}
            finally:
                worker.kill()
    assert len(told) == 1
    assert told[0].endswith("; no trial starts there")


def test_a_worker_that_hangs_holds_up_no_cancellation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 1.0)
    monkeypatch.setattr(dask_pool, "ANSWER", 0.5)
    with local(1) as cluster, Dask(cluster, 1, grace=0.1).start(behave) as pool:
        payload = {"do": "hold", "gate": str(tmp_path / "gate"), "mark": str(tmp_path / "mark")}
        pool.submit(Task(id="a", payload=payload))
        await_that((tmp_path / "mark").exists, "it starts")
        worker = psutil.Process(int((tmp_path / "mark").read_text())).parents()[1]
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            pool.cancel(["a"])
            outcome = collect(pool, 1)[0]
            assert (outcome.kind, "given up" in outcome.message) == ("cancelled", True)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        await_that(lambda: is_gone(tmp_path / "mark"), "what nobody waits for is ended when the worker goes on")
        pool.submit(Task(id="a", payload={"do": "pass", "value": 2}))
        assert collect(pool, 1)[0].value == {"value": 2}


def test_a_killed_driver_leaves_no_process(cluster: LocalCluster, tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", tmp_path / "mark"
    if (child := os.fork()) == 0:  # a driver without our threads
        program = (
            "import sys, time\nfrom hpo.executors import Dask, Task\nfrom hpo.testing.executors import behave\n"
            "pool = Dask(sys.argv[1]).start(behave)\n"
            "pool.submit(Task(id='a', payload={'do': 'hold', 'gate': sys.argv[2], 'mark': sys.argv[3]}))\n"
            "time.sleep(600)"
        )
        os.execv(sys.executable, [sys.executable, "-c", program, cluster.scheduler_address, str(gate), str(mark)])
    try:
        await_that(mark.exists, "the task starts")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    await_that(lambda: is_gone(mark), "the task ends without its driver")


def test_a_cluster_that_is_gone_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "RECONNECT", 0.5)
    monkeypatch.setattr(dask_pool, "ANSWER", 1.0)
    cluster = local(1)
    pool = Dask(cluster.scheduler_address, 1).start(behave)
    pool.submit(
        Task(id="runs", payload={"do": "hang", "mark": str(tmp_path / "mark")}),
        Task(id="waits", payload={"do": "pass"}),
    )
    await_that((tmp_path / "mark").exists, "it starts")
    cluster.close()
    outcomes = collect(pool, 2)
    assert {o.kind for o in outcomes} == {"infra"}
    assert all("lost" in o.message for o in outcomes)
    await_that(lambda: is_gone(tmp_path / "mark"), "it ends")
    await_that(lambda: not pool._thread.is_alive(), "patience ends")  # type: ignore[attr-defined]
    with pytest.raises(ExecutorError, match="not back after"):
        pool.wait()
    with pytest.raises(ExecutorError, match="closed, for it broke: the Dask scheduler was lost"):
        pool.submit(Task(id="late", payload={"do": "pass"}))
    assert pool.close() == []
    with pytest.raises(ExecutorError, match="closed or closing Cluster"):
        Dask(cluster).start(behave)
