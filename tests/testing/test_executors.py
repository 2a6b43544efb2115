from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hpo.executors import Inline, Task
from hpo.testing import executors
from hpo.testing.executors import await_that, behave, collect, is_gone
from tests.testing.contracts import contracts, subclassed_in


def test_every_contract_is_met_by_executors_of_ours() -> None:
    used = subclassed_in("executors")
    assert contracts(executors) == {"ExecutorContract", "ConcurrencyContract", "IsolationContract"}
    assert used["ExecutorContract"] >= {f"test_{name}" for name in ("inline", "threads", "processes", "subprocess")}
    assert used["ExecutorContract"] >= {f"test_{name}" for name in ("futures", "simulated", "dask", "ray", "executor")}
    assert used["ConcurrencyContract"] >= {"test_threads", "test_processes", "test_dask", "test_executor"}
    assert used["IsolationContract"] >= {"test_processes", "test_subprocess", "test_dask", "test_executor"}


def test_the_module_says_how_each_is_used() -> None:
    assert executors.__doc__ is not None
    assert all(name in executors.__doc__ for name in contracts(executors))


def test_what_does_not_come_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "PATIENCE", 0.05)
    with pytest.raises(AssertionError, match="the gate opens"):
        await_that(lambda: False, "the gate opens")
    await_that(lambda: True, "nothing is waited for")


def test_a_process_that_has_ended_is_gone(tmp_path: Path) -> None:
    (tmp_path / "none").write_text(str(2**22 + 1))
    assert is_gone(tmp_path / "none")
    (tmp_path / "own").write_text(str(threading.get_native_id()))
    assert not is_gone(tmp_path / "own")


def test_so_many_outcomes_are_collected() -> None:
    with Inline().start(behave) as pool:
        pool.submit(*(Task(id=id, payload={"do": "pass", "value": id}) for id in "abc"))
        assert [outcome.value for outcome in collect(pool, 3)] == [{"value": id} for id in "abc"]
