"""StorageContract: what every storage must do, as tests to inherit.

class TestMyStorage(StorageContract):
    durable = True

    def open(self, folder: Path) -> Storage:
        return MyStorage(folder / "studies")
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from hpo.errors import StorageError, StudyNotFound
from hpo.storage.base import Lease, Log, Storage
from hpo.trials.events import Draft

T = TypeVar("T")

DEADLINE = 60.0
"""Seconds after which a test calls a storage stuck. No claim about speed."""

VALUES: tuple[Any, ...] = (
    *(0.0, -0.0, 0.1, 1 / 3, 5e-324, 2.2250738585072014e-308, 1e308, -1.7976931348623157e308, 1e16, 1.0),
    *(0, 1, -1, 2**53 + 1, 2**63, -(10**30), True, False, None),
    *("", "é", "ü\u0308", "日本", "🙂", "a\0b", "\ud800", "\x1f\x7f\u2028", "'; --", '"\\', "%s :x {y}"),
    *([], {}, [[]], [None, [1.5, "x"]], {"": {"a.b": [{"c": -0.0}]}}),
)
"""JSON values that careless storages bend."""


class _Count(int):
    """A number that is nearly an int, like those of array libraries."""


class StorageContract(ABC):
    """What every storage must do, as tests for pytest. Name your class `Test...`, and supply `durable` and `open`.

    Example:
        >>> import hpo
        >>> class TestMine(hpo.testing.storage.StorageContract):
        ...     durable = False
        ...
        ...     def open(self, folder):
        ...         return hpo.storage.MemoryStorage()
        >>> TestMine().test_a_new_storage_is_empty(hpo.storage.MemoryStorage())
    """

    durable: ClassVar[bool]
    """Whether a storage that was closed and opened again holds what it held."""

    @abstractmethod
    def open(self, folder: Path) -> Storage:
        """Open the storage that is kept in `folder`, which is empty the first time."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        storage = self.open(tmp_path)
        yield storage
        storage.close()

    @pytest.fixture
    def study(self, storage: Storage) -> int:
        return storage.create("study", {"format": 1}, {"seed": 7}).id

    # -- studies --------------------------------------------------------------------------------------------------

    def test_a_new_storage_is_empty(self, storage: Storage) -> None:
        assert storage.names() == []
        assert storage.load("study") is None

    def test_create_then_load(self, storage: Storage) -> None:
        definition, facts = {"format": 1, "space": {"lr": [1e-5, 0.1]}}, {"seed": 7, "author": "Zoë"}
        created = storage.create("a study", definition, facts)
        assert (created.name, created.definition, created.facts) == ("a study", definition, facts)
        assert storage.load("a study") == created
        assert storage.events(created.id) == []

    def test_the_first_of_a_name_wins(self, storage: Storage) -> None:
        first = storage.create("x", {"by": "first"}, {"seed": 1})
        assert storage.create("x", {"by": "second"}, {"seed": 2}) == first
        assert storage.names() == ["x"]

    def test_names_are_exact_and_oldest_first(self, storage: Storage) -> None:
        names = ["b", "a", "B", "a ", "ü", "u\u0308", "a'; DROP TABLE study; --", "日本/🙂"]
        ids = [storage.create(name, {}, {}).id for name in names]
        assert storage.names() == names
        assert len(set(ids)) == len(names)
        assert [record.id for record in map(storage.load, names) if record] == ids

    @pytest.mark.parametrize("name", ["", "  ", "a\0b", "\ud800"])
    def test_names_no_database_can_hold_are_refused(self, storage: Storage, name: str) -> None:
        with pytest.raises(StorageError, match="cannot be called"):
            storage.create(name, {}, {})
        assert storage.names() == []

    def test_a_race_to_create_has_one_winner(self, storage: Storage) -> None:
        records = _together(8, lambda i: storage.create("x", {"by": i}, {}))
        assert all(record == records[0] for record in records)
        assert storage.load("x") == records[0]

    def test_a_log_may_begin_as_a_copy(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("asked", 0, {"x": 0.1}, "r"), Draft("noted", None, {"text": "a"})])
        events = storage.events(study)
        copy = storage.create("copy", {"format": 1}, {"seed": 7}, events)
        assert copy.id != study
        assert storage.events(copy.id) == events
        with storage.transaction(copy.id) as log:
            assert (log.last, log.answered("r")) == (2, [])
            assert [e.seq for e in log.append([Draft("told", 0)])] == [3]
        assert storage.events(study) == events
        assert storage.create("copy", {}, {}, events[:1]) == copy
        with pytest.raises(StorageError, match="has no gap"):
            storage.create("other", {}, {}, events[1:])
        assert storage.names() == ["study", "copy"]

    def test_rename(self, storage: Storage, study: int) -> None:
        storage.create("other", {}, {})
        with storage.transaction(study) as log:
            (written,) = log.append([Draft("noted")])
        renamed = storage.rename("study", "ü 2")
        assert (renamed.id, renamed.name, renamed.definition, renamed.facts) == (
            study,
            "ü 2",
            {"format": 1},
            {"seed": 7},
        )
        assert storage.load("ü 2") == renamed
        assert storage.load("study") is None
        assert storage.names() == ["ü 2", "other"]
        assert storage.events(study) == [written]
        assert storage.rename("ü 2", "ü 2") == renamed
        assert storage.create("study", {}, {}).id != study

    def test_names_that_cannot_be_given(self, storage: Storage, study: int) -> None:
        storage.create("other", {}, {})
        with pytest.raises(StudyNotFound, match=r"no study 'sudy' \(have: study, other\)\. Did you mean 'study'\?"):
            storage.rename("sudy", "new")
        with pytest.raises(StorageError, match="there is a study 'other' already"):
            storage.rename("study", "other")
        for name in ("", "  ", "a\0b", "\ud800"):
            with pytest.raises(StorageError, match="cannot be called"):
                storage.rename("study", name)
        assert storage.names() == ["study", "other"]

    def test_delete(self, storage: Storage, study: int) -> None:
        other = storage.create("other", {}, {}).id
        for of in (study, other):
            with storage.transaction(of) as log:
                log.append([Draft("asked", 0)])
                log.put([Lease(0, 1, "a", 1e12)])
        assert storage.delete("other")
        assert storage.names() == ["study"]
        assert storage.load("other") is None
        with pytest.raises(StudyNotFound, match="deleted"):
            storage.events(other)
        with pytest.raises(StudyNotFound, match="deleted"), storage.transaction(other):
            pytest.fail("the transaction began")
        with pytest.raises(StudyNotFound, match="deleted"):
            storage.renew(other, "a", {0: 1}, 60.0)
        with pytest.raises(StudyNotFound, match=r"no study 'other' \(have: study\)"):
            storage.delete("other")
        with storage.transaction(study) as log:
            assert (log.last, log.leases()) == (1, [Lease(0, 1, "a", 1e12)])

    def test_the_id_of_a_deleted_study_is_never_given_out_again(
        self, storage: Storage, study: int, tmp_path: Path
    ) -> None:
        ids = [study]
        for i in range(3):
            storage.delete(storage.names()[-1])
            ids.append(storage.create(f"study {i}", {}, {}).id)
        storage.delete("study 2")
        if self.durable:
            storage.close()
            storage = self.open(tmp_path)
        ids.append(storage.create("study", {}, {}).id)
        assert ids == sorted(set(ids))
        with pytest.raises(StudyNotFound):
            storage.events(study)
        storage.close()

    def test_delete_only_as_it_was_seen(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("noted")])
        assert not storage.delete("study", 0)
        assert storage.names() == ["study"]
        assert storage.delete("study", 1)
        assert storage.names() == []

    def test_a_delete_waits_for_a_writer(self, storage: Storage, study: int) -> None:
        with ThreadPoolExecutor(1) as pool:
            with storage.transaction(study) as log:
                waiting = pool.submit(storage.delete, "study")
                with pytest.raises(TimeoutError):
                    waiting.result(0.2)
                log.append([Draft("noted")])
            assert waiting.result(DEADLINE)
        assert storage.names() == []

    # -- the log --------------------------------------------------------------------------------------------------

    def test_events_are_numbered_without_gaps(self, storage: Storage, study: int) -> None:
        begun = datetime.now(UTC)
        with storage.transaction(study) as log:
            first = log.append([Draft("asked", 0, {"x": 1}), Draft("asked", 1)])
            second = log.append([Draft("noted", None, {"text": "hello"})])
            assert log.append([]) == []
        with storage.transaction(study) as log:
            third = log.append([Draft("told", 0, {"values": {"loss": [0.5, None]}})])
        written = [*first, *second, *third]
        assert storage.events(study) == written
        assert [e.seq for e in written] == [1, 2, 3, 4]
        assert [(e.kind, e.number, e.data) for e in written] == [
            ("asked", 0, {"x": 1}),
            ("asked", 1, {}),
            ("noted", None, {"text": "hello"}),
            ("told", 0, {"values": {"loss": [0.5, None]}}),
        ]
        for event in written:
            at = datetime.fromisoformat(event.at)
            assert at.utcoffset() == timedelta(0)
            assert begun - timedelta(milliseconds=1) <= at <= datetime.now(UTC)  # some clocks tell milliseconds
            assert len(event.at) == len("2026-01-01T00:00:00.000000+00:00")

    def test_events_after(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("noted", None, {"i": i}) for i in range(5)])
        for after in range(-1, 7):
            expected = list(range(max(after, 0) + 1, 6))
            assert [e.seq for e in storage.events(study, after)] == expected
            with storage.transaction(study) as log:
                assert [e.seq for e in log.events(after)] == expected

    def test_events_of_one_trial_and_of_none(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            assert log.last == 0
            log.append([Draft("noted", number, {"i": i}) for i, number in enumerate([0, 1, None, 0, 2, None])])
        with storage.transaction(study) as log:
            log.append([Draft("noted", 0, {"i": 6})])
            assert log.last == 7
            assert [e.data["i"] for e in log.events(0, 0)] == [0, 2, 3, 5, 6]
            assert [e.data["i"] for e in log.events(3, 0)] == [3, 5, 6]
            assert [e.data["i"] for e in log.events(0, 9)] == [2, 5]
            assert log.events(7, 0) == []

    def test_a_transaction_sees_its_own_events_and_others_do_not(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            written = log.append([Draft("noted")])
            assert log.events() == written
            assert storage.events(study) == []
        assert storage.events(study) == written

    def test_an_exception_takes_everything_back(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("noted")])
        error = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught, storage.transaction(study) as log:
            _append_then_raise(log, error)
        assert caught.value is error
        assert [e.seq for e in storage.events(study)] == [1]
        with storage.transaction(study) as log:
            assert [e.seq for e in log.append([Draft("noted")])] == [2]

    def test_studies_are_apart(self, storage: Storage) -> None:
        one, two = storage.create("one", {}, {}).id, storage.create("two", {}, {}).id
        for study in (one, two, one):
            with storage.transaction(study) as log:
                log.append([Draft("noted", None, {"of": study})])
        assert [(e.seq, e.data["of"]) for e in storage.events(one)] == [(1, one), (2, one)]
        assert [(e.seq, e.data["of"]) for e in storage.events(two)] == [(1, two)]

    def test_an_unknown_study_is_refused(self, storage: Storage, study: int) -> None:
        with pytest.raises(StudyNotFound):
            storage.events(study + 1)
        with pytest.raises(StudyNotFound), storage.transaction(study + 1):
            pytest.fail("the transaction began")

    # -- requests and leases --------------------------------------------------------------------------------------

    def test_a_request_is_found_again(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            written = log.append([Draft("asked", 0, {}, "r"), Draft("asked", 1, {}, "r"), Draft("noted")])
            assert log.answered("r") == written[:2]
        other = storage.create("other", {}, {}).id
        with storage.transaction(study) as log:
            assert log.answered("r") == written[:2]
            assert log.answered("unheard of") == []
        with storage.transaction(other) as log:
            assert log.answered("r") == []

    def test_what_was_taken_back_is_not_answered(self, storage: Storage, study: int) -> None:
        with pytest.raises(ValueError, match="mine"), storage.transaction(study) as log:
            _append_then_raise(log, ValueError("mine"))
        with storage.transaction(study) as log:
            assert log.answered("r") == []
            assert log.leases() == []

    def test_leases_are_put_replaced_and_dropped(self, storage: Storage, study: int) -> None:
        first, second = Lease(3, 1, "a", 1764000000.123), Lease(0, 2, "b", 1e12)
        with storage.transaction(study) as log:
            assert log.leases() == []
            log.put([first, second])
            assert log.leases() == [second, first]
        other = storage.create("other", {}, {}).id
        with storage.transaction(other) as log:
            assert log.leases() == []
            log.put([Lease(3, 1, "c", 0.0)])
        with storage.transaction(study) as log:
            log.put([Lease(3, 2, "b", 7.0)])
            log.put([])
            log.drop([0, 99])
            log.drop([])
        with storage.transaction(study) as log:
            assert log.leases() == [Lease(3, 2, "b", 7.0)]

    def test_only_the_holder_renews(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            begun = log.time()
            log.put([Lease(0, 1, "a", 0.0), Lease(1, 2, "a", begun), Lease(2, 1, "b", begun)])
        assert storage.renew(study, "a", {0: 1, 1: 1, 2: 1, 7: 1}, 60.0) == {0}
        assert storage.renew(study, "b", {}, 60.0) == set()
        with storage.transaction(study) as log:
            renewed, second, third = log.leases()
            assert begun + 60.0 <= renewed.until <= log.time() + 60.0
            assert (second.until, third.until) == (begun, begun)

    def test_time_passes_and_is_unix_time(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            first = log.time()
            time.sleep(0.01)
            assert 0.005 < log.time() - first < DEADLINE
        assert abs(first - time.time()) < DEADLINE

    # -- data -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("value", VALUES, ids=repr)
    def test_data_come_back_exactly(self, storage: Storage, study: int, value: Any) -> None:
        data = {"value": value, "key " + str(value): [value]}
        with storage.transaction(study) as log:
            (written,) = log.append([Draft("noted", None, data)])
        (read,) = storage.events(study)
        record = storage.create("other", data, data)
        # repr tells 1 from 1.0 and True, and -0.0 from 0.0; equality does not.
        assert repr(written.data) == repr(read.data) == repr(record.definition) == repr(record.facts) == repr(data)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), {1: 2}, {1, 2}, b"x", 1j, object()])
    def test_what_json_cannot_hold_is_refused(self, storage: Storage, study: int, value: Any) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("noted")])
            with pytest.raises(StorageError, match=r"event 'told' cannot be stored.*JSON"):
                log.append([Draft("noted"), Draft("told", 0, {"deep": [{"value": value}]})])
        assert [e.kind for e in storage.events(study)] == ["noted"]
        with pytest.raises(StorageError, match="JSON"):
            storage.create("other", {"value": value}, {})
        assert storage.names() == ["study"]

    @pytest.mark.parametrize("number", [True, 0.0, "0", b"0", _Count(0)], ids=lambda number: type(number).__name__)
    def test_numbers_are_plain_ints(self, storage: Storage, study: int, number: Any) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("noted", 0)])
            with pytest.raises(StorageError, match=r"event 'told' cannot be stored: its number .* is of type "):
                log.append([Draft("noted", 1), Draft("told", number)])
        assert [(e.kind, e.number) for e in storage.events(study)] == [("noted", 0)]

    def test_nothing_mutable_is_shared(self, storage: Storage) -> None:
        data: dict[str, Any] = {"list": [1], "tuple": (1, 2)}
        record = storage.create("x", data, data)
        with storage.transaction(record.id) as log:
            (written,) = log.append([Draft("noted", None, data)])
            data["list"].append(2)
            written.data["list"].append(3)
            log.events()[0].data["list"].append(4)
        record.definition["list"].append(5)
        storage.events(record.id)[0].data["list"].append(6)
        kept = {"list": [1], "tuple": [1, 2]}
        loaded = storage.load("x")
        assert loaded is not None
        assert (loaded.definition, loaded.facts, storage.events(record.id)[0].data) == (kept, kept, kept)

    # -- many at once ---------------------------------------------------------------------------------------------

    def test_readers_do_not_wait_for_a_writer(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            before = log.append([Draft("noted")])
        with storage.transaction(study) as log, ThreadPoolExecutor(1) as pool:
            log.append([Draft("noted")])
            assert pool.submit(storage.events, study).result(DEADLINE) == before
            assert pool.submit(storage.names).result(DEADLINE) == ["study"]

    def test_writers_wait_for_each_other(self, storage: Storage, study: int) -> None:
        entering = threading.Event()

        def second() -> None:
            entering.set()
            with storage.transaction(study) as log:
                log.append([Draft("noted", None, {"saw": len(log.events())})])

        with ThreadPoolExecutor(1) as pool:
            with storage.transaction(study) as log:
                waiting = pool.submit(second)
                assert entering.wait(DEADLINE)
                log.append([Draft("noted")])
                with pytest.raises(TimeoutError):
                    waiting.result(0.2)
                log.append([Draft("noted")])
            waiting.result(DEADLINE)
        assert [e.data.get("saw") for e in storage.events(study)] == [None, None, 2]

    def test_threads_append_without_gap_or_double(self, storage: Storage, study: int) -> None:
        def append(thread: int) -> list[int]:
            seqs = []
            for i in range(25):
                with storage.transaction(study) as log:
                    count = len(log.events())
                    (written,) = log.append([Draft("noted", None, {"thread": thread, "i": i})])
                assert written.seq == count + 1
                seqs.append(written.seq)
            return seqs

        seqs = _together(8, append)
        assert sorted(seq for thread in seqs for seq in thread) == list(range(1, 201))
        events = storage.events(study)
        assert [e.seq for e in events] == list(range(1, 201))
        for thread in range(8):
            assert [e.data["i"] for e in events if e.data["thread"] == thread] == list(range(25))
            assert [e.seq for e in events if e.data["thread"] == thread] == seqs[thread]

    def test_a_thread_does_not_wait_for_itself(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            log.append([Draft("noted")])
            with pytest.raises(StorageError, match="inside a transaction"), storage.transaction(study):
                pytest.fail("the transaction began")
            with pytest.raises(StorageError, match="inside a transaction"):
                storage.close()
        assert len(storage.events(study)) == 1

    # -- ends -----------------------------------------------------------------------------------------------------

    def test_a_log_ends_with_its_transaction(self, storage: Storage, study: int) -> None:
        with storage.transaction(study) as log:
            pass
        with pytest.raises(StorageError, match="transaction has ended"):
            log.append([Draft("noted")])
        with pytest.raises(StorageError, match="transaction has ended"):
            log.events()
        assert storage.events(study) == []

    def test_a_closed_storage_refuses(self, storage: Storage, study: int) -> None:
        storage.close()
        storage.close()
        uses: list[Callable[[], object]] = [
            storage.names,
            lambda: storage.load("study"),
            lambda: storage.create("study", {}, {}),
            lambda: storage.create("other", {}, {}),
            lambda: storage.rename("study", "other"),
            lambda: storage.delete("study"),
            lambda: storage.events(study),
            lambda: storage.transaction(study).__enter__(),
            lambda: storage.renew(study, "a", {0: 1}, 1.0),
        ]
        for use in uses:
            with pytest.raises(StorageError, match="closed"):
                use()

    def test_reopening_finds_everything(self, storage: Storage, study: int, tmp_path: Path) -> None:
        with storage.transaction(study) as log:
            written = log.append([Draft("asked", 0, {"x": 0.1}), Draft("told", 0, {"y": 5e-324})])
        record = storage.load("study")
        storage.close()
        again = self.open(tmp_path)
        try:
            if not self.durable:
                assert again.names() == []
                return
            assert again.names() == ["study"]
            assert again.load("study") == record
            assert again.events(study) == written
            with again.transaction(study) as log:
                assert [e.seq for e in log.append([Draft("noted")])] == [3]
        finally:
            again.close()

    def test_url(self, storage: Storage) -> None:
        assert isinstance(storage.url, str)
        assert storage.url


def _together(n: int, work: Callable[[int], T]) -> list[T]:
    """`work(0)` to `work(n - 1)`, each in a thread, all started at once."""
    start = threading.Barrier(n)

    def begin(i: int) -> T:
        start.wait(DEADLINE)
        return work(i)

    with ThreadPoolExecutor(n) as pool:
        futures: list[Future[T]] = [pool.submit(begin, i) for i in range(n)]
        return [future.result(DEADLINE) for future in futures]


def _append_then_raise(log: Log, error: Exception) -> None:
    log.append([Draft("noted", request="r"), Draft("noted")])
    log.put([Lease(0, 1, "a", 5.0)])
    raise error
