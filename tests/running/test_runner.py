"""run(): the budget is kept, nothing is left running, and what went wrong is told as what it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

import hpo
from hpo.errors import ExecutorError, MissingMetric, NoFeasibleTrial, NotANumber, ResultError, SettingsError
from hpo.executors import Inline, Outcome, Processes, Subprocess, Task, Threads
from hpo.executors.base import Function
from hpo.executors.local.inline import InlinePool
from hpo.running.heartbeat import owner, reclaim
from hpo.running.progress import Progress
from hpo.strategies import Random
from hpo.study.new_events import MAX_DEATHS
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState


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


def _calls_what_is_not_there(trial: hpo.Trial) -> Mapping[str, Any]:
    return {"y": undefined, "c": 0.1}  # type: ignore[name-defined]  # noqa: F821


def _adds_a_text(trial: hpo.Trial) -> Mapping[str, Any]:
    return {"y": 1.0 + str(trial.number)}  # type: ignore[operator]


def _imports_what_is_not_there(trial: hpo.Trial) -> Mapping[str, Any]:
    import no_such_module_anywhere  # type: ignore[import-not-found]

    return {"y": no_such_module_anywhere.x}


def _reads_what_is_not_there(trial: hpo.Trial) -> Mapping[str, Any]:
    return {"y": len(Path("no-such-file.csv").read_text())}


BUGS: list[tuple[Callable[[Any], Any], str]] = [
    (_calls_what_is_not_there, "NameError: name 'undefined' is not defined"),
    (_adds_a_text, "TypeError: unsupported operand type(s) for +: 'float' and 'str'"),
    (_imports_what_is_not_there, "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
    (_reads_what_is_not_there, "FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file.csv'"),
    (lambda t: {"y": t.params.x}, "AttributeError: 'Fixed' object has no attribute 'x'"),
    (lambda t: {"y": t.params["z"]}, "KeyError: 'z'"),
    (lambda t: exec("x = = 1"), "SyntaxError: invalid syntax"),
]


@pytest.mark.parametrize("executor", [Inline(), Threads(2), Processes(2)], ids=repr)
@pytest.mark.parametrize(("objective", "message"), BUGS, ids=[message.split(":")[0] for _, message in BUGS])
def test_a_bug_stops_the_run_at_the_first_failure_and_uses_nothing_up(
    executor: Any, objective: Any, message: str
) -> None:
    s = study()
    with pytest.raises(ExecutorError, match=r"^trial [01] failed because of an error in the program") as caught:
        hpo.run(s, objective, budget=hpo.Budget(trials=5), executor=executor)
    said = str(caught.value)
    assert message.replace("'Fixed'", "'dict'") in said.replace("'Fixed'", "'dict'")
    assert "Traceback" in said
    assert "objective.py" not in said, "the frames of the user, not ours"
    assert len(s.trials) <= 2
    assert {(t.state, t.kind) for t in s.trials} == {(TrialState.FAILED, "error")}
    ended = hpo.run(s, measure, budget=hpo.Budget(trials=5), executor=executor)
    assert (ended.completed, ended.failed) == (5, 0), "mended and run again, it has all its trials"
    assert [t.state for t in s.trials] == [TrialState.COMPLETED] * 5


@pytest.mark.parametrize(
    "script",
    [
        "exit 127",
        "exit 126",
        "true",
        "echo done",
        "no-such-program",
        f"{sys.executable} no-such-file.py",
        f"{sys.executable} -c 'x = = 1'",
        f"{sys.executable} -c 'import no_such_module'",
        f"{sys.executable} -c 'import argparse; argparse.ArgumentParser().parse_args()' --unknown 1",
    ],
)
def test_so_does_a_command_that_cannot_work(script: str) -> None:
    s = study()
    with pytest.raises(ExecutorError, match=r"^trial 0 failed because of an error in the program, .*the command ended"):
        hpo.run(s, executor=Subprocess(["sh", "-c", script]), budget=hpo.Budget(trials=5))
    assert [(t.state, t.kind) for t in s.trials] == [(TrialState.FAILED, "error")]


@pytest.mark.parametrize(
    "script", ["exit 1", "exit 2", "exit 3", "echo 'RuntimeError: the loss is NaN' >&2; exit 1", "kill -9 $$"]
)
def test_what_params_may_be_to_blame_for_is_an_ordinary_failure(script: str) -> None:
    s = study()
    ended = hpo.run(s, executor=Subprocess(["sh", "-c", script]), budget=hpo.Budget(trials=3))
    assert (ended.completed, ended.failed) == (0, 3)
    assert ended.reason.startswith(
        "3 trials, the budget, have been run; no trial has a result: 3 trials failed, the last, #2"
    )
    assert ended.reason.endswith('have these trials run again: study.requeue_failed("fixed")'), (
        "no command reaches memory"
    )


def test_a_bug_after_results_is_an_ordinary_failure() -> None:
    s = study()
    ended = hpo.run(s, lambda t: measure(t) if t.number == 0 else t.params["z"], budget=hpo.Budget(trials=15))
    assert (ended.completed, ended.failed, ended.reason) == (1, 14, "15 trials, the budget, have been run")


def test_a_result_from_elsewhere_does_not_prove_that_the_program_works() -> None:
    s = study()
    s.add({"x": 0.1}, {"y": 0.1, "c": 0.1}, "from production")
    with pytest.raises(ExecutorError, match="because of an error in the program"):
        hpo.run(s, _calls_what_is_not_there, budget=hpo.Budget(trials=5))


def test_what_looked_like_a_bug_was_none_when_a_trial_beside_it_has_a_result(tmp_path: Path) -> None:
    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number == 0:
            raise KeyError("momentum")
        if trial.number == 1:
            await_that(lambda: len(s.history.failed) == 1, "the other has failed")
        return measure(trial)

    s = study()
    ended = hpo.run(s, train, budget=hpo.Budget(trials=4), executor=Threads(2))
    assert (ended.completed, ended.failed) == (3, 1)
    assert s.trials[0].state is TrialState.FAILED


def test_failures_are_warnings_with_their_traceback_and_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    def train(trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number % 2:
            raise ValueError(f"bad shape {trial.number}")
        return measure(trial)

    ended = hpo.run(study(), train, budget=hpo.Budget(trials=11), progress=False)
    assert (ended.completed, ended.failed) == (6, 5)
    first, *others = [r.getMessage() for r in caplog.records if r.levelname == "WARNING" and r.name.startswith("hpo")]
    assert first.startswith("#1 failed (error): ValueError: bad shape 1\nTraceback")
    assert "in train" in first
    assert others == [
        "#3 failed (error): ValueError: bad shape 3 (2 times so far)",
        "#7 failed (error): ValueError: bad shape 7 (4 times so far)",
    ]


def test_the_warning_of_a_failure_names_its_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    executor = Processes(1, logs=tmp_path / "logs")
    hpo.run(study(), _raise, budget=hpo.Budget(trials=1), executor=executor, progress=False)
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING" and r.name.startswith("hpo")]
    assert said.startswith("#0 failed (error): ValueError: too late\nthe whole: ")
    assert "in _raise" in Path(said.rsplit(": ", 1)[1]).read_text()


def test_failed_trials_are_requeued_together() -> None:
    s = study()
    for kind in ("error", "oom", "error"):
        s.fail(s.ask(), kind, "for want of data")
    s.tell(s.ask(), {"y": 0.0, "c": 0.0})
    assert [t.number for t in s.requeue_failed("larger machine", kind="oom")] == [1]
    again = s.requeue_failed("mended")
    assert [(t.number, t.state, t.attempt, t.message) for t in again] == [
        (0, TrialState.WAITING, 2, "mended"),
        (2, TrialState.WAITING, 2, "mended"),
    ]
    assert s.requeue_failed() == []
    assert s.history.n_started == 1
    with pytest.raises(SettingsError, match=r"failure kind 'eror' is not one of .* Did you mean 'error'"):
        s.requeue_failed(kind="eror")
    assert hpo.run(s, measure, budget=hpo.Budget(trials=4)).completed == 3
    assert s.replay().is_identical


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
import os, sys, time, hpo
from pathlib import Path
from hpo.executors import *
here = Path(sys.argv[1])
problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
study = hpo.open_study("int", problem, storage=here / "i.db", seed=1)

def wait(trial):
    (here / f"{os.getpid()}.pid").touch()
    while not (here / "gate").exists():
        time.sleep(0.01)
    return {"y": trial.params["x"]}

def show(step):
    print(step.message or f"ended {step.ended.number}", flush=True)

EXECUTOR = {executor}
objective = None if isinstance(EXECUTOR, Subprocess) else wait
try:
    hpo.run(study, objective, budget=hpo.Budget(trials=100), executor=EXECUTOR, progress=show)
finally:
    stop = sys.exc_info()[1]
    print("END", type(stop) is KeyboardInterrupt, stop.run, flush=True)
    print("usable:", study.tell(study.ask(), {"y": 0.0}).state, flush=True)
"""
COMMAND = """
touch $$.pid
while [ ! -e gate ]; do sleep 0.05; done
echo '{"y": 0.5}'
"""
EXECUTORS = ["Inline()", "Threads(2)", "Processes(2)", "Subprocess(['sh', 'train.sh'], 2)"]


class _Interrupted:
    """The program above, at the point where as many trials run as there is room for."""

    def __init__(self, folder: Path, executor: str, command: str = COMMAND) -> None:
        (folder / "train.sh").write_text(command)
        self.folder, self.n = folder, 1 if executor == "Inline()" else 2
        code = INTERRUPTED.replace("{executor}", executor)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        n_processes = 1 if executor in ("Inline()", "Threads(2)") else 2
        try:
            await_that(lambda: len(self.pids()) == n_processes and self.n_running() == self.n, "the trials run")
        except BaseException:
            self.process.kill()
            raise AssertionError(self.process.communicate()) from None

    def n_running(self) -> int:
        """In the storage."""
        study = hpo.open_study("int", storage=self.folder / "i.db")
        try:
            return sum(t.state is TrialState.RUNNING for t in study.trials)
        finally:
            study.storage.close()

    def pids(self) -> list[int]:
        """Of the processes in which objectives have run."""
        return [int(path.stem) for path in self.folder.glob("*.pid")]

    def interrupt(self) -> str:
        """Ctrl-C; what is said then."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.stdout.readline()

    def end(self) -> tuple[str, str]:
        """What else it prints, and its errors."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == -signal.SIGINT, err
        assert err.count("Traceback") == 1
        assert "in _loop" not in err, "the frames inside say nothing to the reader"
        assert "END True Run(" in out
        assert "usable: completed" in out
        assert all(is_gone(pid) for pid in self.pids())
        return out, err


def is_gone(pid: int) -> bool:
    """Whether no process has this number any more."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("executor", EXECUTORS)
def test_ctrl_c_once_lets_running_trials_end(tmp_path: Path, executor: str) -> None:
    run = _Interrupted(tmp_path, executor)
    trials, them = ("1 running trial", "it") if run.n == 1 else ("2 running trials", "them")
    assert run.interrupt() == f"interrupted: waiting for {trials} to end; interrupt again (Ctrl-C) to cancel {them}\n"
    (tmp_path / "gate").touch()
    out, err = run.end()
    assert f"completed={run.n}, failed=0" in out
    assert "KeyboardInterrupt: interrupted; " in err
    s = hpo.open_study("int", storage=tmp_path / "i.db")
    assert [t.state for t in s.trials] == [TrialState.COMPLETED] * (run.n + 1)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_ctrl_c_twice_cancels_them(tmp_path: Path, executor: str) -> None:
    run = _Interrupted(tmp_path, executor)
    run.interrupt()
    run.process.send_signal(signal.SIGINT)
    _, err = run.end()
    rest = "what cannot be stopped may still run; " if executor == "Threads(2)" else ""
    assert (
        f"KeyboardInterrupt: interrupted twice: running trials were cancelled; {rest}no trial has a result yet" in err
    )
    s = hpo.open_study("int", storage=tmp_path / "i.db")
    assert [t.state for t in s.trials] == [TrialState.CANCELLED] * run.n + [TrialState.COMPLETED]


def test_a_third_ctrl_c_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    """The commands ignore SIGTERM, and would have an hour to end."""
    run = _Interrupted(tmp_path, "Subprocess(['sh', 'train.sh'], 2, grace=3600.0)", "trap '' TERM\n" + COMMAND)
    run.interrupt()
    again = (
        "interrupted again: 2 running trials cancelled, with 3600 s to end; interrupt again (Ctrl-C) to kill at once\n"
    )
    assert run.interrupt() == again
    run.process.send_signal(signal.SIGINT)
    run.end()


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


def test_random_search_in_parallel_never_overdraws() -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Tracked("price")])
    s = hpo.open_study("p", problem, storage=":memory:", seed=0, strategy=Random())
    budget = hpo.Budget(cost=10.0, reserve=1.0, cost_of="price")
    hpo.run(s, lambda t: {"y": 0.0, "price": t.params["x"]}, budget=budget, executor=Threads(4))
    paid = sum(t.values["price"].value for t in s.trials)
    assert 9.0 < paid <= 10.0


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


@pytest.mark.parametrize("kind", ["diverged", "timeout", "oom"])
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
