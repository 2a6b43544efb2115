"""A PostgreSQL server whose standby takes over, and one behind a pooler; clients ask and tell meanwhile.

Needs the servers' programs and, as those of storage do, HPO_TEST_PG; it starts servers of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

import hpo
from hpo.strategies import Random
from tests.faults.clients import PROBLEM, working
from tests.servers.postgres import Server, free_port, own_server

CLIENTS = 3
POOLER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

if not os.environ.get("HPO_TEST_PG"):
    pytest.skip("HPO_TEST_PG names no PostgreSQL server", allow_module_level=True)


def execute(server: Server, *statements: str) -> None:
    address = f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres"
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_standby_that_takes_over_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with own_server() as first, own_server() as second:
        first("up")
        second("standby", str(first.port))
        # acknowledged is what both have
        execute(first, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in (first, second))
        url = f"postgresql+psycopg://postgres@/postgres?{hosts}&target_session_attrs=read-write"
        with working(url, [url] * CLIENTS, tmp_path) as clients:
            execute(first, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
            time.sleep(1.0)
            first("kill")
            second("promote")
            execute(second, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
            clients.await_progress(steps=6)
        first("up")


class Pooler:
    """PgBouncer in transaction mode, with fewer sessions than clients."""

    def __init__(self, server: Server) -> None:
        self.port = free_port()
        self._settings = server.folder / "pgbouncer.ini"
        user = "user = postgres\n" if os.getuid() == 0 else ""
        self._settings.write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = 2\nserver_login_retry = 1\n{user}"
        )
        self._process = self._started()

    def restart(self) -> None:
        """Killed, and started again."""
        self.end()
        self._process = self._started()

    def end(self) -> None:
        """Killed."""
        self._process.kill()
        self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        assert POOLER is not None
        return subprocess.Popen([POOLER, "-q", str(self._settings)], stderr=subprocess.DEVNULL)


def tell_in_turns(url: str) -> None:
    """Two connections whose transactions share a session of the server."""
    one, other = (hpo.open_study("turns", PROBLEM, storage=url, seed=1, strategy=Random()) for _ in range(2))
    with closing(one.storage), closing(other.storage):
        for i, trial in enumerate(one.ask(20)):
            (one, other)[i % 2].tell(trial, {"y": 1.0})
        assert len(one.history.completed) == 20


@pytest.mark.skipif(POOLER is None, reason="there is no pgbouncer")
def test_a_pooler_that_restarts_and_whose_server_does(tmp_path: Path) -> None:
    with own_server() as server:
        direct = server("up")
        execute(server, "ALTER SYSTEM SET statement_timeout = '200ms'", "SELECT pg_reload_conf()")
        pooler = Pooler(server)
        try:
            url = f"postgresql+psycopg://postgres@127.0.0.1:{pooler.port}/postgres"
            tell_in_turns(url)
            with working(direct, [url] * CLIENTS, tmp_path) as clients:
                clients.await_progress(steps=30)
                pooler.restart()
                clients.await_progress(steps=6)
                server("kill")
                server("up")
                clients.await_progress(steps=6)
        finally:
            pooler.end()
