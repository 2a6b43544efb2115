"""A PostgreSQL server that is away for longer than a step is tried, while drivers train: no training is ended or run again.

Needs the server's programs and, as those of storage do, HPO_TEST_PG; it starts a server of its own. HPO_OUTAGE_SECONDS says
how long it is away.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import hpo
from hpo.strategies import Random
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.servers.postgres import Server, own_server

AWAY = float(os.environ.get("HPO_OUTAGE_SECONDS", "15"))
DRIVER = """
import sys, time, hpo
from pathlib import Path
from hpo.executors import Processes

url, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def train(trial):
    with open(folder / "ledger", "a") as ledger:
        ledger.write(f"{trial.number}\\n")
    begun = time.monotonic()
    while not (folder / "over").exists() and (trial.number % 2 or time.monotonic() - begun < 4.0):
        time.sleep(0.05)  # of two trials one ends while the server is away
    return {"y": trial.params["x"]}

if __name__ == "__main__":
    study = hpo.open_study("away", storage=url)
    said = open(folder / name, "w", buffering=1)
    lease = float(sys.argv[4])
    show = lambda step: step.message and said.write(step.message + "\\n")
    ended = hpo.run(study, train, budget=hpo.Budget(trials=6), executor=Processes(2), lease=lease, progress=show)
    said.write(f"{ended.reason}\\n")
"""


@pytest.mark.timeout(300 + 3 * AWAY)
def test_trainings_of_two_drivers_outlive_a_server_that_is_away(tmp_path: Path) -> None:
    with own_server() as server:
        check_that_trainings_go_on(tmp_path, server)


def check_that_trainings_go_on(tmp_path: Path, server: Server) -> None:
    """Two drivers, two training runs each under way, and the server is stopped for `AWAY` seconds."""
    url = server("up")
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    study = hpo.open_study("away", problem, storage=url, seed=1, strategy=Random())
    lease = AWAY / 2  # they run out meanwhile
    command = [sys.executable, "-c", DRIVER, url, str(tmp_path)]
    drivers = [subprocess.Popen([*command, name, str(lease)]) for name in ("one", "two")]
    try:
        await_that(lambda: len(_ledger(tmp_path)) == 4, "both drivers train")
        server("down")
        time.sleep(AWAY)
        assert [driver.poll() for driver in drivers] == [None, None]
        server("up")
        time.sleep(1.5 * lease)
        (tmp_path / "over").touch()
        assert [driver.wait(120) for driver in drivers] == [0, 0]
    finally:
        for driver in drivers:
            driver.kill()
    assert Counter(_ledger(tmp_path)) == dict.fromkeys(map(str, range(6)), 1), "each was trained once"
    assert {(trial.state, trial.attempt) for trial in study.trials} == {(TrialState.COMPLETED, 1)}
    assert Counter(event.kind for event in study.events()) == {"joined": 2, "asked": 6, "told": 6}
    for name in ("one", "two"):
        said = (tmp_path / name).read_text()
        assert "the database has not answered for " in said
        assert "the storage answers again, after " in said
    study.storage.close()


def _ledger(folder: Path) -> list[str]:
    path = folder / "ledger"
    return path.read_text().split() if path.exists() else []
