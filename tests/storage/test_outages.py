"""A PostgreSQL server that says no: what passes is waited for, what stays is raised at once.

Needs HPO_TEST_PG, and the right to make roles there.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
import sqlalchemy as sa

import hpo
from hpo.errors import ConnectionLost, StorageError
from hpo.storage import SqlStorage
from hpo.storage.retry import patient
from hpo.strategies import Random

SERVER = os.environ.get("HPO_TEST_PG", "")
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])

if not SERVER:
    pytest.skip("HPO_TEST_PG names no PostgreSQL server", allow_module_level=True)


def execute(statement: str) -> None:
    address = sa.make_url(SERVER).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def role() -> Iterator[str]:
    """One of the test's own, with a schema of its name: what is set for it concerns nobody else."""
    name = f"hpo_test_{uuid.uuid4().hex}"
    execute(f"CREATE ROLE {name} LOGIN; CREATE SCHEMA {name} AUTHORIZATION {name}")
    execute(f"ALTER ROLE {name} SET search_path = {name}")
    yield name
    execute(f"DROP SCHEMA {name} CASCADE; DROP ROLE {name}")


def url_of(role: str, **query: str) -> str:
    url = sa.make_url(SERVER).set(username=role).update_query_dict(query)
    return url.render_as_string(hide_password=False)


@contextmanager
def later(act: Callable[[], None], seconds: float = 0.5) -> Iterator[None]:
    timer = threading.Timer(seconds, act)
    timer.start()
    yield
    timer.join()


def ask_and_tell(storage: SqlStorage, n: int = 1) -> None:
    study = hpo.open_study("x", PROBLEM, storage=storage, seed=1, strategy=Random())
    for _ in range(n):
        study.tell(study.ask(), {"y": 1.0})


def test_a_server_that_is_read_only_for_a_while(role: str) -> None:
    def recover() -> None:
        execute(f"ALTER ROLE {role} RESET default_transaction_read_only")

    with closing(SqlStorage(url_of(role))) as storage:
        ask_and_tell(storage)
        execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        storage._connections._dispose()
        with patient(0.0), pytest.raises(ConnectionLost, match=r"is read-only now, as a server is during a failover"):
            ask_and_tell(storage)
        with later(recover):  # the sessions in the pool stay read-only for ever
            ask_and_tell(storage)
        assert len(hpo.open_study("x", storage=storage).history.completed) == 2


def test_a_server_that_is_full_while_a_study_is_opened(role: str) -> None:
    execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    with patient(0.0), pytest.raises(ConnectionLost, match=r"takes no connection now: .*too many connections for role"):
        SqlStorage(url_of(role))
    with later(lambda: execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")), closing(SqlStorage(url_of(role))) as storage:
        assert storage.names() == []


def test_settings_of_a_server_that_is_in_a_hurry(role: str) -> None:
    settings = {
        "default_transaction_isolation": "serializable",
        "statement_timeout": "'200ms'",
        "idle_session_timeout": "'100ms'",
        "idle_in_transaction_session_timeout": "'100ms'",
        "lock_timeout": "'10ms'",
    }
    for name, value in settings.items():
        execute(f"ALTER ROLE {role} SET {name} = {value}")
    with closing(SqlStorage(url_of(role))) as storage:
        for _ in range(4):
            ask_and_tell(storage, 2)
            time.sleep(0.15)
        with storage.transaction(1) as log:
            time.sleep(0.3)
            assert log.last == 16


@pytest.mark.parametrize(("kind", "pause"), [("terminate", 0.5), ("cancel", 0.02)])
def test_an_administrator_who_ends_sessions(role: str, kind: str, pause: float) -> None:
    over = threading.Event()

    def storm() -> None:
        while not over.wait(pause):
            execute(f"SELECT pg_{kind}_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")

    with closing(SqlStorage(url_of(role))) as storage:
        thread = threading.Thread(target=storm)
        thread.start()
        try:
            ask_and_tell(storage, 20)
        finally:
            over.set()
            thread.join()
        events = hpo.open_study("x", storage=storage).events()
        assert [event.kind for event in events] == ["asked", "told"] * 20


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"database": "no_such_database"}, 'database "no_such_database" does not exist'),
        ({"username": "no_such_role"}, 'role "no_such_role" does not exist'),
    ],
)
def test_what_never_passes_fails_at_once(change: dict[str, str], text: str) -> None:
    with pytest.raises(StorageError, match=text) as caught:
        SqlStorage(sa.make_url(SERVER).set(**change).render_as_string(False))  # type: ignore[arg-type]
    assert not isinstance(caught.value, ConnectionLost)


def test_a_right_that_is_not_given_fails_at_once(role: str) -> None:
    SqlStorage(url_of(role)).close()
    execute(f"ALTER TABLE {role}.hpo_version OWNER TO CURRENT_USER")
    with pytest.raises(StorageError, match="permission denied") as caught:
        SqlStorage(url_of(role))
    assert not isinstance(caught.value, ConnectionLost)


def test_who_holds_a_lock_is_named(role: str) -> None:
    with closing(SqlStorage(url_of(role))) as one, closing(SqlStorage(url_of(role), patience=0.05)) as two:
        study = one.create("x", {}, {}).id
        with one.transaction(study), pytest.raises(ConnectionLost) as caught, two.transaction(study):
            pytest.fail("the transaction began")
    assert f":{os.getpid()} from " in str(caught.value)
    assert str(caught.value).startswith("the study in postgresql+psycopg://")
    assert "idle in transaction for 0 s). Nothing was stored" in str(caught.value)


def test_a_wait_that_lasts_too_long_is_cut(role: str) -> None:
    with closing(SqlStorage(url_of(role, tcp_user_timeout="300"))) as storage:
        with (
            pytest.raises(ConnectionLost, match=r"no answer for 0.3 s, so the connection was given up"),
            storage._connections.reading() as connection,
            storage._connections.explained(),
        ):
            connection.exec_driver_sql("SELECT pg_sleep(30)")
        assert storage.names() == []


def test_a_slow_upgrade_is_not_cut(role: str) -> None:
    with closing(SqlStorage(url_of(role, tcp_user_timeout="300"))) as storage:
        with storage._connections.writing() as connection:
            storage._database.lock_schema(connection)
            connection.exec_driver_sql("SELECT pg_sleep(0.6)")
        with pytest.raises(ConnectionLost), storage._changing() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(30)")
