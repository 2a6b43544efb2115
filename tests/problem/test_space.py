"""Spaces: what is inside, what is active, what is refused; sampling and listing."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpo.errors import ParamsError, SpaceError
from hpo.problem.linear_constraints import LinearConstraint, parse
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.space import Space, key
from tests.random_spaces import parameters, spaces


def pipeline() -> Space:
    return Space(
        {
            "data.window": Int(8, 256, log=True),
            "model.optimizer": Categorical(["sgd", "adam"]),
            "model.lr": Float(1e-5, 1e-1, log=True),
            "model.momentum": Float(0.0, 0.99, active_if={"model.optimizer": ["sgd"]}),
            "model.nesterov": Categorical([True, False], active_if={"model.momentum_kind": ["strong"]}),
            "model.momentum_kind": Categorical(["weak", "strong"], active_if={"model.optimizer": ["sgd"]}),
            "serve.threads": Int(1, 8),
        },
        constraints=["serve.threads + 0.1*data.window <= 20"],
    )


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


@given(spaces(), st.integers(0, 2**31))
@settings(deadline=None)
def test_samples_are_inside(space: Space, seed: int) -> None:
    for params in space.sample(np.random.default_rng(seed), 5):
        assert space.fault(params) is None
        assert space.canonical(params) == params
        assert list(params) == [n for n in space.names if n in params]


@given(spaces(most=3), st.integers(0, 2**31))
@settings(deadline=None)
def test_enumerate_lists_every_configuration_once(space: Space, seed: int) -> None:
    size = space.size(3000)
    if size is None:
        return
    listed = [key(p) for p in space.enumerate()]
    assert len(listed) == len(set(listed)) == size
    assert all(space.contains(p) for p in space.enumerate())
    assert {key(p) for p in space.sample(np.random.default_rng(seed), 50)} <= set(listed)


@st.composite
def listed_spaces(draw: st.DrawFn) -> Space:
    """A finite space with linear constraints of all signs, some on parameters that are not always active."""
    made: dict[str, Float | Int | Categorical] = {"kind": Categorical(["x", "y", "z"])}
    for name in "abcd":
        when = draw(st.sampled_from([{}, {"kind": ["x"]}, {"kind": ["y", "z"]}]))
        step = draw(st.sampled_from([0, 1, 3]))
        low = draw(st.integers(-5, 5))
        made[name] = (
            Int(low, low + 9, step=step, active_if=when) if step else Float(-0.3, 0.3, step=0.1, active_if=when)
        )
    made = {name: made[name] for name in draw(st.permutations(list(made)))}
    constraints = []
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
        factors = [draw(st.sampled_from([1, 0.1, 7])) * draw(st.sampled_from([-1, 1])) for _ in names]
        terms = " + ".join(f"({factor})*{name}" for factor, name in zip(factors, names, strict=True))
        constraints.append(f"{terms} <= {draw(st.sampled_from([-0.3, 0, 0.1, 0.7, 4]))}")
    try:
        return Space(made, constraints)
    except SpaceError:
        assume(False)
        raise


@given(listed_spaces())
@settings(deadline=None)
def test_enumerate_leaves_out_what_the_constraints_forbid_and_nothing_else(space: Space) -> None:
    everything = Space(space.parameters).enumerate()
    assert list(space.enumerate()) == [params for params in everything if all(c.holds(params) for c in space.linear)]


def test_rounding_leaves_out_nothing_at_the_edge_of_a_constraint() -> None:
    tenths = {name: Float(0, 1, step=0.1) for name in "abc"}
    space = Space(tenths, ["a + b + c <= 0.3", "a + b + c >= 0.3"])
    assert space.size(100) == 10
    large = Space({name: Int(10**9, 10**9 + 50) for name in "ab"}, ["1e7*a - 1e7*b <= 0", "0.3*b - 0.3*a <= 0"])
    assert [p["a"] - p["b"] for p in large.enumerate()] == [0] * 51


def test_draws_from_next_to_nothing_are_spread_over_it() -> None:
    """On the simplex: each share between its ends, all different, with the mean a third."""
    space = Space({name: Float(0, 1) for name in "abc"}, ["1 <= a + b + c <= 1"])
    drawn = np.array([list(p.values()) for p in space.sample(np.random.default_rng(0), 300)])
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0, atol=1e-9)
    assert len(np.unique(drawn, axis=0)) == 300
    assert ((drawn > 1e-3).all(axis=1)).mean() > 0.9
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 3, atol=0.05)  # 3.6 standard errors


def test_what_the_constraints_forbid_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space({"a": Int(1, 500), "b": Int(1, 500)}, ["a + b <= 3", "b - a >= -1"])
    looked_at: list[object] = []
    holds = LinearConstraint.holds

    def counted(c: LinearConstraint, params: Mapping[str, object]) -> bool:
        looked_at.append(params)
        return holds(c, params)

    monkeypatch.setattr(LinearConstraint, "holds", counted)
    assert list(space.enumerate()) == [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}]
    assert len(looked_at) <= 2 * 3


def test_counting_does_not_list_what_it_does_not_count() -> None:
    assert Space({"a": Int(0, 10**15), "b": Float(0, 1, step=1e-12)}).size(10) is None


@given(spaces())
@settings(deadline=None)
def test_start_is_inside(space: Space) -> None:
    assert space.contains(space.start())


def test_conditions_nest() -> None:
    space = pipeline()
    adam = {"data.window": 10, "model.optimizer": "adam", "model.lr": 1e-3, "serve.threads": 1}
    assert space.contains(adam)
    weak = {**adam, "model.optimizer": "sgd", "model.momentum": 0.5, "model.momentum_kind": "weak"}
    assert space.contains(weak)
    assert space.contains({**weak, "model.momentum_kind": "strong", "model.nesterov": True})
    assert "missing parameter 'model.nesterov'" in str(space.fault({**weak, "model.momentum_kind": "strong"}))
    assert "model.momentum is inactive here" in str(space.fault({**adam, "model.momentum": 0.1}))


def test_int_conditions() -> None:
    space = Space({"layers": Int(1, 3), "width2": Int(4, 8, active_if={"layers": [2, 3]})})
    assert space.size(100) == 1 + 2 * 5
    assert not space.contains({"layers": 1, "width2": 4})


def test_every_fault_of_params_is_named() -> None:
    with pytest.raises(ParamsError) as info:
        pipeline().canonical({"data.window": 9.5, "model.optimizer": "adm", "model.lr": 5.0, "serve.thread": 2})
    text = str(info.value)
    for part in (
        "data.window=9.5 is not a whole number",
        "model.optimizer='adm' is not one of 'sgd', 'adam'",
        "model.lr=5.0 is outside [1e-05, 0.1]",
        "unknown parameter 'serve.thread'",
        "Did you mean 'serve.threads'?",
        "missing parameter 'serve.threads'",
    ):
        assert part in text


def test_true_is_not_one() -> None:
    space = Space({"flag": Categorical([1, True, "1", 1.5])})
    assert len({key({"flag": c}) for c in (1, True, "1", 1.5)}) == 4
    assert space.canonical({"flag": True}) == {"flag": True}
    assert space.canonical({"flag": True})["flag"] is True


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


def test_all_faults_of_a_space_are_reported_at_once() -> None:
    with pytest.raises(SpaceError) as info:
        Space(
            {
                "a": Int(0, 5),
                "b": Categorical(["x", "y"]),
                "c": Float(0, 1, active_if={"d": [1]}),
                "e": Float(0, 1, active_if={"b": ["z"]}),
                "bad name": Float(0, 1),
            },
            constraints=["a + b <= 3", "2*q <= 1", "a < 3", "a*a <= 3", "a"],
        )
    assert len(info.value.problems) == 8


def test_conditions_that_wait_for_one_another() -> None:
    with pytest.raises(SpaceError, match="wait for one another"):
        Space(
            {"a": Categorical([1, 2], active_if={"b": [1]}), "b": Categorical([1, 2], active_if={"a": [1]})},
        )


def test_a_space_without_configurations_is_refused() -> None:
    with pytest.raises(SpaceError, match="no configuration found that meets 'a \\+ b <= 1'"):
        Space({"a": Float(1, 2), "b": Float(1, 2)}, constraints=["a + b <= 1"])


@pytest.mark.parametrize(
    ("text", "params", "holds"),
    [
        ("a + 2*b <= 10", {"a": 2, "b": 4}, True),
        ("a + 2*b <= 10", {"a": 2.1, "b": 4}, False),
        ("2*(a - b)/4 >= -1", {"a": 0, "b": 2}, True),
        ("2*(a - b)/4 >= -1", {"a": 0, "b": 2.1}, False),
        ("-a <= -3", {"a": 3}, True),
        ("model.lambda + .5e1*b <= 1", {"model.lambda": 1, "b": 0}, True),
        ("0.1 + 0.2 >= a", {"a": 0.3}, True),
    ],
)
def test_linear_constraints(text: str, params: dict[str, float], holds: bool) -> None:
    (constraint,) = parse(text)
    assert constraint.holds(params) is holds


def test_chained_constraints_are_two() -> None:
    low, high = parse("1 <= a + b <= 3")
    assert [low.holds({"a": x, "b": 0}) and high.holds({"a": x, "b": 0}) for x in (0.9, 1, 3, 3.1)] == [
        False,
        True,
        True,
        False,
    ]


@given(st.lists(st.tuples(st.floats(-9, 9), st.sampled_from("abc")), min_size=1, max_size=5), st.floats(-9, 9))
def test_parsing_agrees_with_arithmetic(terms: list[tuple[float, str]], bound: float) -> None:
    text = " + ".join(f"({c!r})*{name}" for c, name in terms) + f" <= {bound!r}"
    values = {"a": 1.25, "b": -0.5, "c": 3.0}
    if all(sum(c for c, n in terms if n == name) == 0 for name in "abc"):
        return
    (constraint,) = parse(text)
    expected = sum(c * values[name] for c, name in terms) - bound
    present = {n: v for n, v in values.items() if n in constraint.coefficients}
    assert constraint.excess(present) == pytest.approx(expected, abs=1e-9)


def test_a_constraint_applies_only_while_its_parameters_are_active() -> None:
    space = Space(
        {"kind": Categorical(["x", "y"]), "a": Int(1, 9, active_if={"kind": ["x"]}), "b": Int(1, 9)},
        constraints=["a + b <= 4"],
    )
    assert space.contains({"kind": "y", "b": 9})
    assert not space.contains({"kind": "x", "a": 1, "b": 9})


def test_tiny_allowed_corners_are_sampled() -> None:
    space = Space(
        {"a": Float(0, 1), "b": Float(0, 1), "c": Int(0, 1000)}, constraints=["a + b <= 1e-4", "c + 1000*a >= 1000"]
    )
    draws = space.sample(np.random.default_rng(0), 20)
    assert all(space.contains(p) for p in draws)
    assert len({key(p) for p in draws}) > 5


def test_spaces_travel() -> None:
    space = pipeline()
    assert pickle.loads(pickle.dumps(space)) == space
    assert eval(repr(space), {"Space": Space, "Float": Float, "Int": Int, "Categorical": Categorical}) == space


def test_defaults_are_the_start() -> None:
    space = Space({"a": Float(0, 1, default=0.125), "b": Int(0, 10), "c": Categorical(["x", "y"], default="y")})
    assert space.start() == {"a": 0.125, "b": 5, "c": "y"}
    assert space.has_defaults


def test_snapping_makes_tidy_numbers() -> None:
    assert Float(0, 1).snap(0.1 + 0.2) == 0.3
    assert Float(0, 1, step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert Float(1e-8, 1e-2, log=True).snap(1e-8 * (1 + 1e-12)) == 1e-8
    for a, b in itertools.pairwise(np.linspace(0, 1, 50)):
        assert Float(0, 1).snap(a) < Float(0, 1).snap(b)


def test_shares_on_grids_and_a_free_one_that_makes_up_the_rest_are_drawn_from_all_there_are() -> None:
    space = Space({"a": Float(0, 1, step=0.1), "b": Float(0, 1, step=0.25), "c": Float(0, 1)}, ["1 <= a + b + c <= 1"])
    drawn = space.sample(np.random.default_rng(0), 200)
    assert all(space.contains(params) for params in drawn)
    assert len({(params["a"], params["b"]) for params in drawn}) > 15, "there are 29"
