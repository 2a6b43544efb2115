"""Budgets stop the spending: nothing alive after the grace period, never above the cap."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpo
from hpo.errors import SettingsError
from hpo.executors import Failures, Processes, Simulated
from hpo.strategies import Random
from hpo.testing.executors import PATIENCE
from hpo.trials.trial import TrialState


def study(where: Path | str = ":memory:") -> hpo.Study:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    return hpo.open_study("budget", problem, storage=where, seed=1, strategy=Random())


class Sleeper:
    """Starts a child that ignores SIGTERM, in a session of its own, notes its id, and sleeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, trial: hpo.Trial) -> Mapping[str, Any]:
        program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        for pid in (child.pid, os.getpid()):
            (self.folder / f"{trial.number}-{pid}").touch()
        time.sleep(10 * PATIENCE)
        return {"y": 0.0}


def test_no_sleeping_child_is_alive_after_the_wall_and_the_grace(tmp_path: Path) -> None:
    s, n = study(), 32
    began = time.monotonic()
    ended = hpo.run(
        s,
        Sleeper(tmp_path),
        budget=hpo.Budget(wall=8.0, overtime=2.0),
        executor=Processes(n, grace=0.5),
    )
    assert time.monotonic() - began < 10 * PATIENCE
    pids = [int(path.name.split("-")[1]) for path in tmp_path.iterdir()]
    assert len(pids) >= 2, "some trials did start"
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert len(ended.stopped) == len(s.trials) <= n
    assert {t.state for t in s.trials} == {TrialState.CANCELLED}
    assert {t.message for t in s.trials} == {"stopped: the wall time of 8 s is over"}
    assert all(t.seconds and t.seconds > 0 for t in s.trials)


@given(
    cap=st.floats(50.0, 500.0),
    reserve=st.floats(5.0, 60.0),
    rate=st.floats(0.05, 4.0),
    workers=st.integers(1, 16),
    deaths=st.floats(0.0, 0.02),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_spending_is_never_above_the_cap_for_random_costs(
    cap: float, reserve: float, rate: float, workers: int, deaths: float, seed: int
) -> None:
    """Durations from far below to far above what the reserve pays for, machines that die: all of it is paid."""
    s = study()
    draw = random.Random(seed)
    budget = hpo.Budget(cost=cap, reserve=reserve, cost_of=rate)
    executor = Simulated(
        workers,
        lambda payload, rng: draw.expovariate(rate / reserve),
        failures=Failures(deaths=deaths),
        seed=seed,
    )
    hpo.run(s, lambda t: {"y": t.params["x"]}, budget=budget, executor=executor)
    paid = sum(rate * ((t.seconds or 0.0) + t.earlier_seconds) for t in s.trials)
    assert paid <= cap * (1 + 1e-9)
    assert budget.spent(s.history) == pytest.approx(paid)
    assert not s.history.in_flight or all(t.state is TrialState.WAITING for t in s.history.in_flight)


def test_worker_seconds_end_a_study_and_each_attempt_in_time() -> None:
    s = study()
    budget = hpo.Budget(worker_seconds="1min", trial_seconds=10.0)
    ended = hpo.run(
        s, lambda t: {"y": 1.0}, budget=budget, executor=Simulated(4, lambda p, rng: 15.0 * rng.random(), seed=3)
    )
    assert "worker seconds, 60, is used" in ended.reason
    assert budget.worked(s.history) <= 60.0
    assert {t.kind for t in s.trials} == {None, "timeout"}
    assert all((t.seconds or 0.0) <= 10.0 for t in s.trials)


def test_ending_a_trial_is_paid_for_too(tmp_path: Path) -> None:
    s = study()
    budget = hpo.Budget(worker_seconds=12.0, trial_seconds=6.0)
    hpo.run(s, Sleeper(tmp_path), budget=budget, executor=Processes(2, grace=2.0))
    assert [t.kind for t in s.trials] == ["timeout", "timeout"]
    assert all(t.seconds is not None and 3.0 < t.seconds <= 6.0 for t in s.trials)
    with pytest.raises(SettingsError, match=r"the budget pays for 6 s of a trial, and the executor's grace of 8 s"):
        hpo.run(
            s,
            Sleeper(tmp_path),
            budget=hpo.Budget(worker_seconds=99, trial_seconds=6.0),
            executor=Processes(1, grace=8.0),
        )


def test_prices_per_hour_of_what_a_trial_is_given() -> None:
    s = study()
    budget = hpo.Budget(cost=10.0, reserve=2.0, cost_of={"cpu": 0.5, "gpu": 2.0})
    hpo.run(s, lambda t: {"y": 1.0}, budget=budget, executor=Simulated(2, 1620.0), cpus=4, gpus=1)
    assert budget.priced(4, 1).spent(s.history) == pytest.approx(len(s.trials) * 1.8)
    assert len(s.trials) == 5
    with pytest.raises(SettingsError, match=r"budget.cost_of.disk: no such resource \(have: cpu, gpu\)"):
        hpo.Budget(cost=1.0, reserve=1.0, cost_of={"disk": 1.0})
    with pytest.raises(SettingsError, match=r"a trial with 1 cpus and 0 gpus costs nothing"):
        hpo.Budget(cost=1.0, reserve=1.0, cost_of={"gpu": 1.0}).priced(None, 0)
