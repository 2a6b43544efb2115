"""open_study: everyday mistakes are named, and create nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import SettingsError, StudyNotFound
from hpo.strategies import Random

SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0)})
PROBLEM = hpo.Problem(SPACE, [hpo.Objective("y")])


@pytest.mark.parametrize("seed", ["42", "abc", 1.5, 1.0, -1, True, np.bool_(True), np.float64(1.0), np.int64(-1), [1]])
def test_a_seed_is_a_whole_number(seed: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        hpo.open_study("s", PROBLEM, storage=tmp_path / "hpo.db", seed=seed)
    assert str(caught.value) == (
        f"seed={seed!r} is not a whole number of at least 0, like seed=42; leave it out to draw one"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", [0, 7, 2**70, np.int64(7), np.uint8(7)])
def test_seeds_are_kept_as_ints(seed: Any, tmp_path: Path) -> None:
    study = hpo.open_study("s", PROBLEM, storage=tmp_path / "hpo.db", seed=seed)
    assert study.seed == seed
    assert type(study.seed) is int
    assert hpo.open_study("s", PROBLEM, storage=tmp_path / "hpo.db", seed=seed).seed == seed


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (SPACE, "study 's' needs a Problem, got a Space; make one of it: Problem(space, [Objective(...)])"),
        ({"x": 1}, "study 's' needs a Problem, got a dict"),
        (hpo.Problem, "study 's' needs a Problem, got a type"),
    ],
)
def test_a_study_needs_a_problem(problem: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        hpo.open_study("s", problem, storage=tmp_path / "hpo.db")
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_strategy_is_no_class(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^strategy=Random is a class; give Random\(\), an instance$"):
        hpo.open_study("s", PROBLEM, storage=tmp_path / "hpo.db", strategy=Random)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_is_none() -> None:
    with pytest.raises(SettingsError) as caught:
        hpo.open_study("s", PROBLEM, storage=None)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "storage=None is no storage (is an environment variable not set?); give a file, "
        '":memory:", a database URL or a Storage'
    )


def test_a_file_that_is_not_there_is_not_made_to_be_looked_into(tmp_path: Path) -> None:
    file = tmp_path / "typo.db"
    with pytest.raises(
        StudyNotFound, match=r"^no study 's': there is no file .*typo\.db; give a problem to create both$"
    ):
        hpo.open_study("s", storage=file)
    assert list(tmp_path.iterdir()) == []
