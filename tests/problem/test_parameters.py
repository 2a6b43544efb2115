"""Parameters: which values they hold, and in which form."""

from __future__ import annotations

import copy
import dataclasses
import enum
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.errors import ParamsError, SpaceError
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.space import Space, key
from tests.random_spaces import parameters

Y = [hpo.Objective("y")]


@pytest.mark.parametrize(
    ("p", "given", "held"),
    [
        (Float(0, 1), 1.0000000000000002, 1.0),
        (Float(0, 1), -1e-17, 0.0),
        (Float(1e-5, 0.1, log=True), math.exp(math.log(0.1)), 0.1),
        (Float(1e-5, 0.1, log=True), math.nextafter(1e-5, 0), 1e-5),
        (Float(1e-5, 0.1), np.float32(0.1), 0.1),
        (Float(0.1, 0.3), 0.1 + 0.2, 0.3),
        (Float(0, 1, step=0.25), math.nextafter(1, 2), 1.0),
        (Float(-1, 1), -0.0, 0.0),
        (Int(0, 5), -0.0, 0),
        (Int(1, 5), 3.0, 3),
        (Int(1, 5), np.float64(3), 3),
        (Int(1, 5), np.float32(3), 3),
        (Int(0, 2**70), float(2**60), 2**60),
        (Categorical([1, 2, 3]), 3.0, 3),
        (Categorical([1, 2, True]), np.float64(1), 1),
        (Categorical([0.0, 1.5]), -0.0, 0.0),
        (Categorical([0.0, 1.5]), 0, 0.0),
    ],
)
def test_rounding_and_types_do_not_make_another_configuration(p: Parameter, given: Any, held: Any) -> None:
    space = Space({"x": p})
    (value,) = space.canonical({"x": given}).values()
    assert value == held
    assert repr(value) == repr(held)
    assert space.canonical({"x": value}) == {"x": value}
    assert key({"x": value}) == key({"x": held})


@pytest.mark.parametrize(
    ("p", "given", "fault"),
    [
        (Float(0, 1), 1.000001, "is outside [0, 1]"),
        (Float(1e-8, 1, log=True), 0.99e-8, "is outside [1e-08, 1]"),
        (Float(1e6, 1e6 + 1), 1e6 - 1e-3, "is outside [1e+06, 1000001.0]"),
        (Int(1, 5), 3.5, "is not a whole number"),
        (Int(1, 5), 2.9999999999999996, "is not a whole number"),
        (Int(0, 5), True, "is not a whole number"),
        (Int(0, 5), float("nan"), "is not a whole number"),
        (Int(0, 5), 1e300, "is outside [0, 5]"),
        (Categorical([1, 2]), True, "is not one of 1, 2"),
        (Categorical([1, 2]), [1], "is not one of 1, 2"),
        (Categorical([True]), 1.0, "is not one of True"),
    ],
)
def test_more_than_rounding_is_refused(p: Parameter, given: Any, fault: str) -> None:
    assert p.fault(given) == fault


def test_whole_numbers_as_a_data_frame_with_gaps_gives_them() -> None:
    problem = hpo.Problem(Space({"n": Int(1.0, 5.0, default=3.0)}), Y)  # type: ignore[arg-type]
    study = hpo.open_study("s", problem, storage=":memory:", seed=1)
    for trial in (study.ask(), study.enqueue({"n": np.float64(2)}), study.add({"n": 4.0}, {"y": 1.0})):
        assert type(trial.params["n"]) is int
    assert repr(problem.space["n"]).startswith("Int(1, 5")


def test_minus_zero_is_zero() -> None:
    assert repr(Float(-0.0, 1)) == repr(Float(0.0, 1))
    assert repr(Categorical([-0.0, 1.0])) == repr(Categorical([0.0, 1.0]))
    assert key({"x": -0.0}) == key({"x": 0.0})
    assert repr(Float(-1, 1).snap(-1e-12)) == "0.0"
    with pytest.raises(SpaceError, match=r"choice 0\.0 is given twice"):
        Categorical([0.0, -0.0])


@pytest.mark.parametrize("bad", ["a\0b", "\x1b[31m", "\x85", "\ud800"])
def test_choices_are_free_of_control_characters_and_surrogates(bad: str) -> None:
    message = "which is not visible; use visible characters"
    with pytest.raises(SpaceError, match=message):
        Categorical(["a", bad])
    with pytest.raises(SpaceError, match=message):
        Space({bad: Float(0, 1)})
    assert Categorical(["naïve", "日本", "👩‍🔬", "a b"]).size == 4


def test_choices_of_an_enum_are_its_values() -> None:
    class Color(enum.StrEnum):
        RED = "red"

    p = Categorical([Color.RED, "blue"])
    assert [type(c) for c in p.choices] == [str, str]
    assert p.canonical(Color.RED) == "red"
    with pytest.raises(ParamsError, match="is not one of 'red', 'blue'"):
        p.index("green")


@pytest.mark.parametrize(
    "p", [Float(0, 1, active_if={"a": [1, True]}), Int(1, 9, default=3), Categorical([None, "a"], active_if={"n": [2]})]
)
def test_parameters_cannot_be_changed_and_have_a_hash(p: Parameter) -> None:
    for again in (copy.deepcopy(p), pickle.loads(pickle.dumps(p)), dataclasses.replace(p)):
        assert again == p
        assert hash(again) == hash(p)
    with pytest.raises(TypeError, match="cannot be changed"):
        p.active_if["b"] = [1]  # type: ignore[index]
    if isinstance(p, Categorical):
        assert isinstance(p.choices, tuple)


def test_choices_may_have_lines() -> None:
    prompt = "Summarize:\n\t{text}"
    assert Categorical([prompt, "short"]).contains(prompt)
    with pytest.raises(SpaceError, match="on one line"):
        Space({"a\nb": Float(0, 1)})


@given(parameters(), st.floats(0, 1))
def test_value_at_is_inside_and_position_undoes_it(parameter: Float | Int | Categorical, u: float) -> None:
    value = parameter.value_at(u)
    assert parameter.contains(value)
    position = parameter.position(value)  # type: ignore[arg-type]
    assert 0.0 <= position <= 1.0
    again = parameter.value_at(position)
    if isinstance(parameter, Float) and parameter.step is None:
        assert again == pytest.approx(value, rel=1e-6, abs=1e-6)
    else:
        assert again == value
        assert type(again) is type(value)


@given(parameters())
def test_values_of_a_finite_parameter_are_all_its_values(parameter: Float | Int | Categorical) -> None:
    if parameter.size is None:
        return
    values = parameter.values()
    assert len(values) == parameter.size == len({(repr(v)) for v in values})
    assert all(parameter.contains(v) for v in values)
    shares = [repr(parameter.value_at((i + 0.5) / 5000)) for i in range(5000)]
    assert set(shares) == {repr(v) for v in values}


@given(st.integers(-50, 50), st.integers(1, 9), st.integers(-80, 80))
def test_an_int_is_snapped_as_its_float_is(low: int, step: int, value: int) -> None:
    p = Int(low, low + 6 * step, step=step)
    assert p.snap(value) == p.snap(float(value))
    assert p.contains(value) is (value in p.values())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Float(0, 1, log=True), "log scale needs low > 0, got low=0. Try low=1e-6, or log=False"),
        (lambda: Float(1, 0.1), "low=1 is above high=0.1; did you swap them? Float(0.1, 1)"),
        (lambda: Float(1, 1), "low and high are both 1; a fixed value is not a parameter, set it in your code"),
        (lambda: Int(1, 5.5), "high=5.5 is not a whole number. Use Float for real numbers"),  # type: ignore[arg-type]
        (lambda: Int(0, 10**13 - 1, step=10**13), f"step={10**13} is wider than the range 0..{10**13 - 1}"),
        (
            lambda: Int(10**400, 0),
            "low=(a whole number of 401 digits) is not a finite number as 64-bit floats go (at most about 1.8e308)",
        ),
        (lambda: Float(0, 1, step=3), "step=3 is wider than the range 0..1"),
        (lambda: Float(0, 1, default=2), "default 2.0 is outside [0, 1]"),
        (lambda: Categorical([]), "a Categorical needs at least one choice, got none"),
        (lambda: Categorical(["a", "a"]), "choice 'a' is given twice"),
        (
            lambda: Categorical({"a"}),  # type: ignore[arg-type]
            "choices are a list, got {'a'}. Write Categorical([...]), in an order of your choice",
        ),
        (
            lambda: Int(10**15, 10**15 + 3, log=True),
            "on a log scale, 64-bit floats hardly tell 1000000000000000 and 1000000000000003 apart. Leave log out",
        ),
        (lambda: Categorical("abc"), "choices are a list, got 'abc'. Write Categorical(['abc', ...])"),
        (lambda: Float(0, float("nan")), "high=nan is not a finite number"),
    ],
)
def test_parameters_that_cannot_be(build: object, message: str) -> None:
    with pytest.raises(SpaceError) as info:
        build()  # type: ignore[operator]
    assert str(info.value) == message
