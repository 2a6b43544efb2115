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
from hpo.drafts import MOST_DEATHS
from hpo.drivers import owner, reclaim
from hpo.errors import ExecutorError, MissingMetric, NoFeasibleTrial, NotANumber, SettingsError
from hpo.executors import Inline, Outcome, Processes, Subprocess, Threads, Work
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


class _Together(InlinePool):
    """Runs three works and hands their outcomes over together."""

    @property
    def capacity(self) -> int:
        return 3

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        while self._run_next():
            pass
        return self._ledger.deliver()


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


def _raise(trial: hpo.Trial) -> Mapping[str, Any]:
    raise ValueError("too late")


@pytest.mark.parametrize(
    ("by_hand", "state"),
    [
        (lambda s: s.cancel(0, "by hand"), TrialState.CANCELLED),
        (lambda s: s.tell(0, {"y": 7.0, "c": 0.0}), TrialState.COMPLETED),
    ],
)
@pytest.mark.parametrize("then", [_raise, measure])
def test_what_was_said_by_hand_of_a_running_trial_stays(by_hand: Any, state: TrialState, then: Any) -> None:
    s = study()

    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number == 0:
            by_hand(s)
            return then(trial)  # type: ignore[no-any-return]
        return measure(trial)

    hpo.run(s, train, budget=hpo.Budget(trials=2))
    assert s.trials[1].state is TrialState.COMPLETED
    if then is _raise:
        assert s.trials[0].state is state, "a failure adds nothing"
    else:
        assert s.trials[0].state is TrialState.COMPLETED, "a late result is a result"
    if state is TrialState.COMPLETED:
        assert s.trials[0].values["y"].value == 7.0, "the first one"


@pytest.mark.parametrize("kind", ["diverged", "timeout", "infra", "oom"])
def test_ten_failures_of_any_kind_and_no_result_end_a_run(kind: str) -> None:
    s = study()
    s.add({"x": 0.1}, {"y": 0.1, "c": 0.1}, "from production")

    def fail(_: hpo.Trial) -> Mapping[str, Any]:
        raise hpo.TrialFailed(kind, "always")

    with pytest.raises(ExecutorError, match="the first 10 trials all failed"):
        hpo.run(s, fail, budget=hpo.Budget(trials=40))
    assert len(s.history.failed) == 10


def test_the_traceback_of_what_always_fails_is_shown() -> None:
    with pytest.raises(ExecutorError, match=r"in _raise\n(.*\n)*ValueError: too late"):
        hpo.run(study(), _raise, budget=hpo.Budget(trials=12))


def test_a_failure_of_no_known_kind_is_an_error() -> None:
    s = study()

    def fail(_: hpo.Trial) -> Mapping[str, Any]:
        raise hpo.TrialFailed("out of memory")

    hpo.run(s, fail, budget=hpo.Budget(trials=1))
    (trial,) = s.trials
    assert (trial.state, trial.kind) == (TrialState.FAILED, "error")
    assert trial.message.startswith("out of memory (TrialFailed takes a kind first, one of oom, diverged")
    with pytest.raises(NoFeasibleTrial, match=r"1 failed, the last, #0 \(error\): out of memory"):
        _ = s.best


def test_a_standard_error_that_is_not_finite_is_diverged() -> None:
    s = study()
    hpo.run(s, lambda _: {"y": hpo.Measurement(1.0, float("nan")), "c": 0.0}, budget=hpo.Budget(trials=1))
    assert s.trials[0].kind == "diverged"


@pytest.mark.parametrize("returned", [0.5, None, [1, 2]])
def test_what_is_no_mapping_stops_the_run_at_once(returned: Any) -> None:
    s = study()
    with pytest.raises(NotANumber, match="a mapping of metric name to number"):
        hpo.run(s, lambda _: returned, budget=hpo.Budget(trials=12))
    assert [t.state for t in s.trials] == [TrialState.CANCELLED]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": 5}, r"give a Budget, such as hpo.Budget\(trials=5\)"),
        ({"executor": 4}, "give an executor"),
        ({"executor": Threads}, "give an executor"),
        ({"objective": None}, "no objective"),
        ({"timeout": "10s"}, "must be numbers"),
        ({"timeout": -1}, "timeout must be above 0"),
        ({"executor": Threads(2), "timeout": 5.0}, "neither stop nor limit a running trial, .* timeout"),
        ({"budget": hpo.Budget(wall=1, overtime=1)}, "cannot keep to budget.overtime"),
        ({"notice": "1min"}, "notice='1min' must be a number of seconds"),
        ({"lease": 0}, "lease=0 must be a number of seconds, above 0"),
    ],
)
def test_what_nothing_can_be_run_with_is_refused_before_a_trial_is_given_out(wrong: Any, message: str) -> None:
    s = study()
    with pytest.raises(SettingsError, match=message):
        hpo.run(s, **{"objective": measure, "budget": hpo.Budget(trials=2), **wrong})
    assert s.trials == ()


def test_a_trial_that_kills_its_driver_is_not_run_for_ever(tmp_path: Path) -> None:
    code = f"""
import os, hpo
study = hpo.open_study("run", storage={str(tmp_path / "k.db")!r})
hpo.run(study, lambda t: os._exit(9) if t.number == 0 else {{"y": 0.0, "c": 0.0}}, budget=hpo.Budget(trials=2))
"""
    s = study(tmp_path / "k.db")
    for _ in range(MOST_DEATHS - 1):  # as if it had died so often before
        s.reclaim({s.ask(owner="a driver that is gone").owner})
    codes = [subprocess.run([sys.executable, "-c", code], check=False).returncode for _ in range(2)]
    assert codes == [9, 0]
    assert [(t.state, t.kind) for t in s.trials] == [(TrialState.FAILED, "infra"), (TrialState.COMPLETED, None)]


def test_what_another_driver_has_handed_back_is_left_alone() -> None:
    s = study()
    trial = s.ask(owner="a driver that is gone")
    assert [t.number for t in s.reclaim({"a driver that is gone"})] == [0]
    (again,) = s.claim(1, "another", lease=60.0)
    for late in (s.requeue, s.cancel):
        late(trial, "seen before")
        assert s.trials[0] == again
    assert s.reclaim({"a driver that is gone"}) == []
