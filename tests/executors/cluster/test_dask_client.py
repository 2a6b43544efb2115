"""What a client of Dask is asked has a time limit, and its end waits for nobody."""

from __future__ import annotations

import asyncio

import pytest
from distributed import Client, LocalCluster

from hpo.executors.cluster.dask_client import address_of, answer, close, local_cluster


def test_a_client_answers_or_is_waited_for_no_longer(cluster: LocalCluster) -> None:
    async def never() -> None:
        await asyncio.sleep(3600.0)

    client = Client(cluster, set_as_default=False)
    assert address_of(client) == cluster.scheduler_address
    assert sum(answer(client, client.nthreads).values()) == 4
    with pytest.raises(TimeoutError):
        answer(client, never, 0.05)
    assert sum(answer(client, client.nthreads).values()) == 4, "the client is as it was"
    close(client)
    close(client)
    assert client.status == "closed"


def test_the_cluster_of_this_machine_has_a_thread_for_each_slot() -> None:
    with local_cluster(3) as cluster, Client(cluster, set_as_default=False) as client:
        assert list(answer(client, client.nthreads).values()) == [3]
