"""Who asks beside others gets a turn, whoever is quicker; and a turn ends, whoever had it."""

from __future__ import annotations

import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.storage import Storage
from hpo.storage.base import Lease
from hpo.strategies import Random
from hpo.study.ask_queue import QueuePlace
from hpo.testing.executors import await_that
from hpo.trials.deadline import TimeLimit
from hpo.trials.events import Event
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion
from tests.pairs import KINDS, pair_of

SERVER = os.environ.get("HPO_TEST_PG", "")
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
PATIENCE = 60.0


class Gate:
    """What a test holds of a strategy, which itself is stored by its settings alone."""

    def __init__(self) -> None:
        self.open, self.inside = threading.Event(), threading.Event()
        self.made: list[int] = []
        """How many trials each suggestion saw."""

    def close(self) -> None:
        """From now on nobody passes."""
        self.open.clear()
        self.inside.clear()


GATES: dict[str, Gate] = defaultdict(Gate)


@dataclass(frozen=True)
class Gated:
    """As Random, once its gate is open."""

    name: str

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """Wait for the gate."""
        gate = GATES[self.name]
        gate.made.append(len(history.trials))
        gate.inside.set()
        assert gate.open.wait(PATIENCE)
        return Random().suggest(history, n, rng)


@dataclass(frozen=True)
class Hurried(Gated):
    """One that can do with less time."""

    def suggest_within(
        self, history: History, n: int, rng: np.random.Generator, time_limit: TimeLimit
    ) -> list[Suggestion]:
        """At once, where there is no time."""
        if time_limit.model(0.01):
            return self.suggest(history, n, rng)
        return [Suggestion(s.params, {**s.why, "skipped": ["spread"]}) for s in Random().suggest(history, n, rng)]


@pytest.fixture(params=KINDS)
def storages(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sequence[Storage]]:
    """What two processes have open."""
    with pair_of(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """Of the study, and of the gate."""
    return uuid.uuid4().hex


@pytest.fixture
def slow(name: str) -> Gate:
    return GATES[name]


@pytest.fixture
def pair(storages: Sequence[Storage], name: str) -> tuple[hpo.Study, hpo.Study]:
    """The study of one that suggests slowly, and of one that is quick."""
    quick = hpo.open_study(name, PROBLEM, storage=storages[1], seed=1, strategy=Random())
    return hpo.open_study(name, storage=storages[0], strategy=Gated(name)), quick


def queue(study: hpo.Study) -> list[Lease]:
    with study._log.transaction() as log:
        return [lease for lease in reversed(log.leases()) if lease.number < 0]


def test_alone_nobody_stands_in_a_queue(pair: tuple[hpo.Study, hpo.Study], slow: Gate) -> None:
    slow.open.set()
    for _ in range(3):
        pair[0].ask()
        assert queue(pair[0]) == []
    assert slow.made == [0, 1, 2]


def test_the_slow_one_has_its_turn_while_the_quick_one_waits(pair: tuple[hpo.Study, hpo.Study], slow: Gate) -> None:
    with ThreadPoolExecutor(2) as pool:
        lost = pool.submit(pair[0].ask)
        assert slow.inside.wait(PATIENCE)
        assert pair[1].ask().number == 0
        slow.open.set()
        assert lost.result(PATIENCE).number == 1
        assert slow.made == [0, 1], "one suggestion was in vain"
        slow.close()
        mine = pool.submit(pair[0].ask)
        assert slow.inside.wait(PATIENCE)
        other = pool.submit(pair[1].ask)
        await_that(lambda: len(queue(pair[1])) == 2, "the quick one stands behind it")
        slow.open.set()
        assert mine.result(PATIENCE).number == 2
        assert other.result(PATIENCE).number == 3
    assert slow.made == [0, 1, 2], "none of the second"
    assert queue(pair[0]) == []


def test_whoever_does_not_renew_its_place_is_passed_over(pair: tuple[hpo.Study, hpo.Study]) -> None:
    """As it stops, or dies."""
    study = pair[1]
    with study._log.transaction() as log:
        log.put([Lease(-1, 0, "dead", log.time() - 0.001)])
    assert study.ask().number == 0
    with study._log.transaction() as log:
        QueuePlace("another").take(log, is_quick=False)
    (only,) = queue(study)
    assert only.owner == "another", "and its place is cleared away"


def test_a_suggestion_whose_turn_was_lost_is_kept_under_the_next_number(
    pair: tuple[hpo.Study, hpo.Study], slow: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw less than it might, and that is better than none for those who take long."""
    slow_study, quick = pair
    quick.ask()
    slow.open.set()
    slow_study.ask()
    quick.ask()
    slow.close()
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(slow_study.ask)
        assert slow.inside.wait(PATIENCE)
        with quick._log.transaction() as log:
            log.drop([lease.number for lease in log.leases()])
        given = quick.add({"x": 0.123}, {"y": 1.0}), quick.ask()
        slow.open.set()
        trial = mine.result(PATIENCE)
    assert [t.number for t in given] == [3, 4]
    assert trial.number == 5
    asked = [event for event in quick.events() if event.kind == "asked"]
    assert (asked[-1].data["batch"], asked[-1].data["drawn"]) == ([5, 1], 3)
    assert asked[-1].data["saw"] < asked[-2].data["saw"]
    assert len({t.key for t in quick.trials}) == 6
    assert_replayed(slow_study)


def test_the_time_of_an_ask_is_over_and_it_is_not_its_turn(storages: Sequence[Storage], name: str, slow: Gate) -> None:
    slow.open.set()
    study = hpo.open_study(name, PROBLEM, storage=storages[0], seed=1, strategy=Random())
    other = hpo.open_study(name, storage=storages[1], strategy=Hurried(name))
    with study._log.transaction() as log:
        log.put([Lease(-1, 0, "somebody who takes an hour", log.time() + 3600.0)])
    trial = other.ask(max_seconds=0.05)
    assert trial.why["skipped"] == ["spread"]
    assert [lease.owner for lease in queue(study)] == ["somebody who takes an hour"], "its own place it has left"


def test_whoever_leaves_without_a_trial_lets_the_others_pass(
    pair: tuple[hpo.Study, hpo.Study], slow: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.open.set()
    pair[0].ask()
    pair[1].ask()

    def broken(*_: object) -> list[Suggestion]:
        assert len(queue(pair[1])) == 1
        raise ZeroDivisionError

    monkeypatch.setattr(Gated, "suggest", broken)
    with pytest.raises(ZeroDivisionError):
        pair[0].ask()
    assert queue(pair[0]) == []
    assert pair[1].ask().number == 2


def test_leases_of_no_trial_are_nobodys_to_reclaim(pair: tuple[hpo.Study, hpo.Study]) -> None:
    study = pair[1]
    with study._log.transaction() as log:
        log.put([Lease(-1, 0, "dead", log.time() - 1.0), Lease(-2, 0, "waits", log.time() + 60.0)])
    assert study.leases.reclaim() == []
    assert [lease.number for lease in queue(study)] == [-1, -2]


def assert_replayed(study: hpo.Study) -> None:
    """Random and Gated suggest alike."""
    from hpo.study.replay import replay

    events: list[Event] = study.events()
    again = replay(PROBLEM, 1, events, lambda _: Random())
    assert again.is_identical, str(again)
