from __future__ import annotations

import multiprocessing.resource_tracker
from collections.abc import Iterator

import pytest
from distributed import LocalCluster

from hpo.executors import Dask, Pool
from hpo.testing.executors import ConcurrencyContract, ExecutorContract, IsolationContract, behave

multiprocessing.resource_tracker.ensure_running()  # type: ignore[attr-defined]  # stays until the end, whoever starts it


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, of two threads each."""
    with LocalCluster(n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address=None) as cluster:
        yield cluster


class TestContract(ExecutorContract, ConcurrencyContract, IsolationContract):
    """On a cluster of its own."""

    def start(self, slots: int) -> Pool:
        return Dask(slots=slots, grace=0.3).start(behave)


class TestContractOnACluster(ExecutorContract, ConcurrencyContract, IsolationContract):
    @pytest.fixture(autouse=True)
    def _find(self, cluster: LocalCluster) -> None:
        self.address = cluster.scheduler_address

    def start(self, slots: int) -> Pool:
        return Dask(self.address, slots, grace=0.3).start(behave)
