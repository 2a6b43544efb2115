"""Where studies live: memory, an SQLite file, a PostgreSQL server. Importing this loads no database library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.boundary.public import face
from hpo.storage.base import Log as Log
from hpo.storage.base import Storage as Storage
from hpo.storage.base import StudyRecord as StudyRecord
from hpo.storage.memory import MemoryStorage as MemoryStorage
from hpo.storage.open_storage import open_storage as open_storage

if TYPE_CHECKING:
    from hpo.storage.sql import SqlStorage as SqlStorage

__all__ = ["Log", "MemoryStorage", "SqlStorage", "Storage", "StudyRecord", "open_storage"]
if not TYPE_CHECKING:  # which would take any name then
    __getattr__ = face(__name__, {"SqlStorage": "sql"})
