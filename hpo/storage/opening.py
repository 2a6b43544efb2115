"""From what a user writes to a storage."""

from __future__ import annotations

from pathlib import Path

from hpo.storage.base import Storage
from hpo.storage.memory import MemoryStorage


def open_storage(where: str | Path | Storage) -> Storage:
    """The storage at `where`: ":memory:", a database URL (`postgresql+psycopg://...`, `sqlite:///...`), any other text
    or a path for an SQLite file, which is made when it does not exist; a storage is handed back as it is.

    Raises StorageError when it cannot be opened.
    """
    if not isinstance(where, str | Path):
        return where
    if where == ":memory:":
        return MemoryStorage()
    from hpo.storage.sql import SqlStorage

    return SqlStorage(where)
