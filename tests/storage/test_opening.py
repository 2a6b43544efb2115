"""What a user may write for a storage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hpo.errors import HpoError, MissingExtra, SettingsError, StorageError
from hpo.storage import MemoryStorage, SqlStorage, open_storage
from hpo.storage.base import Storage
from hpo.storage.postgres import PostgresServer


def test_memory_and_storages_themselves() -> None:
    memory = open_storage(":memory:")
    assert isinstance(memory, MemoryStorage)
    assert open_storage(memory) is memory


@pytest.mark.parametrize("name", ["hpo.db", "study", "a b.db", "é%41?x#&=.db", "'quoted\".db", "x.sqlite:"])
def test_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    storages: list[Storage] = []
    for where in (name, file, str(file), None):
        storages.append(open_storage(where or storages[0].url))
        assert isinstance(storages[-1], SqlStorage)
        assert file.exists()
        storages[-1].create(f"study {len(storages)}", {}, {})
    assert len(storages[0].names()) == 4
    assert {storage.url for storage in storages} == {storages[0].url}
    for storage in storages:
        storage.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_sqlite_urls_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for where in ("sqlite:///a.db", f"sqlite:///{tmp_path}/a.db", "sqlite+pysqlite:///a.db", "~/a.db"):
        storage = open_storage(where)
        storage.create(where, {}, {})
        assert storage.url == f"sqlite:///{tmp_path}/a.db"
        assert repr(storage) == f"SqlStorage('sqlite:///{tmp_path}/a.db')"
        storage.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.db"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("mysql://me@host/db", "no storage for mysql:// URLs; give sqlite:///path or postgresql"),
        ("sqlite:///x.db?timeout=3", "no storage for sqlite:// URLs with options; give sqlite:///path"),
        ("sqlite://", "a database in memory is no SqlStorage; use MemoryStorage"),
        ("sqlite:///:memory:", "a database in memory is no SqlStorage; use MemoryStorage"),
        ("postgresql://me:secret@host:port/db", "the database URL cannot be read; give sqlite:///path"),
        ("://", "the database URL cannot be read"),
    ],
)
def test_other_urls_are_refused(where: str, message: str) -> None:
    with pytest.raises(StorageError) as caught:
        open_storage(where)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("where", [None, 3, {"url": "x"}])
def test_what_is_no_storage_is_refused(where: Any) -> None:
    hint = " (is an environment variable not set?)" if where is None else ""
    with pytest.raises(SettingsError) as caught:
        open_storage(where)
    assert str(caught.value) == (
        f'storage={where!r} is no storage{hint}; give a file, ":memory:", a database URL or a Storage'
    )


@pytest.mark.parametrize(
    ("driver", "kind", "message"),
    [
        (
            "psycopg",
            MissingExtra,
            "needs the driver 'psycopg', which is not installed: pip install 'psycopg[binary]'",
        ),
        (
            "psycopg2",
            MissingExtra,
            "needs the driver 'psycopg2', which is not installed: install it, or write postgresql+psycopg://... and pip "
            "install 'psycopg[binary]'",
        ),
        (
            "psycopg9",
            StorageError,
            "has the driver 'psycopg9', which SQLAlchemy does not know: write postgresql+psycopg://... and pip install "
            "'psycopg[binary]'",
        ),
    ],
)
def test_a_driver_that_is_not_there_is_named(
    driver: str, kind: type[HpoError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(kind) as caught:
        open_storage(f"postgresql+{driver}://me:s3cret@h/d")
    assert str(caught.value) == f"postgresql+{driver}://me@h/d {message}"


def test_a_server_out_of_reach_or_without_a_driver_shows_no_secret() -> None:
    # Nothing listens on port 1 of this machine; without the driver it does not get that far.
    where = "postgresql+psycopg://me:s3cret@127.0.0.1:1/db?sslpassword=s3cret&connect_timeout=5"
    with pytest.raises(HpoError) as caught:
        open_storage(where)
    assert isinstance(caught.value, MissingExtra | StorageError)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cret" not in str(error)
        error = error.__cause__
    assert str(caught.value).startswith("postgresql+psycopg://me@127.0.0.1:1/db?connect_timeout=5 ")


def test_urls_show_no_secret_and_keep_the_rest() -> None:
    given = "postgresql://me:s3%40cret@host:5433/team?sslmode=require&sslpassword=s3cret&passfile=/s3cret"
    server = PostgresServer(sa.make_url(given), 60)
    assert server.url == server.where == "postgresql+psycopg://me@host:5433/team?sslmode=require"
    assert PostgresServer(sa.make_url("postgresql+psycopg2://h/d"), 60).url == "postgresql+psycopg2://h/d"


def test_the_room_loads_no_database_library(tmp_path: Path) -> None:
    code = (
        "import sys; from hpo.storage import MemoryStorage, open_storage; open_storage(':memory:').create('x', {}, {});"
        "heavy = {'sqlalchemy', 'alembic', 'sqlite3'} & set(sys.modules); assert not heavy, heavy;"
        "from hpo.storage import SqlStorage; SqlStorage('x.db').close(); assert 'sqlalchemy' in sys.modules;"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
