"""Budgets: never overdrawn, whatever trials cost and in whatever order they end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpo
from hpo.errors import SettingsError
from hpo.running.budget import seconds
from hpo.strategies import Random


def study() -> hpo.Study:
    """One parameter, a tracked price."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Tracked("price")])
    return hpo.open_study("b", problem, storage=":memory:", seed=0, strategy=Random())


@given(
    st.integers(1, 12), st.floats(1.0, 30.0), st.floats(0.5, 5.0), st.lists(st.tuples(st.booleans(), st.floats(0, 1)))
)
@settings(deadline=None, max_examples=60)
def test_spending_never_exceeds_the_cap(
    trials: int, cost: float, reserve: float, steps: list[tuple[bool, float]]
) -> None:
    budget = hpo.Budget(trials=trials, cost=cost, reserve=reserve, cost_of="price")
    s = study()
    running: list[hpo.Trial] = []
    for start, share in steps:
        room = budget.room(s.history, 0.0)
        if start and room.trials >= 1:
            running.append(s.ask())
        elif running:
            s.tell(running.pop(int(share * (len(running) - 1))), {"y": 0.0, "price": share * reserve})
        assert budget.spent(s.history) <= cost + 1e-9
        assert len(s.trials) <= trials
    paid = sum(t.values["price"].value for t in s.history.completed)
    assert paid <= cost + 1e-9


@pytest.mark.parametrize(("cost", "reserve", "n"), [(0.3, 0.1, 3), (0.7, 0.1, 7), (0.29, 0.1, 2), (0.6, 0.2, 3)])
def test_what_fits_exactly_is_not_lost_to_rounding(cost: float, reserve: float, n: int) -> None:
    """0.3 / 0.1 is 2.9999999999999996."""
    assert hpo.Budget(cost=cost, reserve=reserve).room(study().history, 0.0).trials == n
    assert hpo.Budget(worker_seconds=cost, trial_seconds=reserve).room(study().history, 0.0).trials == n


def test_infrastructure_failures_do_not_use_up_trials() -> None:
    s, budget = study(), hpo.Budget(trials=2)
    s.fail(s.ask(), "infra")
    s.tell(s.ask(), {"y": 1.0})
    assert len(s.trials) == 1
    assert budget.room(s.history, 0.0).trials == 1


def test_results_added_from_elsewhere_are_free() -> None:
    s, budget = study(), hpo.Budget(trials=2)
    s.add({"x": 0.5}, {"y": 1.0})
    assert budget.room(s.history, 0.0).trials == 2


def test_wall_and_target() -> None:
    s = study()
    assert hpo.Budget(wall="1min").room(s.history, 59.0).trials > 0
    over = hpo.Budget(wall="1min").room(s.history, 60.0)
    assert (over.trials, over.is_final, over.reason) == (0, True, "the wall time of 1min is over")
    s.tell(s.ask(), {"y": 0.9})
    assert hpo.Budget(target=0.95).room(s.history, 0.0).trials > 0
    assert hpo.Budget(target=0.9).room(s.history, 0.0).reason == "the target of 0.9 is reached"


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("30min", 1800), ("2h", 7200), ("1h30min", 5400), ("1.5h", 5400), (12, 12)]
)
def test_lengths_of_time(text: Any, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("settings_given", "message"),
    [
        ({}, "a budget limits something"),
        ({"trials": 0}, "budget.trials: 0 is not a whole number of at least 1"),
        ({"wall": "soon"}, "budget.wall: 'soon' is no length of time"),
        ({"wall": "0s"}, "budget.wall: '0s' is no time at all"),
        ({"target": "0.9"}, "budget.target: '0.9' is not a finite number"),
        ({"target": float("nan")}, "budget.target: nan is not a finite number"),
        ({"cost": 5.0}, "budget.cost needs budget.reserve"),
        ({"trials": 3, "reserve": 1.0}, "budget.reserve and budget.cost_of go with budget.cost"),
    ],
)
def test_budgets_that_cannot_be(settings_given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match="^" + message):
        hpo.Budget(**settings_given)


def test_what_was_cancelled_after_it_ran_is_paid_for() -> None:
    s, budget = study(), hpo.Budget(cost=4.0, reserve=2.0, cost_of="price")
    s.cancel(s.ask())
    assert budget.spent(s.history) == 0.0
    s.cancel(s.ask(), seconds=0.5)
    assert budget.spent(s.history) == 2.0


def test_a_target_is_of_one_objective_also_where_a_metric_is_the_price() -> None:
    problem = hpo.Problem(
        hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Objective("z"), hpo.Tracked("price")]
    )
    with pytest.raises(SettingsError, match=r"budget\.target needs exactly one objective"):
        hpo.Budget(cost=4.0, reserve=2.0, cost_of="price", target=1.0).check(problem)


def test_a_rate_per_second_limits_the_time_of_a_trial() -> None:
    assert hpo.Budget(cost=10.0, reserve=2.0, cost_of=0.5).timeout == 4.0
