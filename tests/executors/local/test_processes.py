from __future__ import annotations

import threading
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import Pool, Processes
from hpo.testing.executors import (
    ConcurrencyContract,
    ExecutorContract,
    IsolationContract,
    behave,
)
from tests.executors.started import run

pytestmark = pytest.mark.usefixtures("scratch_folders_go")


class TestContract(ExecutorContract, ConcurrencyContract, IsolationContract):
    def start(self, slots: int) -> Pool:
        return Processes(slots, grace=0.3).start(behave)


class TestContractWithoutReuse(ExecutorContract, ConcurrencyContract, IsolationContract):
    def start(self, slots: int) -> Pool:
        return Processes(slots, reuse=False, grace=0.3).start(behave)


# Functions below stand inside the tests: this module cannot be imported elsewhere, so they travel by value.


def test_large_payloads_and_values_and_odd_numbers() -> None:
    with Processes(1).start(lambda payload: payload) as pool:
        text = "x" * (5 << 20)
        assert run(pool, text=text).value == {"text": text}
        assert run(pool, x=float("inf")).value == {"x": float("inf")}


def test_function_that_cannot_be_pickled() -> None:
    lock = threading.Lock()

    def train(payload: dict[str, Any]) -> dict[str, Any]:
        return {"locked": lock.locked()}

    with pytest.raises(ExecutorError, match=r"train\.lock is a lock \(cannot pickle"):
        Processes(1).start(train)


def test_an_executor_is_a_value() -> None:
    executor = Processes(2, reuse=False, grace=1.0)
    assert executor == eval(repr(executor))
    for _ in range(2):
        with executor.start(behave) as pool:
            assert run(pool, do="pass").kind is None


@pytest.mark.parametrize(
    ("fields", "text"), [({"slots": 0}, "at least one slot, got 0"), ({"grace": -1.0}, "0 or more, got -1.0")]
)
def test_settings_are_checked_at_birth(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ExecutorError, match=text):
        Processes(**fields)
