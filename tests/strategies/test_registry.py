"""What is stored of a strategy, and what is refused before anything is."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo import strategies
from hpo.errors import SettingsError, StudyNotFound
from hpo.strategies import Bayesian, Grid, OneAtATime, Random, Sobol, Strategy
from hpo.strategies.registry import _BUILT_IN, from_json, to_json

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


@dataclass(frozen=True)
class Needy(Random):
    n: int


def test_a_name_that_is_no_strategy_is_a_fault_of_the_settings() -> None:
    for name in ("builtins:type", "hpo.storage.base:Lease"):
        with pytest.raises(SettingsError, match=f"'{name}' is no strategy"):
            from_json({"name": name}, trust=True)
    nothing: list[object] = [None, 1, [], {}, {"name": 1}]
    for data in nothing:
        with pytest.raises(SettingsError, match="expected a name, like"):
            from_json(data)
    with pytest.raises(SettingsError, match=r"Needy' cannot be made with {}: .*missing 1 required"):
        from_json({"name": to_json(Needy(1))["name"]}, Needy(1))
    with pytest.raises(SettingsError, match=r"^'sobl' is not known .*Did you mean 'sobol'"):
        from_json({"name": "sobl"})


MINE = """
import pathlib
from dataclasses import dataclass
from hpo.trials.suggestion import Suggestion
pathlib.Path(__file__).with_name("imported").touch()
@dataclass(frozen=True)
class Mine:
    x: float = 0.25
    def suggest(self, history, n, rng):
        return [Suggestion({"lr": self.x + 0.01 * len(history.trials), "n": 1}, {"role": "explore"})]
"""


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A storage with a study of a strategy whose module lies where it could be imported, and is not imported yet."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "hpo.db"
    study = hpo.open_study("s", PROBLEM, storage=path, seed=0, strategy=importlib.import_module("mine").Mine(0.5))
    study.tell(study.ask(), {"y": 1.0})
    study.storage.close()
    del sys.modules["mine"]
    (tmp_path / "imported").unlink()
    yield path
    sys.modules.pop("mine", None)


def test_reading_imports_nothing_that_the_storage_names(stored: Path) -> None:
    study = hpo.open_study("s", storage=stored)
    assert study.facts["strategy"] == {"name": "mine:Mine", "x": 0.5}
    assert (study.best.number, len(study.events())) == (0, 2)
    study.enqueue({"lr": 0.1, "n": 2})
    study.tell(study.ask(), {"y": 2.0})  # what waits needs no strategy
    for step in (study.ask, study.replay, lambda: study.strategy):
        with pytest.raises(SettingsError) as raised:
            step()
        assert str(raised.value) == (
            "strategy 'mine:Mine' is not installed here, and nothing is imported only because a database names it. Give "
            "it: open_study(..., strategy=Mine()), or study.strategy = 'mine:Mine' in the study file; replay takes "
            "trust=True, `hpo replay` --trust. Or install it as an entry point of the group 'hpo.strategies'. The study "
            "can be read, and results told, without it"
        )
    assert not stored.with_name("imported").exists()
    assert study.replay(trust=True).is_identical
    assert stored.with_name("imported").exists()
    study.storage.close()


def test_a_strategy_that_is_given_suggests_and_replays(stored: Path) -> None:
    mine = importlib.import_module("mine").Mine
    study = hpo.open_study("s", storage=stored, strategy=mine(0.1))
    assert study.ask().params["lr"] == 0.11
    assert study.replay().n_checked == 2
    assert study.replay().is_identical
    study.storage.close()


def test_an_installed_strategy_is_found(stored: Path) -> None:
    folder = stored.with_name("mine-1.0.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[hpo.strategies]\nmine = mine:Mine\n")
    study = hpo.open_study("s", storage=stored)
    assert study.replay().is_identical
    assert study.ask().params["lr"] == 0.51
    assert type(from_json({"name": "mine"})).__name__ == "Mine"
    study.storage.close()


def test_another_strategy_suggests_while_the_stored_one_stays() -> None:
    study = hpo.open_study("s", PROBLEM, storage=":memory:", seed=0, strategy=Sobol())
    other = hpo.open_study("s", storage=study.storage, strategy=Random())
    assert other.ask().why["how"] == "drawn at random"
    again = hpo.open_study("s", storage=study.storage)
    assert again.facts["strategy"] == {"name": "sobol"}
    assert again.ask().why["how"] == "next point of the Sobol sequence"


def test_every_strategy_of_the_room_has_a_name_here() -> None:
    offered = [getattr(strategies, name) for name in strategies.__all__ if name not in ("Strategy", "Suggestion")]
    assert sorted(_BUILT_IN.values()) == sorted(f"{cls.__module__}:{cls.__qualname__}" for cls in offered)
