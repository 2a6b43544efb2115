"""Ranges of numbers: grids, bounds and whole numbers that survive rounding, and what can be computed with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import hpo
from hpo.errors import SpaceError
from hpo.problem.encoding import Encoder
from hpo.problem.parameters import Float, Int, Parameter
from hpo.problem.space import Space, key

Y = [hpo.Objective("y")]
STEPS = [1 / 3, 3 / 7, math.pi / 2, 2**-5, 0.1, 0.05, 1e-3, 0.7, 1e-9, 1e5, float(np.float32(0.1))]
LOWS = [0.0, 1.0, 1e6, -1e6, -0.3, 1e-8, -7.25, 1e9, 1 / 3, -1e-12]


@st.composite
def grids(draw: st.DrawFn) -> Float:
    low = draw(st.sampled_from(LOWS) | st.floats(-1e12, 1e12))
    step = draw(st.sampled_from(STEPS) | st.floats(1e-12, 1e12))
    high = low + draw(st.integers(1, 10**6)) * step + draw(st.sampled_from([0.0, 0.3])) * step
    try:
        return Float(low, high, step=step)
    except SpaceError:
        assume(False)
        raise


@given(grids(), st.data())
@settings(deadline=None)
def test_a_grid_holds_its_values_within_its_bounds(p: Float, data: st.DataObject) -> None:
    assert p.step is not None
    assert p.size is not None
    k = data.draw(st.integers(0, p.size - 1) | st.just(p.size - 1))
    value = p.nth(k)
    assert p.low <= value <= p.high
    assert p.contains(value)
    assert p.snap(value) == value == p.canonical(value) == p.value_at(p.position(value))
    assert abs(value - (p.low + k * p.step)) <= 1e-6 * p.step
    for written in (p.low + k * p.step, k * p.step + p.low, value * (1 + 1e-16)):
        assert p.contains(written)
        assert p.canonical(written) == value
        assert key({"x": p.canonical(written)}) == key({"x": value})
    if k:
        assert p.nth(k - 1) < value
    for off in (-0.5, 0.01, 0.3):
        if p.step > 1000 * math.ulp(max(abs(p.low), abs(p.high))):
            assert not p.contains(value + off * p.step)


@pytest.mark.parametrize(
    ("p", "values"),
    [
        (Float(0, 1, step=1 / 3), [0.0, 1 / 3, 2 / 3, 1.0]),
        (Float(0, math.pi, step=math.pi / 2), [0.0, math.pi / 2, math.pi]),
        (Float(0, 0.09375, step=2**-5), [0.0, 2**-5, 2**-4, 3 * 2**-5]),
        (Float(1e6, 1e6 + 0.3, step=0.1), [1000000.0, 1000000.1, 1000000.2, 1000000.3]),
        (Float(-0.3, 0.3, step=0.1), [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]),
        (Float(1e-8, 0.35, step=0.1), [1e-8, 1e-8 + 0.1, 1e-8 + 0.2, 1e-8 + 3 * 0.1]),
        (Float(0, np.float32(0.3), step=np.float32(0.1)), [0.0, 0.1, 0.2, 0.3]),  # type: ignore[arg-type]
    ],
)
def test_grids_as_they_are_written(p: Float, values: list[float]) -> None:
    assert p.values() == values
    assert [math.copysign(1, v) for v in p.values() if v == 0] == [1.0 for v in values if v == 0]
    assert all(map(p.contains, values))


def test_on_the_step_is_judged_by_the_step() -> None:
    assert Float(0, 1, step=1e-3).fault(0.4995) == "is not on the step of 0.001 from 0; the nearest is 0.5"
    far = Float(1e9, 1e9 + 1, step=1e-3)
    assert far.fault(1e9 + 0.4995) == "is not on the step of 0.001 from 1e+09; the nearest is 1000000000.5"
    assert Float(0, 1, step=0.1).canonical(np.float32(0.3)) == 0.3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Float(-1.7e308, 1.7e308), "wider than the largest 64-bit float"),
        (lambda: Int(1, 10**400), r"high=\(a whole number of 401 digits\) is not a finite number"),
        (lambda: Int(1, 10**5000), r"high=\(a whole number of 5001 digits\) is not a finite number"),
        (lambda: Int(0, 5, step=10**400), r"step=\(a whole number of 401 digits\) is not a finite number"),
        (lambda: Float(0, 1, step=10**400), r"step=\(a whole number of 401 digits\) is not a finite number"),
        (lambda: Float(0, 1, step=1e-320), "is too small to tell neighbors apart in 0..1"),
        (lambda: Float(0, 1e308, step=1), "is too small to tell neighbors apart"),
        (lambda: Float(1, 1.0000000000000002), "so close"),
        (lambda: Float(0, 1, active_if=["a"]), "active_if is a mapping like"),  # type: ignore[arg-type]
    ],
)
def test_ranges_that_cannot_be_computed_with_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        build()


@pytest.mark.parametrize(
    "p",
    [
        Float(0, 1.7e308),
        Float(-8e307, 8e307),
        Float(1e-300, 1e300, log=True),
        Float(5e-324, 1.7976931348623157e308, log=True),
        Float(0, 1e-300),
        Float(0, 1e-310, step=1e-311),
        Int(0, 10**300),
        Int(1, 10**300, log=True),
        Int(-(10**300), 10**300, step=10**299),
        Int(2**63, 2**70, log=True, step=3),
    ],
)
def test_extreme_ranges_work(p: Parameter) -> None:
    values = [p.value_at(u) for u in np.linspace(0, 1, 11)]
    assert all(map(p.contains, values))
    assert len(set(values)) == 11
    assert all(p.value_at(p.position(v)) == pytest.approx(v, rel=1e-6) for v in values)  # type: ignore[arg-type]
    space = Space({"x": p, "z": Int(0, 10**30)}, ["x + z <= 1e307"] if p.high < 1e307 else [])  # type: ignore[union-attr]
    study = hpo.open_study("s", hpo.Problem(space, Y), storage=":memory:", seed=1)
    for i in range(8):
        study.tell(study.ask(), {"y": float(i)})
    assert all(space.contains(t.params) for t in study.trials)
    encoder = Encoder(space)
    assert np.isfinite(encoder.encode([t.params for t in study.trials])).all()


def test_snapping_makes_tidy_numbers() -> None:
    assert Float(0, 1).snap(0.1 + 0.2) == 0.3
    assert Float(0, 1, step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert Float(1e-8, 1e-2, log=True).snap(1e-8 * (1 + 1e-12)) == 1e-8
    for a, b in itertools.pairwise(np.linspace(0, 1, 50)):
        assert Float(0, 1).snap(a) < Float(0, 1).snap(b)


@pytest.mark.parametrize("low", [0, -7, 10**17 + 1])
@pytest.mark.parametrize("step", [1, 2, 10, 3 * 10**11])
def test_ints_are_exact_however_large(low: int, step: int) -> None:
    p = Int(low, low + 10**9 * step, step=step)
    for k in (0, 1, 2, 3, 10**9 - 1):
        value = low + k * step
        assert p.fault(value) is None
        assert p.snap(value) == value
        for off in {step // 2, 1, step - 1} - {0, step}:
            nearest = low + step * round(Fraction(k * step + off, step))
            assert p.fault(value + off) == f"is not on the step of {step} from {low}; the nearest is {nearest}"
            assert p.snap(value + off) == nearest
    assert p.fault(p.high) is None
    assert p.fault(p.high + 1) == f"is outside [{p.low}, {p.high}]"
    assert p.snap(p.high + step) == p.high
    assert p.snap(p.low - step) == p.low


def test_each_value_of_an_int_has_an_equal_share() -> None:
    p = Int(1, 4)
    counts = [sum(p.value_at((i + 0.5) / 1000) == v for i in range(1000)) for v in p.values()]
    assert counts == [250] * 4
