from __future__ import annotations

from hpo.testing import clusters
from hpo.testing.executors import Contract
from tests.testing.contracts import contracts, subclassed_in


def test_the_contract_is_met_by_executors_of_ours() -> None:
    assert contracts(clusters) == {"EngineContract"}
    assert issubclass(clusters.EngineContract, Contract)
    assert subclassed_in("executors")["EngineContract"] == {"test_dask", "test_ray"}
