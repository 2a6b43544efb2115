"""Spaces: what is inside, what is active, what is refused; sampling and listing."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpo.errors import ParamsError, SpaceError
from hpo.problem.linear_constraints import LinearConstraint
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.space import Space, key
from tests.random_spaces import spaces


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


def test_a_space_without_configurations_is_refused() -> None:
    with pytest.raises(SpaceError, match="no configuration found that meets 'a \\+ b <= 1'"):
        Space({"a": Float(1, 2), "b": Float(1, 2)}, constraints=["a + b <= 1"])


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


def test_shares_on_grids_and_a_free_one_that_makes_up_the_rest_are_drawn_from_all_there_are() -> None:
    space = Space({"a": Float(0, 1, step=0.1), "b": Float(0, 1, step=0.25), "c": Float(0, 1)}, ["1 <= a + b + c <= 1"])
    drawn = space.sample(np.random.default_rng(0), 200)
    assert all(space.contains(params) for params in drawn)
    assert len({(params["a"], params["b"]) for params in drawn}) > 15, "there are 29"


def test_the_key_ignores_order_and_keeps_types() -> None:
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    assert key({"a": 1}) != key({"a": True}) != key({"a": "1"})


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.sampled_from([1e-6, 1.0, 1e9]))
@settings(deadline=None)
def test_shares_of_a_whole_are_shares_when_their_last_digits_are_dropped_and_not_when_a_millionth_is_missing(
    shares: list[float], whole: float
) -> None:
    """What rounding may add to a sum is forgiven, and no more."""
    names = [f"p{i}" for i in range(len(shares))]
    text = " + ".join(names)
    space = Space({name: Float(0, whole) for name in names}, [f"{whole!r} <= {text} <= {whole!r}"])
    params = space.snapped({n: whole * s / sum(shares) for n, s in zip(names, shares, strict=True)})
    assert space.fault(params) is None
    for change in (-1e-6, 1e-6):
        moved = {**params, names[0]: params[names[0]] + change * whole}
        assert not space.contains(moved)


@given(
    st.lists(st.tuples(st.integers(-30, 30), st.integers(1, 99)), min_size=1, max_size=4),
    st.sampled_from([1, 10, 1000]),
    st.integers(-1, 1),
)
@settings(deadline=None)
def test_sums_of_whole_numbers_are_judged_as_exactly_as_fractions(
    terms: list[tuple[int, int]], parts: int, off: int
) -> None:
    names = [f"n{i}" for i in range(len(terms))]
    total = sum(Fraction(factor * value, parts) for factor, value in terms)
    upper = float(total + Fraction(off, parts))
    text = " + ".join(f"({factor / parts!r})*{n}" for n, (factor, _) in zip(names, terms, strict=True) if factor)
    assume(text)
    space = Space({n: Int(-(10**6), 10**6) for n in names}, [f"{text} <= ({upper!r})"])
    assert space.contains({n: value for n, (_, value) in zip(names, terms, strict=True)}) is (off >= 0)
