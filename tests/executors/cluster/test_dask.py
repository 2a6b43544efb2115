from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from hpo.errors import ExecutorError, MissingExtra
from hpo.executors import Dask, Pool, Task
from hpo.executors.cluster import dask_pool
from hpo.testing.clusters import EngineContract
from hpo.testing.executors import (
    ConcurrencyContract,
    ExecutorContract,
    IsolationContract,
    await_that,
    behave,
    collect,
)
from tests.executors.cluster.local_dask import local


class TestContract(ExecutorContract, ConcurrencyContract):
    """On a cluster of its own."""

    def start(self, slots: int) -> Pool:
        return Dask(slots=slots, grace=0.3).start(behave)


class TestContractOnACluster(ExecutorContract, ConcurrencyContract, IsolationContract, EngineContract):
    @pytest.fixture(autouse=True)
    def _find(self, cluster: LocalCluster) -> None:
        self.address = cluster.scheduler_address

    def start(self, slots: int) -> Pool:
        return Dask(self.address, slots, grace=0.3).start(behave)


class TestContractOfCommands(IsolationContract):
    exit_kind = "error"

    @pytest.fixture(autouse=True)
    def _find(self, cluster: LocalCluster) -> None:
        self.cluster = cluster

    def start(self, slots: int) -> Pool:
        command = [sys.executable, "-m", "hpo.testing.executors"]
        return Dask(self.cluster, slots, command=command, grace=0.3).start()


def test_declared_resources_are_asked_for(tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    with local(1, threads=3, resources={"GPU": 1}) as cluster, Dask(cluster).start(behave) as pool:
        for name in "ab":
            payload = {"do": "hold", "gate": gate, "mark": str(tmp_path / name)}
            pool.submit(Task(id=name, payload=payload, gpus=1, cpus=2.0))  # CPU is not declared
        await_that(lambda: (tmp_path / "a").exists() or (tmp_path / "b").exists(), "one gets the device")
        pool.submit(Task(id="c", payload={"do": "pass"}))
        assert collect(pool, 1)[0].id == "c", "those that need none go past it"
        assert not ((tmp_path / "a").exists() and (tmp_path / "b").exists())
        (tmp_path / "gate").touch()
        assert {o.kind for o in collect(pool, 2)} == {None}


def test_no_scheduler_and_no_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "CONNECT", 0.3)
    with pytest.raises(ExecutorError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        Dask("tcp://127.0.0.1:9").start(behave)
    monkeypatch.delitem(sys.modules, "hpo.executors.cluster.dask_pool")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"pip install distributed$"):
        Dask().start(behave)


def test_functions_and_commands_are_told_apart() -> None:
    with pytest.raises(ExecutorError, match="runs a function"):
        Dask().start()
    with pytest.raises(ExecutorError, match="runs its command and no function"):
        Dask(command=["true"]).start(behave)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"slots": 0}, "at least one slot, got 0"),
        ({"grace": -1.0}, "0 or more, got -1.0"),
        ({"scale": (0, 2)}, "scale needs a cluster object that can adapt, got None"),
        ({"scale": (3, 2)}, r"scale is \(least, most\) workers, as \(0, 10\), got \(3, 2\)"),
        ({"release_after": 0.0}, "seconds, above 0, got 0.0"),
        ({"command": "python train.py"}, "must be a list of arguments"),
        ({"command": []}, "begins with its program"),
    ],
)
def test_settings_are_checked_at_birth(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ExecutorError, match=text):
        Dask(**fields)
