"""What the pools on Dask and Ray share, on a cluster of a few lines: threads of this process, and words that end tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Outcome, Task
from hpo.executors.cluster import pool as cluster_pool
from hpo.executors.cluster.pool import ClusterPool, Handed
from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.messages import Settings
from hpo.testing.executors import await_that, collect


@dataclass
class Engine:
    """What a pool has asked of its engine."""

    taken: list[Handed] = field(default_factory=list)
    ended: list[tuple[str, float | None]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    places: int = 2
    is_deaf: bool = False
    """Whether it leaves cancellations unanswered."""
    fault: BaseException | None = None
    """What the next look at it raises."""
    is_let_go: bool = False


class EnginePool(ClusterPool):
    """Tasks wait at the engine until the test ends them."""

    cluster = "Engine"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.at = Engine()
        self._thread.start()

    @property
    def capacity(self) -> int:
        return self.at.places

    def end(self, i: int, outcome: Outcome | None = None) -> None:
        """The task that was handed over as number `i` has ended."""
        handed = self.at.taken[i]
        told = outcome or Outcome(id=handed.task.id, value={"i": i})
        self._calls.put(lambda: self._end(handed.token, told))

    def begin(self, i: int, place: str) -> None:
        """It runs there."""
        self.at.taken[i].place, self.at.taken[i].begun_at = place, time.time()

    def lose(self, i: int, place: str = "") -> None:
        """Its machine is gone."""
        self._calls.put(lambda: self._lose([self.at.taken[i].token, "unknown"], "the machine was lost", place))

    def _check(self, task: Task) -> None:
        if task.gpus:
            raise ExecutorError(f"no GPU for {task.id}")

    def _places(self) -> int:
        return self.at.places

    def _hand_over(self, handed: Handed) -> None:
        if handed.task.payload.get("refused"):
            raise OSError("full")
        self.at.taken.append(handed)

    def _end_there(self, cancelled: list[Handed]) -> None:
        for handed in cancelled:
            self.at.ended.append((handed.task.id, handed.grace))
            if not self.at.is_deaf:
                self._end(handed.token, Outcome(id=handed.task.id, kind="cancelled", message="ended there"))

    def _forget(self, token: str) -> None:
        self.at.forgotten.append(token)

    def _move(self) -> None:
        self._give_again([handed.token for handed in self._handed.values() if handed.begun_at is None])

    def _tend(self) -> None:
        if self.at.fault is not None:
            raise self.at.fault

    def _let_go(self) -> None:
        self.at.is_let_go = True


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[EnginePool]:
    """Two places, and a look every few milliseconds."""
    monkeypatch.setattr(cluster_pool, "TICK", 0.01)
    pool = EnginePool(Settings(function=b"", grace=7.0))
    yield pool
    pool.at.is_deaf = False
    pool.close(CloseMode.KILL)
    assert pool.at.is_let_go
    assert not pool._thread.is_alive()


def submit(pool: EnginePool, ids: str, **payload: Any) -> None:
    pool.submit(*(Task(id=id, payload=payload) for id in ids))


def taken(pool: EnginePool, n: int) -> list[str]:
    """The ids of what was handed over, as soon as that are `n`."""
    await_that(lambda: len(pool.at.taken) >= n, f"{n} are handed over")
    return [handed.task.id for handed in pool.at.taken]


def test_the_engine_has_as_many_as_it_has_places_in_their_order(pool: EnginePool) -> None:
    submit(pool, "abcd")
    assert taken(pool, 2) == ["a", "b"]
    pool.end(1)
    assert [(o.id, o.value) for o in collect(pool, 1)] == [("b", {"i": 1})]
    assert taken(pool, 3) == ["a", "b", "c"]
    assert len({handed.token for handed in pool.at.taken}) == 3
    assert all(handed.token.startswith(f"{pool.name}-") for handed in pool.at.taken)


def test_no_two_pools_share_a_name(pool: EnginePool) -> None:
    other = EnginePool(Settings(function=b""))
    other.close()
    assert pool.name != other.name


def test_new_places_are_noticed(pool: EnginePool) -> None:
    submit(pool, "abc")
    taken(pool, 2)
    pool.at.places = 3
    assert taken(pool, 3) == ["a", "b", "c"]


def test_what_the_engine_says_later_changes_nothing(pool: EnginePool) -> None:
    submit(pool, "a")
    taken(pool, 1)
    pool.end(0)
    pool.end(0, Outcome(id="a", kind="infra", message="late"))
    pool.lose(0)
    assert [o.kind for o in collect(pool, 1)] == [None]
    submit(pool, "b")
    taken(pool, 2)
    pool.end(1)
    assert [(o.id, o.value) for o in collect(pool, 1)] == [("b", {"i": 1})]
    assert pool.at.forgotten == []


def test_no_outcome_answers_for_another_task(pool: EnginePool) -> None:
    submit(pool, "a")
    taken(pool, 1)
    pool.end(0, Outcome(id="b", value={}))
    (outcome,) = collect(pool, 1)
    assert (outcome.id, outcome.kind) == ("a", "infra")


@pytest.mark.parametrize(("own", "told"), [("", "m1"), ("m2", "m2")])
def test_an_outcome_names_its_machine(pool: EnginePool, own: str, told: str) -> None:
    submit(pool, "a")
    taken(pool, 1)
    pool.begin(0, "m1")
    pool.end(0, Outcome(id="a", value={}, place=own))
    assert collect(pool, 1)[0].place == told


def test_what_is_lost_is_infra_and_is_forgotten(pool: EnginePool) -> None:
    submit(pool, "ab")
    taken(pool, 2)
    pool.begin(0, "m1")
    pool.lose(0, "m9")
    pool.lose(1)
    a, b = sorted(collect(pool, 2), key=lambda outcome: outcome.id)
    assert (a.kind, a.message, a.place, a.started_at) == (
        "infra",
        "the machine was lost",
        "m9",
        pool.at.taken[0].begun_at,
    )
    assert a.started_at is not None
    assert 0.0 <= a.seconds <= time.time() - a.started_at
    assert (b.kind, b.place, b.started_at, b.seconds) == ("infra", "", None, 0.0), "it never began"
    assert pool.at.forgotten == [handed.token for handed in pool.at.taken]


def test_what_the_engine_does_not_take_never_started(pool: EnginePool) -> None:
    submit(pool, "a", refused=True)
    (outcome,) = collect(pool, 1)
    assert (outcome.kind, outcome.message) == ("infra", "Engine did not take the task: OSError: full")
    assert outcome.started_at is None


def test_a_cancelled_task_that_waits_never_gets_to_the_engine(pool: EnginePool) -> None:
    submit(pool, "abc")
    taken(pool, 2)
    pool.cancel(["c", "unknown"])
    assert [(o.id, o.kind) for o in collect(pool, 1)] == [("c", "cancelled")]
    assert pool.at.ended == []
    assert taken(pool, 2) == ["a", "b"]


@pytest.mark.parametrize(("grace", "told"), [(None, 7.0), (0.0, 0.0), (2.0, 2.0)])
def test_word_is_brought_with_the_grace_that_was_asked_for(pool: EnginePool, grace: float | None, told: float) -> None:
    submit(pool, "ab")
    taken(pool, 2)
    pool.cancel(["a"], grace)
    assert [(o.id, o.kind, o.message) for o in collect(pool, 1)] == [("a", "cancelled", "ended there")]
    assert pool.at.ended == [("a", told)]
    assert pool.grace == 7.0


def test_word_is_brought_again_until_it_is_heard_and_the_least_grace_counts(pool: EnginePool) -> None:
    pool.at.is_deaf = True
    submit(pool, "a")
    taken(pool, 1)
    for grace in (5.0, 1.0, 3.0):
        pool.cancel(["a"], grace)
    await_that(lambda: len(pool.at.ended) >= 6, "it is asked again")
    assert [told for _, told in pool.at.ended[:1]] == [5.0]
    assert {told for _, told in pool.at.ended[3:]} == {1.0}
    pool.at.is_deaf = False
    assert [o.kind for o in collect(pool, 1)] == ["cancelled"]


def test_a_far_end_that_does_not_answer_is_given_up(pool: EnginePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_pool, "PATIENCE", 0.2)
    pool.at.is_deaf = True
    submit(pool, "a")
    taken(pool, 1)
    pool.begin(0, "m1")
    pool.cancel(["a"], 0.1)
    (outcome,) = collect(pool, 1)
    assert (outcome.kind, outcome.place, outcome.started_at) == ("cancelled", "m1", pool.at.taken[0].begun_at)
    assert outcome.message == "cancelled, and given up: its worker did not answer for 0.2 s, it may still run"
    assert outcome.seconds >= 0.3, "not before the grace and the patience are over"
    assert pool.at.forgotten == [pool.at.taken[0].token]


def test_what_has_not_begun_moves_as_if_it_had_never_been_there(pool: EnginePool) -> None:
    submit(pool, "ab")
    taken(pool, 2)
    pool.begin(0, "m1")
    pool.avoid({"m1"})
    assert taken(pool, 3) == ["a", "b", "b"]
    first, again = pool.at.taken[1:]
    assert pool.at.forgotten == [first.token]
    assert again.token != first.token
    pool.end(1, Outcome(id="b", value={"y": "late"}))
    pool.end(2, Outcome(id="b", value={"y": "again"}))
    assert [o.value for o in collect(pool, 1)] == [{"y": "again"}]
    pool.avoid(["m1"])
    submit(pool, "c")
    assert taken(pool, 4)[3] == "c", "the same wish again moves nothing"


def test_an_engine_that_is_lost_for_good_ends_its_tasks_and_says_why(pool: EnginePool) -> None:
    submit(pool, "abc")
    taken(pool, 2)
    pool.at.fault = OSError("nobody there")
    outcomes = sorted(collect(pool, 3), key=lambda outcome: outcome.id)
    assert [(o.id, o.kind, o.message) for o in outcomes] == [
        (id, "infra", "Engine was lost: OSError: nobody there") for id in "abc"
    ]
    with pytest.raises(ExecutorError, match="the pool broke: OSError"):
        pool.wait()


@pytest.mark.parametrize(("begun", "waits"), [("", ""), ("a", "1 trial waits"), ("ab", "2 trials wait")])
def test_what_waits_is_counted_in_words(pool: EnginePool, begun: str, waits: str) -> None:
    submit(pool, begun)
    taken(pool, len(begun))
    assert pool._waiting() == waits


def test_what_runs_at_some_places_is_counted(pool: EnginePool) -> None:
    pool.at.places = 4
    submit(pool, "abcd")
    taken(pool, 4)
    for i, place in enumerate(("m1", "m1", "m2")):
        pool.begin(i, place)
    pool.at.taken[3].place = "m1"  # it has not begun
    assert [pool._n_begun(places) for places in ((), {"m1"}, {"m2", "m1"}, {"m3"})] == [0, 2, 3, 0]


def test_notices_are_told_once(pool: EnginePool) -> None:
    pool._notices.extend(["one", "two"])
    assert (pool.notices(), pool.notices()) == (["one", "two"], [])


@pytest.mark.parametrize("ids", ["ag", "ga"])
def test_one_that_the_engine_cannot_run_leaves_the_others_out_too(pool: EnginePool, ids: str) -> None:
    with pytest.raises(ExecutorError, match="no GPU for g"):
        pool.submit(*(Task(id=id, payload={}, gpus=int(id == "g")) for id in ids))
    assert pool.wait(0.0) == []


def test_params_that_a_command_lacks_are_told_at_submission() -> None:
    pool = EnginePool(Settings(command=Command.of(["train", "{lr}"])))
    with pool, pytest.raises(ExecutorError, match=r"asks for \{lr\}"):
        submit(pool, "a", rate=1)


def test_close_waits_for_the_end_of_what_runs(pool: EnginePool) -> None:
    submit(pool, "ab")
    taken(pool, 2)
    outcomes: list[Outcome] = []
    closing = threading.Thread(target=lambda: outcomes.extend(pool.close()))
    closing.start()
    pool.end(0)
    pool.end(1)
    closing.join(60)
    assert [o.id for o in outcomes] == ["a", "b"]
    assert pool.at.is_let_go
    with pytest.raises(ExecutorError, match="tasks of Engine end with their driver and cannot be left"):
        pool.close(CloseMode.DETACH)
