from __future__ import annotations

import threading

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from hpo.errors import ExecutorError
from hpo.executors.base import Outcome, Task
from hpo.executors.task_queue import TaskQueue


def task(id: str) -> Task:
    return Task(id=id, payload={})


class LedgerMachine(RuleBasedStateMachine):
    """Whatever the order of calls: every task is delivered exactly once, and taken in the order of submission."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = TaskQueue()
        self.added = 0
        self.waiting: list[str] = []
        self.running: list[str] = []
        self.delivered: list[str] = []

    taken = Bundle("taken")

    @rule(n=st.integers(1, 3))
    def add(self, n: int) -> None:
        ids = [str(self.added + i) for i in range(n)]
        self.added += n
        self.queue.add(map(task, ids))
        self.waiting += ids

    @rule(target=taken)
    def take(self) -> str | None:
        found = self.queue.take()
        expected = self.waiting.pop(0) if self.waiting else None
        assert (found.id if found else None) == expected
        if expected is not None:
            self.running.append(expected)
        return expected

    @rule(id=consumes(taken), again=st.booleans())
    def end(self, id: str | None, again: bool) -> None:
        if id is not None:
            for _ in range(1 + again):
                self.queue.end(Outcome(id=id, value={}))
            self.running.remove(id)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        known = [str(i) for i in range(self.added)]
        ids = data.draw(st.lists(st.sampled_from([*known, "unknown"]), unique=True))
        assert self.queue.cancel_waiting(ids) == set(ids) & set(self.running)
        self.waiting = [id for id in self.waiting if id not in ids]

    @rule()
    def deliver(self) -> None:
        self.delivered += [outcome.id for outcome in self.queue.deliver()]

    @invariant()
    def is_consistent(self) -> None:
        assert self.queue.in_flight() == {*self.waiting, *self.running}
        assert len(set(self.delivered)) == len(self.delivered)

    def teardown(self) -> None:
        self.deliver()
        ended = {str(i) for i in range(self.added)} - {*self.waiting, *self.running}
        assert sorted(self.delivered) == sorted(ended)


TestLedger = LedgerMachine.TestCase


def test_waiters_hear_that_the_pool_broke_after_the_last_outcomes() -> None:
    queue = TaskQueue()
    queue.add([task("a"), task("b")])
    queue.take()
    queue.end(Outcome(id="a", value={}))
    queue.break_off(OSError("no more files"))
    assert [outcome.id for outcome in queue.wait(None)] == ["a"]
    with pytest.raises(ExecutorError, match="the pool broke: OSError"):
        queue.wait(None)
    with pytest.raises(ExecutorError, match="closed"):
        queue.add([task("c")])
    queue.join()


def test_sleepers_wake() -> None:
    queue = TaskQueue()
    taken: list[Task | None] = []
    delivered: list[Outcome] = []
    taker = threading.Thread(target=lambda: taken.extend([queue.take_or_sleep(), queue.take_or_sleep()]))
    taker.start()
    queue.add([task("a")])
    waiter = threading.Thread(target=lambda: delivered.extend(queue.wait(None)))
    waiter.start()
    queue.close()
    taker.join(60)
    assert [w and w.id for w in taken] == ["a", None]
    queue.end(Outcome(id="a", value={}))
    waiter.join(60)
    assert [o.id for o in delivered] == ["a"]
