"""kill -9 below a running driver: of a trial's process, of its supervisor, of both.

A trial whose process dies has crashed; one whose supervisor dies was lost by the machine, and is run again. Either way the
others go on, all that was started ends, and each result is stored once. HPO_WORKER_KILLS says how often.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.storage import open_storage
from hpo.testing.executors import await_that
from hpo.trials.trial import TrialState
from tests.faults.zygote import Drive, Zygote, check_told, is_supervised, read, zygote

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("HPO_WORKER_KILLS", "60"))
MOST = 125
"""Kills in one study."""
WAYS = ("process", "supervisor", "both")


@dataclass
class Attempts:
    """What the ledger says of the attempts of all trials: `(number, attempt)`."""

    ledger: Path
    pids: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """The process and the supervisor of each."""
    running: set[tuple[int, int]] = field(default_factory=set)
    n_measured: int = 0

    def look(self) -> None:
        """Read the ledger."""
        lines = read(self.ledger)
        self.pids = {(number, attempt): (pid, above) for word, number, pid, above, attempt in _of("began", lines)}
        measured = {(number, attempt) for word, number, _, _, _, attempt in _of("sent", lines)}
        self.running = self.pids.keys() - measured
        self.n_measured = len(measured)


@pytest.mark.timeout(300 + 2 * KILLS)
def test_workers_killed_at_any_moment(tmp_path: Path) -> None:
    dice, hits = random.Random(0), Counter[str]()
    with zygote() as drivers:
        while (left := KILLS - hits.total()) > 0:
            folder = tmp_path / f"{left} left"
            folder.mkdir()
            hits += _one_study(drivers, folder, min(left, MOST), dice)
    log.info("killed: %s", dict(hits))


def _one_study(drivers: Zygote, folder: Path, kills: int, dice: random.Random) -> Counter[str]:
    """Run a study, kill below its driver until it ends, and hold it to what was done to each trial. How many were killed
    in which way."""
    attempts = Attempts(folder / "ledger")
    url, n_trials = str(folder / "hpo.db"), 2 * kills + 20
    drivers.start(Drive("killed", url, str(attempts.ledger), n_trials, "four processes", seconds=0.06))
    await_that(lambda: attempts.look() or attempts.n_measured > 0, "the driver runs trials")  # type: ignore[func-returns-value]
    hits: dict[tuple[int, int], str] = {}
    struck: set[int] = set()
    idle = time.monotonic()
    while len(hits) < kills and time.monotonic() < idle + 5.0:
        attempts.look()
        aims = [each for each in attempts.running - hits.keys() if not struck & set(attempts.pids[each])]
        if aims:
            idle = time.monotonic()
            aim, way = dice.choice(sorted(aims)), dice.choice(WAYS)
            process, supervisor = attempts.pids[aim]
            targets = {"process": [process], "supervisor": [supervisor], "both": [supervisor, process]}[way]
            for pid in targets:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            hits[aim] = way
            struck.update(targets)
        time.sleep(dice.uniform(0.0, 0.04))
    assert drivers.wait() == 0, "the driver outlives all that happens below it"

    attempts.look()
    with closing(open_storage(url)) as there:
        study = hpo.open_study("killed", storage=there)
        check_told(study, attempts.ledger)
        _check_endings(study, hits)
    pids = {pid for pair in attempts.pids.values() for pid in pair}
    await_that(lambda: not any(map(is_supervised, pids)), "all that was started ends")
    return Counter(hits.values())


def _check_endings(study: hpo.Study, hits: dict[tuple[int, int], str]) -> None:
    lost = Counter(e.number for e in study.events() if e.kind == "requeued" and e.data["reason"].startswith("infra"))
    aimed = Counter(number for (number, _), way in hits.items() if way != "process")
    crashed = [t.number for t in study.history.failed if t.kind == "crash"]
    assert set(crashed) <= {number for (number, _), way in hits.items() if way == "process"}, "siblings are untouched"
    assert all(times <= aimed[number or 0] for number, times in lost.items()), "nor are they run again"
    for trial in study.trials:
        assert trial.state in (TrialState.COMPLETED, TrialState.FAILED), "no trial is left open"
        if trial.state is TrialState.FAILED and trial.kind == "infra":
            assert aimed[trial.number] == trial.attempt >= 4, "lost three times where others ran"
        elif trial.state is TrialState.FAILED:
            assert trial.kind == "crash"
    # A kill that comes between the end of a training and the news of it is one too late.
    assert len(crashed) + lost.total() >= 0.7 * len(hits), "the kills have hit"


def _of(word: str, lines: list[list[Any]]) -> list[list[Any]]:
    return [line for line in lines if line[0] == word]
