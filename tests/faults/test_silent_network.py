"""Networks that go silent, and processes that are stopped inside a transaction: nobody else hangs, nothing is lost.

Needs, as those of storage do, HPO_TEST_PG. HPO_PARTITIONS says how often the network is silent, HPO_STOPPED how often a
process is stopped.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

import hpo
from hpo.storage import SqlStorage
from hpo.strategies import Random
from tests.faults.clients import PROBLEM, count, working
from tests.faults.network import Network

log = logging.getLogger(__name__)

PARTITIONS, STOPPED = count("HPO_PARTITIONS", 2), count("HPO_STOPPED", 1)
CLIENTS = 3
SERVER = os.environ.get("HPO_TEST_PG", "")
LIVELY = {"connect_timeout": "2", "tcp_user_timeout": "2000"}
"""Two seconds instead of twenty, so that the tests need not wait."""
HOLD = """
import sys, time
import hpo
study = hpo.open_study(sys.argv[1], storage=sys.argv[2])
with study.storage.transaction(int(sys.argv[3])) as log:
    print("in", flush=True)
    time.sleep(600)
"""

if not SERVER:
    pytest.skip("HPO_TEST_PG names no PostgreSQL server", allow_module_level=True)


@pytest.fixture
def url() -> Iterator[sa.URL]:
    """That of an empty schema."""
    name = f"hpo_test_{uuid.uuid4().hex}"
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.schema.CreateSchema(name))
    yield sa.make_url(SERVER).update_query_dict({"options": f"-csearch_path={name}"})
    with server.connect() as connection:
        connection.execute(sa.schema.DropSchema(name, cascade=True))
    server.dispose()


@pytest.fixture
def network(url: sa.URL) -> Iterator[Network]:
    network = Network(url.host or "127.0.0.1", url.port or 5432)
    yield network
    network.close()


def through(network: Network, url: sa.URL) -> str:
    there = url.set(host="127.0.0.1", port=network.port).update_query_dict(LIVELY)
    return there.render_as_string(hide_password=False)


def test_a_silent_network_loses_and_doubles_nothing(network: Network, url: sa.URL, tmp_path: Path) -> None:
    dice, waits = random.Random(0), []
    plain = url.render_as_string(hide_password=False)
    with working(plain, [*[through(network, url)] * CLIENTS, plain], tmp_path) as clients:
        for i in range(PARTITIONS):
            time.sleep(dice.uniform(0.0, 0.3))
            if i % 3 == 0:
                network.silence()
                clients.await_progress(clients.ledgers[CLIENTS:], steps=5)  # who is not cut off goes on meanwhile
                time.sleep(dice.uniform(0.0, 4.0))
                network.heal()
            else:
                network.forget()
            waits.append(clients.await_progress(steps=3))
            clients.check_ledgers()
    log.info("%d partitions; all clients went on after %.1f s at most", PARTITIONS, max(waits))


def test_what_forgets_an_idle_connection_delays_a_tell(network: Network, url: sa.URL) -> None:
    with closing(SqlStorage(through(network, url))) as storage:
        study = hpo.open_study("x", PROBLEM, storage=storage, seed=1, strategy=Random())
        trial = study.ask()
        network.forget()
        study.tell(trial, {"y": 1.0})
        assert [event.kind for event in study.events()] == ["asked", "told"]


@pytest.mark.parametrize("place", ["server", "file"])
def test_a_process_that_is_stopped_inside_a_transaction(place: str, url: sa.URL, tmp_path: Path) -> None:
    where = url.render_as_string(hide_password=False) if place == "server" else str(tmp_path / "hpo.db")
    with working(where, [where] * CLIENTS, tmp_path) as clients:
        with closing(SqlStorage(where)) as storage:
            record = storage.load("shared")
        assert record is not None
        for _ in range(STOPPED):
            command = [sys.executable, "-c", HOLD, "shared", where, str(record.id)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as holder:
                assert holder.stdout is not None
                assert holder.stdout.readline() == b"in\n"
                holder.send_signal(signal.SIGSTOP)
                if place == "server":
                    clients.await_progress(steps=3)
                else:  # no server could take the lock from it
                    time.sleep(1.0)
                holder.send_signal(signal.SIGCONT)
                holder.kill()
            clients.await_progress(steps=3)


def test_a_process_that_wakes_up_repeats_its_step(url: sa.URL, tmp_path: Path) -> None:
    dice = random.Random(1)
    where = url.render_as_string(hide_password=False)
    with working(where, [where] * CLIENTS, tmp_path) as clients:
        for i in range(STOPPED):
            stopped = i % CLIENTS
            time.sleep(dice.uniform(0.0, 0.05))
            os.kill(clients.processes[stopped].pid, signal.SIGSTOP)
            clients.await_progress([path for j, path in enumerate(clients.ledgers) if j != stopped], steps=3)
            os.kill(clients.processes[stopped].pid, signal.SIGCONT)
            clients.await_progress()
