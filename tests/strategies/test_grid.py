"""Grid keeps the contract, and goes through its points in order."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.errors import SettingsError, SpaceExhausted
from hpo.problem.space import Space
from hpo.strategies import Grid, OneAtATime, Strategy
from hpo.strategies.grid import at_least_one, spread
from hpo.testing.strategies import StrategyContract
from tests.random_spaces import spaces

PROBLEM = hpo.Problem(hpo.Space({"lr": hpo.Float(0, 1), "n": hpo.Int(1, 9)}), [hpo.Objective("y")])


class TestGrid(StrategyContract):
    covers: ClassVar[bool] = False

    def make(self) -> Strategy:
        return Grid(budget=40)


class TestGridOfLevels(StrategyContract):
    covers: ClassVar[bool] = False

    def make(self) -> Strategy:
        return Grid(levels=4)


def opened(strategy: Strategy, problem: hpo.Problem = PROBLEM) -> hpo.Study:
    return hpo.open_study("g", problem, storage=":memory:", seed=0, strategy=strategy)


def test_the_last_parameter_moves_fastest_and_the_grid_ends() -> None:
    study = opened(Grid(levels={"lr": 2, "n": 3}))
    assert [tuple(t.params.values()) for t in study.ask(4)] == [(0.25, 2), (0.25, 5), (0.25, 8), (0.75, 2)]
    assert len(study.ask(9)) == 2
    assert study.trials[0].why == {"role": "explore", "how": "next point of the grid"}
    with pytest.raises(SpaceExhausted, match=r"^the grid of 2 x 3 has been tried$"):
        study.ask()


def test_what_is_not_named_stays_in_production() -> None:
    space = Space({"lr": hpo.Float(0, 1), "n": hpo.Int(1, 9, default=2)})
    assert list(Grid(levels={"lr": 2}).points(space)) == [{"lr": 0.25, "n": 2}, {"lr": 0.75, "n": 2}]


def test_points_that_a_constraint_forbids_are_left_out() -> None:
    space = Space({"a": hpo.Float(0, 1), "b": hpo.Float(0, 1)}, constraints=["a + b <= 1"])
    assert list(Grid(levels=2).points(space)) == [
        {"a": 0.25, "b": 0.25},
        {"a": 0.25, "b": 0.75},
        {"a": 0.75, "b": 0.25},
    ]


@given(space=spaces(constrained=False, most=4), budget=st.integers(1, 60))
def test_no_larger_grid_of_a_budget_is_possible(space: Space, budget: int) -> None:
    levels = Grid(budget=budget).levels_of(space)
    sizes = {name: p.size or math.inf for name, p in space.parameters.items()}
    assert math.prod(levels.values()) <= budget
    assert all(1 <= levels[name] <= sizes[name] for name in space.names)
    for name in space.names:
        grown = math.prod({**levels, name: levels[name] + 1}.values())
        assert grown > budget or levels[name] == sizes[name]


@given(k=st.integers(1, 12), shift=st.floats(0.0, 100.0))
def test_values_lie_at_the_middles_of_equal_cells(k: int, shift: float) -> None:
    values = [float(v) for v in spread(hpo.Float(0.0, 1.0), k, shift=shift)]  # type: ignore[arg-type]
    assert len(values) == k
    apart = [(b - a) % 1.0 for a, b in zip(values, [*values[1:], values[0]], strict=True)]
    assert apart == pytest.approx([1.0 / k if k > 1 else 0.0] * k, abs=1e-6)
    assert spread(hpo.Float(0.0, 1.0), 4) == [0.125, 0.375, 0.625, 0.875]


def test_a_single_value_is_the_one_in_production() -> None:
    assert spread(hpo.Int(1, 9), 1, middle=2) == [2]
    assert spread(hpo.Int(1, 9), 1) == [5]
    assert spread(hpo.Int(1, 9), 2, middle=2) == [3, 7]


def test_a_choice_is_shown_once() -> None:
    assert spread(hpo.Categorical(["x", "y"]), 5) == ["x", "y"]


@pytest.mark.parametrize("given", [{}, {"levels": 3, "budget": 30}])
def test_a_grid_takes_one_of_two(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as raised:
        Grid(**given)
    assert str(raised.value) == "a Grid takes either levels or budget, like Grid(levels=3) or Grid(budget=30)"


def test_a_number_of_another_library_is_a_whole_number() -> None:
    import numpy as np

    assert at_least_one("levels", np.int64(1)) == 1
    assert type(Grid(budget=np.int64(7)).budget) is int  # type: ignore[arg-type]


def test_the_grid_fills_its_budget_evenly() -> None:
    space = Space({"a": hpo.Float(0, 1), "b": hpo.Int(1, 2), "c": hpo.Categorical(["x", "y", "z"])})
    assert Grid(budget=30).levels_of(space) == {"a": 5, "b": 2, "c": 3}
    assert Grid(levels={"a": 4}).levels_of(space) == {"a": 4, "b": 1, "c": 1}
    points = list(Grid(levels=2).points(space))
    assert len(points) == 8
    assert sorted({p["a"] for p in points}) == [0.25, 0.75]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"levels": 0}, "levels=0"),
        ({"levels": 2.5}, "levels=2.5"),
        ({"levels": {"lr": 3, "n": -2}}, "levels['n']=-2"),
        ({"budget": 0}, "budget=0"),
    ],
)
def test_a_grid_has_at_least_one_level(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Grid(**settings)
    assert str(raised.value) == f"{what} is not a whole number of at least 1"


def test_values_in_place_of_their_number_are_told_where_they_belong() -> None:
    words = r"it says how many values. The values themselves belong into the space"
    with pytest.raises(SettingsError, match=words):
        Grid(levels={"C": [0.1, 1, 10]})  # type: ignore[dict-item]
    with pytest.raises(SettingsError, match=words):
        OneAtATime([1, 2])  # type: ignore[arg-type]


def test_a_grid_of_parameters_that_the_space_does_not_have_is_refused() -> None:
    study = hpo.open_study("g", PROBLEM, storage=":memory:", seed=0, strategy=Grid(levels={"lrr": 3}))
    with pytest.raises(SettingsError) as raised:
        study.ask()
    assert (
        str(raised.value)
        == "the levels of the Grid name 'lrr', which is no parameter (have: lr, n). Did you mean 'lr'?"
    )
    assert not study.trials
