"""Load: what storages and the loop bear, with the disk's own speed beside every figure.

A durable write waits for the disk. So each line says how long the disk took to sync 4 KiB right before: a figure on a
busy machine or a slow disk can be told from a slow library. PostgreSQL is measured where HPO_TEST_PG names a server.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

import hpo
from benchmarks import records
from hpo.errors import HpoError
from hpo.executors import Dask, Executor, Processes, Threads
from hpo.storage import open_storage
from hpo.strategies import Random
from hpo.trials.events import Draft

if TYPE_CHECKING:
    from distributed import Client

SERVER = "HPO_TEST_PG"
DASK_SLOTS = 8
PROBLEM = hpo.Problem(
    hpo.Space({f"x{i}": hpo.Float(0.0, 1.0) for i in range(6)}), [hpo.Objective("y"), hpo.Constraint("c", upper=0.9)]
)


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        processes, tells: processes that tell at once, and how many tells of each.
        askers, rounds: processes that ask and tell at once, and how many rounds of each.
        threads: threads of one process that tell at once.    rows: their tells in all.
        trials: trials of 1 ms in a run.    slots: how many at a time.
        flight: trials in flight on the executors of this machine.
        resume: trials of a study that is gone on with.
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
    # Loaded here: the trials of the other runs import this module too.
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=4, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        sync = sync_ms(folder)
        with Client(cluster) as client:
            yield {**bare_tasks(client, DASK_SLOTS, n), "storage": "-", "sync_ms": sync}
        for storage, place in (("memory", ":memory:"), ("sqlite", url)):
            sync = sync_ms(folder)
            dask = Dask(cluster, slots=DASK_SLOTS)
            yield {**short_trials(place, dask, DASK_SLOTS, n), "storage": storage, "sync_ms": sync}


# -- what is measured -------------------------------------------------------------------------------------------------


def tells_of_processes(url: str, n_processes: int, each: int) -> records.Record:
    """Processes that tell at once, one result after the other."""
    study = _study(url)
    trials = study.ask(n_processes * each)
    name = study.name
    study.storage.close()
    shares = [trials[k * each : (k + 1) * each] for k in range(n_processes)]
    return {"kind": "tells_of_processes", "processes": n_processes, **_together(url, name, _tell_all, shares)}


def asks_of_processes(url: str, n_processes: int, each: int) -> records.Record:
    """Processes that ask and tell at once, one round after the other; the waits are those of the asks."""
    study = _study(url)
    name = study.name
    study.storage.close()
    return {
        "kind": "asks_of_processes",
        "processes": n_processes,
        **_together(url, name, _ask_all, [each] * n_processes),
    }


def _together(url: str, name: str, task: Callable[..., None], shares: Sequence[Any]) -> records.Record:
    """What comes of processes that do `work` at once, each its share."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(len(shares) + 1)
    pipes, processes = [], []
    for share in shares:
        here, there = Pipe(duplex=False)
        process = context.Process(target=_answered, args=(task, url, name, share, start, there))
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    start.wait()
    begun = time.perf_counter()
    answers = [pipe.recv() for pipe in pipes]
    elapsed = time.perf_counter() - begun
    for process in processes:
        process.join()
    waits = [wait for wait, _ in answers for wait in wait]
    errors = [error for _, error in answers if error]
    with closing(open_storage(url)) as storage:
        completed = len(hpo.open_study(name, storage=storage).history.completed)
    return {
        "tells": len(waits),
        "stored": completed,
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "per_second": round(len(waits) / elapsed, 1),
        "high": round(float(np.quantile(waits, 0.95)), 3),
        "longest": [round(float(q), 3) for q in np.quantile(waits, [0.5, 0.99, 1.0])],
    }


def _answered(task: Callable[..., None], url: str, name: str, share: Any, start: Barrier, answer: Connection) -> None:
    study = hpo.open_study(name, storage=url)
    waits: list[float] = []
    error = ""
    start.wait()
    try:
        task(study, share, waits)
    except HpoError as failure:
        error = str(failure)
    answer.send((waits, error))


def _tell_all(study: hpo.Study, trials: list[hpo.Trial], waits: list[float]) -> None:
    for trial in trials:
        begun = time.perf_counter()
        study.tell(trial, _values(trial))
        waits.append(time.perf_counter() - begun)


def _ask_all(study: hpo.Study, rounds: int, waits: list[float]) -> None:
    for _ in range(rounds):
        begun = time.perf_counter()
        trial = study.ask()
        waits.append(time.perf_counter() - begun)
        study.tell(trial, _values(trial))


def tells_of_threads(url: str, n_threads: int, rows: int) -> records.Record:
    """Threads of one process that tell at once: they share transactions."""
    study = _study(url)
    trials = study.ask(rows)
    start = threading.Barrier(n_threads + 1)

    def task(k: int) -> None:
        start.wait()
        for trial in trials[k::n_threads]:
            study.tell(trial, _values(trial))

    threads = [threading.Thread(target=task, args=(k,)) for k in range(n_threads)]
    for thread in threads:
        thread.start()
    start.wait()
    begun, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    elapsed, cpu = time.perf_counter() - begun, time.process_time() - cpu
    stored = len(study.history.completed)
    study.storage.close()
    return {
        "kind": "tells_of_threads",
        "threads": n_threads,
        "tells": rows,
        "stored": stored,
        "per_second": round(rows / elapsed, 1),
        "cpu_ms": round(1000 * cpu / rows, 3),
    }


def short_trials(url: str, executor: Executor, slots: int, n: int) -> records.Record:
    """A run of trials of 1 ms, suggested at random: what the loop itself costs."""
    study = _study(url)
    ends: list[float] = []
    cpu = time.process_time()
    hpo.run(
        study,
        _millisecond,
        budget=hpo.Budget(trials=n),
        executor=executor,
        progress=lambda _: ends.append(time.perf_counter()),
    )
    cpu = time.process_time() - cpu
    study.storage.close()
    each = (ends[-1] - ends[0]) / (len(ends) - 1)
    return {
        "kind": "short_trials",
        "executor": type(executor).__name__,
        "slots": slots,
        "trials": n,
        "ms": round(1000 * each, 2),
        "overhead_ms": round(1000 * each - 1.0 / slots, 2),
        "cpu_ms": round(1000 * cpu / n, 2),
    }


def bare_tasks(client: Client, slots: int, n: int) -> records.Record:
    """Tasks of 1 ms on Dask alone, as many at a time: what no executor on it can be below."""
    from distributed import as_completed

    running = as_completed([client.submit(time.sleep, 0.001, pure=False) for _ in range(slots)])
    begun = time.perf_counter()
    for left, done in zip(range(n - 1, -1, -1), running, strict=True):
        done.result()
        if left >= slots:
            running.add(client.submit(time.sleep, 0.001, pure=False))
    elapsed = time.perf_counter() - begun
    return {"kind": "bare_tasks", "slots": slots, "tasks": n, "overhead_ms": round(1000 * elapsed / n - 1.0 / slots, 2)}


def resumed(url: str, n: int) -> records.Record:
    """A study of `n` completed trials is gone on with: seconds from the start of Python to the first new result."""
    study = _study(url)
    fill(study, n)
    name = study.name
    study.storage.close()
    program = (
        "import sys, hpo\n"
        "from benchmarks.load import _values\n"
        "study = hpo.open_study(sys.argv[1], storage=sys.argv[2])\n"
        "hpo.run(study, _values, budget=hpo.Budget(trials=int(sys.argv[3])), progress=False)\n"
    )
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, name, url, str(n + 1)], cwd=records.ROOT, check=True)
    return {"kind": "resumed", "trials": n, "seconds": round(time.perf_counter() - begun, 2)}


def fill(study: hpo.Study, n: int, size: int = 2000) -> None:
    """Give a study `n` completed trials, `size` in a transaction, as a driver before this one left them."""
    record = study.storage.load(study.name)
    assert record is not None
    for begin in range(0, n, size):
        trials = study.ask(min(size, n - begin))
        with study.storage.transaction(record.id) as log:
            log.append(
                [Draft("told", t.number, {"values": {k: [v, None] for k, v in _values(t).items()}}) for t in trials]
            )


def in_flight(url: str, executor: Executor, n: int) -> records.Record:
    """All trials of a run at once, each waiting for the last to start: the executor bears that many."""
    study = _study(url)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        peak = _Peak()
        with peak:
            hpo.run(study, _Together(folder, n), budget=hpo.Budget(trials=n), executor=executor, progress=False)
        elapsed = time.perf_counter() - begun
    trials = study.history.completed
    study.storage.close()
    return {
        "kind": "in_flight",
        "trials": n,
        "completed": len(trials),
        "seconds": round(elapsed, 2),
        "memory_mb": round(peak.memory / 1e6),
    }


@dataclass(frozen=True)
class _Together:
    """An objective that returns when `n` trials have started."""

    folder: str
    n: int

    def __call__(self, trial: hpo.Trial) -> dict[str, float]:
        Path(self.folder, str(trial.number)).touch()
        end = time.monotonic() + 300.0
        while len(os.listdir(self.folder)) < self.n and time.monotonic() < end:
            time.sleep(0.1)
        if len(os.listdir(self.folder)) < self.n:
            raise RuntimeError("the others have not started")
        return _values(trial)


class _Peak:
    """The most memory that this process and those below it held, shared pages shared out, looked at once a second."""

    def __enter__(self) -> _Peak:
        self.memory = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            used = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    used += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.memory = max(self.memory, used)


def big_batch(url: str, n: int) -> records.Record:
    """With 20 results: ask for `n` at once, and for one more while they are in flight. The default strategy."""
    study = hpo.open_study(uuid.uuid4().hex, PROBLEM, storage=url, seed=1)
    for trial in study.ask(20):
        study.tell(trial, _values(trial))
    seconds = []
    for size in (n, 1):
        begun = time.perf_counter()
        study.ask(size)
        seconds.append(round(time.perf_counter() - begun, 2))
    flight = len(study.history.in_flight)
    study.storage.close()
    return {"kind": "big_batch", "trials": n, "in_flight": flight, "seconds": seconds[0], "one_more": seconds[1]}


# -- helpers ----------------------------------------------------------------------------------------------------------


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


def _study(url: str) -> hpo.Study:
    return hpo.open_study(uuid.uuid4().hex, PROBLEM, storage=url, seed=1, strategy=Random())


def _values(trial: Any) -> dict[str, float]:
    return {"y": trial.params["x0"], "c": trial.params["x1"]}


def _millisecond(trial: hpo.Trial) -> dict[str, float]:
    time.sleep(0.001)
    return _values(trial)
