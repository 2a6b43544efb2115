"""A cluster of Dask that the tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from hpo.testing.executors import await_that

if TYPE_CHECKING:
    from distributed import LocalCluster


@pytest.fixture(scope="module")
def _kept() -> Iterator[list[LocalCluster]]:
    """The cluster that the tests share, once there is one."""
    kept: list[LocalCluster] = []
    yield kept
    for cluster in kept:
        cluster.close()


@pytest.fixture
def cluster(_kept: list[LocalCluster]) -> LocalCluster:
    """Two workers, of two threads each. Those that a test has killed are replaced, unless the nanny gives up, as it does
    where a machine under load starts them too slowly: then it is another cluster."""
    from tests.executors.cluster.local_dask import local

    for kept in _kept:
        try:
            await_that(lambda kept=kept: len(_workers(kept)) == 2, "killed workers are replaced")  # type: ignore[misc]
            return kept
        except AssertionError:
            _kept.remove(kept)
            kept.close()
    _kept.append(local(2, threads=2))
    await_that(lambda: len(_workers(_kept[0])) == 2, "the workers of a new cluster join")
    return _kept[0]


def _workers(cluster: LocalCluster) -> Any:
    assert cluster.scheduler is not None
    return cluster.scheduler.workers
