"""Clusters of Dask on this machine. Loads Dask."""

from __future__ import annotations

import multiprocessing.resource_tracker
from typing import Any

from distributed import LocalCluster

multiprocessing.resource_tracker.ensure_running()  # stays until the end, whoever starts it


def local(workers: int, threads: int = 1, **named: Any) -> LocalCluster:
    """So many workers of so many threads each."""
    return LocalCluster(
        n_workers=workers, threads_per_worker=threads, host="127.0.0.1", dashboard_address="127.0.0.1:0", **named
    )
