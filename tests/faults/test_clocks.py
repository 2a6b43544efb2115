"""A driver whose own clock is an hour off, beside one whose clock is right: nobody loses a trial early, and all that
happens is dated by the storage's clock.

Leases go by the clock of the storage: the server's, or that of the machine which has the file. So only what a driver reads
from its own clock is set wrong here, in its process alone: the time of day, and with it the time at which the machine,
and every process, seems to have started.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

import hpo
from hpo.storage import open_storage
from hpo.testing.executors import await_that
from tests.faults.zygote import Drive, check, read, zygote

SERVER = os.environ.get("HPO_TEST_PG", "")
TRIALS = 30
HOUR = 3600.0


@pytest.mark.parametrize("skew", [HOUR, -HOUR], ids=["ahead", "behind"])
@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_a_clock_that_is_an_hour_off(storage: str, skew: float, tmp_path: Path) -> None:
    if storage == "postgresql" and not SERVER:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    url, name = SERVER if storage == "postgresql" else str(tmp_path / "hpo.db"), uuid.uuid4().hex
    ledger = tmp_path / "ledger"
    right = Drive(name, url, str(ledger), TRIALS, seconds=0.3, lease=15.0)
    wrong = Drive(name, url, str(ledger), TRIALS, seconds=0.3, lease=15.0, skew=skew)
    with zygote() as first, zygote() as second:
        first.start(right)
        await_that(lambda: any(line[0] == "began" for line in read(ledger)), "the first driver has a trial")
        second.start(wrong)
        assert (first.wait(), second.wait()) == (0, 0)
    with closing(open_storage(url)) as there:
        study = hpo.open_study(name, storage=there)
        check(study, ledger, is_over=True)
        events = study.events()
        kinds, times = Counter(event.kind for event in events), [event.at for event in events]
        assert times == sorted(times), "events are dated by one clock"
        assert all(trial.seconds is not None and trial.seconds < HOUR / 2 for trial in study.trials)
        assert kinds["requeued"] == 0, "nobody was taken for dead"
        assert kinds["told"] == len(study.trials) == TRIALS
        assert len({trial.owner for trial in study.trials}) == 2, "both had their part"
