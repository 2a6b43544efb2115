"""A Measurement acts as its value, and is equal as a value is."""

from __future__ import annotations

import fractions
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.problem.measurement import Measurement

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ARITHMETIC = (operator.add, operator.sub, operator.mul)
ORDER = (operator.lt, operator.le, operator.gt, operator.ge)


@given(FINITE, FINITE, st.sampled_from([None, 0.0, 0.5]))
def test_it_computes_and_compares_as_its_value(a: float, b: float, sem: float | None) -> None:
    m = Measurement(a, sem)
    for operation in (*ARITHMETIC, *ORDER):
        wanted = operation(a, b)
        for found in (operation(m, b), operation(a, Measurement(b)), operation(m, Measurement(b, 0.1))):
            assert found == wanted
            assert type(found) is type(wanted)
    assert (float(m), abs(m), -m, round(m, 2)) == (a, abs(a), -a, round(a, 2))
    assert (int(m), bool(m), +m, math.floor(m), math.ceil(m), math.trunc(m)) == (
        *(int(a), bool(a), a),
        *(math.floor(a), math.ceil(a), math.trunc(a)),
    )


def test_division_from_both_sides() -> None:
    assert (Measurement(1.0) / 4, 1 / Measurement(4.0), Measurement(1.0) / Measurement(4.0)) == (0.25, 0.25, 0.25)


def test_whole_division_and_powers_from_both_sides() -> None:
    m = Measurement(7.0, 0.5)
    assert (m // 2, m % 2, divmod(m, 2), m**2) == (3.0, 1.0, (3.0, 1.0), 49.0)
    assert (15 // m, 15 % m, divmod(15, m), 2**m) == (2.0, 1.0, (2.0, 1.0), 128.0)


def test_numpy_and_the_standard_library_take_it_for_a_number() -> None:
    both = [Measurement(0.25), Measurement(0.75, 0.1)]
    assert np.mean(cast(Any, both)) == 0.5
    assert np.array(both, dtype=float).tolist() == [0.25, 0.75]
    assert (sum(both), max(both), sorted(both)[0], math.sqrt(both[0])) == (1.0, both[1], both[0], 0.5)
    assert np.array(both).dtype == (np.array([1.0]) + both[0]).dtype == np.float64
    assert [float(f(both[0])) for f in (np.sqrt, np.isfinite, np.negative)] == [0.5, 1.0, -0.25]
    assert np.float64(1) - both[0] == 0.75
    assert np.float64(0.5) > both[0]
    assert both[0] < np.float32(0.5)
    assert both[0] == fractions.Fraction(1, 4)


@pytest.mark.parametrize(
    ("m", "plain", "fixed", "shown"),
    [
        (Measurement(0.93), "0.93", "0.930", "Measurement(value=0.93, sem=None)"),
        (Measurement(0.93, 0.01), "0.93 ± 0.01", "0.930", "Measurement(value=0.93, sem=0.01)"),
        (Measurement(0.93, 0.0), "0.93", "0.930", "Measurement(value=0.93, sem=0.0)"),
    ],
)
def test_it_prints_as_its_value(m: Measurement, plain: str, fixed: str, shown: str) -> None:
    assert (str(m), f"{m}", f"{m:.3f}", repr(m)) == (plain, plain, fixed, shown)


@given(FINITE, FINITE, st.sampled_from([None, 0.0, 0.5]), st.sampled_from([None, 0.0, 0.5]))
def test_equality_is_a_law_and_agrees_with_the_hash(a: float, b: float, s: float | None, t: float | None) -> None:
    values: list[Any] = [Measurement(a, s), Measurement(b, t), Measurement(a), a, b]
    for x in values:
        for y in values:
            assert (x == y) == (y == x)
            assert x != y or hash(x) == hash(y)
            for z in values:
                assert not (x == y and y == z) or x == z
    assert (Measurement(a, s) == Measurement(b, t)) == ((a, s) == (b, t))
    assert (Measurement(a, s) == a) == (s is None)


@pytest.mark.parametrize("operation", [*ARITHMETIC, *ORDER, operator.truediv], ids=lambda f: f.__name__)
def test_what_is_no_number_is_refused(operation: Callable[[Any, Any], Any]) -> None:
    for other in ("1", None, [1.0], 1j):
        if operation in ORDER or not isinstance(other, complex):
            with pytest.raises(TypeError):
                operation(Measurement(1.0), other)
    assert Measurement(1.0) != "1"


def test_it_is_a_frozen_value_that_can_be_sent() -> None:
    m = Measurement(0.5, 0.1)
    assert pickle.loads(pickle.dumps(m)) == m
    with pytest.raises(AttributeError):
        m.value = 1.0  # type: ignore[misc]
