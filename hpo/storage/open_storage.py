"""From what a user writes to a storage."""

from __future__ import annotations

import os
from pathlib import Path

from hpo.boundary.public import public
from hpo.errors import SettingsError, StorageError
from hpo.storage.base import Storage
from hpo.storage.memory import MemoryStorage
from hpo.storage.paths import file_of, reaching


@public
def open_storage(where: str | Path | Storage) -> Storage:
    """Open the storage at `where`.

    Args:
        where: ":memory:"; a database URL, such as `postgresql+psycopg://user@host/name`; or the path of an SQLite file,
            which is made if it does not exist. A storage is returned as it is.

    Returns:
        The storage.

    Raises:
        StorageError: It cannot be opened.
        SettingsError: `where` is none of these.

    Example:
        >>> import hpo
        >>> hpo.storage.open_storage(":memory:").url
        ':memory:'
    """
    if not isinstance(where, str | Path):
        if not hasattr(where, "transaction"):
            hint = " (is an environment variable not set?)" if where is None else ""
            raise SettingsError(
                f'storage={where!r} is no storage{hint}; give a file, ":memory:", a database URL or a Storage'
            )
        return where
    if where == ":memory:":
        return MemoryStorage()
    from hpo.storage.sql import SqlStorage

    return SqlStorage(where)


def missing_file(where: str | Path | Storage) -> Path | None:
    """The file that `open_storage` would make, or None: where it exists, or is none. Raises StorageError."""
    if not isinstance(where, str | Path) or where == ":memory:":
        return None
    path = file_of(where)
    if path is None:
        return None
    with reaching(path):
        return None if path.exists() else path


def is_made(where: str | Path) -> bool:
    """Whether there is a storage with its tables, so that opening it makes nothing. Raises StorageError, also where none
    could be made."""
    path = file_of(where)
    if path is not None:
        folder = path.absolute().parent
        with reaching(path):
            if path.exists():
                return path.stat().st_size > 0
            if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
                raise StorageError(
                    f"there is no folder {folder} where you may write, for {path.name}; give another path"
                )
            return False
    from hpo.storage.sql import has_tables

    return has_tables(where)
