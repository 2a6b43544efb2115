"""Load: processes and threads that ask and tell at once."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from multiprocessing.connection import Connection, Pipe
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

import hpo
from benchmarks import records
from benchmarks.load_study import new_study, values
from hpo.errors import HpoError
from hpo.storage import open_storage


def tells_of_processes(url: str, n_processes: int, each: int) -> records.Record:
    """Processes that tell at once, one result after the other."""
    study = new_study(url)
    trials = study.ask(n_processes * each)
    name = study.name
    study.storage.close()
    shares = [trials[k * each : (k + 1) * each] for k in range(n_processes)]
    return {"kind": "tells_of_processes", "processes": n_processes, **_together(url, name, _tell_all, shares)}


def asks_of_processes(url: str, n_processes: int, each: int) -> records.Record:
    """Processes that ask and tell at once, one round after the other; the waits are those of the asks."""
    study = new_study(url)
    name = study.name
    study.storage.close()
    return {
        "kind": "asks_of_processes",
        "processes": n_processes,
        **_together(url, name, _ask_all, [each] * n_processes),
    }


def _together(url: str, name: str, task: Callable[..., None], shares: Sequence[Any]) -> records.Record:
    """What comes of processes that do `task` at once, each its share."""
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
    assert study.trials is not None  # read before the clock runs, as by whoever was given trials
    start.wait()
    try:
        task(study, share, waits)
    except HpoError as failure:
        error = str(failure)
    answer.send((waits, error))


def _tell_all(study: hpo.Study, trials: list[hpo.Trial], waits: list[float]) -> None:
    for trial in trials:
        begun = time.perf_counter()
        study.tell(trial, values(trial))
        waits.append(time.perf_counter() - begun)


def _ask_all(study: hpo.Study, rounds: int, waits: list[float]) -> None:
    for _ in range(rounds):
        begun = time.perf_counter()
        trial = study.ask()
        waits.append(time.perf_counter() - begun)
        study.tell(trial, values(trial))


def tells_of_threads(url: str, n_threads: int, rows: int) -> records.Record:
    """Threads of one process that tell at once: they share transactions."""
    study = new_study(url)
    trials = study.ask(rows)
    start = threading.Barrier(n_threads + 1)

    def task(k: int) -> None:
        start.wait()
        for trial in trials[k::n_threads]:
            study.tell(trial, values(trial))

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
