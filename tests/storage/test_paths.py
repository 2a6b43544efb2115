"""What names an SQLite file, there and back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from hpo.errors import StorageError
from hpo.storage.paths import file_of, is_url, reaching, url_of

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
"""What a file may be called."""


def refusal(where: str) -> str:
    with pytest.raises(StorageError) as caught:
        file_of(where)
    return str(caught.value)


# -- is_url -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["sqlite:///a.db", "postgresql+psycopg://me@host/db", "my-own.kind://x", "://x"])
def test_what_has_a_scheme_is_a_url(where: str) -> None:
    assert is_url(where)


@pytest.mark.parametrize(
    "where", ["hpo.db", "a/b://c.db", "a b://c", "sqlite:/a.db", ":memory:", Path("sqlite:///a.db")]
)
def test_what_has_none_is_a_path(where: str | Path) -> None:
    assert not is_url(where)


# -- url_of and file_of -----------------------------------------------------------------------------------------------


@given(name=NAMES)
def test_every_path_is_read_back_from_its_url(name: str) -> None:
    path = Path("/data") / name
    url = url_of(path)
    assert is_url(url)
    assert file_of(url) == path


@given(name=NAMES)
def test_a_url_is_of_one_line_and_without_blanks(name: str) -> None:
    url = url_of(Path("/data") / name)
    assert len(url.splitlines()) == 1
    assert not any(character in url for character in " \t\x7f\xa0?#")


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "x?#&=.db", "é.db"])
def test_sqlalchemy_reads_the_same_kind_of_database(name: str) -> None:
    url = make_url(url_of(Path("/data") / name))
    assert (url.get_backend_name(), url.query, url.host) == ("sqlite", {}, None)


def test_letters_that_people_read_stay() -> None:
    assert url_of(Path("/daten/Größe 50%?#.db")) == "sqlite:////daten/Größe%2050%25%3F%23.db"


@pytest.mark.parametrize("where", ["a.db", Path("a.db"), "sqlite:///a.db", "sqlite+pysqlite:///a.db"])
def test_a_relative_path_stays_relative(where: str | Path) -> None:
    assert file_of(where) == Path("a.db")


def test_the_home_is_expanded_in_paths_and_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert file_of("~/a.db") == file_of(Path("~/a.db")) == file_of("sqlite:///~/a.db") == Path("/home/me/a.db")


def test_a_percent_sign_of_a_path_is_no_code() -> None:
    assert file_of("a%20b.db") == Path("a%20b.db")
    assert file_of("sqlite:///a%20b.db") == Path("a b.db")


@pytest.mark.parametrize("where", ["postgresql://host/db", "mysql://host/db", "sqlitex:///a.db", "my-sqlite:///a.db"])
def test_the_url_of_a_server_names_no_file(where: str) -> None:
    assert file_of(where) is None


# -- what no file can be called ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [":memory:", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(where: str) -> None:
    assert refusal(where) == ("a database in memory is no SqlStorage; use MemoryStorage, or open_storage(':memory:')")


def test_options_are_refused() -> None:
    assert refusal("sqlite+pysqlite:///a.db?timeout=3") == (
        "no storage for sqlite+pysqlite:// URLs with options; give sqlite:///path, with ? in a path written as %3F, or "
        "postgresql+psycopg://user@host/database"
    )


def test_two_slashes_are_refused_and_the_text_is_not_repeated() -> None:
    """It might be the URL of a server, with a password."""
    assert (
        refusal("sqlite://s3cret@host") == "the database URL cannot be read; a file has three slashes: sqlite:///path"
    )


@pytest.mark.parametrize("where", ["a\0.db", "sqlite:///a%00.db"])
def test_a_nul_is_refused(where: str) -> None:
    assert refusal(where) == r"no storage at 'a\x00.db': it has a NUL; give another path"


@pytest.mark.parametrize("where", ["caf\udce9.db", "sqlite:///caf%E9.db"])
def test_what_is_not_utf_8_is_refused(where: str) -> None:
    assert refusal(where) == r"no storage at 'caf\udce9.db': the path is not UTF-8; give another path"


def test_the_home_of_nobody_is_refused() -> None:
    assert refusal("~nobody-here/hpo.db") == (
        "no storage at '~nobody-here/hpo.db': Could not determine home directory.; give another path"
    )


# -- reaching ---------------------------------------------------------------------------------------------------------


def test_errors_of_the_system_say_what_and_where() -> None:
    with pytest.raises(StorageError) as caught, reaching(Path("/x/hpo.db")):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x")
    assert str(caught.value) == (
        "/x/hpo.db cannot be reached: Permission denied. Nothing was stored; see that you may read and write the file and "
        "enter its folders, or give another path"
    )
    assert isinstance(caught.value.__cause__, PermissionError)


def test_an_error_without_a_number_gives_its_own_words() -> None:
    with (
        pytest.raises(StorageError, match=r"^/x/hpo\.db cannot be reached: too far\. Nothing"),
        reaching(Path("/x/hpo.db")),
    ):
        raise OSError("too far")


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match=r"^mine$"), reaching(Path("/x/hpo.db")):
        raise ValueError("mine")
