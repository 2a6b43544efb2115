"""MemoryStorage keeps the contract of storages."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hpo.storage import MemoryStorage, Storage
from hpo.testing.storage import StorageContract


class TestMemoryStorage(StorageContract):
    durable: ClassVar[bool] = False

    def open(self, folder: Path) -> Storage:
        return MemoryStorage()


def test_each_is_its_own() -> None:
    one, two = MemoryStorage(), MemoryStorage()
    one.create("x", {}, {})
    assert two.names() == []
    assert repr(one) == "MemoryStorage()"
    assert one.url == ":memory:"
