"""A driver alone on its study, stopped with all its trials for longer than its lease, as in a laptop that sleeps."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest

import hpo
from hpo.storage import open_storage
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.faults.zygote import Drive, check, read, zygote

TRIALS = 4
LEASE = 1.2


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_it_keeps_its_own_trials(tmp_path: Path, executor: str) -> None:
    url, ledger = str(tmp_path / "hpo.db"), tmp_path / "ledger"
    drive = Drive("s", url, str(ledger), TRIALS, executor, seconds=2.0, lease=LEASE)
    with zygote() as drivers:
        driver = drivers.start(drive)
        for asleep in range(1, 4):
            await_that(lambda n=asleep: sum(line[0] == "began" for line in read(ledger)) >= n, "trials run")  # type: ignore[misc]
            tree = [psutil.Process(driver), *psutil.Process(driver).children(recursive=True)]
            for process in tree:
                process.suspend()
            time.sleep(2 * LEASE)
            for process in reversed(tree):
                process.resume()
        assert drivers.wait() == 0
    with closing(open_storage(url)) as there:
        study = hpo.open_study("s", storage=there)
        check(study, ledger, is_over=True)
        kinds = Counter(event.kind for event in study.events())
        assert kinds["requeued"] == 0, "nobody else was there to take them"
        assert {(trial.state, trial.attempt) for trial in study.trials} == {(TrialState.COMPLETED, 1)}
    assert sum(line[0] == "began" for line in read(ledger)) == TRIALS
