"""The log inside a transaction: what is appended waits until it is needed, and goes to the database in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpo.errors import StudyNotFound
from hpo.storage import SqlStorage
from hpo.storage.base import Lease
from hpo.trials.events import Draft


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqlStorage]:
    with closing(SqlStorage(tmp_path / "hpo.db")) as storage:
        yield storage


@pytest.fixture
def statements() -> Iterator[list[tuple[str, bool]]]:
    """Of all engines: the first two words of each, and whether it has many rows."""
    seen: list[tuple[str, bool]] = []

    def note(_: object, __: object, statement: str, ___: object, ____: object, is_many: bool) -> None:
        seen.append((" ".join(statement.split()[:3]), is_many))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_what_is_appended_is_sent_when_it_is_read_back(storage: SqlStorage, statements: list[tuple[str, bool]]) -> None:
    study = storage.create("s", {}, {}).id
    with storage.transaction(study) as log:
        statements.clear()
        for i in range(3):
            log.append([Draft("noted", None, {"text": str(i)})])
        assert (log.last, statements) == (3, [])
        assert [event.data["text"] for event in log.events()] == ["0", "1", "2"]
        assert statements[0] == ("INSERT INTO event", True)


def test_leases_are_not_looked_for_where_the_study_has_none(
    storage: SqlStorage, statements: list[tuple[str, bool]]
) -> None:
    study = storage.create("s", {}, {}).id
    with storage.transaction(study) as log:
        statements.clear()
        assert (log.leases(), statements) == ([], [])
        log.put([Lease(0, 1, "a", 5.0)])
        assert log.leases() == [Lease(0, 1, "a", 5.0)]
    with storage.transaction(study) as log:
        assert log.leases() == [Lease(0, 1, "a", 5.0)]


def test_a_study_without_events_is_no_missing_study(storage: SqlStorage) -> None:
    study = storage.create("s", {}, {}).id
    assert storage.events(study) == []
    with pytest.raises(StudyNotFound, match="no study with id 7: it was deleted, or never there"):
        storage.events(7)
