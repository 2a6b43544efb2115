"""Tables: made once, by one of those that open the database, and only where they belong. Upgrades are in
`test_migrations.py`."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import StorageError
from hpo.storage import schema
from hpo.storage.connections import Connections
from hpo.storage.sqlite import SqliteFile

FIXTURES = Path(__file__).with_name("fixtures")


@pytest.fixture
def database(tmp_path: Path) -> SqliteFile:
    return SqliteFile(tmp_path / "hpo.db", 1.0)


@pytest.fixture
def connections(database: SqliteFile) -> Iterator[Connections]:
    with closing(Connections(database)) as connections:
        yield connections


def look(database: SqliteFile, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database.path)) as file:
        return file.execute(query).fetchall()


# -- prepare ----------------------------------------------------------------------------------------------------------


def test_a_new_database_gets_the_tables_of_this_version(database: SqliteFile, connections: Connections) -> None:
    schema.prepare(database, connections)
    with connections.reading() as connection:
        tables = set(sa.inspect(connection).get_table_names())
    assert tables == {*schema.metadata.tables, schema.version.name}
    assert look(database, "SELECT version_num FROM hpo_version") == [(schema.HEAD,)]


def test_a_database_that_is_up_to_date_is_not_written_to(database: SqliteFile, connections: Connections) -> None:
    schema.prepare(database, connections)
    with closing(sqlite3.connect(database.path)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # whoever wanted to write had to wait
        schema.prepare(database, connections)


@pytest.mark.parametrize("names", [["customers"], ["study"], ["study", "event"], ["hpo_version", "study"]])
def test_a_database_of_somebody_else_is_left_alone(
    names: list[str], database: SqliteFile, connections: Connections
) -> None:
    with closing(sqlite3.connect(database.path)) as other:
        for name in names:
            other.execute(f"CREATE TABLE {name} (title TEXT)")
    before = database.path.read_bytes()
    with pytest.raises(StorageError) as caught:
        schema.prepare(database, connections)
    assert str(caught.value) == (
        f"{database.path} is a database of something else (tables {', '.join(sorted(names))}); give another path"
    )
    assert database.path.read_bytes() == before


@pytest.mark.parametrize("revisions", [[], ["0002", "0002"], ["main"]])
def test_a_revision_that_nobody_knows_is_shown(
    revisions: list[str], database: SqliteFile, connections: Connections
) -> None:
    schema.prepare(database, connections)
    with closing(sqlite3.connect(database.path)) as file, file:
        file.executescript("DROP TABLE hpo_version; CREATE TABLE hpo_version (version_num TEXT)")
        file.executemany("INSERT INTO hpo_version VALUES (?)", [(revision,) for revision in revisions])
    found = revisions[0] if len(revisions) == 1 else revisions
    with pytest.raises(StorageError) as caught:
        schema.prepare(database, connections)
    assert str(caught.value) == (
        f"{database.path} has no revision this version knows (it says {found!r}); is it damaged?"
    )


@pytest.mark.parametrize("revision", [path.stem for path in sorted(FIXTURES.glob("*.sql"))])
def test_tables_of_every_revision_are_taken_for_ours(revision: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as file:
        file.executescript((FIXTURES / f"{revision}.sql").read_text(encoding="utf-8"))
        tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables >= schema.OWN


# -- upgrade ----------------------------------------------------------------------------------------------------------


def test_migrations_are_found_in_a_folder_whose_name_has_a_percent_sign(
    database: SqliteFile, connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "50%(here)s" / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    with connections.writing() as connection:
        schema.upgrade(connection, "0001")
    assert look(database, "SELECT version_num FROM hpo_version") == [("0001",)]


def test_an_upgrade_ends_with_the_transaction_it_is_in(database: SqliteFile, connections: Connections) -> None:
    def broken_off() -> None:
        with connections.writing() as connection:
            schema.upgrade(connection)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        broken_off()
    assert look(database, "SELECT name FROM sqlite_master") == []


# -- check_version ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", ["0001", "0002", "1", 2])
def test_revisions_up_to_this_one_are_known(found: object, database: SqliteFile) -> None:
    assert schema.check_version(found, database) == str(found)


@given(later=st.integers(int(schema.HEAD) + 1, 9999))
def test_later_revisions_are_refused(later: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    database = SqliteFile(tmp_path_factory.getbasetemp() / "hpo.db", 1.0)
    with pytest.raises(StorageError) as caught:
        schema.check_version(f"{later:04}", database)
    assert str(caught.value) == (
        f"{database.path} has schema {later:04}, made by a later version of hpo; this one knows up to {schema.HEAD}. "
        "Nothing was changed; use that version of hpo, or a newer one"
    )


@pytest.mark.parametrize("found", ["", "main", "-1", "0x2", "²", None, [], ["0002", "0002"]])
def test_what_is_no_number_is_refused(found: object, database: SqliteFile) -> None:
    with pytest.raises(StorageError) as caught:
        schema.check_version(found, database)
    assert str(caught.value) == (
        f"{database.path} has no revision this version knows (it says {found!r}); is it damaged?"
    )
