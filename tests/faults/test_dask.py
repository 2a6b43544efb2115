"""kill -9 of workers and of the scheduler of a Dask cluster, again and again, while a study runs on it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import hpo
from hpo.executors import Dask, Task
from hpo.testing.executors import await_that, behave, collect
from hpo.trials.trial import TrialState

KILLS = int(os.environ.get("HPO_ENGINE_KILLS", "6"))
TRIALS = 5 * KILLS


class Cluster:
    """A scheduler and workers of one thread each, in processes of their own, on this machine."""

    def __init__(self, folder: Path, workers: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.n_workers = folder, workers
        self.workers: list[subprocess.Popen[bytes]] = []

    def _popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *arguments, "--dashboard-address", "127.0.0.1:0"]
        with (self.folder / "dask.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    def start(self) -> None:
        port = self.address.rpartition(":")[2]
        self.scheduler = self._popen("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port)
        for _ in range(self.n_workers):
            self.start_worker()
        with Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(self.n_workers, timeout=60)

    def start_worker(self) -> None:
        options = ("--no-nanny", "--nthreads", "1", "--host", "127.0.0.1")
        self.workers.append(self._popen("distributed.cli.dask_worker", self.address, *options))

    def kill_worker(self, dice: random.Random) -> None:
        """And start another one."""
        _kill(self.workers.pop(dice.randrange(len(self.workers))))
        self.start_worker()

    def kill_scheduler(self) -> None:
        """The workers go with it, and all come back."""
        _kill(self.scheduler)
        for worker in self.workers:
            worker.wait(60)
        self.workers.clear()
        self.start()

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(60)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, workers=2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def run_a_study(folder: Path, executor: Any, disturb: Callable[[int], None]) -> hpo.Study:
    """TRIALS trials, measured and told, with `disturb` called again and again as they go on."""
    ledger = str(folder / "ledger.jsonl")

    def train(trial: Any) -> dict[str, float]:
        import json
        import time

        time.sleep(0.2 + 0.2 * trial.params["x"])
        with open(ledger, "a") as file:
            file.write(json.dumps([trial.number, trial.attempt, trial.params["x"]]) + "\n")
        return {"y": trial.params["x"]}

    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    study = hpo.open_study("faults", problem, storage=folder / "hpo.db", seed=3, strategy=hpo.strategies.Random())
    over = threading.Event()

    def trouble() -> None:
        for kill in range(KILLS):
            told = len(study.history.completed)
            await_that(lambda told=told: len(study.history.completed) > told or over.is_set(), "it goes on")  # type: ignore[misc]
            if over.is_set():
                return
            disturb(kill)

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        hpo.run(study, train, executor=executor, budget=hpo.Budget(trials=TRIALS))
    finally:
        over.set()
        thread.join()
    return study


def check(study: hpo.Study, folder: Path) -> None:
    """Nothing lost, nothing doubled, nothing invented, and what was lost with a worker soon runs again."""
    trials, events = study.trials, study.events()
    assert [t.number for t in trials] == list(range(TRIALS))
    told = Counter(e.number for e in events if e.kind == "told")
    assert set(told.values()) == {1}
    assert not [e for e in events if e.kind in ("extra", "corrected", "cancelled")]
    measured = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    for trial in trials:
        if trial.state is TrialState.COMPLETED:
            assert told[trial.number] == 1
            assert [trial.number, trial.attempt, trial.params["x"]] in measured
            assert trial.values["y"].value == trial.params["x"]
        else:
            assert (trial.state, trial.kind) == (TrialState.FAILED, "infra"), "lost three times where others ran well"
    requeued = [e for e in events if e.kind == "requeued"]
    assert requeued, "the kills hit something"
    for event in requeued:
        again = next(e for e in events if e.seq > event.seq and e.number == event.number and e.kind == "started")
        assert (datetime.fromisoformat(again.at) - datetime.fromisoformat(event.at)).total_seconds() < 60


def test_killed_workers_lose_and_double_nothing(cluster: Cluster, tmp_path: Path) -> None:
    dice = random.Random(0)

    def disturb(_: int) -> None:
        time.sleep(dice.uniform(0.0, 0.3))
        cluster.kill_worker(dice)

    study = run_a_study(tmp_path, Dask(cluster.address, grace=0.5), disturb)
    check(study, tmp_path)
    assert sum(t.state is TrialState.COMPLETED for t in study.trials) >= TRIALS - KILLS // 3


def test_a_killed_scheduler_loses_and_doubles_nothing(cluster: Cluster, tmp_path: Path) -> None:
    def disturb(kill: int) -> None:
        if kill < 2:
            cluster.kill_scheduler()

    study = run_a_study(tmp_path, Dask(cluster.address, grace=0.5), disturb)
    check(study, tmp_path)
    assert all(t.state is TrialState.COMPLETED for t in study.trials)


@pytest.mark.parametrize("size", [1, 5000])
def test_a_worker_killed_with_a_result_in_hand(cluster: Cluster, tmp_path: Path, size: int) -> None:
    """Dask would run the task again and hand over what comes of it. A small result has been sent by then; a large one is
    lost with the worker, and the caller decides."""
    runs, gate = tmp_path / "runs", tmp_path / "gate"

    def train(payload: dict[str, Any]) -> dict[str, Any]:
        with open(payload["runs"], "a") as file:
            file.write("run\n")
        return dict(behave(payload))

    with Dask(cluster.address, 1).start(train) as pool, Client(cluster.address, set_as_default=False) as observer:
        payload = {"do": "hold", "gate": str(gate), "runs": str(runs), "value": "x" * size}
        pool.submit(Task(id="a", payload=payload))
        await_that(runs.exists, "it runs")
        stopped, goes_on = threading.Event(), threading.Event()

        def stop() -> None:
            stopped.set()
            goes_on.wait(60)

        pool._client.loop.add_callback(stop)  # type: ignore[attr-defined]  # the driver hears nothing for a while
        assert stopped.wait(60)
        gate.touch()
        await_that(lambda: any(observer.who_has().values()), "a worker holds the result")
        held = next(iter(observer.who_has().values()))
        pids = observer.run(os.getpid)
        victim = next(w for w in cluster.workers if pids[held[0]] == w.pid)
        _kill(victim)
        goes_on.set()
        outcome = collect(pool, 1)[0]
        assert (outcome.id, outcome.kind) == ("a", None if size == 1 else "infra")
        assert outcome.started_at is not None
        pool.submit(Task(id="a", payload=payload))
        assert collect(pool, 1)[0].value == {"value": "x" * size}
        assert pool.wait(0.5) == []
