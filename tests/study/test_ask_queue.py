"""The queue of those that ask: who is ahead of whom, for how long, and who need not wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest

from hpo.errors import ConnectionLost
from hpo.storage import MemoryStorage
from hpo.storage.base import Lease, Log
from hpo.study import ask_queue
from hpo.study.ask_queue import KEPT, QueuePlace
from hpo.testing.executors import await_that


@pytest.fixture
def storage() -> MemoryStorage:
    """Of one study, whose id is `STUDY`."""
    storage = MemoryStorage()
    assert storage.create("s", {}, {}).id == STUDY
    return storage


@pytest.fixture
def log(storage: MemoryStorage) -> Iterator[Log]:
    """Its log in a transaction."""
    with storage.transaction(STUDY) as log:
        yield log


STUDY = 1


def queue(log: Log) -> list[tuple[int, str]]:
    return [(lease.number, lease.owner) for lease in reversed(log.leases()) if lease.number < 0]


def test_each_stands_behind_those_that_came_before(log: Log) -> None:
    places = [QueuePlace(name) for name in "abc"]
    assert [place.take(log, is_quick=False) for place in places] == [0, 1, 2]
    assert queue(log) == [(-1, "a"), (-2, "b"), (-3, "c")]
    assert [place.ahead(log, is_quick=False) for place in places] == [0, 1, 2]
    assert QueuePlace("d").ahead(log, is_quick=False) == 3
    places[0].leave(log)
    assert [place.ahead(log, is_quick=False) for place in places[1:]] == [0, 1]


def test_whoever_is_quick_waits_for_those_alone_that_are_not(log: Log) -> None:
    QueuePlace("quick").take(log, is_quick=True)
    QueuePlace("slow").take(log, is_quick=False)
    assert QueuePlace("mine").ahead(log, is_quick=True) == 1
    assert QueuePlace("mine").ahead(log, is_quick=False) == 2


def test_a_place_lasts_so_long_from_when_it_was_taken(log: Log) -> None:
    before = log.time()
    QueuePlace("a").take(log, is_quick=False)
    (lease,) = log.leases()
    assert before + KEPT <= lease.until <= log.time() + KEPT


@pytest.mark.parametrize(("left", "is_renewed"), [(0.9 * KEPT, False), (0.4 * KEPT, True)])
def test_taken_again_it_is_renewed_once_half_is_over_and_stays_where_it_stands(
    log: Log, left: float, is_renewed: bool
) -> None:
    place = QueuePlace("a")
    place.take(log, is_quick=False)
    QueuePlace("b").take(log, is_quick=False)
    short = Lease(-1, 0, "a", log.time() + left)
    log.put([short])
    assert place.take(log, is_quick=False) == 0
    assert queue(log) == [(-1, "a"), (-2, "b")]
    assert (log.leases()[-1].until > short.until) == is_renewed


def test_one_that_has_become_quick_says_so(log: Log) -> None:
    place = QueuePlace("a")
    place.take(log, is_quick=False)
    assert QueuePlace("b").ahead(log, is_quick=True) == 1
    place.take(log, is_quick=True)
    assert QueuePlace("b").ahead(log, is_quick=True) == 0
    assert queue(log) == [(-1, "a")]


def test_places_that_are_over_are_passed_by_and_cleared_away(log: Log) -> None:
    log.put([Lease(-1, 0, "dead", log.time() - 0.001), Lease(-2, 0, "waits", log.time() + 60.0)])
    place = QueuePlace("a")
    assert place.ahead(log, is_quick=False) == 1
    assert place.take(log, is_quick=False) == 1
    assert queue(log) == [(-2, "waits"), (-3, "a")]


def test_leases_of_trials_are_no_places(log: Log) -> None:
    trial = Lease(0, 1, "driver", log.time() + 60.0)
    log.put([trial])
    place = QueuePlace("driver")
    assert place.take(log, is_quick=False) == 0
    place.leave(log)
    assert log.leases() == [trial]


def test_whoever_never_stood_takes_nobody_s_place_along(log: Log) -> None:
    QueuePlace("a").take(log, is_quick=False)
    place = QueuePlace("b")
    place._number = -1
    place.leave(log)
    assert queue(log) == [(-1, "a")]


def test_pauses_grow_with_each_and_with_those_ahead_up_to_a_bound() -> None:
    """Each is within 20 % of what it should be, by chance."""
    place = QueuePlace("a")
    assert 0.8 * 0.012 <= place.pause(1) <= 1.2 * 0.012
    assert 0.8 * 3 * 0.0144 <= place.pause(3) <= 1.2 * 3 * 0.0144
    for _ in range(30):
        place.pause(1)
    assert 0.8 * 0.25 <= place.pause(1) <= 1.2 * 0.25
    assert 0.8 * KEPT / 4 <= place.pause(1000) <= 1.2 * KEPT / 4


def threads() -> int:
    return sum(thread.name == "hpo-asking" for thread in threading.enumerate())


def test_without_a_place_nothing_is_renewed() -> None:
    before = threads()
    with QueuePlace("a").kept(lambda *_: pytest.fail("renewed")):
        assert threads() == before


def test_a_place_is_renewed_while_a_suggestion_is_made_whatever_the_storage_says(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_queue, "KEPT", 0.3)
    place, calls = QueuePlace("me"), list[tuple[str, dict[int, int], float]]()
    with storage.transaction(STUDY) as log:
        QueuePlace("before").take(log, is_quick=True)
        place.take(log, is_quick=False)

    def renew(owner: str, held: Mapping[int, int], seconds: float) -> None:
        calls.append((owner, dict(held), seconds))
        if len(calls) == 1:
            raise ConnectionLost("away")
        assert storage.renew(STUDY, owner, held, seconds) == {-2}

    with place.kept(renew):
        await_that(lambda: len(calls) > 2, "it goes on after an error")
        assert [t.daemon for t in threading.enumerate() if t.name == "hpo-asking"] == [True], "no exit waits for it"
    assert set(map(repr, calls)) == {repr(("me", {-2: 0}, 0.3))}
    await_that(lambda: threads() == 0, "and ends with the suggestion")


def test_a_suggestion_that_hangs_is_not_kept_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_queue, "KEPT", 0.03)
    monkeypatch.setattr(ask_queue, "LONGEST", 0.05)
    place, calls = QueuePlace("me"), list[object]()
    place.is_taken = True
    with place.kept(lambda *given: calls.append(given)):
        await_that(lambda: threads() == 0, "nothing is renewed any more")
    assert len(calls) == 5
