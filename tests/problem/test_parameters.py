"""Parameters: grids, bounds and whole numbers that survive rounding, defaults, and what can be computed with."""

from __future__ import annotations

import copy
import dataclasses
import enum
import itertools
import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import hpo
from hpo.errors import ParamsError, SpaceError
from hpo.problem.encoding import Encoder
from hpo.problem.json_format import parameter_from_json, parameter_to_json, problem_from_json, problem_to_json
from hpo.problem.parameters import Categorical, Float, Int, Parameter, is_set
from hpo.problem.space import Space, key
from tests.random_spaces import parameters

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


def test_conditions_hold_values_as_the_parent_does() -> None:
    given = Space({"n": Int(1, 3), "c": Categorical([1, 2]), "x": Float(0, 1, active_if={"n": [2.0, 3.0], "c": [1.0]})})
    exact = Space({"n": Int(1, 3), "c": Categorical([1, 2]), "x": Float(0, 1, active_if={"n": [2, 3], "c": [1]})})
    assert repr(given) == repr(exact)
    assert hpo.Problem(given, Y).hash == hpo.Problem(exact, Y).hash
    assert given.canonical({"n": 2.0, "c": 1, "x": 0.5}) == {"n": 2, "c": 1, "x": 0.5}


def test_minus_zero_is_zero() -> None:
    assert repr(Float(-0.0, 1)) == repr(Float(0.0, 1))
    assert repr(Categorical([-0.0, 1.0])) == repr(Categorical([0.0, 1.0]))
    assert key({"x": -0.0}) == key({"x": 0.0})
    assert repr(Float(-1, 1).snap(-1e-12)) == "0.0"
    with pytest.raises(SpaceError, match=r"choice 0\.0 is given twice"):
        Categorical([0.0, -0.0])


@pytest.mark.parametrize("choices", [[None, 5, 10], [5, None]])
def test_none_is_a_default_where_it_is_a_choice(choices: list[Any]) -> None:
    unset, none = Categorical(choices), Categorical(choices, default=None)
    assert is_set(none)
    assert not is_set(unset)
    assert not is_set(Categorical(["a"], default=None))
    assert parameter_to_json(none)["default"] is None
    assert "default" not in parameter_to_json(unset)
    for p in (unset, none):
        assert parameter_from_json(parameter_to_json(p)) == p
        assert eval(repr(p), {"Categorical": Categorical}) == p
        for other in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p), dataclasses.replace(p, unit="ms")):
            assert is_set(other) is is_set(p)
    assert Space({"c": none}).start() == {"c": None}
    assert Space({"c": none}).has_defaults
    assert not Space({"c": unset}).has_defaults
    study = hpo.open_study("s", hpo.Problem(Space({"c": none}), Y), storage=":memory:", seed=1)
    trial = study.ask()
    assert trial.params == {"c": None}
    assert trial.why["how"] == "the configuration in production"


def test_a_definition_stored_without_a_default_is_the_one_that_says_none() -> None:
    """As before None counted as a default: the code that gave default=None goes on with its study."""
    stored = problem_from_json(problem_to_json(hpo.Problem(Space({"c": Categorical([None, 5])}), Y)))
    assert stored.differences(hpo.Problem(Space({"c": Categorical([None, 5], default=None)}), Y)) == []


@pytest.mark.parametrize(
    "p", [Categorical([True, False], default=False), Int(0, 9, default=0), Categorical(["x", ""], default="")]
)
def test_false_zero_and_the_empty_text_are_defaults(p: Parameter) -> None:
    assert is_set(p)
    assert parameter_from_json(parameter_to_json(p)) == p
    assert Space({"p": p}).start() == {"p": p.default}


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


@pytest.mark.parametrize(
    "written",
    [
        "Float(0.001, 1.0, log=True)",
        "Float(0.0, 1.0, step=0.1, default=0.3, unit='s')",
        "Int(1, 8)",
        "Categorical(['sgd', 'adam'], active_if={'lr': [0.1]})",
        "Categorical([None, 3], default=None)",
    ],
)
def test_a_parameter_is_shown_as_the_call_that_makes_it(written: str) -> None:
    assert repr(eval(written)) == written


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


@given(st.integers(-50, 50), st.integers(1, 9), st.integers(-80, 80))
def test_an_int_is_snapped_as_its_float_is(low: int, step: int, value: int) -> None:
    p = Int(low, low + 6 * step, step=step)
    assert p.snap(value) == p.snap(float(value))
    assert p.contains(value) is (value in p.values())


def test_each_value_of_an_int_has_an_equal_share() -> None:
    p = Int(1, 4)
    counts = [sum(p.value_at((i + 0.5) / 1000) == v for i in range(1000)) for v in p.values()]
    assert counts == [250] * 4


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


def test_snapping_makes_tidy_numbers() -> None:
    assert Float(0, 1).snap(0.1 + 0.2) == 0.3
    assert Float(0, 1, step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert Float(1e-8, 1e-2, log=True).snap(1e-8 * (1 + 1e-12)) == 1e-8
    for a, b in itertools.pairwise(np.linspace(0, 1, 50)):
        assert Float(0, 1).snap(a) < Float(0, 1).snap(b)
