"""Clients of Dask: asked with a time limit, whatever hangs; and the cluster of this machine. Loads Dask."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from distributed import Client, LocalCluster

T = TypeVar("T")

ANSWER = 5.0
"""Seconds in which workers must answer; they are asked again."""


def local_cluster(slots: int | None) -> LocalCluster:
    """One worker, since tasks run beside it and not in it, with a thread for each slot."""
    return LocalCluster(
        n_workers=1,
        threads_per_worker=slots or os.cpu_count(),
        memory_limit=0,  # the whole machine is theirs, as with `Processes`
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )


def answer(client: Client, ask: Callable[[], Awaitable[T]], patience: float = ANSWER) -> T:
    """What a method of `client` says, awaited in its loop: a call from outside would have no time limit. Raises
    TimeoutError."""

    async def asked() -> T:
        return await ask()

    future = asyncio.run_coroutine_threadsafe(asked(), loop_of(client).asyncio_loop)
    try:
        return future.result(patience)
    finally:
        future.cancel()


def address_of(client: Client) -> str:
    """The address of its scheduler."""
    assert client.scheduler is not None
    return str(client.scheduler.address)


def loop_of(client: Client) -> Any:
    """The loop of a client that was started, which is one of asyncio."""
    return client.loop


def close(client: Client) -> None:
    """Close it, whether its scheduler answers or not."""
    with contextlib.suppress(OSError):  # nobody answers its farewell
        client.close(timeout=ANSWER)
