"""kill -9 of every process of a PostgreSQL server, again and again, while clients ask and tell.

Needs the server's programs and, as those of storage do, HPO_TEST_PG; it starts a server of its own. HPO_SERVER_KILLS says
how often it is killed.
"""

from __future__ import annotations

import logging
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.clients import count, working
from tests.servers.postgres import own_server

log = logging.getLogger(__name__)

KILLS = count("HPO_SERVER_KILLS", 6)
CLIENTS = 4

if not os.environ.get("HPO_TEST_PG"):
    pytest.skip("HPO_TEST_PG names no PostgreSQL server", allow_module_level=True)


def test_a_killed_server_loses_and_doubles_nothing(tmp_path: Path) -> None:
    dice, waits = random.Random(0), []
    with own_server() as server:
        url = server("up")
        with working(url, [url] * CLIENTS, tmp_path) as clients:
            for _ in range(KILLS):
                clients.await_progress()
                time.sleep(dice.uniform(0.0, 0.5))
                server("kill")
                clients.check_ledgers()
                server("up")
                waits.append(clients.await_progress())
    log.info("%d kills; all clients went on after %.2f s, %.2f at most", KILLS, np.mean(waits), max(waits))
