"""Clients of a shared study with ledgers (`client.py`), and what must hold of the study afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hpo
from hpo.strategies import Random
from hpo.trials.trial import TrialState

PATIENCE = 120.0
CLIENT = Path(__file__).with_name("client.py")
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])


class Clients:
    """Processes that ask and tell until they are ended. A client of each URL."""

    def __init__(self, urls: Sequence[str], folder: Path) -> None:
        self.ledgers = [folder / f"{i}.state" for i in range(len(urls))]
        self.processes = [
            subprocess.Popen([sys.executable, str(CLIENT), url, str(path), str(10**6)], stderr=subprocess.PIPE)
            for url, path in zip(urls, self.ledgers, strict=True)
        ]

    def lines(self, ledgers: Sequence[Path] = ()) -> list[list[str]]:
        """Whole lines of all ledgers."""
        texts = [path.read_text() for path in ledgers or self.ledgers if path.exists()]
        return [line.split() for text in texts for line in text[: text.rfind("\n") + 1].splitlines()]

    def await_progress(self, ledgers: Sequence[Path] = (), steps: int = 1) -> float:
        """Seconds until every client has written something more."""
        ledgers = ledgers or self.ledgers
        begun, before = time.monotonic(), [len(self.lines([path])) for path in ledgers]
        while not all(len(self.lines([path])) >= n + steps for path, n in zip(ledgers, before, strict=True)):
            assert time.monotonic() - begun < PATIENCE, "the clients hang"
            for process in self.processes:
                assert process.poll() is None, f"a client gave up: {process.stderr and process.stderr.read().decode()}"
            time.sleep(0.02)
        return time.monotonic() - begun

    def end(self) -> None:
        """Kill them."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def check(self, study: hpo.Study) -> None:
        """What was acknowledged is there as it was sent, nothing else is, and nothing twice."""
        written = self.lines()
        self.check_ledgers()
        sent = {int(number): float(y) for word, number, *rest in written if word == "sent" for y in rest}
        trials = study.trials
        assert [t.number for t in trials] == list(range(len(trials)))
        for word, number, *_ in written:
            assert word != "acked" or trials[int(number)].state is TrialState.COMPLETED, (
                "what was acknowledged is there"
            )
        for trial in study.history.completed:
            assert trial.values["y"].value == sent[trial.number], "and nothing that was not sent"
        told = Counter(event.number for event in study.events() if event.kind == "told")
        assert set(told.values()) <= {1}, "once each"
        most = 2 * len(self.ledgers)
        assert len(study.history.in_flight) <= most, "open is only what the clients had in hand when they were ended"

    def check_ledgers(self) -> None:
        """No trial was given to two clients, and none acknowledged twice."""
        for word in ("asked", "acked"):
            counted = Counter(number for kind, number, *_ in self.lines() if kind == word)
            assert set(counted.values()) <= {1}, word


@contextmanager
def working(study_at: str, urls: Sequence[str], folder: Path) -> Iterator[Clients]:
    """Clients at `urls` of a new study, all at work; its log is held against their ledgers at the end."""
    study = hpo.open_study("shared", PROBLEM, storage=study_at, seed=1, strategy=Random())
    clients = Clients(urls, folder)
    try:
        clients.await_progress()
        yield clients
    finally:
        clients.end()
    clients.check(study)
    study.storage.close()


def count(variable: str, small: int) -> int:
    """How often, by an environment variable."""
    return int(os.environ.get(variable, str(small)))
