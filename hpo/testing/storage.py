"""StorageContract: what every storage must do, as tests to inherit.

class TestMyStorage(StorageContract):
    durable = True

    def open(self, folder: Path) -> Storage:
        return MyStorage(folder / "studies")
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpo.errors import StorageError, StudyNotFound
from hpo.storage.base import Lease, Storage
from hpo.testing.log import DEADLINE, LogContract, together
from hpo.trials.events import Draft


class StorageContract(LogContract):
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
        records = together(8, lambda i: storage.create("x", {"by": i}, {}))
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

    # -- ends -----------------------------------------------------------------------------------------------------

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
