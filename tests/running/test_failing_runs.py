"""Trials that fail in a run: which of them end it, what is said of them, and what becomes of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import ExecutorError, MissingMetric, NoFeasibleTrial, NotANumber, SettingsError
from hpo.executors import Inline, Processes, Subprocess, Threads
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.running.runs import measure, raise_error, study


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


def test_every_way_of_failing_fails_that_trial_alone() -> None:
    s = study()
    hpo.run(s, misbehave, budget=hpo.Budget(trials=10), executor=Processes(2), timeout=3.0)
    kinds = {t.number: t.kind for t in s.trials}
    assert [kinds[i] for i in range(10)] == ["error", "crash", "timeout", "diverged", "diverged", "crash"] + [None] * 4
    assert "bad shape" in s.trials[0].message
    assert s.trials[3].message == "loss above 1e9"
    assert len(s.history.completed) == 4


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


@pytest.mark.parametrize(
    ("objective", "message", "executor"),
    [*((*bug, Inline()) for bug in BUGS), (*BUGS[0], Threads(2)), (*BUGS[0], Processes(2)), (*BUGS[4], Processes(2))],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else type(value).__name__,
)
def test_a_bug_stops_the_run_at_the_first_failure_and_uses_nothing_up(
    objective: Any, message: str, executor: Any
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
    hpo.run(study(), raise_error, budget=hpo.Budget(trials=1), executor=executor, progress=False)
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING" and r.name.startswith("hpo")]
    assert said.startswith("#0 failed (error): ValueError: too late\nthe whole: ")
    assert "in raise_error" in Path(said.rsplit(": ", 1)[1]).read_text()


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
    with pytest.raises(ExecutorError, match=r"in raise_error\n(.*\n)*ValueError: too late"):
        hpo.run(study(), raise_error, budget=hpo.Budget(trials=12))


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


def _kills_its_supervisor(trial: hpo.Trial) -> Mapping[str, Any]:
    if trial.number == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60.0)
    return measure(trial)


def test_a_trial_that_kills_what_watches_it_fails_in_the_end() -> None:
    s = study()
    ended = hpo.run(s, _kills_its_supervisor, budget=hpo.Budget(trials=5), executor=Processes(1))
    assert (ended.completed, ended.failed) == (4, 1)
    assert (s.trials[1].state, s.trials[1].kind) == (TrialState.FAILED, "infra")
    assert all(attempt.seconds for attempt in s.trials[1].attempts), "each has run, and is paid for"
