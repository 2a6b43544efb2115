from __future__ import annotations

import pytest

from hpo.errors import SettingsError
from hpo.problem.metrics import Objective
from hpo.report import Comparison, Contender
from tests.report.results import history


def test_a_comparison_takes_medians_with_none_as_worst() -> None:
    good, bad = history("maximize", (0.5, 1.0), (0.8, 1.0)), history("maximize", (0.9, 99.0), (0.9, 99.0))
    compared = Comparison.of({"joint": {1: good, 2: good, 3: bad}, "grid": {1: bad, 2: bad, 3: good}})
    assert compared.header() == ["strategy", "trainings", "median accuracy", "seed 1", "seed 2", "seed 3"]
    assert compared.rows() == [
        ["joint", "2", "0.8", "0.8", "0.8", "none feasible"],
        ["grid", "2", "none feasible", "none feasible", "none feasible", "0.8"],
    ]
    assert compared.median_curve(compared.contenders[0]) == (0.5, 0.8)
    assert compared.median_curve(compared.contenders[1]) == (None, None)
    assert "over 3 seeds, 0.8, comes from joint;" in compared.sentence()


def test_a_smaller_objective_is_better_where_it_is_minimised() -> None:
    curves = {"a": (0.5, 0.3), "b": (0.4, 0.4)}
    compared = Comparison(Objective("loss", "minimize"), [Contender(n, {7: c}) for n, c in curves.items()])
    assert "over 1 seed, 0.3, comes from a;" in compared.sentence()
    assert compared.median([0.1, None]) is None
    assert compared.median([]) is None


def test_an_empty_comparison_is_refused() -> None:
    with pytest.raises(SettingsError, match="one and the same objective, got 0"):
        Comparison.of({})
