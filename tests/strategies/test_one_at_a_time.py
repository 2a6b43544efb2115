"""OneAtATime keeps the contract, and goes the way that people go by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

import hpo
from hpo.errors import SettingsError
from hpo.problem.space import Space
from hpo.strategies import OneAtATime, Strategy
from hpo.testing.strategies import StrategyContract

SQUARE = Space({"a": hpo.Float(0, 1), "b": hpo.Float(0, 1)})


class TestOneAtATime(StrategyContract):
    covers: ClassVar[bool] = False

    def make(self) -> Strategy:
        return OneAtATime(values=3)


def opened(values: int, space: Space = SQUARE, *metrics: Any) -> hpo.Study:
    problem = hpo.Problem(space, metrics or [hpo.Objective("y")])
    return hpo.open_study("oat", problem, storage=":memory:", seed=0, strategy=OneAtATime(values))


def run(study: hpo.Study, n: int, measure: Callable[[Mapping[str, Any]], dict[str, float]]) -> list[dict[str, Any]]:
    """The params of `n` trials, asked for one by one."""
    for _ in range(n):
        trial = study.ask()
        study.tell(trial, measure(trial.params))
    return [dict(t.params) for t in study.trials]


def test_it_begins_with_the_configuration_in_production_and_says_what_it_sweeps() -> None:
    study = opened(2, Space({"a": hpo.Float(0, 1, default=0.3), "b": hpo.Int(1, 9, default=4)}))
    first, *others = study.ask(5)
    assert first.params == {"a": 0.3, "b": 4}
    assert first.why == {"role": "initial", "how": "the configuration in production"}
    assert [t.why["how"] for t in others] == ["sweeping a"] * 2 + ["sweeping b"] * 2
    assert {t.why["role"] for t in others} == {"explore"}
    assert [dict(t.params) for t in others] == [
        {"a": 0.25, "b": 4},
        {"a": 0.75, "b": 4},
        {"a": 0.3, "b": 3},
        {"a": 0.3, "b": 7},
    ]


def test_the_second_round_tries_values_between_those_of_the_first() -> None:
    params = run(opened(4, Space({"a": hpo.Float(0, 1)})), 9, lambda p: {"y": p["a"]})
    first, second = [p["a"] for p in params[1:5]], sorted(p["a"] for p in params[5:])
    assert first == [0.125, 0.375, 0.625, 0.875]
    wanted = sorted((x + 0.6180339887498949 / 4) % 1.0 for x in first)
    assert second == pytest.approx(wanted)


def test_a_smaller_value_is_better_where_that_is_the_goal() -> None:
    study = opened(4, SQUARE, hpo.Objective("y", goal="minimize"))
    params = run(study, 9, lambda p: {"y": p["a"] + p["b"]})
    assert {p["a"] for p in params[5:9]} == {0.125}


def test_feasible_comes_before_better_and_near_before_far() -> None:
    """Where nothing is feasible it keeps the one that misses by least, and no value outweighs that."""
    study = opened(4, SQUARE, hpo.Objective("y"), hpo.Constraint("c", upper=0.2))
    params = run(study, 9, lambda p: {"y": p["a"], "c": p["a"]})
    assert {p["a"] for p in params[5:9]} == {0.125}, "the only feasible one is the worst"
    study = opened(4, SQUARE, hpo.Objective("y"), hpo.Constraint("c", upper=0.1))
    params = run(study, 9, lambda p: {"y": p["a"], "c": p["a"]})
    assert {p["a"] for p in params[5:9]} == {0.125}, "none is feasible, and this is nearest"


def test_what_is_in_flight_is_not_waited_for() -> None:
    study = opened(4)
    study.ask(5)
    study.tell(3, {"y": 1.0})
    assert {t.params["a"] for t in study.ask(4)} == {study.trials[3].params["a"]}


def test_a_result_that_is_set_aside_is_not_followed() -> None:
    study = opened(4, SQUARE, hpo.Objective("y", range=(0.0, 1.0)))
    run(study, 5, lambda p: {"y": 1e6 if p["a"] == 0.375 else p["a"]})
    assert [t.set_aside for t in study.trials].count("range") == 1
    assert {t.params["a"] for t in study.ask(4)} == {0.875}


def test_forbidden_and_inactive_values_are_passed_over() -> None:
    space = Space({"a": hpo.Float(0, 1), "b": hpo.Float(0, 1)}, constraints=["a + b <= 0.8"])
    params = run(opened(4, space), 12, lambda p: {"y": p["a"] + p["b"]})
    assert all(space.contains(p) for p in params)
    kinds = Space({"kind": hpo.Categorical(["u", "v"], default="u"), "c": hpo.Int(1, 9, active_if={"kind": ["v"]})})
    params = run(opened(3, kinds), 4, lambda p: {"y": float(p["kind"] == "v")})
    assert params[0] == {"kind": "u"}
    assert {p["kind"] for p in params[1:]} == {"v"}


def test_it_ends_where_it_can_reach_nothing_new() -> None:
    study = opened(3, Space({"n": hpo.Int(1, 3)}))
    assert sorted(t.params["n"] for t in study.ask(9)) == [1, 2, 3]
    with pytest.raises(hpo.SpaceExhausted, match=r"^one-at-a-time tuning has tried every value it can reach$"):
        study.ask()


def test_one_at_a_time_keeps_the_best_of_each_sweep() -> None:
    space = Space({"a": hpo.Float(0, 1), "b": hpo.Float(0, 1)})
    study = hpo.open_study(
        "oat", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=0, strategy=OneAtATime(5)
    )
    for _ in range(10):
        trial = study.ask()
        study.tell(trial, {"y": -((trial.params["a"] - 0.7) ** 2) - (trial.params["b"] - 0.1) ** 2})
    params = [t.params for t in study.trials]
    assert params[0] == {"a": 0.5, "b": 0.5}
    assert {p["b"] for p in params[:5]} == {0.5}, "the first sweep moves a alone"
    assert {p["a"] for p in params[5:9]} == {0.7}, "the second keeps the best a"
    assert study.best.params == {"a": 0.7, "b": 0.1}


def test_one_at_a_time_tries_at_least_one_value() -> None:
    with pytest.raises(SettingsError, match=r"^values=0 is not a whole number of at least 1$"):
        OneAtATime(0)
