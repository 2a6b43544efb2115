"""From every schema ever released to the present one, and never beyond."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hpo.errors import StorageError
from hpo.storage import SqlStorage, schema
from hpo.storage.connections import Connections
from hpo.storage.sqlite import SqliteFile
from hpo.trials.events import Draft

FIXTURES = Path(__file__).with_name("fixtures")

ADD_COLUMN = """
import sqlalchemy as sa
from alembic import op
revision = "0003"
down_revision = "0002"
def upgrade():
    op.add_column("event", sa.Column("weight", sa.Integer, nullable=False, server_default="3"))
"""
DIES = ADD_COLUMN + "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n"
FAILS = ADD_COLUMN + "    op.drop_table('missing')\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file as revision 0001 wrote it."""
    return restored(tmp_path / "hpo.db", "0001")


def restored(path: Path, revision: str) -> Path:
    with closing(sqlite3.connect(path)) as file:
        file.executescript((FIXTURES / f"{revision}.sql").read_text())
    path.chmod(0o640)
    return path


def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migration: str) -> None:
    """Make this library one whose schema is 0003."""
    folder = tmp_path / "migrations"
    if not folder.exists():
        shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0003_next.py").write_text(migration)
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    monkeypatch.setattr(schema, "HEAD", "0003")


def look(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute(query).fetchall()


def tables(path: Path) -> dict[str, str]:
    """The text of every table and index, without differences of layout."""
    query = "SELECT name, coalesce(sql, '') FROM sqlite_master"
    return {name: " ".join(sql.split()).replace(" ,", ",") for name, sql in look(path, query)}


def weighted(path: Path) -> bool:
    return "weight" in tables(path)["event"]


def upgraded(path: Path, revision: str) -> None:
    """Make the file by the migrations alone."""
    database = SqliteFile(path, 1)
    connections = Connections(database)
    with connections.writing() as connection:
        schema.upgrade(connection, revision)
    connections.close()


def check_content(storage: SqlStorage) -> None:
    """What the fixtures hold."""
    assert storage.names() == ["digits", "dígitos 🙂"]
    record = storage.load("digits")
    assert record is not None
    assert record.facts == {"seed": 7, "author": "Zoë"}
    assert record.definition["space"]["lr"] == {"type": "float", "low": 1e-05, "high": 0.1, "log": True}
    events = storage.events(record.id)
    assert [(e.seq, e.kind, e.number) for e in events] == [
        (1, "asked", 0),
        (2, "asked", 1),
        (3, "told", 0),
        (4, "failed", 1),
    ]
    assert events[0].data == {"params": {"lr": 5e-324}, "why": {"role": "initial"}, "saw": 0, "batch": [0, 2]}
    assert events[2].data == {"values": {"loss": [1e308, None]}, "seconds": 1.5}
    assert events[3].data == {"kind": "oom", "message": 'it\'s "full"'}
    assert all(e.at.startswith("2026-11-23T10:00:00.0000") for e in events)
    (noted,) = storage.events(2)
    assert noted.data == {"text": "日本"}


# -- the migrations themselves ----------------------------------------------------------------------------------------


def test_revisions_are_numbered_in_one_line_up_to_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    assert revisions == [f"{i:04}" for i in range(1, len(revisions) + 1)]
    assert scripts.get_heads() == [schema.HEAD]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(script.revision + "_")
        assert (FIXTURES / f"{script.revision}.sql").exists(), "keep a file of every released schema"


def test_both_roads_to_a_new_file_give_the_same_tables(tmp_path: Path) -> None:
    SqlStorage(tmp_path / "made.db").close()
    upgraded(tmp_path / "migrated.db", "head")
    assert tables(tmp_path / "made.db") == tables(tmp_path / "migrated.db")
    for path in (tmp_path / "made.db", tmp_path / "migrated.db"):
        assert look(path, "SELECT * FROM hpo_version") == [(schema.HEAD,)]


def test_the_migrations_lead_to_the_metadata(tmp_path: Path) -> None:
    upgraded(tmp_path / "hpo.db", "head")
    connections = Connections(SqliteFile(tmp_path / "hpo.db", 1))
    with connections.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.version.name})
        assert compare_metadata(context, schema.metadata) == []
    connections.close()


# -- old files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", [path.stem for path in sorted(FIXTURES.glob("*.sql"))])
def test_files_of_every_release_open(tmp_path: Path, revision: str) -> None:
    path = restored(tmp_path / "hpo.db", revision)
    with closing(SqlStorage(path)) as storage:
        check_content(storage)
        with storage.transaction(1) as log:
            assert log.append([Draft("noted")])[0].seq == 5
    assert look(path, "SELECT * FROM hpo_version") == [(schema.HEAD,)]


def test_an_upgrade_keeps_the_content_and_a_copy(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(tmp_path, monkeypatch, ADD_COLUMN)
    copy = old.with_name("hpo.db.before-0003")
    for _ in range(2):
        with closing(SqlStorage(old)) as storage:
            check_content(storage)
    assert look(old, "SELECT * FROM hpo_version") == [("0003",)]
    assert look(old, "SELECT DISTINCT weight FROM event") == [(3,)]
    assert look(copy, "SELECT * FROM hpo_version") == [("0001",)]
    assert look(copy, "PRAGMA integrity_check") == [("ok",)]
    assert look(copy, "SELECT count(*) FROM event") == [(5,)]
    assert not weighted(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.glob("hpo.db*")) == ["hpo.db", "hpo.db.before-0003"]


def test_a_new_file_has_nothing_to_copy(tmp_path: Path) -> None:
    SqlStorage(tmp_path / "hpo.db").close()
    assert [path.name for path in tmp_path.iterdir()] == ["hpo.db"]


def test_a_migration_that_fails_changes_nothing(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(old)
    later(tmp_path, monkeypatch, FAILS)
    with pytest.raises(StorageError, match="no such table: missing"):
        SqlStorage(old)
    assert tables(old) == before
    assert look(old, "SELECT * FROM hpo_version") == [("0001",)]
    later(tmp_path, monkeypatch, ADD_COLUMN)
    with closing(SqlStorage(old)) as storage:
        check_content(storage)
    assert weighted(old)


def test_no_copy_no_upgrade(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(tmp_path, monkeypatch, ADD_COLUMN)

    class Full:
        def __init__(self, path: Path) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda where, **how: connect(where, **how) if how else Full(where))
    with pytest.raises(StorageError) as caught:
        SqlStorage(old)
    monkeypatch.setattr(sqlite3, "connect", connect)
    assert str(caught.value) == (
        f"no copy of {old} could be made before its upgrade: database or disk is full. Nothing was changed; make room in "
        f"{tmp_path} and open it again"
    )
    assert not weighted(old)
    assert [path.name for path in tmp_path.glob("hpo.db*")] == ["hpo.db"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_killed_in_a_migration(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(tmp_path, monkeypatch, DIES)
    child = os.fork()
    if not child:
        try:
            SqlStorage(old)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    later(tmp_path, monkeypatch, ADD_COLUMN)
    assert look(old, "SELECT * FROM hpo_version") == [("0001",)]
    assert not weighted(old)
    with closing(SqlStorage(old)) as storage:
        check_content(storage)
    assert weighted(old)


def test_one_of_many_does_the_upgrade(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(tmp_path, monkeypatch, ADD_COLUMN)
    upgrades: list[int] = []
    upgrade: Callable[..., None] = schema.upgrade
    together, failures = threading.Barrier(4), list[BaseException]()

    def counted(connection: Any) -> None:
        upgrades.append(threading.get_ident())
        upgrade(connection)

    def work() -> None:
        try:
            together.wait(60)
            with closing(SqlStorage(old)) as storage:
                check_content(storage)
        except BaseException as error:
            failures.append(error)

    monkeypatch.setattr(schema, "upgrade", counted)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(upgrades) == 1


def test_several_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [restored(tmp_path / f"{i}.db", "0001") for i in range(6)]
    later(tmp_path, monkeypatch, ADD_COLUMN)
    with ThreadPoolExecutor(6) as pool:
        for storage in pool.map(SqlStorage, files):
            check_content(storage)
            storage.close()
    assert all(weighted(path) for path in files)


# -- new files --------------------------------------------------------------------------------------------------------


def test_a_later_schema_is_refused_and_untouched(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        later(tmp_path, patch, ADD_COLUMN)
        SqlStorage(old).close()
    before = old.read_bytes()
    with pytest.raises(StorageError) as caught:
        SqlStorage(old)
    assert str(caught.value) == (
        f"{old} has schema 0003, made by a later version of hpo; this one knows up to 0002. Nothing was changed; use that "
        "version of hpo, or a newer one"
    )
    assert old.read_bytes() == before


def test_an_older_version_stops_once_a_later_one_has_upgraded_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hpo.db"
    with closing(SqlStorage(path)) as storage:
        study = storage.create("x", {}, {}).id
        with storage.transaction(study) as log:
            (before,) = log.append([Draft("noted")])
        with monkeypatch.context() as patch:
            later(tmp_path, patch, ADD_COLUMN)
            SqlStorage(path).close()
        steps: list[Callable[[], Any]] = [
            lambda: storage.transaction(study).__enter__(),
            lambda: storage.create("other", {}, {}),
            lambda: storage.rename("x", "y"),
            lambda: storage.delete("x"),
            lambda: storage.renew(study, "a", {0: 1}, 1.0),
        ]
        for step in steps:
            with pytest.raises(StorageError, match="has schema 0003, made by a later version of hpo"):
                step()
        assert storage.names() == ["x"]
        assert storage.events(study) == [before]
