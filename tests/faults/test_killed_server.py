"""kill -9 of every process of a PostgreSQL server, again and again, while clients ask and tell.

Needs the server's programs and, as those of storage do, HPO_TEST_PG; it starts a server of its own. HPO_SERVER_KILLS says
how often it is killed.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.strategies import Random
from hpo.trial import TrialState

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("HPO_SERVER_KILLS", "20"))
CLIENTS = 4
PATIENCE = 120.0
SERVER = Path(__file__).parents[1] / "servers" / "postgres.sh"
CLIENT = Path(__file__).with_name("client.py")

if not os.environ.get("HPO_TEST_PG"):
    pytest.skip("HPO_TEST_PG names no PostgreSQL server", allow_module_level=True)


class Server:
    """A server that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def __call__(self, command: str) -> str:
        arguments = ["bash", str(SERVER), command, str(self.folder), str(self.port)]
        return subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="hpo-postgres-", dir="/tmp"))  # the server's user must reach it
    server = Server(folder)
    yield server
    server("down")
    shutil.rmtree(folder)


def lines(ledgers: list[Path]) -> list[list[str]]:
    """Whole lines of all ledgers."""
    texts = [path.read_text() for path in ledgers if path.exists()]
    return [line.split() for text in texts for line in text[: text.rfind("\n") + 1].splitlines()]


def await_progress(ledgers: list[Path]) -> float:
    """Seconds until every client has written something more."""
    begun, before = time.monotonic(), [len(lines([path])) for path in ledgers]
    while not all(len(lines([path])) > n for path, n in zip(ledgers, before, strict=True)):
        assert time.monotonic() - begun < PATIENCE, "the clients hang"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_killed_server_loses_and_doubles_nothing(server: Server, tmp_path: Path) -> None:
    url = server("up")
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    study = hpo.open_study("shared", problem, storage=url, seed=1, strategy=Random())
    ledgers = [tmp_path / f"{i}.ledger" for i in range(CLIENTS)]
    clients = [
        subprocess.Popen([sys.executable, str(CLIENT), url, str(path), str(10**6)], stderr=subprocess.DEVNULL)
        for path in ledgers
    ]
    dice, waits = random.Random(0), []
    try:
        for _ in range(KILLS):
            await_progress(ledgers)
            time.sleep(dice.uniform(0.0, 0.5))
            server("kill")
            _check(lines(ledgers))
            server("up")
            waits.append(await_progress(ledgers))
            assert all(client.poll() is None for client in clients), "a client gave up"
    finally:
        for client in clients:
            client.kill()
            client.wait()
    log.info("%d kills; all clients went on after %.2f s, %.2f at most", KILLS, np.mean(waits), max(waits))

    written = lines(ledgers)
    _check(written)
    sent = {int(number): float(y) for word, number, *rest in written if word == "sent" for y in rest}
    acked = {int(number) for word, number, *_ in written if word == "acked"}
    trials = study.trials
    assert [t.number for t in trials] == list(range(len(trials)))
    for number in acked:
        assert trials[number].state is TrialState.COMPLETED, "what was acknowledged is there"
    for trial in study.history.completed:
        assert trial.values["y"].value == sent[trial.number], "and nothing that was not sent"
    told = Counter(event.number for event in study.events() if event.kind == "told")
    assert set(told.values()) <= {1}, "once each"
    assert len(study.history.in_flight) <= 2 * CLIENTS, "open is only what the clients had in hand when they were ended"
    study.storage.close()


def _check(written: list[list[str]]) -> None:
    """No trial was given to two clients, and none acknowledged twice."""
    for word in ("asked", "acked"):
        counted = Counter(number for kind, number, *_ in written if kind == word)
        assert set(counted.values()) <= {1}, word
