"""kill -9 of workers of Ray, again and again, while a study runs on them. Run as tests/executors/cluster/test_ray.py is."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

import hpo
from hpo.executors import Ray
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState

KILLS = int(os.environ.get("HPO_ENGINE_KILLS", "6"))
TRIALS = 5 * KILLS

if not os.environ.get("HPO_TEST_RAY"):
    pytest.skip("HPO_TEST_RAY is not set: Ray is not installed, or has no namespace", allow_module_level=True)


def seats() -> list[psutil.Process]:
    """The actors beside which trials run."""
    return [process for process in psutil.process_iter(["name"]) if process.info["name"].startswith("ray::Seat")]


def test_killed_workers_lose_and_double_nothing(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger.jsonl")

    def train(trial: Any) -> dict[str, float]:
        import json
        import time

        time.sleep(0.2 + 0.2 * trial.params["x"])
        with open(ledger, "a") as file:
            file.write(json.dumps([trial.number, trial.attempt, trial.params["x"]]) + "\n")
        return {"y": trial.params["x"]}

    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    study = hpo.open_study("faults", problem, storage=tmp_path / "hpo.db", seed=3, strategy=hpo.strategies.Random())
    over, dice = threading.Event(), random.Random(0)
    killed: list[int] = []

    def trouble() -> None:
        while len(killed) < KILLS and not over.is_set():
            told = len(study.history.completed)
            await_that(lambda told=told: len(study.history.completed) > told or over.is_set(), "it goes on")  # type: ignore[misc]
            time.sleep(dice.uniform(0.0, 0.3))
            if victims := seats():
                victim = dice.choice(victims)
                victim.kill()
                killed.append(victim.pid)

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        hpo.run(study, train, executor=Ray(slots=2, grace=0.5), budget=hpo.Budget(trials=TRIALS))
    finally:
        over.set()
        thread.join()

    trials, events = study.trials, study.events()
    assert [t.number for t in trials] == list(range(TRIALS))
    told = Counter(e.number for e in events if e.kind == "told")
    assert set(told.values()) == {1}, "each result once"
    assert not [e for e in events if e.kind in ("extra", "corrected", "cancelled")]
    measured = [json.loads(line) for line in Path(ledger).read_text().splitlines()]
    for trial in trials:
        if trial.state is TrialState.COMPLETED:
            assert told[trial.number] == 1
            assert [trial.number, trial.attempt, trial.params["x"]] in measured
            assert trial.values["y"].value == trial.params["x"]
        else:
            assert (trial.state, trial.kind) == (TrialState.FAILED, "infra"), "lost three times where others ran well"
    assert sum(t.state is TrialState.COMPLETED for t in trials) >= TRIALS - KILLS // 3
    requeued = [e for e in events if e.kind == "requeued"]
    assert killed
    assert requeued, "the kills hit something"
    for event in requeued:
        again = next(e for e in events if e.seq > event.seq and e.number == event.number and e.kind == "started")
        assert (datetime.fromisoformat(again.at) - datetime.fromisoformat(event.at)).total_seconds() < 60
