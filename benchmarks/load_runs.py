"""Load: what the loop of `hpo.run` costs, how many trials it handles at a time, and how fast a long study resumes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

import hpo
from benchmarks import records
from benchmarks.load_study import PROBLEM, fill, new_study, values
from hpo.executors import Executor

if TYPE_CHECKING:
    from distributed import Client


def short_trials(url: str, executor: Executor, slots: int, n: int) -> records.Record:
    """A run of trials of 1 ms, suggested at random: what the loop itself costs."""
    study = new_study(url)
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
    """A study of `n` completed trials is resumed: seconds from the start of Python to the first new result."""
    study = new_study(url)
    fill(study, n)
    name = study.name
    study.storage.close()
    program = (
        "import sys, hpo\n"
        "from benchmarks.load_study import values\n"
        "study = hpo.open_study(sys.argv[1], storage=sys.argv[2])\n"
        "hpo.run(study, values, budget=hpo.Budget(trials=int(sys.argv[3])), progress=False)\n"
    )
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, name, url, str(n + 1)], cwd=records.ROOT, check=True)
    return {"kind": "resumed", "trials": n, "seconds": round(time.perf_counter() - begun, 2)}


def _millisecond(trial: hpo.Trial) -> dict[str, float]:
    time.sleep(0.001)
    return values(trial)


def in_flight(url: str, executor: Executor, n: int) -> records.Record:
    """All trials of a run at once, each waiting for the last to start: the executor can hold that many."""
    study = new_study(url)
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
        return values(trial)


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
        study.tell(trial, values(trial))
    seconds = []
    for size in (n, 1):
        begun = time.perf_counter()
        study.ask(size)
        seconds.append(round(time.perf_counter() - begun, 2))
    flight = len(study.history.in_flight)
    study.storage.close()
    return {"kind": "big_batch", "trials": n, "in_flight": flight, "seconds": seconds[0], "one_more": seconds[1]}
