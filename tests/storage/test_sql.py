"""SqlStorage on SQLite keeps the contract of storages, and what only a database can promise."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hpo.storage import SqlStorage, Storage
from hpo.testing.storage import StorageContract


class TestSqlite(StorageContract):
    durable: ClassVar[bool] = True

    def open(self, folder: Path) -> Storage:
        return SqlStorage(folder / "studies.db")
