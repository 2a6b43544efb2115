from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Failures, Lognormal, Outcome, Pool, Simulated, Task
from hpo.testing.executors import ExecutorContract, behave


class TestContract(ExecutorContract):
    """Those for concurrency and isolation meet their tasks while they run, which here they never do."""

    def start(self, slots: int) -> Pool:
        return Simulated(slots, 0.001).start(behave)


def told(payload: dict[str, Any]) -> dict[str, Any]:
    return {"value": payload.get("value")}


def seconds(payload: Mapping[str, Any], _: object) -> float:
    """A duration that stands in the payload."""
    return float(payload["seconds"])


def tasks(*durations: float, timeout: float | None = None) -> list[Task]:
    return [Task(id=str(i), payload={"seconds": s, "value": i}, timeout=timeout) for i, s in enumerate(durations)]


def schedule(pool: Pool) -> list[tuple[str, float]]:
    """(id, time) of all ends to come."""
    out: list[tuple[str, float]] = []
    while outcomes := pool.wait():
        out += [(outcome.id, pool.clock()) for outcome in outcomes]
    return out


def test_two_workers_by_hand() -> None:
    """Worker A: 0-3, 3-4. Worker B: 0-1, 1-6."""
    with Simulated(2, seconds).start(told) as pool:
        assert (pool.clock(), pool.capacity) == (0.0, 2)
        pool.submit(*tasks(3.0, 1.0, 5.0, 1.0))
        assert schedule(pool) == [("1", 1.0), ("0", 3.0), ("3", 4.0), ("2", 6.0)]


def test_ends_of_one_time_come_together_in_the_order_of_the_starts() -> None:
    with Simulated(3, 60.0).start(told) as pool:
        pool.submit(*tasks(*[0.0] * 7))
        assert [[o.id for o in pool.wait()] for _ in range(3)] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
        assert pool.clock() == 180.0


def test_nothing_in_flight_lets_no_time_pass() -> None:
    with Simulated(1, 5.0, joins=[(10.0, 1)]).start(told) as pool:
        assert pool.wait() == []
        assert pool.wait(timeout=100.0) == []
        assert (pool.clock(), pool.capacity) == (0.0, 1)


def test_the_function_is_called_at_the_end_and_only_for_what_ends_well() -> None:
    called: list[tuple[int, float]] = []
    pool: Pool

    def note(payload: dict[str, Any]) -> dict[str, Any]:
        called.append((payload["value"], pool.clock()))
        return {"thread": threading.get_ident()}

    with Simulated(3, seconds).start(note) as pool:
        pool.submit(*tasks(3.0, 1.0, 9.0, 2.0, timeout=5.0))
        outcomes = {o.id: o for _ in range(4) for o in pool.wait()}
    assert called == [(1, 1.0), (0, 3.0), (3, 3.0)]
    assert outcomes["0"].value == {"thread": threading.get_ident()}
    assert (outcomes["2"].kind, outcomes["2"].seconds) == ("timeout", 5.0)
    assert outcomes["2"].message == "ended after its timeout of 5 s"


def test_an_outcome_says_how_long_it_took_on_the_simulated_clock() -> None:
    with Simulated(1, seconds).start(told) as pool:
        pool.submit(*tasks(7200.0, 3600.0))
        first, second = [*pool.wait(), *pool.wait()]
    assert (first.seconds, second.seconds) == (7200.0, 3600.0)
    assert first.started_at is not None
    assert second.started_at == pytest.approx(first.started_at + 7200.0)


def test_stragglers_take_so_many_times_as_long() -> None:
    n, share = 2000, 0.1
    failures = Failures(stragglers=share, slowdown=50.0)
    with Simulated(n, 10.0, failures=failures, seed=3).start(told) as pool:
        pool.submit(*tasks(*[0.0] * n))
        ends = [at for _, at in schedule(pool)]
    assert set(ends) == {10.0, 500.0}
    assert ends.count(500.0) / n == pytest.approx(share, abs=0.03)  # standard error 0.7 %


def test_workers_die_at_their_rate_and_come_back() -> None:
    """The chance to live through half an hour at one death an hour is exp(-1/2)."""
    n = 2000
    with Simulated(n, 1800.0, failures=Failures(deaths=1.0, recovery=100.0), seed=5).start(told) as pool:
        pool.submit(*tasks(*[0.0] * n))
        outcomes = [o for _ in range(n) for o in pool.wait()]
        assert pool.capacity == n
    dead = [o for o in outcomes if o.kind == "infra"]
    assert len(outcomes) == n
    assert len(dead) / n == pytest.approx(0.393, abs=0.04)  # standard error 1.1 %
    assert {o.message for o in dead} == {"its worker died"}
    assert all(o.seconds < 1800.0 for o in dead)


def test_a_dead_worker_takes_no_task_until_it_is_back() -> None:
    failures = Failures(deaths=3600.0, recovery=100.0)  # one death a second of work: none of these tasks ends well
    with Simulated(1, 1000.0, failures=failures).start(told) as pool:
        pool.submit(*tasks(0.0, 0.0, 0.0))
        first, second, third = (pool.wait()[0] for _ in range(3))
        assert pool.clock() == pytest.approx(200.0 + first.seconds + second.seconds + third.seconds)
    assert {first.kind, second.kind, third.kind} == {"infra"}


def test_hangs_end_by_their_timeout_and_are_refused_without() -> None:
    with Simulated(1, 1.0, failures=Failures(hangs=1.0)).start(told) as pool:
        with pytest.raises(
            ExecutorError, match=r"task '0' has no timeout, and with Failures\(hangs=...\) it may never"
        ):
            pool.submit(*tasks(1.0))
        pool.submit(*tasks(1.0, timeout=60.0))
        assert [(o.kind, pool.clock()) for o in pool.wait()] == [("timeout", 60.0)]


def test_workers_that_join_late() -> None:
    """One worker: 0-10, 10-20. From 5 on two more: 5-15, 5-15; the next at 10."""
    with Simulated(1, 10.0, joins=[(5.0, 2)]).start(told) as pool:
        pool.submit(*tasks(*[0.0] * 4))
        assert pool.capacity == 1
        assert pool.wait(timeout=0.5) == [], "a place to be filled is worth knowing"
        assert (pool.capacity, pool.clock()) == (3, 5.0)
        assert schedule(pool) == [("0", 10.0), ("1", 15.0), ("2", 15.0), ("3", 20.0)]


def test_without_a_timeout_wait_goes_on_to_the_next_outcome() -> None:
    with Simulated(1, 10.0, joins=[(5.0, 2)]).start(told) as pool:
        pool.submit(*tasks(0.0))
        assert [o.id for o in pool.wait()] == ["0"]


def test_cancel_takes_the_grace_and_frees_the_worker() -> None:
    with Simulated(2, seconds, grace=5.0).start(told) as pool:
        pool.submit(*tasks(100.0, 10.0, 1.0, 1.0))
        pool.cancel(["0", "3", "unknown"])
        assert [(o.id, o.kind, o.message) for o in pool.wait()] == [("3", "cancelled", "cancelled before it started")]
        assert [(o.id, o.kind, o.seconds, pool.clock()) for o in pool.wait()] == [("0", "cancelled", 5.0, 5.0)]
        assert schedule(pool) == [("2", 6.0), ("1", 10.0)]


def test_a_cancelled_task_ends_no_later_than_it_would_have() -> None:
    with Simulated(2, seconds).start(told) as pool:
        pool.submit(*tasks(100.0, 2.0))
        pool.cancel(["1"], grace=50.0)
        pool.cancel(["0"], grace=50.0)
        pool.cancel(["0"], grace=7.0)
        outcomes = [*pool.wait(), *pool.wait()]
        assert [(o.id, o.kind, o.seconds) for o in outcomes] == [("1", "cancelled", 2.0), ("0", "cancelled", 7.0)]


def test_close_kills_what_runs_and_what_is_queued() -> None:
    pool = Simulated(2, 100.0, grace=3.0).start(told)
    pool.submit(*tasks(*[0.0] * 4))
    outcomes = pool.close(CloseMode.KILL)
    assert [(o.id, o.kind, o.seconds) for o in outcomes] == [
        ("2", "cancelled", 0.0),
        ("3", "cancelled", 0.0),
        ("0", "cancelled", 3.0),
        ("1", "cancelled", 3.0),
    ]
    assert pool.clock() == 3.0
    with pytest.raises(ExecutorError, match="end with their driver"):
        pool.close(CloseMode.DETACH)


def test_an_id_that_is_free_again_has_another_luck() -> None:
    with Simulated(1, Lognormal(10.0, 1.0)).start(told) as pool:
        ends = []
        for _ in range(3):
            pool.submit(*tasks(0.0))
            ends += [o.seconds for o in pool.wait()]
    assert len(set(ends)) == 3


def test_a_task_has_the_same_luck_on_any_number_of_workers() -> None:
    def lengths(slots: int, seed: int) -> dict[str, float]:
        with Simulated(slots, Lognormal(10.0, 1.0), failures=Failures(stragglers=0.2), seed=seed).start(told) as pool:
            pool.submit(*tasks(*[0.0] * 30))
            return {o.id: o.seconds for o in pool.close()}

    assert lengths(1, seed=1) == lengths(7, seed=1)
    assert lengths(7, seed=1) != lengths(7, seed=2)


def test_ctrl_c_in_the_function_reaches_the_caller_and_the_task_is_cancelled() -> None:
    def interrupted(payload: dict[str, Any]) -> dict[str, Any]:
        raise KeyboardInterrupt

    pool = Simulated(1, 1.0).start(interrupted)
    pool.submit(*tasks(0.0, 0.0))
    with pytest.raises(KeyboardInterrupt):
        pool.wait()
    assert [(o.id, o.kind) for o in pool.close(CloseMode.KILL)] == [("0", "cancelled"), ("1", "cancelled")]


def test_a_duration_that_is_none_leaves_nothing_behind() -> None:
    with Simulated(1, seconds).start(told) as pool:
        with pytest.raises(ExecutorError, match=r"task '1': the duration .* gave -1.0 s; it must be 0 or more"):
            pool.submit(*tasks(1.0, -1.0))
        assert pool.wait() == []


@pytest.mark.parametrize("limit", [{"memory": 1 << 30}, {"env": {"A": "1"}}])
def test_refuses_what_it_does_not_simulate(limit: dict[str, Any]) -> None:
    with Simulated(1, 1.0).start(told) as pool:
        asked = next(iter(limit))
        with pytest.raises(ExecutorError, match=f"asks for {asked}, which Simulated does not simulate"):
            pool.submit(Task(id="a", payload={}, **limit))
        assert pool.wait() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Simulated(0, 1.0), "Simulated needs at least one slot, got 0"),
        (lambda: Simulated(1, -1.0), "Simulated: duration is seconds, 0 or more, or a function, got -1"),
        (lambda: Simulated(1, 1.0, grace=-1.0), "Simulated: grace is seconds"),
        (lambda: Simulated(1, 1.0, joins=[(5.0, 0)]), r"Simulated: joins are \(seconds, workers\), got \(5, 0\)"),
        (lambda: Simulated(1, 1.0).start(), r"Simulated\(.*\) runs a function: start\(function\), got None"),
    ],
)
def test_what_cannot_be_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(ExecutorError, match=message):
        wrong()  # type: ignore[operator]


def test_many_threads_get_each_outcome_once() -> None:
    with Simulated(8, Lognormal(10.0, 1.0)).start(told) as pool:
        pool.submit(*tasks(*[0.0] * 400))
        seen: list[str] = []

        def take() -> None:
            while outcomes := pool.wait():
                seen.extend(o.id for o in outcomes)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        seen += [o.id for o in pool.wait()]
        assert sorted(seen, key=int) == [str(i) for i in range(400)]


def most_at_once(outcomes: Sequence[Outcome]) -> int:
    """The most tasks that ran at one time. The ends of a task are moved in by a millisecond: started_at is Unix time, whose
    floats are a quarter of a microsecond apart."""
    steps: list[tuple[float, int]] = []
    for o in outcomes:
        if o.started_at is not None and o.seconds > 0.01:
            steps += [(o.started_at + 0.001, 1), (o.started_at + o.seconds - 0.001, -1)]
    return max(itertools.accumulate(change for _, change in sorted(steps)), default=0)


@settings(deadline=None)
@given(st.data())
def test_laws_of_any_simulation(data: st.DataObject) -> None:
    """Whatever happens: what is submitted is delivered, once; never do more tasks run than there are workers; the clock
    does not go back."""
    slots = data.draw(st.integers(1, 4), "slots")
    joins = data.draw(st.lists(st.tuples(st.floats(0, 50), st.integers(1, 3)), max_size=2), "joins")
    failures = Failures(
        deaths=data.draw(st.sampled_from([0.0, 100.0, 2000.0]), "deaths"),
        recovery=data.draw(st.sampled_from([0.0, 5.0, 60.0]), "recovery"),
        stragglers=data.draw(st.sampled_from([0.0, 0.3]), "stragglers"),
        hangs=data.draw(st.sampled_from([0.0, 0.3]), "hangs"),
    )
    simulated = Simulated(slots, seconds, failures=failures, seed=data.draw(st.integers(0, 99)), joins=joins, grace=2.0)
    pool = simulated.start(told)
    submitted: list[str] = []
    outcomes: list[Outcome] = []
    clock = 0.0
    for _ in range(data.draw(st.integers(1, 12), "steps")):
        match data.draw(st.sampled_from(["submit", "wait", "wait shortly", "cancel"]), "step"):
            case "submit":
                new = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0, 30.0]), min_size=1, max_size=6))
                ids = [str(len(submitted) + i) for i in range(len(new))]
                pool.submit(
                    *(Task(id=id, payload={"seconds": s}, timeout=20.0) for id, s in zip(ids, new, strict=True))
                )
                submitted += ids
            case "wait":
                outcomes += pool.wait()
            case "wait shortly":
                outcomes += pool.wait(timeout=0.5)
            case "cancel" if submitted:
                ids = data.draw(st.lists(st.sampled_from(submitted), max_size=3))
                pool.cancel(ids, data.draw(st.sampled_from([None, 0.0, 9.0])))
        assert pool.clock() >= clock
        clock = pool.clock()
    outcomes += pool.close(data.draw(st.sampled_from([CloseMode.DRAIN, CloseMode.KILL])))
    assert pool.clock() >= clock
    assert sorted(o.id for o in outcomes) == sorted(submitted)
    assert most_at_once(outcomes) <= pool.capacity <= slots + sum(n for _, n in joins)
    assert all(o.seconds <= 20.0 for o in outcomes)
    assert pool.wait() == []
