"""Workers join and leave a study, and hand back what they cannot finish."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import StudyNotFound
from hpo.study.open_study import open_study
from hpo.study.study import Study
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.cli.conftest import Hpo


def study(folder: Path) -> Study:
    return open_study("digits", storage=folder / "hpo.db")


def states(folder: Path) -> list[TrialState]:
    try:
        opened = study(folder)
    except StudyNotFound:
        return []
    try:
        return [trial.state for trial in opened.trials]
    finally:
        opened.storage.close()


def start(folder: Path, *arguments: str, gate: Path) -> subprocess.Popen[str]:
    """`hpo` in the background; its training runs wait for `gate`."""
    return subprocess.Popen(
        [sys.executable, "-m", "hpo.cli.main", *arguments],
        cwd=folder,
        env={**os.environ, "GATE": str(gate)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_worker_runs_what_is_left_of_the_budget(hpo: Hpo, folder: Path) -> None:
    hpo("run", "study.toml", "--trials", "2")
    done = hpo("worker", "digits", "--workers", "2", "--trials", "6")
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 trials, the budget, have been run" in done.stdout
    opened = study(folder)
    assert len(opened.trials) == 6
    joined = [event.data for event in opened.events() if event.kind == "joined"]
    assert joined[0]["command"] == joined[1]["command"]
    assert joined[1]["settings"]["budget"]["trials"] == 6
    assert len({trial.owner for trial in opened.trials}) == 2
    opened.storage.close()


def test_a_worker_joins_a_run_and_hands_back_its_trial_on_sigterm(hpo: Hpo, folder: Path) -> None:
    gate = folder / "gate"
    run = start(folder, "run", "study.toml", "--trials", "3", "--workers", "1", gate=gate)
    await_that(lambda: (folder / "hpo.db").exists() and states(folder) == [TrialState.RUNNING], "the run starts one")
    worker = start(folder, "worker", "--workers", "2", "--notice", "0.2s", gate=gate)
    await_that(lambda: states(folder) == [TrialState.RUNNING] * 3, "the worker starts the others")
    worker.send_signal(signal.SIGTERM)
    said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 130
    assert "terminated: 2 running trials have 0.2 s to end" in said
    assert "stopped before their end: #" in said
    assert said.count("(preempted: the machine was to be given back)") == 2
    assert states(folder) == [TrialState.RUNNING, TrialState.WAITING, TrialState.WAITING]
    gate.touch()
    run.communicate(timeout=120)
    opened = study(folder)
    assert len(opened.trials) == 3
    assert all(trial.state in (TrialState.COMPLETED, TrialState.FAILED) for trial in opened.trials)
    assert [trial.attempt for trial in opened.trials] == [1, 2, 2]
    assert all(trial.earlier_seconds > 0 for trial in opened.trials[1:])
    assert opened.replay().is_identical
    opened.storage.close()


def test_the_options_of_a_worker_are_its_own(hpo: Hpo, folder: Path) -> None:
    hpo("run", "study.toml", "--trials", "2")
    hpo("worker", "--trials", "3", "--notice", "7s", "--command", f"{sys.executable} train.py {{model.lr}}", "--quiet")
    done = hpo("worker", "--quiet")
    assert "2 trials, the budget, have been run" in done.stdout, done.stderr
    opened = study(folder)
    run, first, second = [event.data for event in opened.events() if event.kind == "joined"]
    assert (first["settings"]["budget"]["trials"], first["settings"]["limits"]["notice"]) == (3, 7.0)
    assert (second["command"], second["settings"]) == (run["command"], run["settings"])
    assert first["command"] != run["command"]
    opened.storage.close()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["python", "train.py", "{model.lr}", "--token", "abc"],
            "the stored command has a secret, which is not stored",
        ),
        ([], "was never run with a command, so a worker cannot know what to run"),
    ],
)
def test_what_a_worker_cannot_know_it_is_told(hpo: Hpo, folder: Path, command: list[str], said: str) -> None:
    hpo("run", "study.toml", "--trials", "1")
    opened = study(folder)
    record = opened.facts  # a study of its own, which no run has joined yet
    other = open_study("other", opened.problem, storage=opened.storage, seed=record["seed"])
    other.leases.join("me", command, settings={"budget": {"trials": 2}})
    opened.storage.close()
    refused = hpo("worker", "other")
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "abc" not in refused.stderr
    good = hpo("worker", "other", "--command", f"{sys.executable} train.py {{model.lr}}", "--quiet")
    assert "2 trials, the budget, have been run" in good.stdout, good.stderr


def test_a_command_that_cannot_be_split_is_told(hpo: Hpo, folder: Path) -> None:
    hpo("run", "study.toml", "--trials", "1")
    refused = hpo("worker", "--command", "sh 'x")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        'Error: the command "sh \'x" cannot be split into words: No closing quotation; close what is open\n'
    )


def test_times_are_checked(hpo: Hpo, folder: Path) -> None:
    refused = hpo("worker", "digits", "--idle", "soon")
    assert refused.returncode == 2
    assert "'soon' is no length of time" in refused.stderr
    assert hpo("worker", "digits", "--idle", "²").returncode == 2


def test_a_worker_brings_the_strategy_that_the_study_names(hpo: Hpo, folder: Path) -> None:
    (folder / "mine.py").write_text("from hpo.strategies.random import Random as Mine\n")
    file = folder / "study.toml"
    file.write_text(file.read_text().replace("seed = 7", 'seed = 7\nstrategy = "random"'))
    hpo("run", "study.toml", "--trials", "1")
    with closing(sqlite3.connect(folder / "hpo.db")) as database:
        database.execute("""UPDATE study SET facts = replace(facts, '"name":"random"', '"name":"mine:Mine"')""")
        database.commit()
    done = hpo("worker", "--trials", "3", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert states(folder) == [TrialState.COMPLETED] * 3
