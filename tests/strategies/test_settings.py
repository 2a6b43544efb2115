"""What is stored of a strategy, and what is refused before anything is."""

from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import SettingsError, StudyNotFound
from hpo.strategies import Bayesian, Grid, OneAtATime, Random, Sobol, Strategy
from hpo.strategies.settings import from_json, to_json

PROBLEM = hpo.Problem(hpo.Space({"lr": hpo.Float(0, 1), "n": hpo.Int(1, 9)}), [hpo.Objective("y")])


@pytest.mark.parametrize(
    "strategy",
    [Bayesian(n_initial=4), Grid(levels={"lr": 3}), Grid(budget=7), OneAtATime(3), Random(), Sobol()],
    ids=repr,
)
def test_what_is_stored_is_read_again(strategy: Strategy) -> None:
    assert from_json(to_json(strategy)) == strategy


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (Random, "strategy=Random is a class; give Random(), an instance"),
        ("random", "strategy='random' is text; give an instance, like hpo.strategies.Random()"),
        ("tpe", "strategy='tpe' is text; give an instance, like hpo.strategies.Bayesian()"),
        (object(), "a strategy is a frozen dataclass, so that its settings can be stored; object is not"),
    ],
)
def test_what_is_no_strategy_is_refused_before_anything_is_stored(strategy: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        hpo.open_study("s", PROBLEM, storage=tmp_path / "hpo.db", strategy=strategy)
    assert str(raised.value) == message
    with pytest.raises(StudyNotFound):
        hpo.open_study("s", storage=tmp_path / "hpo.db")


def test_a_stored_name_that_is_no_strategy_is_a_fault_of_the_settings() -> None:
    with pytest.raises(SettingsError, match="'builtins:type' is no strategy"):
        from_json({"name": "builtins:type"})


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


def test_one_at_a_time_tries_at_least_one_value() -> None:
    with pytest.raises(SettingsError, match=r"^values=0 is not a whole number of at least 1$"):
        OneAtATime(0)


def test_a_grid_of_parameters_that_the_space_does_not_have_is_refused() -> None:
    study = hpo.open_study("g", PROBLEM, storage=":memory:", seed=0, strategy=Grid(levels={"lrr": 3}))
    with pytest.raises(SettingsError) as raised:
        study.ask()
    assert (
        str(raised.value)
        == "the levels of the Grid name 'lrr', which is no parameter (have: lr, n). Did you mean 'lr'?"
    )
    assert not study.trials


def test_another_strategy_suggests_while_the_stored_one_stays() -> None:
    study = hpo.open_study("s", PROBLEM, storage=":memory:", seed=0, strategy=Sobol())
    other = hpo.open_study("s", storage=study.storage, strategy=Random())
    assert other.ask().why["how"] == "drawn at random"
    again = hpo.open_study("s", storage=study.storage)
    assert again.facts["strategy"] == {"name": "sobol"}
    assert again.ask().why["how"] == "next point of the Sobol sequence"
