"""SqlStorage on a PostgreSQL server keeps the contract too.

Needs a server and the driver: HPO_TEST_PG=postgresql+psycopg://user@host/database. Each test makes a schema of its own
there and drops it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa

import hpo
from hpo.errors import StorageError, StudyNotFound
from hpo.storage import SqlStorage, Storage, schema
from hpo.storage.connections import Connections
from hpo.storage.postgres import PostgresServer
from hpo.testing.storage import StorageContract
from hpo.trials.events import Draft

SERVER = os.environ.get("HPO_TEST_PG", "")
APPENDER = Path(__file__).with_name("appender.py")

if not SERVER:
    pytest.skip("HPO_TEST_PG names no PostgreSQL server", allow_module_level=True)


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of an empty schema."""
    name = f"hpo_test_{uuid.uuid4().hex}"
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.schema.CreateSchema(name))
    yield sa.make_url(SERVER).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)
    with server.connect() as connection:
        connection.execute(sa.schema.DropSchema(name, cascade=True))
    server.dispose()


class TestPostgres(StorageContract):
    durable: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def open(self, folder: Path) -> Storage:
        return SqlStorage(self.url)


def test_processes_make_the_tables_and_append_together(url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, str(APPENDER), url, "2", "25"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert len(said.split()) == 26
        assert process.returncode == 0
    with closing(SqlStorage(url)) as storage:
        assert [event.seq for event in storage.events(1)] == list(range(1, 301))


def test_both_roads_to_the_tables(url: str) -> None:
    def columns(connection: sa.Connection) -> list[tuple[object, ...]]:
        query = (
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
        )
        indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY indexdef"
        return [tuple(row) for text in (query, indexes) for row in connection.exec_driver_sql(text)]

    connections = Connections(PostgresServer(sa.make_url(url), 60))
    with connections.writing() as connection:
        schema.upgrade(connection)
        migrated = columns(connection)
        for table in (schema.version, *reversed(schema.metadata.sorted_tables)):
            table.drop(connection)
    SqlStorage(url).close()
    with connections.reading() as connection:
        assert columns(connection) == migrated
    connections.close()


def test_a_lock_that_is_not_given_back(url: str) -> None:
    with closing(SqlStorage(url)) as one, closing(SqlStorage(url, patience=0.05)) as two:
        study = one.create("x", {}, {}).id
        other = one.create("y", {}, {}).id
        with one.transaction(study) as log:
            log.append([Draft("noted")])
            with (
                pytest.raises(StorageError, match=r"the study in .* has been locked for 0.05 s"),
                two.transaction(study),
            ):
                pytest.fail("the transaction began")
            with two.transaction(other) as beside:
                beside.append([Draft("noted")])
        assert [len(one.events(i)) for i in (study, other)] == [1, 1]


def test_tables_of_another_program(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num text)")
        connection.exec_driver_sql("CREATE TABLE customers (name text)")
    SqlStorage(url).close()
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE event")
    engine.dispose()
    with pytest.raises(StorageError, match=r"with our names \(hpo_version, study\)"):
        SqlStorage(url)


def test_a_connection_that_breaks(url: str) -> None:
    def broken(storage: SqlStorage, study: int) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("noted")])
            with closing(SqlStorage(url)) as other, other._connections.reading() as connection:
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE state = 'idle in transaction' AND pid <> pg_backend_pid() AND query LIKE '%%last_seq%%'"
                )
            log.append([Draft("noted")])

    with closing(SqlStorage(url)) as storage:
        study = storage.create("x", {}, {}).id
        with pytest.raises(StorageError, match="may be stored or not"):
            broken(storage, study)
        assert storage.events(study) == []
        with storage.transaction(study) as log:
            assert log.append([Draft("noted")])[0].seq == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_children_go_on_with_the_storage_they_inherit(url: str) -> None:
    with closing(SqlStorage(url)) as storage:
        study = storage.create("x", {}, {}).id
        children = []
        for i in range(4):
            child = os.fork()
            if not child:
                try:
                    for _ in range(5):
                        with storage.transaction(study) as log:
                            log.append([Draft("noted", i)])
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
            with storage.transaction(study) as log:
                log.append([Draft("noted")])
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        events = storage.events(study)
        assert [event.seq for event in events] == list(range(1, 25))
        assert [sum(event.number == i for event in events) for i in range(4)] == [5] * 4


def test_a_backup_of_a_server_is_a_file_with_all_studies(url: str, tmp_path: Path) -> None:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    with closing(SqlStorage(url)) as server:
        studies = [hpo.open_study(name, problem, storage=server, seed=1) for name in ("a", "b")]
        studies[0].tell(studies[0].ask(), {"y": 1.0})
        hpo.back_up(tmp_path / "copy.db", storage=server)
        with closing(SqlStorage(tmp_path / "copy.db")) as file:
            assert [hpo.open_study(name, storage=file).trials for name in file.names()] == [s.trials for s in studies]
        hpo.copy_study("a", "back", storage=tmp_path / "copy.db", to=server)
        assert hpo.open_study("back", storage=server).trials == studies[0].trials
        trial = studies[1].ask()
        hpo.delete_study("b", storage=server, force=True)
        with pytest.raises(StudyNotFound, match="it was deleted while it was open here"):
            studies[1].tell(trial, {"y": 1.0})


def test_an_older_version_stops_once_a_later_one_has_upgraded_the_tables(url: str) -> None:
    with closing(SqlStorage(url)) as storage:
        study = storage.create("x", {}, {}).id
        engine = sa.create_engine(url)
        with engine.begin() as other:
            other.execute(schema.version.update().values(version_num="0099"))
        engine.dispose()
        with pytest.raises(StorageError, match="has schema 0099, made by a later version"), storage.transaction(study):
            pytest.fail("the transaction began")
        assert storage.events(study) == []


@pytest.mark.parametrize("step", ["rename", "delete", "create"])
def test_of_several_who_change_a_study_one_does(url: str, step: str) -> None:
    with closing(SqlStorage(url)) as storage:
        for round in range(5):
            name, start, outcomes = f"{step} {round}", threading.Barrier(6), list[str]()
            storage.create(name, {}, {})

            def work(i: int, name: str = name, start: threading.Barrier = start) -> str:
                with closing(SqlStorage(url)) as own:
                    start.wait(60)
                    try:
                        if step == "create":
                            return str(own.create(f"{name} new", {"by": i}, {}).definition["by"])
                        return str(own.rename(name, f"{name}.{i}").name if step == "rename" else own.delete(name))
                    except StudyNotFound:
                        return "not found"

            with ThreadPoolExecutor(6) as pool:
                outcomes = list(pool.map(work, range(6)))
            if step == "create":
                assert len(set(outcomes)) == 1
            else:
                assert outcomes.count("not found") == 5
                left = [n for n in storage.names() if n.startswith(name)]
                assert left == [o for o in outcomes if o != "not found" and step == "rename"]
