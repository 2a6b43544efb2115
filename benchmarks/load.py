"""Load: how much storages and the loop can handle, with the speed of the disk beside every figure.

A durable write waits for the disk. So each line says how long the disk took to sync 4 KiB right before: a figure on a
busy machine or a slow disk can be told from a slow library. PostgreSQL is measured where HPO_TEST_PG names a server.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import records
from benchmarks.load_at_once import asks_of_processes, tells_of_processes, tells_of_threads
from benchmarks.load_runs import bare_tasks, big_batch, in_flight, resumed, short_trials
from hpo.executors import Dask, Processes, Threads

SERVER = "HPO_TEST_PG"
DASK_SLOTS = 8


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        processes, tells: processes that tell at once, and how many tells of each.
        askers, rounds: processes that ask and tell at once, and how many rounds of each.
        threads: threads of one process that tell at once.    rows: their tells in all.
        trials: trials of 1 ms in a run.    slots: how many at a time.
        flight: trials in flight on the executors of this machine.
        resume: trials of a study that is resumed.
        batch: trials asked for at once.
    """

    processes: int = 200
    tells: int = 15
    askers: int = 100
    rounds: int = 5
    threads: tuple[int, ...] = (1, 8, 64, 200)
    rows: int = 10_000
    trials: int = 500
    slots: tuple[int, ...] = (1, 4)
    flight: int = 256
    resume: int = 10_000
    batch: int = 1000


PLAN = Plan()


def path_of(results: Path) -> Path:
    """The file of the result lines."""
    return results / "load.jsonl"


def measure(results: Path, plan: Plan = PLAN) -> None:
    """Measure everything and replace the result file. Prints progress."""
    path = path_of(results)
    records.discard(path)
    with tempfile.TemporaryDirectory() as folder:
        places = {"sqlite": lambda: f"{folder}/{uuid.uuid4().hex}.db"}
        if os.environ.get(SERVER):
            places["postgresql"] = lambda: os.environ[SERVER]
        else:
            print(f"{SERVER} names no server: PostgreSQL is left out", flush=True)
        for line in _lines(places, plan, Path(folder)):
            records.append(path, records.origin({}), line)
            print(" ".join(f"{key}={value}" for key, value in line.items()), flush=True)


def _lines(places: Mapping[str, Callable[[], str]], plan: Plan, folder: Path) -> Iterator[records.Record]:
    for storage, place in places.items():
        sync = sync_ms(folder)
        yield {**tells_of_processes(place(), plan.processes, plan.tells), "storage": storage, "sync_ms": sync}
        sync = sync_ms(folder)
        yield {**asks_of_processes(place(), plan.askers, plan.rounds), "storage": storage, "sync_ms": sync}
        for n_threads in plan.threads:
            sync, rows = sync_ms(folder), min(plan.rows, 300 * n_threads)
            yield {**tells_of_threads(place(), n_threads, rows), "storage": storage, "sync_ms": sync}
        for slots in plan.slots:
            sync = sync_ms(folder)
            yield {**short_trials(place(), Processes(slots), slots, plan.trials), "storage": storage, "sync_ms": sync}
        sync = sync_ms(folder)
        yield {**resumed(place(), plan.resume), "storage": storage, "sync_ms": sync}
    place = places["sqlite"]
    for name, executor in (("Processes", Processes(plan.flight)), ("Threads", Threads(plan.flight))):
        sync = sync_ms(folder)
        yield {**in_flight(place(), executor, plan.flight), "executor": name, "sync_ms": sync}
    sync = sync_ms(folder)
    yield {**big_batch(place(), plan.batch), "sync_ms": sync}
    yield from _on_dask(place(), plan.trials, folder)


def _on_dask(url: str, n: int, folder: Path) -> Iterator[records.Record]:
    # Loaded here: distributed takes a second, and the page of the results does not need it.
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=4, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        sync = sync_ms(folder)
        with Client(cluster) as client:
            yield {**bare_tasks(client, DASK_SLOTS, n), "storage": "-", "sync_ms": sync}
        for storage, place in (("memory", ":memory:"), ("sqlite", url)):
            sync = sync_ms(folder)
            dask = Dask(cluster, slots=DASK_SLOTS)
            yield {**short_trials(place, dask, DASK_SLOTS, n), "storage": storage, "sync_ms": sync}


def sync_ms(folder: Path, n: int = 50) -> float:
    """Median milliseconds to write and sync 4 KiB in this folder."""
    waits = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(n):
            file.write(b"x" * 4096)
            begun = time.perf_counter()
            os.fsync(file.fileno())
            waits.append(time.perf_counter() - begun)
    return round(1000 * float(np.median(waits)), 2)
