"""The contract of storages: its values are frozen, its times are those of the docs, and both storages have its shape.

What a storage must do is said by `hpo.testing.storage.StorageContract`, which `test_memory.py` and `test_sql.py` run.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest

from hpo.storage import MemoryStorage, SqlStorage
from hpo.storage.base import PATIENCE, TURN, Lease, Log, Storage, StudyRecord

DOCS = Path(__file__).parents[2] / "docs"


def members(protocol: type) -> dict[str, list[str]]:
    """Names of its methods with those of their arguments, and of its properties."""
    public = {name: member for name, member in vars(protocol).items() if not name.startswith("_")}
    return {
        name: list(inspect.signature(member).parameters) if inspect.isfunction(member) else []
        for name, member in public.items()
    }


@pytest.mark.parametrize("storage", [MemoryStorage, SqlStorage])
def test_a_storage_calls_everything_as_the_contract_does(storage: type) -> None:
    """By position or by name, so the arguments are called alike too."""
    for name, arguments in members(Storage).items():
        own = getattr(storage, name)
        assert arguments == (list(inspect.signature(own).parameters) if callable(own) else [])


def test_the_log_of_a_transaction_has_what_the_contract_says(tmp_path: Path) -> None:
    for storage in (MemoryStorage(), SqlStorage(tmp_path / "hpo.db")):
        with storage.transaction(storage.create("x", {}, {}).id) as log:
            for name, arguments in members(Log).items():
                own = getattr(log, name)
                assert arguments[1:] == (list(inspect.signature(own).parameters) if callable(own) else [])
        storage.close()


def test_records_and_leases_cannot_be_changed() -> None:
    record, lease = StudyRecord(1, "x", {}), Lease(0, 1, "me", 2.5)
    assert record.facts == {}
    for thing, name in ((record, "name"), (lease, "until")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, None)


def test_the_docs_say_how_patient_a_step_is() -> None:
    """A step waits for a lock in several turns, so that it can say meanwhile whom it waits for."""
    assert f"are repeated for {PATIENCE:g} s first" in (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    look_after = (DOCS / "how-to" / "look-after-a-storage.md").read_text(encoding="utf-8")
    assert f"{TURN:g} s for a lock, which is then waited for again" in look_after
    assert PATIENCE >= 2 * TURN
