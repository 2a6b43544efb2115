"""Replay: every suggestion once more, and the first that comes out otherwise is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import StudyDamaged
from hpo.strategies import Bayesian, Random, Strategy
from hpo.study.replay import Replay, replay
from hpo.trials.events import Event
from hpo.trials.suggestion import Suggestion

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0), "n": hpo.Int(1, 9)}), [hpo.Objective("y")])


def opened(strategy: Strategy, problem: hpo.Problem = PROBLEM) -> hpo.Study:
    return hpo.open_study("s", problem, storage=":memory:", seed=3, strategy=strategy)


def walked(strategy: Strategy, *batches: int) -> hpo.Study:
    """Each batch is told before the next is asked for; one trial is added in between."""
    study = opened(strategy)
    for n in batches:
        for trial in study.ask(n):
            study.tell(trial, {"y": trial.params["x"]})
        study.add({"x": 0.5, "n": 5}, {"y": 0.5})
    return study


def changed(events: list[Event], number: int, change: Callable[[dict[str, Any]], Any]) -> list[Event]:
    """With other data where trial `number` was asked for."""
    out = []
    for event in events:
        data = dict(event.data)
        if event.kind == "asked" and event.number == number:
            change(data)
        out.append(replace(event, data=data))
    return out


def asked(study: hpo.Study) -> list[int]:
    return [event.number for event in study.events() if event.kind == "asked" and event.number is not None]


def test_all_are_derived_again() -> None:
    study = walked(Random(), 1, 3, 2)
    again = replay(PROBLEM, 3, study.events())
    assert again == Replay(6)
    assert str(again) == "6 suggestions derived again, all identical"


def test_another_seed_is_another_study() -> None:
    study = walked(Random(), 1, 3)
    assert replay(PROBLEM, 4, study.events()).first_difference == 0


def test_the_first_that_differs_is_named_with_both() -> None:
    study = walked(Random(), 1, 3, 2)
    third = asked(study)[2]
    stored = study.trials[third].key
    events = changed(study.events(), third, lambda data: data.update(params={"x": 0.25, "n": 1}))
    again = replay(PROBLEM, 3, events)
    assert (again.n_checked, again.first_difference, again.is_identical) == (2, third, False)
    assert str(again) == (
        f"trial {third} differs after 2 identical suggestions: stored {again.stored}, derived {stored}. Other versions "
        "of numpy, scipy or hpo may round otherwise"
    )
    assert "0.25" in again.stored


def test_fewer_than_were_asked_for_are_fewer_again() -> None:
    study = opened(Random(), hpo.Problem(hpo.Space({"n": hpo.Int(1, 3)}), [hpo.Objective("y")]))
    assert len(study.ask(5)) == 3
    assert study.replay() == Replay(3)


def test_a_suggestion_where_none_was_left_is_nothing() -> None:
    """The log of a space that was larger."""
    small = hpo.Problem(hpo.Space({"n": hpo.Int(1, 2)}), [hpo.Objective("y")])
    study = opened(Random(), hpo.Problem(hpo.Space({"n": hpo.Int(1, 3)}), [hpo.Objective("y")]))
    for params in ({"n": 1}, {"n": 2}):
        study.add(params, {"y": 1.0})
    assert study.ask().params == {"n": 3}
    again = replay(small, 3, study.events())
    assert (again.n_checked, again.first_difference, again.derived) == (0, 2, "nothing")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("saw"),
        lambda data: data.pop("batch"),
        lambda data: data.update(batch=[1]),
        lambda data: data.update(saw="soon"),
        lambda data: data.update(batch=7),
    ],
)
def test_one_that_does_not_say_what_it_saw_is_damage(change: Callable[[dict[str, Any]], Any]) -> None:
    study = walked(Random(), 1, 1)
    number = asked(study)[1]
    (event,) = [e for e in study.events() if e.kind == "asked" and e.number == number]
    with pytest.raises(StudyDamaged) as raised:
        replay(PROBLEM, 3, changed(study.events(), number, change))
    assert str(raised.value) == f"event {event.seq} (asked) is damaged: it does not say what it saw"


def test_what_is_stored_later_than_it_was_made_is_derived_from_what_it_saw() -> None:
    """It saw the first trial alone, was drawn as trial 1, and stored as trial 3 behind another ask."""
    study = walked(Random(), 1)
    alone = opened(Random())
    alone.tell(alone.ask(), {"y": alone.trials[0].params["x"]})
    saw, mine = alone.events()[-1].seq, alone.ask()
    study.ask()
    data = {
        "params": dict(mine.params),
        "why": dict(mine.why),
        "strategy": {"name": "random"},
        "owner": "",
        "saw": saw,
        "batch": [3, 1],
        "drawn": 1,
    }
    late = Event(study.events()[-1].seq + 1, study.events()[-1].at, "asked", 3, data)
    assert replay(PROBLEM, 3, [*study.events(), late]) == Replay(3)
    undrawn = replace(late, data={**data, "drawn": 3})
    assert replay(PROBLEM, 3, [*study.events(), undrawn]).first_difference == 3


@dataclass(frozen=True)
class Counting:
    """Suggests by how many results it saw."""

    def suggest(self, history: hpo.History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` counts them."""
        return [Suggestion({"x": 0.5, "n": 1 + len(history.completed)}, {"role": "explore"})]


def test_of_two_that_saw_as_many_trials_the_one_that_saw_less_of_them_comes_first() -> None:
    """Though it was stored later."""
    study = opened(Random())
    trial = study.ask()
    study.tell(trial, {"y": 1.0})
    events = study.events()

    def late(number: int, saw: int) -> Event:
        params = {"x": 0.5, "n": saw}
        data = {"params": params, "why": {}, "strategy": {"name": "mine"}, "saw": saw, "batch": [number, 1], "drawn": 1}
        return Event(events[-1].seq + number, events[-1].at, "asked", number, data)

    def strategy_of(stored: object) -> Strategy:
        return Random() if stored == {"name": "random"} else Counting()

    assert replay(PROBLEM, 3, [*events, late(1, saw=2), late(2, saw=1)], strategy_of) == Replay(3)


def test_what_was_skipped_for_want_of_time_is_skipped_again() -> None:
    study = opened(Bayesian(n_initial=2))
    for _ in range(3):
        study.tell(study.ask(), {"y": 1.0})
    late = study.ask(2, max_seconds=1e-6)
    assert all(trial.why["skipped"] for trial in late)
    assert study.replay() == Replay(5)
    events = changed(study.events(), late[0].number, lambda data: data.update(why={"role": "explore"}))
    events = changed(events, late[1].number, lambda data: data.update(why={"role": "explore"}))
    assert replay(PROBLEM, 3, events).first_difference == late[0].number, "with time, a model suggests"


def test_the_strategy_is_the_one_that_is_stored_of_each_suggestion() -> None:
    study = walked(Random(), 2)
    other = hpo.open_study("s", storage=study.storage, strategy=Bayesian())
    other.ask()
    asked_for: list[object] = []

    def strategy_of(stored: object) -> Strategy:
        asked_for.append(stored)
        return Random() if stored == {"name": "random"} else Bayesian()

    assert replay(PROBLEM, 3, study.events(), strategy_of).is_identical
    assert asked_for == [{"name": "random"}, {"name": "bayesian"}]
