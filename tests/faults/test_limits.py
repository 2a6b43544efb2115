"""Trials that hang, ignore SIGTERM, leave a process in a session of its own, crash, or eat the memory: each is ended in
time with all it started and fails with its kind, and the trials beside it go on."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import hpo
from hpo.executors import Processes
from hpo.storage import SqlStorage
from hpo.strategies import Random
from hpo.testing.executors import behave, is_gone
from hpo.trials.trial import TrialState

TIMEOUT, GRACE = 12.0, 0.5
MEMORY = 300 << 20
KINDS = {
    "hang": "timeout",
    "ignore_sigterm": "timeout",
    "leave_grandchild": "timeout",
    "segfault": "crash",
    "eat_memory": "oom",
}
PROBLEM = hpo.Problem(
    hpo.Space({"do": hpo.Categorical(["rest", *KINDS]), "x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")]
)


def misbehave(trial: hpo.Trial, folder: str) -> dict[str, float]:
    """As the trial says; those that rest take a third of the time they have."""
    do, here = trial.params["do"], Path(folder)
    if do == "rest":
        time.sleep(TIMEOUT / 3)
        return {"y": trial.params["x"]}
    behave(
        {
            "do": do,
            "mark": str(here / f"{trial.number}.mark"),
            "ready": str(here / f"{trial.number}.ready"),
            "grandchild": str(here / f"{trial.number}.grandchild"),
            "then": "hang",
        }
    )
    return {"y": trial.params["x"]}


def test_each_is_ended_in_time_and_the_others_go_on(tmp_path: Path) -> None:
    storage = SqlStorage(tmp_path / "hpo.db")
    study = hpo.open_study("limits", PROBLEM, storage=storage, seed=1, strategy=Random())
    ill = {study.enqueue({"do": do, "x": 0.5}).number: kind for do, kind in KINDS.items()}
    beside = [study.enqueue({"do": "rest", "x": i / 8}).number for i in range(8)]

    hpo.run(
        study,
        functools.partial(misbehave, folder=str(tmp_path)),
        budget=hpo.Budget(trials=len(beside) + len(ill)),
        executor=Processes(len(ill) + 2, grace=GRACE),
        timeout=TIMEOUT,
        memory=MEMORY,
    )
    trials = study.trials
    assert {number: trials[number].kind for number in ill} == ill
    for number in ill:
        seconds = trials[number].seconds
        assert seconds is not None
        assert seconds < TIMEOUT + GRACE + 2.0, f"{trials[number].params['do']} was ended after {seconds} s"
    for number in beside:
        assert trials[number].state is TrialState.COMPLETED, "siblings are untouched"
        assert trials[number].attempt == 1
    marks = [*tmp_path.glob("*.mark"), *tmp_path.glob("*.grandchild")]
    assert len(marks) == len(ill) + 1, "all have started, and the one its grandchild"
    assert all(map(is_gone, marks)), "no process is left"
    storage.close()
