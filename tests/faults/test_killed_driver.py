"""kill -9 of a driver, again and again: nothing told is lost or doubled, nothing hangs, nothing is repeated.

HPO_KILLS says how often. Most of the drivers are forked from a process that has imported all they need; a twentieth are
those of the command line, started from nothing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path

import pytest

import hpo
from hpo.problem.space import key
from hpo.storage import open_storage
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.faults.zygote import Drive, check, is_supervised, read, zygote

KILLS = int(os.environ.get("HPO_KILLS", "40"))
SERVER = os.environ.get("HPO_TEST_PG", "")
TRIALS = 40
SHARES = {
    ("sqlite", "inline", "random"): 0.4,
    ("sqlite", "inline", "bayesian"): 0.1,
    ("sqlite", "processes", "random"): 0.3,
    ("postgresql", "inline", "random"): 0.15,
    ("postgresql", "processes", "random"): 0.05,
}
"""Of the kills, by storage, executor and strategy."""

TRAIN = """
import json, os, sys, time
x, n = float(sys.argv[1]), int(sys.argv[2])
time.sleep(0.02 + 0.08 * x)
with open(sys.argv[3], "a") as ledger:  # what was measured, kept beside the study
    ledger.write(json.dumps([int(os.environ["HPO_TRIAL"]), x, n]) + "\\n")
print(json.dumps({"y": x * n, "size": n}))
"""

STUDY = """
[study]
name = "killed"
storage = "hpo.db"
seed = 3
[space.x]
type = "float"
low = 0.0
high = 1.0
[space.n]
type = "int"
low = 1
high = 9
[[metrics]]
role = "objective"
name = "y"
goal = "maximize"
[[metrics]]
role = "constraint"
name = "size"
upper = 7
[budget]
trials = %d
[run]
command = ["%s", "train.py", "{x}", "{n}", "ledger.jsonl"]
workers = 2
"""


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "hpo"), "run", "study.toml"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.timeout(300 + 5 * KILLS)
@pytest.mark.parametrize("kind", SHARES, ids="-".join)
def test_a_driver_killed_at_any_moment(kind: tuple[str, str, str], tmp_path: Path) -> None:
    storage, executor, strategy = kind
    if storage == "postgresql" and not SERVER:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    kills, dice = round(KILLS * SHARES[kind]), random.Random(0)
    with zygote() as drivers:
        while kills > 0:
            name = uuid.uuid4().hex
            url = SERVER if storage == "postgresql" else str(tmp_path / f"{name}.db")
            ledger = tmp_path / f"{name}.state"
            drive = Drive(name, url, str(ledger), TRIALS, executor, is_random=strategy == "random")
            is_over = False
            while not is_over:
                driver = drivers.start(drive)
                if kills > 0:
                    time.sleep(dice.uniform(0.0, 0.3 if executor == "inline" else 0.6))
                    with suppress(ProcessLookupError):  # it was done before
                        os.kill(driver, signal.SIGKILL)
                code = drivers.wait()
                assert code in (0, -signal.SIGKILL)
                is_over, kills = code == 0, kills - (code != 0)
                if ledger.exists():
                    with closing(open_storage(url)) as there:
                        check(hpo.open_study(name, storage=there), ledger, is_over)
            with closing(open_storage(url)) as there:
                study = hpo.open_study(name, storage=there)
                assert len(study.trials) == TRIALS
                assert study.replay().is_identical
            if executor == "processes":
                pids = {
                    pid for word, _, *pids in (line[:4] for line in read(ledger)) if word == "began" for pid in pids
                }
                await_that(lambda pids=pids: not any(map(is_supervised, pids)), "every process of a trial ends")  # type: ignore[misc]


def test_a_killed_command_loses_and_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "study.toml").write_text(STUDY % (TRIALS, sys.executable))
    dice = random.Random(0)
    for _ in range(KILLS // 20):
        with _start(tmp_path) as process:
            time.sleep(dice.uniform(0.2, 1.6))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
            assert process.stderr is not None
            process.stderr.close()
        if (tmp_path / "hpo.db").exists():
            _check_told(tmp_path)
    with _start(tmp_path) as process:
        assert process.stderr is not None
        assert process.wait(120) == 0, process.stderr.read().decode()
        process.stderr.close()

    study = hpo.open_study("killed", storage=tmp_path / "hpo.db")
    assert [t.number for t in study.trials] == list(range(TRIALS))
    assert {t.state for t in study.trials} == {TrialState.COMPLETED}, "no trial is stuck"
    assert len({key(t.params) for t in study.trials}) == TRIALS, "no configuration is repeated"
    told = [e for e in study.events() if e.kind == "told"]
    assert sorted(e.number or 0 for e in told) == list(range(TRIALS)), "each result exactly once"
    _check_told(tmp_path)
    assert study.replay().is_identical


def _check_told(folder: Path) -> None:
    """Every result in the study was measured, with the params of its trial."""
    try:
        study = hpo.open_study("killed", storage=folder / "hpo.db")
    except hpo.HpoError:
        return  # killed before the study was created
    ledger = folder / "ledger.jsonl"
    measured = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    for trial in study.history.completed:
        assert [trial.number, trial.params["x"], trial.params["n"]] in measured
        assert trial.values["y"].value == trial.params["x"] * trial.params["n"]
