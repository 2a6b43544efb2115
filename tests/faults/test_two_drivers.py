"""Two drivers on one study, one of them stopped for longer than its lease and then continued."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import hpo
from hpo.problem.space import key
from hpo.trials.trial import TrialState

log = logging.getLogger(__name__)

TRIALS = 24
PATIENCE = 120.0

TRAIN = """
import json, os, sys, time
x = float(sys.argv[1])
time.sleep(0.5)
with open(sys.argv[2], "a") as ledger:
    ledger.write(json.dumps([int(os.environ["HPO_TRIAL"]), x]) + "\\n")
print(json.dumps({"y": x}))
"""

STUDY = """
[study]
name = "shared"
storage = "hpo.db"
seed = 3
strategy = "random"
[space.x]
type = "float"
low = 0.0
high = 1.0
[[metrics]]
role = "objective"
name = "y"
[budget]
trials = %d
[run]
command = ["%s", "train.py", "{x}", "ledger.jsonl"]
workers = 2
lease = 1.5
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "hpo"), "run", "study.toml", "--quiet"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def await_that(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def stop_outside_transactions(pid: int, file: Path) -> None:
    """SIGSTOP at a moment when the process does not hold the file's write lock: nobody could write until it goes on."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(file, timeout=0.0, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            log.info("stopped inside a transaction; once more")
            time.sleep(0.02)


def test_a_driver_stopped_beyond_its_lease_and_continued_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "study.toml").write_text(STUDY % (TRIALS, sys.executable))
    with start(tmp_path) as first:
        await_that((tmp_path / "ledger.jsonl").exists)
        study = hpo.open_study("shared", storage=tmp_path / "hpo.db")
        stop_outside_transactions(first.pid, tmp_path / "hpo.db")
        held = [t for t in study.history.in_flight if t.owner]
        assert held
        with start(tmp_path) as second:
            await_that(lambda: any(e.kind == "requeued" for e in study.events()))
            os.kill(first.pid, signal.SIGCONT)
            for process in (first, second):
                assert process.wait(PATIENCE) == 0, process.stderr and process.stderr.read().decode()

    assert [t.number for t in study.trials] == list(range(TRIALS)), "together they start no more than the budget"
    assert {t.state for t in study.trials} == {TrialState.COMPLETED}
    assert len({key(t.params) for t in study.trials}) == TRIALS
    events = study.events()
    assert Counter(e.number for e in events if e.kind == "told") == Counter(range(TRIALS)), "each result exactly once"
    requeued = {e.number for e in events if e.kind == "requeued"}
    assert requeued <= {t.number for t in held}
    measured = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    for trial in study.trials:
        assert [trial.number, trial.params["x"]] in measured
        assert trial.values["y"].value == trial.params["x"]
    again = Counter(number for number, _ in measured)
    assert {number for number, n in again.items() if n > 1} <= requeued, "only what was taken over ran twice"
    assert len({t.owner for t in study.trials if t.owner}) == 2, "both had their part"
