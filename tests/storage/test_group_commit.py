"""Steps of many threads in one transaction: acknowledged after it, each with its own answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import hpo
from hpo.errors import ConnectionLost, ResultConflict, StorageError
from hpo.storage import MemoryStorage, SqlStorage
from hpo.storage import retry as persistence
from hpo.storage.base import Log
from hpo.storage.group_commit import GroupCommit, Step
from hpo.strategies import Random
from hpo.testing.executors import await_that
from hpo.trials.events import Draft, Event, StudyState

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
PATIENCE = 60.0


class StudyLog:
    """A study in memory whose transactions can be held up and counted, and end as told."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.study = self.storage.create("s", {}, {}).id
        self.study_state = StudyState(PROBLEM, 1)
        self.gate = threading.Event()
        self.groups: list[int] = []
        self.endings: list[BaseException] = []
        """Raised by the next transactions, after they are stored."""
        self.steps = GroupCommit(self.attempt)

    def attempt(self, steps: Sequence[Step]) -> None:
        """Wait for the gate, then write."""
        self.groups.append(len(steps))
        assert self.gate.wait(PATIENCE)
        study_state = self.study_state.copy()
        with self.storage.transaction(self.study) as log:
            for step in steps:
                step.write(study_state, log)
                study_state.apply(step.news(study_state))
        if self.endings:
            raise self.endings.pop(0)
        self.study_state = study_state

    def texts(self) -> list[str]:
        """What is stored."""
        return [event.data["text"] for event in self.storage.events(self.study)]


@pytest.fixture
def book() -> StudyLog:
    return StudyLog()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def note(text: str) -> Callable[..., list[Draft]]:
    return lambda *_: [Draft("noted", None, {"text": text})]


def queued(
    book: StudyLog, pool: ThreadPoolExecutor, decides: Sequence[Callable[..., list[Draft]]]
) -> list[Future[list[Event]]]:
    """The first is being written, and waits at the gate; the others wait for it, in order."""
    futures = []
    for i, decide in enumerate(decides):
        futures.append(pool.submit(book.steps.write, decide))
        await_that(lambda n=i: bool(book.groups) and len(book.steps._waiting) == n, "the step waits")  # type: ignore[misc]
    return futures


def test_steps_that_wait_share_the_next_transaction(book: StudyLog, pool: ThreadPoolExecutor) -> None:
    futures = queued(book, pool, [note(str(i)) for i in range(10)])
    assert not any(future.done() for future in futures), "nothing is acknowledged before it is stored"
    book.gate.set()
    assert [future.result(PATIENCE)[0].data["text"] for future in futures] == [str(i) for i in range(10)]
    assert book.groups == [1, 9]
    assert book.texts() == [str(i) for i in range(10)]


def test_a_refused_step_stops_no_other(book: StudyLog, pool: ThreadPoolExecutor) -> None:
    def refuse(*_: object) -> list[Draft]:
        raise ResultConflict("no")

    futures = queued(book, pool, [note("a"), note("b"), refuse, note("c")])
    book.gate.set()
    with pytest.raises(ResultConflict, match="no"):
        futures[2].result(PATIENCE)
    assert [f.result(PATIENCE)[0].seq for f in (futures[0], futures[1], futures[3])] == [1, 2, 3]
    assert book.groups == [1, 3]


def test_a_step_that_cannot_be_stored_stops_no_other(book: StudyLog, pool: ThreadPoolExecutor) -> None:
    def unstorable(*_: object) -> list[Draft]:
        return [Draft("noted", None, {"text": float("nan")})]

    futures = queued(book, pool, [note("a"), note("b"), unstorable, note("c")])
    book.gate.set()
    with pytest.raises(StorageError, match="cannot be stored"):
        futures[2].result(PATIENCE)
    assert [f.result(PATIENCE)[0].data["text"] for f in (futures[0], futures[1], futures[3])] == ["a", "b", "c"]
    assert book.groups == [1, 3, 1, 1, 1], "together, and then one by one"
    assert book.texts() == ["a", "b", "c"]


def test_a_lost_answer_of_many_stores_each_once(
    book: StudyLog, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistence, "_SHORTEST", 0.0)
    futures = queued(book, pool, [note(str(i)) for i in range(5)])
    book.endings = [ConnectionLost("gone")] * 3
    book.gate.set()
    assert [future.result(PATIENCE)[0].data["text"] for future in futures] == [str(i) for i in range(5)]
    assert book.texts() == [str(i) for i in range(5)]


def test_steps_of_one_thread_share_a_transaction_each_with_its_own_answer(book: StudyLog) -> None:
    def refuse(*_: object) -> list[Draft]:
        raise ResultConflict("no")

    book.gate.set()
    steps = [Step(note("a")), Step(refuse), Step(note("b"))]
    book.steps.write_all(steps)
    assert book.groups == [3]
    assert [[e.data["text"] for e in step.written] for step in steps] == [["a"], [], ["b"]]
    assert [type(step.error) for step in steps] == [type(None), ResultConflict, type(None)]
    book.steps.write_all([])
    assert book.groups == [3]


def test_steps_of_one_thread_that_wait_for_another_writer(book: StudyLog, pool: ThreadPoolExecutor) -> None:
    first = pool.submit(book.steps.write, note("first"))
    await_that(lambda: bool(book.groups), "it is being written")
    steps = [Step(note("a")), Step(note("b"))]
    both = pool.submit(book.steps.write_all, steps)
    await_that(lambda: len(book.steps._waiting) == 2, "both wait")
    book.gate.set()
    first.result(PATIENCE)
    both.result(PATIENCE)
    assert book.groups == [1, 2]
    assert book.texts() == ["first", "a", "b"]
    assert book.steps.write(note("c"))[0].seq == 4, "nobody is left to write"


def test_steps_of_one_thread_that_is_interrupted_hold_nobody_up(book: StudyLog, pool: ThreadPoolExecutor) -> None:
    book.endings = [KeyboardInterrupt()]
    book.gate.set()
    with pytest.raises(KeyboardInterrupt):
        book.steps.write_all([Step(note("a")), Step(note("b"))])
    assert pool.submit(book.steps.write, note("c")).result(PATIENCE)[0].data["text"] == "c"


# -- in one message ---------------------------------------------------------------------------------------------------


class Remote:
    """Appends in one message, or says that something was written; loses the answer if told to."""

    def __init__(self, event: Event | None = None, error: Exception | None = None) -> None:
        self.event, self.error = event, error
        self.asked: list[tuple[int, Draft | None]] = []

    def __call__(self, after: int, make: Callable[[], Draft | None]) -> Event | None:
        self.asked.append((after, make()))
        if self.error is not None:
            raise self.error
        return self.event if self.asked[-1][1] is not None else None


STATE = StudyState(PROBLEM, 1)
EVENT = Event(5, "2026-01-01T00:00:00.000000+00:00", "noted", None, {"text": "a"})


def test_a_step_in_one_message_is_folded_before_and_after() -> None:
    folded: list[int] = []
    step, remote = (
        Step(note("a"), lambda events: folded.extend(e.seq for e in events), is_of_one_trial=True),
        Remote(EVENT),
    )
    assert step.append_alone(STATE, remote)
    assert remote.asked == [(0, Draft("noted", None, {"text": "a"}, step.request))]
    assert (folded, step.written, step.error) == ([1, 5], [EVENT], None)


def test_a_step_whose_answer_was_lost_is_looked_for_in_a_transaction() -> None:
    step = Step(note("a"), is_of_one_trial=True)
    with pytest.raises(ConnectionLost):
        step.append_alone(STATE, Remote(error=ConnectionLost("gone")))
    remote = Remote(EVENT)
    assert not step.append_alone(STATE, remote)
    assert remote.asked == []
    assert step.is_tried


def test_a_step_that_was_not_stored_may_be_tried_as_if_it_never_was() -> None:
    step = Step(note("a"), is_of_one_trial=True)
    assert not step.append_alone(STATE, Remote(None))
    assert (step.is_tried, step.written) == (False, [])


def _refuses(*_: object) -> list[Draft]:
    raise ResultConflict("no")


def _reads_more(_: StudyState, log: Log) -> list[Draft]:
    return [Draft(event.kind, event.number) for event in log.events(0)]


def _does_not_fit(_: Sequence[Event]) -> None:
    raise ResultConflict("no such step")


@pytest.mark.parametrize(
    "step",
    [
        Step(note("a")),
        Step(_refuses, is_of_one_trial=True),
        Step(_reads_more, is_of_one_trial=True),
        Step(lambda *_: [], is_of_one_trial=True),
        Step(lambda *_: [Draft("noted"), Draft("noted")], is_of_one_trial=True),
        Step(note("a"), _does_not_fit, is_of_one_trial=True),
    ],
    ids=["of the study", "refused", "reads more", "nothing", "two events", "does not fit"],
)
def test_what_one_message_cannot_say_is_left_to_a_transaction(step: Step) -> None:
    assert not step.append_alone(STATE, Remote(EVENT))
    assert (step.is_tried, step.written, step.error) == (False, [], None)


def test_an_interrupted_writer_leaves_the_others_to_another(book: StudyLog, pool: ThreadPoolExecutor) -> None:
    book.endings = [KeyboardInterrupt()]
    first = pool.submit(book.steps.write, note("first"))
    await_that(lambda: bool(book.groups), "the first writes")
    others = [pool.submit(book.steps.write, note(str(i))) for i in range(3)]
    await_that(lambda: len(book.steps._waiting) == 3, "the others wait")
    book.gate.set()
    with pytest.raises(KeyboardInterrupt):
        first.result(PATIENCE)
    for other in others:
        other.result(PATIENCE)
    assert sorted(book.texts()) == ["0", "1", "2", "first"]
    book.steps.write(note("later"))
    assert book.texts()[-1] == "later"


def test_an_interrupted_writer_of_many(book: StudyLog, pool: ThreadPoolExecutor) -> None:
    futures = queued(book, pool, [note(str(i)) for i in range(5)])
    group: list[BaseException] = [KeyboardInterrupt()]
    attempt = book.attempt

    def interrupted(steps: Sequence[Step]) -> None:
        attempt(steps)
        if len(steps) > 1 and group:
            raise group.pop()

    book.steps._attempt = interrupted
    book.gate.set()
    assert [type(future.exception(PATIENCE)) for future in futures].count(KeyboardInterrupt) == 1
    assert sorted(book.texts()) == [str(i) for i in range(5)], "the next writer finds them stored"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_threads_that_tell_at_once(kind: str, tmp_path: Path) -> None:
    n_threads, each = 16, 12
    with closing(MemoryStorage() if kind == "memory" else SqlStorage(tmp_path / "hpo.db")) as storage:
        study = hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())
        trials = study.ask(n_threads * each)
        start = threading.Barrier(n_threads)

        def work(k: int) -> None:
            start.wait(PATIENCE)
            for trial in trials[k::n_threads]:
                assert study.tell(trial, {"y": trial.params["x"]}).values["y"].value == trial.params["x"]
                reader = hpo.open_study("s", storage=storage)
                assert reader.trials[trial.number].state is hpo.TrialState.COMPLETED, "what is acknowledged is stored"

        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(work, range(n_threads)))
        events = study.events()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert sorted(e.number or 0 for e in events if e.kind == "told") == list(range(n_threads * each))


def test_what_a_failed_transaction_held_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study's own view of the log stays behind with the storage when a commit fails."""
    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        study = hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())
        trial = study.ask()

        def fail(*_: object) -> None:
            raise StorageError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("hpo.storage.sql_log.SqlLog.flush", fail)
            with pytest.raises(StorageError, match="the disk is full"):
                study.tell(trial, {"y": 1.0})
        assert study.trials[0].state is hpo.TrialState.RUNNING
        assert study.tell(trial, {"y": 2.0}).values["y"].value == 2.0
