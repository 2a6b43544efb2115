"""Skipping work in named steps: by the clock, by the record, and through a whole study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import hpo
from hpo.errors import SettingsError
from hpo.trials.deadline import REUSED, SCREENED, SPREAD, Deadline, NoTimeLimit, ReplayedDeadline, TimeLimit

PROBLEM = hpo.Problem(
    hpo.Space({"x": hpo.Float(0.0, 1.0), "k": hpo.Int(1, 50), "kind": hpo.Categorical(["a", "b"])}),
    [hpo.Objective("gain"), hpo.Constraint("size", upper=60.0)],
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Scripted:
    """Allows what it is told to, and counts climbs."""

    def __init__(self, model: bool = True, search: bool = True, climbs: int = 99, screen: bool = True) -> None:
        self.may = {"model": model, "search": search, "screen": screen}
        self.climbs = climbs

    def model(self, seconds: float) -> bool:
        assert seconds > 0
        return self.may["model"]

    def search(self, seconds: float) -> bool:
        assert seconds > 0
        return self.may["search"]

    def climb(self, seconds: float, reserve: float) -> bool:
        assert seconds > 0
        assert reserve >= 0
        self.climbs -= 1
        return self.climbs >= 0

    def screen(self, seconds: float) -> bool:
        assert seconds > 0
        return self.may["screen"]


def study_of(n: int) -> hpo.Study:
    study = hpo.open_study("effort", PROBLEM, storage=":memory:", seed=3)
    for _ in range(n):
        trial = study.ask()
        x, k = trial.params["x"], trial.params["k"]
        study.tell(trial, {"gain": -((x - 0.3) ** 2) - (k - 20) ** 2 / 900, "size": k + 10 * x})
    return study


def test_everything_may_be_done_without_a_limit() -> None:
    time_limit: TimeLimit = NoTimeLimit()
    assert time_limit.model(1e9)
    assert time_limit.search(1e9)
    assert time_limit.climb(1e9, 1e9)
    assert time_limit.screen(1e9)


def test_work_is_done_while_its_estimate_fits() -> None:
    clock = Clock()
    timed = Deadline(2.0, clock)
    assert timed.model(1.9)
    clock.now += 1.9
    assert not timed.search(0.2)
    assert timed.climb(0.05, 0.0)
    clock.now += 0.05
    assert not timed.climb(0.04, 0.03)


def test_estimates_are_corrected_by_what_things_took() -> None:
    clock = Clock()
    timed = Deadline(10.0, clock)
    assert timed.model(0.5)
    clock.now += 5.0  # ten times as long as promised
    assert not timed.search(0.6)
    assert timed.climb(0.4, 0.0)


def test_a_record_decides_as_the_clock_did() -> None:
    whys: list[Mapping[str, Any]] = [{}, {"skipped": [SCREENED]}, {"skipped": [SCREENED]}]
    recorded = ReplayedDeadline(whys)
    assert recorded.model(9.0)
    assert recorded.search(9.0)
    assert [recorded.climb(9.0, 9.0) for _ in range(2)] == [True, False]
    assert recorded.screen(9.0)
    assert not ReplayedDeadline([{"skipped": [SPREAD]}]).model(0.0)
    assert not ReplayedDeadline([{"skipped": [REUSED]}]).search(0.0)
    partly = ReplayedDeadline([{}, {"skipped": [SPREAD]}])
    assert [partly.climb(0.0, 0.0) for _ in range(2)] == [True, False]
    assert not partly.screen(0.0)


SCRIPTS: dict[str, tuple[Callable[[], TimeLimit], list[tuple[str, ...]]]] = {
    "all": (NoTimeLimit, [()] * 6),
    "no search": (lambda: Scripted(search=False), [(REUSED,)] * 6),
    "two climbed": (lambda: Scripted(climbs=2), [(), (), *[(SCREENED,)] * 4]),
    "none climbed": (lambda: Scripted(climbs=0), [(SCREENED,)] * 6),
    "no search, one climbed": (lambda: Scripted(search=False, climbs=1), [(REUSED,), *[(REUSED, SCREENED)] * 5]),
    "three climbed, the rest spread": (lambda: Scripted(climbs=3, screen=False), [(), (), (), *[(SPREAD,)] * 3]),
    "no model": (lambda: Scripted(model=False), [(SPREAD,)] * 6),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_was_skipped_is_named_and_replayed(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, expected = SCRIPTS[script]
    study = study_of(9)
    monkeypatch.setattr("hpo.study.asking.Deadline", lambda _: make())
    trials = study.ask(6, max_seconds=1.0)
    assert [tuple(t.why.get("skipped", ())) for t in trials] == expected
    assert len({str(sorted(t.params.items())) for t in study.trials}) == 15
    assert all(PROBLEM.space.canonical(t.params) == dict(t.params) for t in trials)
    study.tell(trials[0], {"gain": 0.0, "size": 1.0})
    study.ask(2)
    assert study.replay().is_identical


def test_skipping_changes_nothing_where_there_is_time() -> None:
    first, second = study_of(9), study_of(9)
    hurried, patient = first.ask(3, max_seconds=1e6), second.ask(3)
    assert [(t.params, t.why) for t in hurried] == [(t.params, t.why) for t in patient]


def test_without_hyperparameters_to_reuse_the_usual_ones_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    study = hpo.open_study("added", PROBLEM, storage=":memory:", seed=1)
    for i in range(6):
        study.add({"x": i / 6, "k": 1 + 7 * i, "kind": "ab"[i % 2]}, {"gain": i * 0.1, "size": 7.0 * i})
    monkeypatch.setattr("hpo.study.asking.Deadline", lambda _: Scripted(search=False))
    trial = study.ask(max_seconds=1.0)
    assert trial.why["skipped"] == [REUSED]
    assert study.history.fitted == {}


@pytest.mark.parametrize("given", [0, -1.0, float("nan")])
def test_a_deadline_is_more_than_nothing(given: float) -> None:
    with pytest.raises(SettingsError, match="max_seconds"):
        study_of(0).ask(max_seconds=given)


def test_other_strategies_take_the_time_they_take() -> None:
    study = hpo.open_study("random", PROBLEM, storage=":memory:", seed=1, strategy=hpo.strategies.Random())
    assert "skipped" not in study.ask(max_seconds=1e-9).why
