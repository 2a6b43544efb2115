"""What names an SQLite file, a path or a `sqlite:///` URL: to its path, and back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from hpo.errors import StorageError

_SCHEME = re.compile(r"([\w+.-]*)://")
_NEITHER_PLAIN_NOR_SEEN = re.compile(r"[%?#\x00-\x20\x7f-\xa0\u2028\u2029]")
"""What means something else in a URL, or cannot be seen. Other letters stay: people read these URLs."""


def is_url(where: str | Path) -> bool:
    """Whether it is a database URL rather than a path."""
    return isinstance(where, str) and _SCHEME.match(where) is not None


def url_of(path: Path) -> str:
    """`sqlite:////absolute/path`, which `file_of` reads back, with `%20` for a blank and the like."""
    return "sqlite:///" + _NEITHER_PLAIN_NOR_SEEN.sub(lambda match: quote(match[0]), str(path))


def file_of(where: str | Path) -> Path | None:
    """The file that a path or a URL names, `~` expanded; None for the URL of a server. Raises StorageError for what no
    file can be called, and for a database in memory."""
    text = str(where)
    if is_url(where):
        scheme, _, text = text.partition("://")
        if not re.fullmatch(r"sqlite(\+\w+)?", scheme):
            return None
        if "?" in text:
            raise StorageError(
                f"no storage for {scheme}:// URLs with options; give sqlite:///path, with ? in a path written as %3F, or "
                "postgresql+psycopg://user@host/database"
            )
        if text and not text.startswith("/"):
            raise StorageError("the database URL cannot be read; a file has three slashes: sqlite:///path")
        text = unquote(text[1:], errors="surrogateescape") or ":memory:"
    if text == ":memory:":
        raise StorageError("a database in memory is no SqlStorage; use MemoryStorage, or open_storage(':memory:')")
    try:
        os.fsencode(text).decode()
        if "\0" in text:
            raise ValueError("it has a NUL")
        return Path(text).expanduser()
    except UnicodeError as error:
        raise StorageError(f"no storage at {text!a}: the path is not UTF-8; give another path") from error
    except (ValueError, RuntimeError) as error:  # the home of a user who does not exist
        raise StorageError(f"no storage at {text!a}: {error}; give another path") from error


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Errors of the system inside become StorageErrors: no permission for a folder on the way, a name too long."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be reached: {error.strerror or error}. Nothing was stored; see that you may read and write the "
            "file and enter its folders, or give another path"
        ) from error
