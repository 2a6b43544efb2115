"""What a user may write for a storage."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import hpo
from hpo.errors import HpoError, MissingExtra, SettingsError, StorageError, StudyNotFound
from hpo.storage import MemoryStorage, SqlStorage, open_storage
from hpo.storage.base import Storage
from hpo.storage.open_storage import missing_file
from hpo.storage.postgres import PostgresServer
from hpo.storage.retry import patient


def test_memory_and_storages_themselves() -> None:
    memory = open_storage(":memory:")
    assert isinstance(memory, MemoryStorage)
    assert open_storage(memory) is memory


@pytest.mark.parametrize(
    "name", ["hpo.db", "study", "a b.db", "é%41?x#&=.db", "'quoted\".db", "x.sqlite:", "a\nb%.db", "-x?"]
)
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


def test_urls_are_read_by_people_and_by_us(tmp_path: Path) -> None:
    with closing(SqlStorage(tmp_path / "a b%?#ä'.db")) as storage:
        assert storage.url == f"sqlite:///{tmp_path}/a%20b%25%3F%23ä'.db"
        for url in (storage.url, f"sqlite:///{tmp_path}/a b%25%3f#%C3%A4'.db"):
            assert missing_file(url) is None
            with closing(open_storage(url)) as same:
                assert same.url == storage.url
    assert missing_file(f"sqlite:///{tmp_path}/b%20b.db") == tmp_path / "b b.db"


def test_a_path_may_look_like_a_url_further_on(tmp_path: Path) -> None:
    (tmp_path / "a:").mkdir()
    with closing(SqlStorage(f"{tmp_path}/a://b.db")) as storage:
        assert storage.url == f"sqlite:///{tmp_path}/a:/b.db"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a\0b.db", "it has a NUL; give another path"),
        ("caf\udce9.db", r"caf\udce9.db': the path is not UTF-8; give another path"),
        ("\ud800.db", r"\ud800.db': the path is not UTF-8; give another path"),
        ("x" * 300, "File name too long"),
        ("hpo.db/below", "no folder "),
    ],
)
def test_paths_that_no_file_can_have(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "hpo.db").touch()
    for step in (open_storage, lambda where: hpo.open_study("s", storage=where)):
        with pytest.raises((StorageError, StudyNotFound)) as caught:
            step(f"{tmp_path}/{name}")
        if said != "no folder " or step is open_storage:
            assert said in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["hpo.db"]


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
        ("sqlite://host/x.db", "the database URL cannot be read; a file has three slashes: sqlite:///path"),
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
    with pytest.raises(HpoError) as caught, patient(0.0):
        open_storage(where)
    assert isinstance(caught.value, MissingExtra | StorageError)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cret" not in str(error)
        error = error.__cause__
    assert "postgresql+psycopg://me@127.0.0.1:1/db?connect_timeout=5" in str(caught.value)


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
