from __future__ import annotations

from hpo.testing import storage
from tests.testing.contracts import contracts, names_of_tests, subclassed_in


def test_the_contract_is_met_by_storages_of_ours() -> None:
    assert contracts(storage) == {"StorageContract"}
    assert subclassed_in("storage")["StorageContract"] >= {"test_memory", "test_sql", "test_postgres"}
    assert len(names_of_tests(storage)) > 10


def test_the_module_says_how_it_is_used() -> None:
    assert storage.__doc__ is not None
    assert "class TestMyStorage(StorageContract):" in storage.__doc__
