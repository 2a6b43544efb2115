"""Many processes that ask and tell on one study: each gets its share, and nothing is lost or doubled.

HPO_ASKERS says how many. One of them suggests slowly.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

import hpo
from hpo.storage import SqlStorage
from hpo.strategies import Random

SERVER = os.environ.get("HPO_TEST_PG", "")
ASKERS = int(os.environ.get("HPO_ASKERS", "6"))
ROUNDS = 4
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
SLOW = 0.3
"""Seconds that a suggestion takes which is no quick one."""

CLIENT = """
import json, sys, time
from dataclasses import dataclass
import hpo

@dataclass(frozen=True)
class Slow:
    seconds: float
    def suggest(self, history, n, rng):
        print("suggests", flush=True)
        time.sleep(self.seconds if len(history.trials) > 1 else 0.0)
        return hpo.strategies.Random().suggest(history, n, rng)

name, url, seconds, rounds = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
strategy = Slow(seconds) if seconds else hpo.strategies.Random()
study = hpo.open_study(name, storage=url, strategy=strategy)
for _ in range(rounds):
    sys.stdin.readline()
    trial = study.ask(owner=str(seconds))
    study.tell(trial, {"y": trial.params["x"]})
    print(json.dumps([trial.number, trial.params["x"]]), flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql" and not SERVER:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    return SERVER if request.param == "postgresql" else f"sqlite:///{tmp_path}/hpo.db"


def client(name: str, url: str, seconds: float, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CLIENT, name, url, str(seconds), str(ROUNDS)]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True)


def acknowledged(process: subprocess.Popen[str]) -> list[tuple[int, float]]:
    """What it was told, once it has ended."""
    output, _ = process.communicate(timeout=240.0)
    return [(number, x) for number, x in map(json.loads, (li for li in output.splitlines() if li != "suggests"))]


def check(study: hpo.Study, told: list[tuple[int, float]]) -> None:
    """Nothing is lost, doubled or changed."""
    assert set(Counter(number for number, _ in told).values()) == {1}
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len({trial.key for trial in trials}) == len(trials)
    assert all(trials[number].values["y"].value == x for number, x in told)


def test_each_gets_its_share(url: str) -> None:
    name = uuid.uuid4().hex
    with closing(SqlStorage(url)) as storage:
        study = hpo.open_study(name, PROBLEM, storage=storage, seed=1, strategy=Random())
        processes = [client(name, url, SLOW if i == 0 else 0.0) for i in range(ASKERS)]
        told = [acknowledged(process) for process in processes]
        assert [process.returncode for process in processes] == [0] * ASKERS
        assert [len(each) for each in told] == [ROUNDS] * ASKERS
        check(study, [line for each in told for line in each])


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
def test_one_that_is_gone_in_its_turn_holds_nobody_up_for_long(url: str, how: signal.Signals) -> None:
    name = uuid.uuid4().hex
    with closing(SqlStorage(url)) as storage:
        study = hpo.open_study(name, PROBLEM, storage=storage, seed=1, strategy=Random())
        with client(name, url, 3600.0, subprocess.PIPE) as gone:
            assert gone.stdin is not None
            assert gone.stdout is not None
            gone.stdin.write("\n")
            gone.stdin.flush()
            assert gone.stdout.readline() == "suggests\n"
            assert json.loads(gone.stdout.readline())[0] == 0
            study.ask()
            gone.stdin.write("\n")
            gone.stdin.flush()
            assert gone.stdout.readline() == "suggests\n"
            with study._log.transaction() as log:
                assert [lease.number for lease in log.leases()] == [-1], "it has its turn"
            gone.send_signal(how)
            told = acknowledged(client(name, url, 0.0))
            gone.kill()
        check(study, told)
        assert len(told) == ROUNDS
