from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Dask, Task
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
