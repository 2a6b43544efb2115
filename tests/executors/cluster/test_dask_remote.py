from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, LocalCluster

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Dask, Task
from hpo.executors.cluster.dask_remote import SMALL, RemoteWorker
from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.messages import Settings
from hpo.testing.executors import (
    await_that,
    behave,
    collect,
    is_gone,
)
from tests.executors.cluster.local_dask import local


def test_nothing_is_left_in_the_workers(cluster: LocalCluster, tmp_path: Path) -> None:
    def left(dask_worker: Any) -> tuple[list[str], list[str], int]:
        import psutil

        from hpo.executors.cluster import remote_worker as far

        ours = [name for name in dask_worker.plugins if name.startswith("hpo-")]
        return list(far._ends), ours, len(psutil.Process().children())

    with Client(cluster, set_as_default=False) as client:
        before = client.run(left)
        with Dask(cluster, grace=0.3).start(behave) as pool:
            for name in "abcdef":
                pool.submit(Task(id=name, payload={"do": "hang", "mark": str(tmp_path / name)}))
            await_that(lambda: len([path for path in tmp_path.iterdir() if path.suffix != ".new"]) == 4, "they start")
            assert all(n >= before[worker][2] + 2 for worker, (_, _, n) in client.run(left).items())
            with pytest.raises(ExecutorError, match="end with their driver"):
                pool.close(CloseMode.DETACH)
            assert {o.kind for o in pool.close(CloseMode.KILL)} == {"cancelled"}
        assert client.run(left) == before
        assert {str(entry[:2]) for entry in before.values()} == {"([], [])"}
        assert all(is_gone(mark) for mark in tmp_path.iterdir())


def test_a_large_function_goes_to_each_worker_once(cluster: LocalCluster) -> None:
    table = "x" * (20 << 20)  # with each task it would be a warning of Dask's

    with Dask(cluster).start(lambda payload: {"n": len(table) + payload["i"]}) as pool:
        pool.submit(*(Task(id=str(i), payload={"i": i}) for i in range(20)))
        assert sorted((o.value or {})["n"] for o in collect(pool, 20)) == [(20 << 20) + i for i in range(20)]


def test_logs_are_written_at_the_far_end(cluster: LocalCluster, tmp_path: Path) -> None:
    with Dask(cluster, logs=tmp_path / "logs", command=["sh", "-c", "echo hello; echo '{{\"n\": 1}}'"]).start() as pool:
        pool.submit(Task(id="a", payload={}))
        outcome = collect(pool, 1)[0]
    assert [Path(path).read_text() for path in outcome.logs] == ['hello\n{"n": 1}\n', ""]


def test_devices_of_the_worker_are_those_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with local(1) as cluster, Dask(cluster, env={"CUDA_VISIBLE_DEVICES": ""}).start(behave) as pool:
        for gpus, value in ((1, "3"), (0, "")):
            payload = {"do": "tell_env", "variable": "CUDA_VISIBLE_DEVICES", "value": value}
            pool.submit(Task(id="a", payload=payload, gpus=gpus))
            assert collect(pool, 1)[0].message == ""


def test_a_task_is_held_to_its_share_of_the_workers_memory() -> None:
    eating = Task(id="a", payload={"do": "eat_memory"})
    with local(1, threads=2, memory_limit="600MB") as cluster:
        with Dask(cluster).start(behave) as pool:
            pool.submit(eating)
            outcome = collect(pool, 1)[0]
            assert (outcome.kind, "its limit of 286 MiB, its share" in outcome.message) == ("oom", True)
        with Dask(cluster, 1).start(behave) as pool:
            pool.submit(eating)
            assert "its limit of 572 MiB, its share" in collect(pool, 1)[0].message
        with Dask(cluster, limit_memory=False).start(behave) as pool:
            pool.submit(eating)
            assert collect(pool, 1)[0].kind is None


def plugin(slots: int | None = None, limit_memory: bool = True) -> RemoteWorker:
    return RemoteWorker("hpo-a", Settings(command=Command.of(["true"]), grace=2.0), slots, limit_memory)


def worker(resources: dict[str, float], limit: float | None = 1000.0) -> Any:
    """As much of a worker as is asked for its memory."""
    state = SimpleNamespace(total_resources=resources, nthreads=4)
    return SimpleNamespace(memory_manager=SimpleNamespace(memory_limit=limit), state=state)


@pytest.mark.parametrize(
    ("slots", "resources", "asked", "at_once"),
    [
        (None, {}, {}, 4),
        (2, {}, {}, 2),
        (9, {}, {}, 4),
        (None, {"GPU": 2.0}, {}, 4),
        (None, {"GPU": 3.0}, {"gpus": 1}, 3),
        (None, {"GPU": 3.0}, {"gpus": 2}, 1),
        (None, {"CPU": 7.0}, {"cpus": 3.0}, 2),
        (None, {}, {"cpus": 3.0, "gpus": 1}, 4),
        (None, {"CPU": 8.0, "GPU": 1.0}, {"cpus": 2.0, "gpus": 1}, 1),
        (None, {"GPU": 1.0}, {"gpus": 2}, 1),
    ],
)
def test_a_share_is_what_remains_if_as_many_run_as_can(
    slots: int | None, resources: dict[str, float], asked: dict[str, Any], at_once: int
) -> None:
    task = Task(id="a", payload={}, **asked)
    assert plugin(slots).share(worker(resources), task) == 1000 // at_once


@pytest.mark.parametrize(("limit", "limit_memory"), [(None, True), (0.0, True), (1000.0, False)])
def test_without_a_limit_there_is_no_share(limit: float | None, limit_memory: bool) -> None:
    assert plugin(limit_memory=limit_memory).share(worker({}, limit), Task(id="a", payload={})) is None


def test_a_plugin_arrives_as_it_was_sent() -> None:
    sent = plugin(3, limit_memory=False)
    there = pickle.loads(pickle.dumps(sent))
    assert isinstance(there, RemoteWorker)
    assert vars(there) == vars(sent)


def test_where_there_is_no_hpo_a_plugin_that_does_nothing_arrives(tmp_path: Path) -> None:
    """A worker that could not load it would end, whoever else needs it."""
    (tmp_path / "hpo.py").write_text("raise ModuleNotFoundError(\"No module named 'hpo'\", name='hpo')")
    (tmp_path / "plugin").write_bytes(pickle.dumps(plugin()))
    load = "import pickle, sys; print(type(pickle.load(open(sys.argv[1], 'rb'))).__mro__[0])"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", load, "plugin"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "<class 'distributed.diagnostics.plugin.WorkerPlugin'>\n"


def test_a_large_outcome_comes_as_whole_as_a_small_one(cluster: LocalCluster) -> None:
    with Dask(cluster, 1).start(lambda payload: {"text": "x" * payload["n"]}) as pool:
        for n in (1, SMALL, 10 * SMALL):
            pool.submit(Task(id="a", payload={"n": n}))
            assert collect(pool, 1)[0].value == {"text": "x" * n}
