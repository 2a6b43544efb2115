"""The loop of a run, and what comes between its steps: other drivers, people, outcomes that come together or late."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import MissingMetric, ResultError
from hpo.executors import Inline, Outcome, Processes, Subprocess, Task, Threads
from hpo.executors.base import Function
from hpo.executors.local.inline import InlinePool
from hpo.running.heartbeat import owner, reclaim
from hpo.running.progress import Progress
from hpo.study.new_events import MAX_DEATHS
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.running.runs import measure, raise_error, study


@pytest.mark.parametrize(
    "bad", [{"y": 1.0}, {"y": None, "c": 0.0}, {"y": "good", "c": 0.0}, {"y": [1.0], "c": 0.0}, None]
)
@pytest.mark.parametrize("executor", [Threads(3), Processes(3)], ids=repr)
@pytest.mark.parametrize("n_before", [0, 4])
def test_a_bad_result_lets_the_others_end_and_be_told(tmp_path: Path, executor: Any, bad: Any, n_before: int) -> None:
    def train(trial: hpo.Trial) -> Any:
        if trial.number == n_before:
            return bad
        if trial.number > n_before:
            await_that((tmp_path / "gate").exists, "the bad result is told")
        return measure(trial)

    def show(step: Progress) -> None:
        said.append(step.message)
        if "nothing more is started" in step.message:
            (tmp_path / "gate").touch()

    s, said = study(), [""]
    if n_before:
        hpo.run(s, measure, budget=hpo.Budget(trials=n_before), progress=False)
    with pytest.raises(ResultError, match=r"trial|the objective"):
        hpo.run(s, train, budget=hpo.Budget(trials=20), executor=executor, progress=show)
    states = [t.state for t in s.trials]
    assert states == [TrialState.COMPLETED] * n_before + [TrialState.CANCELLED] + [TrialState.COMPLETED] * 2
    assert any(
        words == "a result is refused: nothing more is started; 2 running trials may end first" for words in said
    )


def test_trials_of_a_dead_driver_are_run_again(tmp_path: Path) -> None:
    s = study(tmp_path / "r.db")
    dead = subprocess.run(
        [sys.executable, "-c", "from hpo.running.heartbeat import owner; print(owner())"],
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


class _Kept(InlinePool):
    """As a pool whose tasks outlive it, of which none is found again."""

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self.submitted: list[str] = []
        self.looked_for: list[set[str]] = []

    @property
    def survives(self) -> bool:
        return True

    def submit(self, *tasks: Task) -> None:
        self.submitted += [task.id for task in tasks]
        super().submit(*tasks)

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


def test_tasks_that_outlive_their_driver_are_found_by_their_own_study_alone(tmp_path: Path) -> None:
    executor = _Keeping()
    for file in ("a.db", "b.db"):
        hpo.run(study(tmp_path / file), measure, budget=hpo.Budget(trials=1), executor=executor)
        study(tmp_path / file).leases.claim(1, "a driver of another machine that is gone", lease=0.001)
    time.sleep(0.01)
    for file in ("a.db", "b.db"):
        hpo.run(study(tmp_path / file), measure, budget=hpo.Budget(trials=2), executor=executor)
    first_a, first_b, then_a, then_b = executor.pools
    assert not set(first_a.submitted) & set(first_b.submitted), "two studies of one name share a folder"
    for first, then in ((first_a, then_a), (first_b, then_b)):
        (looked_for,) = [ids for ids in then.looked_for if ids]
        assert looked_for == {first.submitted[0].replace("-0-1", "-1-1")}, "the study as it was opened again"
        assert then.submitted == [first.submitted[0].replace("-0-1", "-1-2")]


class _Together(InlinePool):
    """Runs three tasks and hands their outcomes over together."""

    @property
    def capacity(self) -> int:
        return 3

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        while self._run_next():
            pass
        return self._queue.deliver()


class _AllAtOnce:
    isolated = False

    def start(self, function: Function | None = None) -> _Together:
        assert function is not None
        return _Together(function)


def test_results_that_came_together_with_a_faulty_one_are_kept() -> None:
    s = study()
    with pytest.raises(MissingMetric):
        hpo.run(
            s,
            lambda t: {"y": 1.0} if t.number == 0 else measure(t),
            budget=hpo.Budget(trials=3),
            executor=_AllAtOnce(),
        )
    assert [t.state for t in s.trials] == [TrialState.CANCELLED, TrialState.COMPLETED, TrialState.COMPLETED]


@pytest.mark.parametrize(
    ("by_hand", "state"),
    [
        (lambda s: s.cancel(0, "by hand"), TrialState.CANCELLED),
        (lambda s: s.tell(0, {"y": 7.0, "c": 0.0}), TrialState.COMPLETED),
    ],
)
@pytest.mark.parametrize("then", [raise_error, measure])
def test_what_was_said_by_hand_of_a_running_trial_stays(by_hand: Any, state: TrialState, then: Any) -> None:
    s = study()

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number == 0:
            by_hand(s)
            return then(trial)  # type: ignore[no-any-return]
        return measure(trial)

    hpo.run(s, train, budget=hpo.Budget(trials=2))
    assert s.trials[1].state is TrialState.COMPLETED
    if then is raise_error:
        assert s.trials[0].state is state, "a failure adds nothing"
    else:
        assert s.trials[0].state is TrialState.COMPLETED, "a late result is a result"
    if state is TrialState.COMPLETED:
        assert s.trials[0].values["y"].value == 7.0, "the first one"


def test_a_trial_that_kills_its_driver_is_not_run_for_ever(tmp_path: Path) -> None:
    code = f"""
import os, hpo
study = hpo.open_study("run", storage={str(tmp_path / "k.db")!r})
hpo.run(study, lambda t: os._exit(9) if t.number == 0 else {{"y": 0.0, "c": 0.0}}, budget=hpo.Budget(trials=2))
"""
    s = study(tmp_path / "k.db")
    for _ in range(MAX_DEATHS - 1):  # as if it had died so often before
        s.leases.reclaim({s.ask(owner="a driver that is gone").owner})
    codes = [subprocess.run([sys.executable, "-c", code], check=False).returncode for _ in range(2)]
    assert codes == [9, 0]
    assert [(t.state, t.kind) for t in s.trials] == [(TrialState.FAILED, "infra"), (TrialState.COMPLETED, None)]


def test_what_another_driver_has_handed_back_is_left_alone() -> None:
    s = study()
    trial = s.ask(owner="a driver that is gone")
    assert [t.number for t in s.leases.reclaim({"a driver that is gone"})] == [0]
    (again,) = s.leases.claim(1, "another", lease=60.0)
    for late in (s.requeue, s.cancel):
        late(trial, "seen before")
        assert s.trials[0] == again
    assert s.leases.reclaim({"a driver that is gone"}) == []


@pytest.mark.parametrize("executor", [Processes(1), Inline(), Threads(1)])
def test_an_objective_that_forks_is_one_trial(executor: Any) -> None:
    def fork(trial: hpo.Trial) -> Mapping[str, Any]:
        child = os.fork() if trial.number == 0 else None
        if child == 0:
            return {"y": -1.0, "c": 0.0}
        if child is not None:
            os.waitpid(child, 0)
        return {"y": float(trial.number), "c": 0.0}

    s = study()
    hpo.run(s, fork, budget=hpo.Budget(trials=4), executor=executor)
    assert [trial.values["y"].value for trial in s.trials] == [0.0, 1.0, 2.0, 3.0]


def test_a_result_that_was_reported_before_the_timeout_counts(tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text(
        """case $HPO_TRIAL in
0) echo '{"y": 1, "c": 0.5}' ;;
1) echo '{"y": 1}' ;;
2) echo '{"y": NaN, "c": 1}' ;;
esac
sleep 1000
"""
    )
    s, said = study(), list[str]()
    hpo.run(
        s,
        budget=hpo.Budget(trials=4),
        executor=Subprocess(["sh", str(script)], slots=4, grace=0.5),
        timeout=1.0,
        progress=lambda step: said.append(step.message),
    )
    assert [(str(trial.state), trial.kind) for trial in s.trials] == [("completed", None)] + [("failed", "timeout")] * 3
    note = "trial 0 was still running after its timeout of 1 s; what it had reported by then counts"
    assert note in said
    assert [event.data["text"] for event in s.events() if event.kind == "noted"] == [note]
