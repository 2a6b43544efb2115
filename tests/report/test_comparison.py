from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import SettingsError
from hpo.problem.metrics import Objective
from hpo.report import Comparison, Contender
from tests.report.results import history


def test_a_comparison_takes_medians_with_none_as_worst() -> None:
    good, bad = history("maximize", (0.5, 1.0), (0.8, 1.0)), history("maximize", (0.9, 99.0), (0.9, 99.0))
    compared = Comparison.of({"joint": {1: good, 2: good, 3: bad}, "grid": {1: bad, 2: bad, 3: good}})
    assert compared.header() == ["strategy", "training runs", "median accuracy", "seed 1", "seed 2", "seed 3"]
    assert compared.rows() == [
        ["joint", "2", "0.8", "0.8", "0.8", "none feasible"],
        ["grid", "2", "none feasible", "none feasible", "none feasible", "0.8"],
    ]
    assert compared.median_curve(compared.contenders[0]) == (0.5, 0.8)
    assert compared.median_curve(compared.contenders[1]) == (None, None)
    assert "over 3 seeds, 0.8, comes from joint;" in compared.sentence()


def test_a_smaller_objective_is_better_where_it_is_minimized() -> None:
    curves = {"a": (0.5, 0.3), "b": (0.4, 0.4)}
    compared = Comparison(Objective("loss", "minimize"), [Contender(n, {7: c}) for n, c in curves.items()])
    assert "over 1 seed, 0.3, comes from a;" in compared.sentence()
    assert compared.median([0.1, None]) is None
    assert compared.median([]) is None


def test_an_empty_comparison_is_refused() -> None:
    with pytest.raises(SettingsError, match="one and the same objective, got 0"):
        Comparison.of({})


OUTCOMES = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=7)


@given(OUTCOMES, st.sampled_from(["maximize", "minimize"]))
def test_a_median_counts_a_seed_without_a_feasible_trial_as_the_worst(values: list[float | None], goal: Any) -> None:
    """With an odd number of seeds it is the middle of them, sorted from the best, those without anything last."""
    found = Comparison(Objective("y", goal), []).median(values)
    reached = sorted((value for value in values if value is not None), reverse=goal == "maximize")
    ranked = [*reached, *[None] * (len(values) - len(reached))]
    middle = ranked[(len(values) - 1) // 2 : len(values) // 2 + 1]
    if None in middle:
        assert found is None
    else:
        assert found == pytest.approx(np.mean(np.array(middle, dtype=float)))


def test_a_seed_that_ended_early_keeps_its_last_value() -> None:
    contender = Contender("a", {0: (0.1, 0.2, 0.9), 1: (0.3,), 2: (None, 0.4), 3: ()})
    assert contender.training_runs == 3
    assert contender.best == {0: 0.9, 1: 0.3, 2: 0.4, 3: None}
    assert Comparison(Objective("y"), [contender]).median_curve(contender) == (0.1, 0.3, 0.4)
    nobody = Contender("nobody", {})
    assert (nobody.training_runs, nobody.best) == (0, {})


def test_seeds_are_those_of_all_strategies_in_order() -> None:
    compared = Comparison(
        Objective("y", unit="kB"), [Contender("a", {3: (1.0,), 1: (2.0,)}), Contender("b", {2: (3.0,)})]
    )
    assert compared.seeds == (1, 2, 3)
    assert compared.rows() == [
        ["a", "1", "1.5 kB", "2 kB", "none feasible", "1 kB"],
        ["b", "1", "3 kB", "none feasible", "3 kB", "none feasible"],
    ]


def test_those_that_end_level_are_named_together() -> None:
    level = Comparison(
        Objective("y"), [Contender(name, {0: (value,)}) for name, value in (("a", 2.0), ("b", 1.0), ("c", 2.0))]
    )
    assert level.sentence() == (
        "The best median of y over 1 seed, 2, comes from a and c; thick lines are medians, thin lines single seeds."
    )
    nothing = Comparison(Objective("y"), [Contender("a", {0: (None,)})])
    assert nothing.sentence() == "No strategy met every limit on its middle seed."


def test_histories_of_two_objectives_are_not_compared() -> None:
    one, other = history("maximize", (0.5, 1.0)), history("minimize", (0.5, 1.0))
    with pytest.raises(SettingsError, match="needs studies of one and the same objective, got 2"):
        Comparison.of({"a": {0: one}, "b": {0: other}})
