from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo.errors import StudyNotFound
from hpo.study.open_study import open_study
from hpo.study.study import Study
from hpo.trials.trial import TrialState
from tests.cli.conftest import Hpo


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "study.toml"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))


def test_a_run_ends_with_its_best_trial_and_resumes(hpo: Hpo, folder: Path) -> None:
    first = hpo("run", "study.toml")
    assert (first.returncode, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert [line.split(" | ")[0] for line in lines[:5]] == [f"trial {i}/5" for i in range(1, 6)]
    assert "\x1b" not in first.stdout
    assert "best feasible accuracy" in first.stdout
    study = open_study("digits", storage=folder / "hpo.db")
    assert [t.state for t in study.trials].count(TrialState.COMPLETED) >= 4
    assert study.facts["reason"] == "Which learning rate?"
    best = study.best
    study.storage.close()
    words = f"best feasible accuracy {best.values['accuracy'].value:.4g} (#{best.number})"
    assert words in lines
    again = hpo("run", "study.toml", "--trials", "6")
    assert again.returncode == 0
    assert again.stdout.splitlines()[0] == f"resuming: 5 trials, {words}"
    assert "trial 6/6" in again.stdout
    quiet = hpo("run", "study.toml", "--trials", "7", "--quiet")
    assert quiet.returncode == 0
    assert quiet.stdout.startswith("ended after ")
    assert "trial 7/7" not in quiet.stdout


def test_a_trial_that_misses_a_limit_says_so_and_nothing_feasible_is_3(hpo: Hpo, folder: Path) -> None:
    edit(folder, "upper = 15", "upper = 0.01")
    done = hpo("run", "study.toml", "--trials", "2")
    assert done.returncode == 3
    assert "#0 accuracy 0.9532, missed latency_ms 1.265 > 0.01 ms | nothing feasible yet" in done.stdout
    assert "limits missed: latency_ms 2/2" in done.stdout
    assert "no trial of 2 meets every limit; closest #" in done.stdout
    assert hpo("best").returncode == 3


def test_a_failed_trial_names_its_reason_and_log(hpo: Hpo, folder: Path) -> None:
    edit(folder, "low = 1e-4\nhigh = 1e-1", "low = 0.091\nhigh = 0.1")
    edit(folder, "[run]", '[run]\nlogs = "logs"')
    done = hpo("run", "study.toml", "--trials", "1")
    assert done.returncode == 3
    assert "#0 failed (error): " in done.stdout
    log = folder / "logs" / "digits-0-1.err"
    assert f"(log: {log.relative_to(folder)})" in done.stdout
    assert log.read_text() == "the loss is NaN\n"


@pytest.mark.parametrize("name", ["my digits", "数" * 30])
def test_the_log_of_a_study_of_any_name_is_found(hpo: Hpo, folder: Path, name: str) -> None:
    edit(folder, 'name = "digits"', f'name = "{name}"')
    edit(folder, "low = 1e-4\nhigh = 1e-1", "low = 0.091\nhigh = 0.1")
    edit(folder, "[run]", '[run]\nlogs = "logs"')
    done = hpo("run", "study.toml", "--trials", "1")
    (log,) = (folder / "logs").glob("*-0-1.err")
    assert log.read_text() == "the loss is NaN\n"
    assert f"(log: {log.relative_to(folder)})" in done.stdout


def test_errors_are_messages_without_traceback(hpo: Hpo, folder: Path) -> None:
    edit(folder, "trials = 5", "trials = 0")
    faulty = hpo("run", "study.toml")
    assert (faulty.returncode, faulty.stdout) == (1, "")
    assert faulty.stderr == "Error: study.toml: budget.trials: 0 is not a whole number of at least 1\n"
    assert not (folder / "hpo.db").exists()
    edit(folder, "[budget]\ntrials = 0", "")
    nothing = hpo("run", "study.toml")
    assert nothing.stderr == (
        "Error: study.toml: no budget; add [budget] with trials, wall or cost, or give --trials 60\n"
    )
    assert hpo("run", "study.toml", "--nonsense").returncode == 2
    assert hpo("run", "study.toml", "--trials", "0").returncode == 2


def test_a_result_that_breaks_its_contract_ends_the_run(hpo: Hpo, folder: Path) -> None:
    edit(folder, 'name = "latency_ms"', 'name = "latency"')
    done = hpo("run", "study.toml")
    assert done.returncode == 1
    assert "missing 'latency' (limit <= 15 ms). Is 'latency_ms' a misspelling of it?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_changed_definition_is_a_difference_and_a_choice(hpo: Hpo, folder: Path) -> None:
    assert hpo("run", "study.toml", "--trials", "1").returncode == 0
    edit(folder, "upper = 15", "upper = 16")
    done = hpo("run", "study.toml")
    assert done.returncode == 1
    assert "study 'digits' is stored with another definition: latency_ms.upper: stored 15.0, given 16.0." in done.stderr


def test_ctrl_c_lets_running_trials_end_and_prints_how_to_go_on(
    folder: Path, environment: dict[str, str], hpo: Hpo
) -> None:
    edit(folder, "[run]", "[run]\nworkers = 2")
    gate = folder / "gate"
    environment["GATE"] = str(gate)
    command = [sys.executable, "-u", "-m", "hpo.cli.main", "run", "study.toml", "--trials", "50"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    study = wait_for_running(folder, 2)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first == "interrupted: waiting for 2 running trials to end; interrupt again (Ctrl-C) to cancel them\n"
    gate.touch()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "to go on: hpo run study.toml --trials 50"
    assert [t.state for t in study.trials] == [TrialState.COMPLETED, TrialState.COMPLETED]
    study.storage.close()


def wait_for_running(folder: Path, n: int) -> Study:
    """The study, as soon as `n` of its trials run; the deadline detects a hang."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (folder / "hpo.db").exists():
            with contextlib.suppress(StudyNotFound):
                study = open_study("digits", storage=folder / "hpo.db")
                if sum(t.state is TrialState.RUNNING for t in study.trials) == n:
                    return study
                study.storage.close()
        time.sleep(0.05)
    raise AssertionError(f"never {n} trials running")


def test_a_terminal_sees_one_line_rewritten(folder: Path, environment: dict[str, str]) -> None:
    reader, terminal = pty.openpty()
    command = [sys.executable, "-m", "hpo.cli.main", "run", "study.toml", "--trials", "3"]
    gate = folder / "gate"
    environment |= {"TERM": "xterm", "GATE": str(gate)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # how a pseudo-terminal says that its other end is gone
        while chunk := os.read(reader, 4096):
            shown += chunk
            if b"trial 0/3 | 1 running | 0:0" in shown:  # before the first trial ends
                gate.touch()
    os.close(reader)
    assert process.wait(60) == 0
    text = shown.decode()
    assert "trial 3/3" in text
    assert "\x1b[2K" in text
    assert "#1 accuracy" not in text


def test_a_command_that_cannot_work_ends_the_run_and_uses_nothing_up(hpo: Hpo, folder: Path) -> None:
    edit(folder, "train.py", "trian.py")
    done = hpo("run", "study.toml")
    assert done.returncode == 1
    assert done.stdout.startswith("trial 1/5 | #0 failed (error): the command ended with exit code 2: ")
    assert done.stderr.startswith("Error: trial 0 failed because of an error in the program, ")
    assert "Fix the program and run it again: failed trials are run again first" in done.stderr
    assert "Traceback" not in done.stderr
    edit(folder, "trian.py", "train.py")
    again = hpo("run", "study.toml")
    assert again.returncode == 0
    assert again.stdout.splitlines()[:2] == [
        "resuming: 1 trial, 1 failed, no result yet",
        "run again: 1 trial that failed because of an error in the program",
    ]
    assert "trial 5/5" in again.stdout
    assert "5 trials, the budget, have been run" in again.stdout


def test_a_run_with_nothing_left_to_do_says_what_there_is(hpo: Hpo) -> None:
    hpo("run", "study.toml", "--trials", "1")
    again = hpo("run", "study.toml", "--trials", "1")
    first, ended, *_ = again.stdout.splitlines()
    assert first.startswith("resuming: 1 trial, best feasible accuracy ")
    assert ended.endswith(": 1 trial, the budget, has been run")


def test_a_run_goes_on_when_nobody_reads_what_it_prints(folder: Path, environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m hpo.cli.main run study.toml; echo $? > code"
    shell = subprocess.run(
        f"({command}) | head -1", shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert shell.stdout.startswith("trial 1/5 | ")
    assert (folder / "code").read_text() == "0\n"
    study = open_study("digits", storage=folder / "hpo.db")
    assert len(study.trials) == 5
    study.storage.close()
    assert shell.stderr.count("progress is not shown any more") == 1
    assert "Traceback" not in shell.stderr


def test_names_that_the_encoding_does_not_have_end_no_run(hpo: Hpo, folder: Path, environment: dict[str, str]) -> None:
    environment["PYTHONIOENCODING"] = "latin-1"
    edit(folder, 'name = "digits"', 'name = "数"')
    done = hpo("run", "study.toml", "--trials", "2")
    assert done.returncode == 0
    assert "Error" not in done.stderr
    assert "\\u6570" in hpo("status").stdout
