"""run(): the budget is kept, nothing is left running, and what went wrong is told as what it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.drivers import owner, reclaim
from hpo.errors import ExecutorError, MissingMetric
from hpo.executors import Inline, Processes, Subprocess, Threads, Work
from hpo.executors.base import Function
from hpo.executors.inline import InlinePool
from hpo.runner import Progress
from hpo.strategies import Random
from hpo.trial import TrialState


def study(where: str | Path = ":memory:") -> hpo.Study:
    """One parameter, an objective and a limit."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Constraint("c", upper=0.8)])
    return hpo.open_study("run", problem, storage=where, seed=4)


def measure(trial: hpo.Trial) -> Mapping[str, Any]:
    """A smooth function of x."""
    return {"y": hpo.Measurement(-((trial.params["x"] - 0.3) ** 2), sem=0.01), "c": trial.params["x"]}


def misbehave(trial: hpo.Trial) -> Mapping[str, Any]:
    """Each trial another way of going wrong."""
    match trial.number:
        case 0:
            raise ValueError("bad shape")
        case 1:
            os._exit(3)
        case 2:
            time.sleep(60)
        case 3:
            raise hpo.TrialFailed("diverged", "loss above 1e9")
        case 4:
            return {"y": float("nan"), "c": 0.1}
        case 5:
            os.kill(os.getpid(), signal.SIGSEGV)
    return measure(trial)


@pytest.mark.parametrize("executor", [Inline(), Threads(3), Processes(2)], ids=repr)
def test_the_same_objective_on_every_executor(executor: Any) -> None:
    s = study()
    steps: list[Progress] = []
    end = hpo.run(s, measure, budget=hpo.Budget(trials=9), executor=executor, progress=steps.append)
    assert end.reason == "9 trials, the budget, have been run"
    assert [t.state for t in s.trials] == [TrialState.COMPLETED] * 9
    assert sum(step.ended is not None for step in steps) == 9
    assert all(t.seconds is not None and t.values["y"].sem == 0.01 for t in s.trials)
    assert s.replay().is_identical


def test_every_way_of_failing_fails_that_trial_alone() -> None:
    s = study()
    hpo.run(s, misbehave, budget=hpo.Budget(trials=10), executor=Processes(2), timeout=3.0)
    kinds = {t.number: t.kind for t in s.trials}
    assert [kinds[i] for i in range(10)] == ["error", "crash", "timeout", "diverged", "diverged", "crash"] + [None] * 4
    assert "bad shape" in s.trials[0].message
    assert s.trials[3].message == "loss above 1e9"
    assert len(s.history.completed) == 4


def test_a_command_in_any_language(tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text('echo starting with $HPO_PARAM_X, seed $HPO_SEED\necho "{\\"y\\": $1, \\"c\\": 0.5}"\n')
    s = study()
    hpo.run(s, executor=Subprocess(["sh", str(script), "{x}"], 2), budget=hpo.Budget(trials=5))
    assert all(t.values["y"].value == pytest.approx(t.params["x"]) for t in s.history.completed)
    assert len(s.history.completed) == 5


def test_a_broken_contract_stops_the_run_at_once() -> None:
    s = study()
    with pytest.raises(MissingMetric, match=r"^trial 0 reported {'y'}; missing 'c'"):
        hpo.run(s, lambda t: {"y": 1.0}, budget=hpo.Budget(trials=9))
    assert [t.state for t in s.trials] == [TrialState.CANCELLED]


def test_a_hopeless_run_stops_spending() -> None:
    def always(trial: hpo.Trial) -> Mapping[str, Any]:
        raise RuntimeError("no GPU")

    s = study()
    with pytest.raises(ExecutorError, match=r"^the first 10 trials all failed; the last, #9: RuntimeError: no GPU"):
        hpo.run(s, always, budget=hpo.Budget(trials=50))
    assert len(s.trials) == 10


def test_stopping_at_a_target() -> None:
    s = study()
    end = hpo.run(s, lambda t: {"y": t.number, "c": 0.1}, budget=hpo.Budget(trials=50, target=5))
    assert (end.reason, len(s.trials)) == ("the target of 5 is reached", 6)


def test_going_on_uses_what_is_left() -> None:
    s = study()
    hpo.run(s, measure, budget=hpo.Budget(trials=4))
    hpo.run(s, measure, budget=hpo.Budget(trials=7))
    assert len(s.trials) == 7
    hpo.run(s, measure, budget=hpo.Budget(trials=7))
    assert len(s.trials) == 7


def test_enqueued_trials_are_run() -> None:
    s = study()
    s.enqueue({"x": 0.25})
    hpo.run(s, measure, budget=hpo.Budget(trials=3))
    assert [t.state for t in s.trials] == [TrialState.COMPLETED] * 3
    assert s.trials[0].params == {"x": 0.25}


INTERRUPTED = """
import sys, time, hpo
from hpo.executors import {executor}
problem = hpo.Problem(hpo.Space({{"x": hpo.Float(0, 1)}}), [hpo.Objective("y")])
study = hpo.open_study("int", problem, storage=sys.argv[1], seed=1)

def slow(trial):
    time.sleep({sleep})
    return {{"y": trial.params["x"]}}

def show(step):
    print(step.message or f"ended {{step.ended.number}}", flush=True)

print("started", flush=True)
print("END", hpo.run(study, slow, budget=hpo.Budget(trials=100), executor={executor}({n}), progress=show), flush=True)
"""


@pytest.mark.parametrize(("executor", "n"), [("Inline", ""), ("Threads", "2"), ("Processes", "2")])
def test_ctrl_c_once_lets_running_trials_end(tmp_path: Path, executor: str, n: str) -> None:
    s, output = _interrupt(tmp_path, executor, n, sleep=0.3, times=1)
    assert "running trials are let end" in output
    assert "interrupted=True" in output
    assert {t.state for t in s.trials} == {TrialState.COMPLETED}


@pytest.mark.parametrize(("executor", "n"), [("Inline", ""), ("Processes", "2")])
def test_ctrl_c_twice_cancels_them(tmp_path: Path, executor: str, n: str) -> None:
    s, output = _interrupt(tmp_path, executor, n, sleep=30, times=2)
    assert "running trials were cancelled" in output
    assert {t.state for t in s.trials} == {TrialState.CANCELLED}


def _interrupt(folder: Path, executor: str, n: str, sleep: float, times: int) -> tuple[hpo.Study, str]:
    code = INTERRUPTED.format(executor=executor, n=n, sleep=sleep)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "i.db")], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        deadline = time.monotonic() + 60
        while not _trials_running(folder / "i.db") and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(times):
            time.sleep(0.4)
            process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        assert process.wait(60) == 0
    return hpo.open_study("int", storage=folder / "i.db"), output


def _trials_running(file: Path) -> bool:
    try:
        return any(t.state is TrialState.RUNNING for t in hpo.open_study("int", storage=file).trials)
    except hpo.HpoError:
        return False


def test_trials_of_a_dead_driver_are_run_again(tmp_path: Path) -> None:
    s = study(tmp_path / "r.db")
    dead = subprocess.run(
        [sys.executable, "-c", "from hpo.drivers import owner; print(owner())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    s.ask(owner=dead)
    mine, nobody = s.ask(owner=owner()), s.ask()
    assert [t.number for t in reclaim(s)] == [0]
    states = [t.state for t in s.trials]
    assert states == [TrialState.WAITING, TrialState.RUNNING, TrialState.RUNNING]
    assert (mine.number, nobody.number) == (1, 2)
    elsewhere = dead.replace(dead.split(":")[0], "another-host")
    s.ask(owner=elsewhere)
    assert reclaim(s) == [], "what runs on other machines is left alone"


def test_random_search_in_parallel_never_overdraws() -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Tracked("price")])
    s = hpo.open_study("p", problem, storage=":memory:", seed=0, strategy=Random())
    budget = hpo.Budget(cost=10.0, reserve=1.0, cost_of="price")
    hpo.run(s, lambda t: {"y": 0.0, "price": t.params["x"]}, budget=budget, executor=Threads(4))
    paid = sum(t.values["price"].value for t in s.trials)
    assert 9.0 < paid <= 10.0


class _Kept(InlinePool):
    """As a pool whose works outlive it, of which none is found again."""

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self.submitted: list[str] = []
        self.looked_for: list[set[str]] = []

    @property
    def survives(self) -> bool:
        return True

    def submit(self, *works: Work) -> None:
        self.submitted += [work.id for work in works]
        super().submit(*works)

    def reattach(self, ids: Iterable[str]) -> set[str]:
        self.looked_for.append(set(ids))
        return set()


class _Keeping:
    isolated = False

    def __init__(self) -> None:
        self.pools: list[_Kept] = []

    def start(self, function: Function | None = None) -> _Kept:
        assert function is not None
        self.pools.append(_Kept(function))
        return self.pools[-1]


def test_works_that_outlive_their_driver_are_found_by_their_own_study_alone(tmp_path: Path) -> None:
    executor = _Keeping()
    for file in ("a.db", "b.db"):
        hpo.run(study(tmp_path / file), measure, budget=hpo.Budget(trials=1), executor=executor)
        study(tmp_path / file).claim(1, "a driver of another machine that is gone", lease=0.001)
    time.sleep(0.01)
    for file in ("a.db", "b.db"):
        hpo.run(study(tmp_path / file), measure, budget=hpo.Budget(trials=2), executor=executor)
    first_a, first_b, then_a, then_b = executor.pools
    assert not set(first_a.submitted) & set(first_b.submitted), "two studies of one name share a folder"
    for first, then in ((first_a, then_a), (first_b, then_b)):
        (looked_for,) = [ids for ids in then.looked_for if ids]
        assert looked_for == {first.submitted[0].replace("-0-1", "-1-1")}, "the study as it was opened again"
        assert then.submitted == [first.submitted[0].replace("-0-1", "-1-2")]
