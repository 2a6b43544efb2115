"""What every executor must do, as test classes for pytest. Subclass them and say how to start yours:

    class TestMine(ExecutorContract, ConcurrencyContract, IsolationContract):
        def start(self, slots: int) -> Pool:
            return Mine(slots).start(behave)

`ExecutorContract` is for all, `ConcurrencyContract` for those with several slots, `IsolationContract` for those that say
they are `isolated`. The tasks are calls of `behave`; an executor of commands runs `python -m hpo.testing.executors`.
The tests meet their tasks through files, so executor and test must share a file system.

It is one file, since it is also the program that an executor of commands runs, and the tests and their tasks must agree.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Pool, Task

PATIENCE = 60.0
"""Seconds after which something that should happen is declared hanging. No statement about speed."""


def behave(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Do what `payload["do"]` names, and return `{"value": payload["value"]}` if that ends well."""
    if "mark" in payload:  # "I have started", with my process id
        _write(payload["mark"], str(os.getpid()))
    _BEHAVIOR[payload["do"]](payload)
    return {"value": payload.get("value")}


def _pass(_: Mapping[str, Any]) -> None:
    """End well at once."""


def _raise(payload: Mapping[str, Any]) -> None:
    raise ValueError(payload["message"])


def _hold(payload: Mapping[str, Any]) -> None:
    """Run until the file `gate` exists."""
    await_that(Path(payload["gate"]).exists, "the gate opens")


def _count(payload: Mapping[str, Any]) -> None:
    """Write down how many such tasks run now."""
    folder = Path(payload["folder"])
    mine = folder / f"{payload['value']}.running"
    mine.touch()
    _write(folder / f"{payload['value']}.seen", str(len(list(folder.glob("*.running")))))
    mine.unlink()


def _segfault(_: Mapping[str, Any]) -> None:
    import ctypes

    ctypes.string_at(0)


def _exit(_: Mapping[str, Any]) -> None:
    os._exit(3)


def _hang(_: Mapping[str, Any]) -> None:
    time.sleep(10 * PATIENCE)


def _ignore_sigterm(payload: Mapping[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(payload["ready"], "")
    _hang(payload)


def _leave_grandchild(payload: Mapping[str, Any]) -> None:
    """Start a process, through one that ends at once, in a session of its own and deaf to SIGTERM; then hang."""
    program = (
        "import os, signal, sys, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1] + '.new', 'w').write(str(os.getpid())); os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
        f"time.sleep({10 * PATIENCE})"
    )
    subprocess.run([sys.executable, "-c", program, payload["grandchild"]], check=True)
    await_that(Path(payload["grandchild"]).exists, "the grandchild starts")
    if payload.get("then") == "hang":
        _hang(payload)


def _eat_memory(_: Mapping[str, Any]) -> None:
    eaten = []
    for _step in range(200):  # ends at 2 GiB, for executors that do not hold to limits
        eaten.append(b"x" * (10 << 20))
        time.sleep(0.01)


def _tell_env(payload: Mapping[str, Any]) -> None:
    if os.environ.get(payload["variable"]) != payload["value"]:
        raise ValueError(f"{payload['variable']} is {os.environ.get(payload['variable'])!r}")


def _fork(payload: Mapping[str, Any]) -> None:
    """Have a child that leaves this function as its parent does: it returns, exits or raises; with a `gate`, when that
    opens, and the parent does not wait for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, where this process has threads
        child = os.fork()
    if child == 0:
        if "gate" in payload:
            _write(payload["child"], str(os.getpid()))
            await_that(Path(payload["gate"]).exists, "the gate opens")
        if payload["how"] == "raise":
            raise ValueError("in the child")
        if payload["how"] == "exit":
            sys.exit(7)
    elif "gate" in payload:
        await_that(Path(payload["child"]).exists, "the child starts")
    else:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != {"return": 0, "exit": 7, "raise": 1}[payload["how"]]:
            raise ValueError(f"the child ended with exit code {code}")


_BEHAVIOR: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "pass": _pass,
    "raise": _raise,
    "hold": _hold,
    "count": _count,
    "segfault": _segfault,
    "exit": _exit,
    "hang": _hang,
    "ignore_sigterm": _ignore_sigterm,
    "leave_grandchild": _leave_grandchild,
    "eat_memory": _eat_memory,
    "tell_env": _tell_env,
    "fork": _fork,
}


class Contract(ABC):
    """How to start the executor under test, and short ways to use it."""

    @abstractmethod
    def start(self, slots: int) -> Pool:
        """A pool with this many slots, if it can have several, that runs `behave`, with a short grace."""

    def submit(self, pool: Pool, id: str, do: str, *, timeout: float | None = None, **payload: Any) -> None:
        """Submit one call of `behave`. The keywords are its payload."""
        pool.submit(Task(id=id, payload={"do": do, **payload}, timeout=timeout))


class ExecutorContract(Contract):
    """What every executor must do, as tests for pytest. Name your class `Test...`, and supply `start`.

    Example:
        >>> import hpo
        >>> class TestMine(hpo.testing.executors.ExecutorContract):
        ...     def start(self, slots):
        ...         return hpo.executors.Threads(slots).start(hpo.testing.executors.behave)
        >>> TestMine().test_delivers_each_result_exactly_once()
    """

    def test_delivers_each_result_exactly_once(self) -> None:
        with self.start(2) as pool:
            pool.submit(*(Task(id=f"w{i}", payload={"do": "pass", "value": i / 7}) for i in range(20)))
            outcomes = collect(pool, 20)
            assert {o.id: o.value for o in outcomes} == {f"w{i}": {"value": i / 7} for i in range(20)}
            assert len(outcomes) == 20
            assert all(o.kind is None and o.message == "" for o in outcomes)
            assert pool.wait() == []

    def test_payloads_and_values_are_plain_json(self, tmp_path: Path) -> None:
        value = {"text": "é\n", "list": [1, 2.5, None, True], "nested": {"a": {}}}
        with self.start(1) as pool:
            self.submit(pool, "a", "pass", value=value)
            assert collect(pool, 1)[0].value == {"value": value}
            with pytest.raises(ExecutorError, match="not plain JSON"):
                pool.submit(Task(id="b", payload={"path": tmp_path}))

    def test_outcome_says_when_it_ran(self) -> None:
        before = time.time()
        with self.start(1) as pool:
            self.submit(pool, "a", "pass")
            outcome = collect(pool, 1)[0]
        assert outcome.started_at is not None
        assert before - 0.1 <= outcome.started_at <= time.time() + 0.1
        assert 0 <= outcome.seconds <= time.time() - before + 0.1

    def test_exception_is_an_error_with_its_traceback(self) -> None:
        with self.start(1) as pool:
            self.submit(pool, "bad", "raise", message="the moon is full")
            self.submit(pool, "good", "pass", value=1)
            outcomes = {o.id: o for o in collect(pool, 2)}
        assert outcomes["good"].value == {"value": 1}
        bad = outcomes["bad"]
        assert (bad.kind, bad.value) == ("error", None)
        assert bad.log_tail.endswith("ValueError: the moon is full")
        assert "in _raise" in bad.log_tail

    def test_wait_returns_at_once_when_nothing_is_in_flight(self) -> None:
        with self.start(1) as pool:
            assert pool.wait() == []
            assert pool.wait(timeout=10 * PATIENCE) == []

    def test_refuses_an_id_that_is_in_flight_and_then_takes_none(self) -> None:
        with self.start(1) as pool:
            tasks = [Task(id=id, payload={"do": "pass"}) for id in ("a", "b", "a")]
            with pytest.raises(ExecutorError, match="'a' is already in flight"):
                pool.submit(*tasks)
            assert pool.wait() == []
            pool.submit(*tasks[:2])
            collect(pool, 2)
            pool.submit(tasks[2])  # the id is free again
            assert collect(pool, 1)[0].id == "a"

    def test_cancelled_while_queued_never_starts(self, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        with self.start(1) as pool:
            for id in ("a", "b"):
                self.submit(pool, id, "pass")
            self.submit(pool, "c", "pass", mark=str(mark))
            pool.cancel(["c", "unknown"])
            outcomes = {o.id: o for o in collect(pool, 3)}
        assert {id: o.kind for id, o in outcomes.items()}.items() >= {"a": None, "b": None}.items()
        assert (outcomes["c"].kind == "cancelled") == (not mark.exists())

    def test_close_drains(self) -> None:
        pool = self.start(2)
        pool.submit(*(Task(id=str(i), payload={"do": "pass", "value": i}) for i in range(5)))
        delivered = pool.wait()
        rest = pool.close(CloseMode.DRAIN)
        assert sorted(o.id for o in [*delivered, *rest]) == [str(i) for i in range(5)]
        assert all(o.kind is None for o in rest)

    def test_close_again_and_use_afterwards(self) -> None:
        pool = self.start(1)
        assert pool.close() == []
        assert pool.close(CloseMode.KILL) == []
        assert pool.close(CloseMode.DRAIN) == []
        assert pool.wait() == []
        with pytest.raises(ExecutorError, match="closed"):
            self.submit(pool, "late", "pass")

    def test_an_exception_in_the_block_cancels_what_is_queued(self) -> None:
        pool = self.start(1)
        pool.submit(*(Task(id=str(i), payload={"do": "pass"}) for i in range(3)))
        with pytest.raises(ZeroDivisionError), pool:
            raise ZeroDivisionError
        assert pool.wait() == []

    @pytest.mark.parametrize("how", ["return", "exit", "raise"])
    def test_a_child_that_comes_back_from_the_function_answers_for_nobody(self, how: str) -> None:
        with self.start(1) as pool:
            self.submit(pool, "a", "fork", how=how, value=1)
            self.submit(pool, "b", "pass", value=2)
            outcomes = collect(pool, 2)
            assert pool.wait() == []
        assert {o.id: (o.kind, o.value) for o in outcomes} == {"a": (None, {"value": 1}), "b": (None, {"value": 2})}

    def test_at_least_one_slot(self) -> None:
        with self.start(1) as pool:
            assert pool.capacity >= 1


class ConcurrencyContract(Contract):
    """What executors with several slots must do besides.

    Example:
        >>> import hpo, pathlib, tempfile
        >>> class TestMine(hpo.testing.executors.ConcurrencyContract):
        ...     def start(self, slots):
        ...         return hpo.executors.Threads(slots).start(hpo.testing.executors.behave)
        >>> TestMine().test_outcomes_come_in_the_order_of_their_ends(pathlib.Path(tempfile.mkdtemp()))
    """

    def test_outcomes_come_in_the_order_of_their_ends(self, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        with self.start(2) as pool:
            self.submit(pool, "slow", "hold", gate=str(gate))
            self.submit(pool, "quick", "pass")
            assert [o.id for o in collect(pool, 1)] == ["quick"]
            assert pool.wait(timeout=0) == []
            gate.touch()
            assert [o.id for o in collect(pool, 1)] == ["slow"]

    def test_never_runs_more_than_its_capacity(self, tmp_path: Path) -> None:
        with self.start(2) as pool:
            assert pool.capacity == 2
            for i in range(30):
                self.submit(pool, str(i), "count", folder=str(tmp_path), value=i)
            assert {o.kind for o in collect(pool, 30)} == {None}
        assert {int(seen.read_text()) for seen in tmp_path.glob("*.seen")} <= {1, 2}

    def test_uses_its_capacity_and_refills_it(self, tmp_path: Path) -> None:
        with self.start(2) as pool:
            for name in "abc":
                self.submit(
                    pool, name, "hold", gate=str(tmp_path / f"{name}.gate"), mark=str(tmp_path / f"{name}.mark")
                )
            await_that((tmp_path / "a.mark").exists, "a starts")
            await_that((tmp_path / "b.mark").exists, "b starts beside a")
            assert not (tmp_path / "c.mark").exists()
            (tmp_path / "a.gate").touch()
            await_that((tmp_path / "c.mark").exists, "c starts though nobody waits for a")
            (tmp_path / "b.gate").touch()
            (tmp_path / "c.gate").touch()
            assert {o.id for o in collect(pool, 3)} == {"a", "b", "c"}

    def test_kill_ends_at_once_what_runs_and_what_is_queued(self, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        pool = self.start(2)
        for name in "abcd":
            self.submit(pool, name, "hold", gate=str(gate), mark=str(tmp_path / name))
        await_that((tmp_path / "b").exists, "b starts")
        outcomes = pool.close(CloseMode.KILL)
        gate.touch()  # lets threads go, which cannot be killed
        assert sorted(o.id for o in outcomes) == ["a", "b", "c", "d"]
        assert {o.kind for o in outcomes} == {"cancelled"}
        assert not (tmp_path / "c").exists()
        assert pool.close() == []


class IsolationContract(Contract):
    """What executors must do besides whose tasks run in processes of their own.

    Example:
        >>> import hpo
        >>> class TestMine(hpo.testing.executors.IsolationContract):
        ...     def start(self, slots):
        ...         return hpo.executors.Processes(slots, grace=0.5).start(hpo.testing.executors.behave)
        >>> TestMine.exit_kind
        'crash'
    """

    exit_kind = "crash"
    """Kind of a task whose process ends with a code of its own; commands say "error"."""

    @pytest.mark.parametrize("do", ["segfault", "exit"])
    def test_a_dead_process_fails_only_its_own_task(self, tmp_path: Path, do: str) -> None:
        gate, mark = tmp_path / "gate", tmp_path / "mark"
        with self.start(2) as pool:
            self.submit(pool, "sibling", "hold", gate=str(gate), mark=str(mark), value=1)
            await_that(mark.exists, "the sibling starts")
            for id in ("one", "two"):
                self.submit(pool, id, do)
            dead = collect(pool, 2)
            assert {o.id for o in dead} == {"one", "two"}
            assert {o.kind for o in dead} == {"crash" if do == "segfault" else self.exit_kind}
            gate.touch()
            assert [(o.id, o.value) for o in collect(pool, 1)] == [("sibling", {"value": 1})]
            self.submit(pool, "next", "pass", value=2)
            assert collect(pool, 1)[0].value == {"value": 2}

    def run_into_timeout(self, pool: Pool, do: str, proof: Path, **payload: Any) -> None:
        """Submit a task that does not end, until one got as far as writing the file `proof` before its time was over."""
        for timeout in (0.5, 5.0, 25.0):  # a loaded machine may need a second to start a process
            self.submit(pool, "endless", do, timeout=timeout, **payload)
            outcome = collect(pool, 1)[0]
            assert outcome.kind == "timeout"
            assert f"its timeout of {timeout:g} s" in outcome.message
            assert outcome.seconds >= timeout
            if proof.exists():
                return
        raise AssertionError("25 s did not suffice to start a process")

    def test_timeout_ends_a_hanging_task(self, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        with self.start(1) as pool:
            self.run_into_timeout(pool, "hang", mark, mark=str(mark))
            assert is_gone(mark)
            self.submit(pool, "next", "pass", value=2)
            assert collect(pool, 1)[0].value == {"value": 2}

    def test_timeout_ends_one_that_ignores_sigterm(self, tmp_path: Path) -> None:
        mark, ready = tmp_path / "mark", tmp_path / "ready"
        with self.start(1) as pool:
            self.run_into_timeout(pool, "ignore_sigterm", ready, mark=str(mark), ready=str(ready))
            assert is_gone(mark)

    def test_timeout_ends_a_grandchild_in_its_own_session(self, tmp_path: Path) -> None:
        grandchild = tmp_path / "grandchild"
        with self.start(1) as pool:
            self.run_into_timeout(pool, "leave_grandchild", grandchild, grandchild=str(grandchild), then="hang")
            assert is_gone(grandchild)

    def test_an_orphan_left_behind_ends_with_its_task(self, tmp_path: Path) -> None:
        grandchild = tmp_path / "grandchild"
        with self.start(1) as pool:
            self.submit(pool, "parent", "leave_grandchild", grandchild=str(grandchild), value=1)
            assert collect(pool, 1)[0].value == {"value": 1}
            await_that(lambda: is_gone(grandchild), "the orphan ends")

    def test_a_late_child_does_not_answer_for_the_next_task(self, tmp_path: Path) -> None:
        child, gate, end = tmp_path / "child", tmp_path / "gate", tmp_path / "end"
        with self.start(1) as pool:
            self.submit(pool, "a", "fork", how="return", value=1, child=str(child), gate=str(gate))
            assert collect(pool, 1)[0].value == {"value": 1}
            self.submit(pool, "b", "hold", value=2, gate=str(end))
            gate.touch()
            await_that(lambda: is_gone(child), "the child has ended")
            assert pool.wait(0.1) == []
            end.touch()
            assert collect(pool, 1)[0].value == {"value": 2}

    def test_memory_limit(self) -> None:
        with self.start(2) as pool:
            pool.submit(Task(id="fat", payload={"do": "eat_memory"}, memory=300 << 20))
            pool.submit(Task(id="lean", payload={"do": "pass", "value": 1}, memory=300 << 20))
            outcomes = {o.id: o for o in collect(pool, 2)}
        assert outcomes["lean"].value == {"value": 1}
        assert outcomes["fat"].kind == "oom"
        assert "300 MiB" in outcomes["fat"].message

    def test_cancel_ends_running_task(self, tmp_path: Path) -> None:
        mark, ready, gate = tmp_path / "mark", tmp_path / "ready", tmp_path / "gate"
        with self.start(2) as pool:
            self.submit(pool, "sibling", "hold", gate=str(gate), value=1)
            self.submit(pool, "deaf", "ignore_sigterm", mark=str(mark), ready=str(ready))
            await_that(ready.exists, "it ignores SIGTERM")
            pool.cancel(["deaf"], grace=0.2)
            cancelled = collect(pool, 1)[0]
            assert (cancelled.id, cancelled.kind) == ("deaf", "cancelled")
            assert is_gone(mark)
            gate.touch()
            assert collect(pool, 1)[0].value == {"value": 1}

    def test_close_leaves_no_process(self, tmp_path: Path) -> None:
        before = {process.pid for process in psutil.Process().children(recursive=True)}
        grandchild, mark = tmp_path / "grandchild", tmp_path / "mark"
        pool = self.start(2)
        self.submit(pool, "a", "leave_grandchild", grandchild=str(grandchild), then="hang")
        self.submit(pool, "b", "hang", mark=str(mark))
        await_that(grandchild.exists, "the grandchild starts")
        await_that(mark.exists, "b starts")
        assert {o.kind for o in pool.close(CloseMode.KILL)} == {"cancelled"}
        assert is_gone(grandchild)
        assert is_gone(mark)
        assert {process.pid for process in psutil.Process().children(recursive=True)} <= before

    def test_env_is_that_of_the_task(self) -> None:
        with self.start(1) as pool:
            for i, value in enumerate(["one", "two", "two"]):
                payload = {"do": "tell_env", "variable": "HPO_CONTRACT", "value": value}
                pool.submit(Task(id=str(i), payload=payload, env={"HPO_CONTRACT": value}))
            assert [o.message for o in collect(pool, 3)] == [""] * 3
            self.submit(pool, "unset", "tell_env", variable="HPO_CONTRACT", value=None)
            assert collect(pool, 1)[0].message == ""


def collect(pool: Pool, n: int) -> list[Outcome]:
    """Wait for `n` outcomes and not one more."""
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + PATIENCE
    while len(outcomes) < n:
        assert time.monotonic() < deadline, f"{len(outcomes)} of {n} outcomes after {PATIENCE} s: {outcomes}"
        outcomes += pool.wait(1.0)
    assert len(outcomes) == n
    return outcomes


def await_that(holds: Callable[[], bool], what: str) -> None:
    """Sleep until it holds; fail when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"after {PATIENCE} s still not: {what}"
        time.sleep(0.005)


def is_gone(mark: Path) -> bool:
    """Whether the process whose id stands in this file has ended."""
    try:
        return psutil.Process(int(mark.read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _write(path: str | Path, text: str) -> None:
    """Whole or not at all."""
    new = Path(f"{path}.new")
    new.write_text(text)
    new.rename(path)


def main() -> None:
    """`behave` as a command: the payload from HPO_PARAMS, the value on standard output."""
    payload = json.loads(Path(os.environ["HPO_PARAMS"]).read_text())
    sys.stdout.write(json.dumps(behave(payload)) + "\n")


if __name__ == "__main__":
    main()
