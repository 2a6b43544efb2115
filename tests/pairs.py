"""What two processes have open of one storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hpo.storage import MemoryStorage, SqlStorage, Storage
from hpo.storage.base import PATIENCE

KINDS = ("memory", "sqlite", "postgresql")


@contextmanager
def pair_of(kind: str, folder: Path, patience: float = PATIENCE) -> Iterator[tuple[Storage, Storage]]:
    """One of KINDS, opened twice, the second time with `patience`; memory is the same one. PostgreSQL is skipped where
    HPO_TEST_PG names no server."""
    if kind == "memory":
        memory = MemoryStorage()
        yield memory, memory
        return
    server = os.environ.get("HPO_TEST_PG")
    if kind == "postgresql" and not server:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    where = server if kind == "postgresql" and server else folder / "hpo.db"
    with closing(SqlStorage(where)) as one, closing(SqlStorage(where, patience=patience)) as other:
        yield one, other
