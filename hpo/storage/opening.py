"""From what a user writes to a storage."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import SettingsError
from hpo.storage.base import Storage
from hpo.storage.memory import MemoryStorage


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
    """The file that `open_storage` would make, or None: where it exists, or is none."""
    if not isinstance(where, str | Path) or where == ":memory:":
        return None
    text = str(where).removeprefix("sqlite:///")
    try:
        path = Path(text).expanduser()
        return None if "://" in text or path.exists() else path
    except (OSError, ValueError, RuntimeError):  # it cannot be looked at: opening it says why
        return None
