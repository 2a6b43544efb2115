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
    """The storage at `where`: ":memory:", a database URL (`postgresql+psycopg://...`, `sqlite:///...`), any other text
    or a path for an SQLite file, which is made when it does not exist; a storage is handed back as it is.

    Raises StorageError when it cannot be opened, SettingsError for what is none of these.
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
