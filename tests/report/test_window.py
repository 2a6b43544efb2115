"""What lies far out is left out of the charts, and said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.problem.metrics import Constraint
from hpo.report.window import LARGEST, Window, window

LATENCY = Constraint("latency_ms", upper=15, unit="ms")


def test_penalties_are_outside_and_counted() -> None:
    found = window(np.array([1.0, 2.0, 3.0, 2.5, 1e6, 1e6, -1e9]))
    assert found == Window(1.0, 3.0, 1, 2)
    assert found.words(LATENCY) == "Of latency_ms, 1 point below 1 ms and 2 points above 3 ms are not shown."
    assert np.array_equal(found.inside(np.array([2.0, 1e6, np.nan])), [2.0, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize("values", [[], [np.nan], [5.0], [1.0, 1.0, 1.0, 9.0], [0.1, 0.2, 0.9], list(range(100))])
def test_usual_values_are_all_shown(values: list[float]) -> None:
    found = window(np.array(values, dtype=float))
    assert found.words(LATENCY) == ""
    assert np.array_equal(found.inside(np.array(values, dtype=float)), np.array(values, dtype=float), equal_nan=True)


def test_what_must_be_seen_is_inside() -> None:
    assert window(np.array([1.0, 2.0, 3.0, 900.0]), keep=[900.0, 1e308]) == Window(1.0, 900.0)


def test_where_everything_is_beyond_any_axis_nothing_is_shown() -> None:
    found = window(np.array([1.7e308, -1.7e308, 1e308]))
    assert found.words(LATENCY) == "Of latency_ms, 1 point below -1e+300 ms and 2 points above 1e+300 ms are not shown."


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_every_value_is_shown_or_counted(values: list[float]) -> None:
    y = np.array(values, dtype=float)
    found = window(y)
    n_shown = int(np.isfinite(found.inside(y)).sum())
    assert n_shown + found.n_below + found.n_above == len(values)
    assert abs(found.low) <= LARGEST
    assert abs(found.high) <= LARGEST
    assert n_shown > 0 or not any(abs(value) <= LARGEST for value in values)
