"""kill -9 of a process that upgrades a database of the first released schema: the old schema or the new one, never
something between, and opening it again tasks. HPO_MIGRATION_KILLS says how often."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpo.storage import SqlStorage, schema
from hpo.storage.connections import Connections
from hpo.storage.postgres import PostgresServer

KILLS = int(os.environ.get("HPO_MIGRATION_KILLS", "20"))
SERVER = os.environ.get("HPO_TEST_PG", "")
FIRST = Path(__file__).parents[1] / "storage" / "fixtures" / "0001.sql"
NEW_COLUMN, NEW_TABLE = "request", "lease"
"""What the first schema has not."""


OPENER = """
import os, signal, sys, time
from hpo.storage import SqlStorage

SqlStorage(sys.argv[1]).close()  # with the imports it needs
for line in sys.stdin:
    wait, url = line.rstrip().split(" ", 1)
    begun, child = time.monotonic(), os.fork()
    if not child:
        try:
            SqlStorage(url)
            if float(wait):
                signal.pause()
        finally:
            os._exit(0)
    if float(wait):
        time.sleep(float(wait))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), time.monotonic() - begun, flush=True)
"""
"""A process without threads, which may fork: its children open databases, and are killed after a wait above 0."""


class Opener:
    """That process."""

    def __init__(self, url: str | Path) -> None:
        command = [sys.executable, "-c", OPENER, str(url)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._usual = 0.0

    def kills(self, restored: Callable[[], str | Path]) -> Iterator[float]:
        """Moments of a kill, around the time that a child takes to open: as many of them before its end as after.

        That time moves with the load of the machine, so each is corrected by what `learn` was told of the one before.
        """
        self._usual, dice = max(self._open(restored(), 0.0)[1] for _ in range(3)), random.Random(0)
        for _ in range(KILLS):
            yield dice.uniform(0.01 * self._usual, 2.0 * self._usual)

    def learn(self, stage: str) -> None:
        """What the last kill has left: it came early where that is `old`, late where it is `new`."""
        self._usual *= 1.1 if stage == "old" else 0.9

    def kill_one(self, url: str | Path, wait: float) -> None:
        """A child opens the database; after `wait` seconds it is killed."""
        assert self._open(url, wait)[0] == -signal.SIGKILL

    def _open(self, url: str | Path, wait: float) -> tuple[int, float]:
        """How the child ended, and after how long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{wait} {url}\n")
        self._process.stdin.flush()
        code, seconds = self._process.stdout.readline().split()
        return int(code), float(seconds)

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


def stage(inspector: sa.Inspector, revision: str) -> str:
    """`old` or `new`; fails for anything else."""
    is_new = NEW_TABLE in inspector.get_table_names()
    columns = {column["name"] for column in inspector.get_columns("event")}
    indexes = {index["name"] for index in inspector.get_indexes("event")}
    assert (NEW_COLUMN in columns) == is_new
    assert ("event_request" in indexes) == is_new
    assert revision == (schema.HEAD if is_new else "0001")
    return "new" if is_new else "old"


def check_content(storage: SqlStorage) -> None:
    """What the first fixture holds."""
    assert storage.names() == ["digits", "dígitos 🙂"]
    assert [(e.seq, e.kind, e.number) for e in storage.events(1)] == [
        (1, "asked", 0),
        (2, "asked", 1),
        (3, "told", 0),
        (4, "failed", 1),
    ]
    assert [e.data for e in storage.events(2)] == [{"text": "日本"}]


@pytest.mark.timeout(300 + 2 * KILLS)
def test_a_file(tmp_path: Path) -> None:
    first = tmp_path / "first.db"
    with closing(sqlite3.connect(first)) as file:
        file.executescript(FIRST.read_text())

    def restored() -> Path:
        path = tmp_path / f"{uuid.uuid4().hex}.db"
        shutil.copy(first, path)
        return path

    stages = Counter[str]()
    with Opener(restored()) as opener:
        for wait in opener.kills(restored):
            path = restored()
            opener.kill_one(path, wait)
            copy = path.with_name(f"{path.name}.before-{schema.HEAD}")
            now = _stage_of_file(path)
            stages[now] += 1
            opener.learn(now)
            if now == "new":
                assert copy.exists(), "no upgrade without a copy"
            if copy.exists():
                assert _stage_of_file(copy) == "old"
                assert _dump(copy) == _dump(first), "the copy is complete"
            with closing(SqlStorage(path)) as storage:
                check_content(storage)
            assert _stage_of_file(path) == "new"
            assert _dump(copy) == _dump(first)
    assert min(stages["old"], stages["new"]) >= KILLS // 20, f"the kills came too early or too late: {stages}"


@pytest.mark.timeout(300 + 2 * KILLS)
def test_a_server(tmp_path: Path) -> None:
    if not SERVER:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    rows = tmp_path / "rows.db"
    with closing(sqlite3.connect(rows)) as file:
        file.executescript(FIRST.read_text())
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    name = f"hpo_test_{uuid.uuid4().hex}"
    url = sa.make_url(SERVER).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)

    def restored() -> str:
        with server.connect() as connection:
            connection.execute(sa.schema.DropSchema(name, cascade=True, if_exists=True))
            connection.execute(sa.schema.CreateSchema(name))
        _write_first(url, rows)
        return url

    engine, stages = sa.create_engine(url, poolclass=sa.NullPool), Counter[str]()
    try:
        with Opener(restored()) as opener:
            for wait in opener.kills(restored):
                restored()
                server.dispose()
                opener.kill_one(url, wait)
                _await_no_session(server, name)
                with engine.connect() as connection:
                    revision = connection.execute(sa.select(schema.version.c.version_num)).scalar_one()
                    now = stage(sa.inspect(connection), revision)
                stages[now] += 1
                opener.learn(now)
                with closing(SqlStorage(url)) as storage:
                    check_content(storage)
        assert min(stages["old"], stages["new"]) >= KILLS // 20, f"the kills came too early or too late: {stages}"
    finally:
        with server.connect() as connection:
            connection.execute(sa.schema.DropSchema(name, cascade=True, if_exists=True))
        server.dispose()


def _stage_of_file(path: Path) -> str:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        revision = connection.execute(sa.select(schema.version.c.version_num)).scalar_one()
        return stage(sa.inspect(connection), revision)


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as file:
        return list(file.iterdump())


def _write_first(url: str, rows: Path) -> None:
    """The first schema with its rows, on the server."""
    connections = Connections(PostgresServer(sa.make_url(url), 60))
    with connections.writing() as connection, closing(sqlite3.connect(rows)) as file:
        schema.upgrade(connection, "0001")
        file.row_factory = sqlite3.Row
        for table in ("study", "event"):
            for row in file.execute(f"SELECT * FROM {table} ORDER BY rowid"):
                names = ", ".join(row.keys())
                binds = ", ".join(f":{key}" for key in row.keys())  # noqa: SIM118
                connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({binds})"), dict(row))
    connections.close()


def _await_no_session(server: sa.Engine, name: str) -> None:
    """Until the server has noticed that the child is gone: its transaction is over then."""
    query = sa.text(
        "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE n.nspname = :name"
    )
    end = time.monotonic() + 60.0
    while True:
        with server.connect() as connection:
            if connection.execute(query, {"name": name}).scalar_one() == 0:
                return
        assert time.monotonic() < end, "the server keeps the locks of a process that is gone"
        time.sleep(0.01)
