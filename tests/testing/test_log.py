from __future__ import annotations

import threading

from hpo.testing import log, storage
from tests.testing.contracts import contracts, names_of_tests


def test_the_contract_of_storages_holds_that_of_logs() -> None:
    assert contracts(log) == {"LogContract"}
    assert issubclass(storage.StorageContract, log.LogContract)
    assert len(names_of_tests(log)) > 20
    assert not names_of_tests(log) & names_of_tests(storage), "no test hides another"


def test_threads_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3)

    def work(i: int) -> int:
        meeting.wait(log.DEADLINE)
        return i

    assert log.together(3, work) == [0, 1, 2]
