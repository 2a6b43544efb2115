"""Linear inequalities as text: what they mean, agreeing with Python's own arithmetic, and what cannot be read."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hpo.errors import SpaceError
from hpo.problem.linear_constraints import LinearConstraint, parse
from hpo.problem.parameters import Float
from hpo.problem.space import Space

VALUES = {"a": 1.25, "b": -0.5, "c": 3.0}


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 60 + "a" + ")" * 60 + " <= 1", "it is nested more than 50 deep"),
        ("(" * 10_000 + "a <= 1", "it is nested more than 50 deep"),
        ("-" * 10_000 + "a <= 1", "it is nested more than 50 deep"),
        ("1e400*a <= 1", "its numbers are beyond the largest 64-bit float"),
        ("a/1e-320 <= 1", "its numbers are beyond the largest 64-bit float"),
        ("1e300*1e300*a <= 1", "its numbers are beyond the largest 64-bit float"),
        ("1e308*a + 1e308*b <= 1", "has sums beyond the largest 64-bit float"),
        ("a <= nan", "names 'nan', which is no parameter"),
    ],
)
def test_constraints_that_cannot_be_computed_with_are_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space({"a": Float(0, 1), "b": Float(0, 1)}, [text])


def test_parentheses_may_be_nested() -> None:
    space = Space({"a": (0, 5)}, ["(" * 40 + "a" + ")" * 40 + " <= 3"])
    assert space.size(10) == 4


def terms_of(constraint: LinearConstraint) -> tuple[dict[str, float], float]:
    return dict(constraint.coefficients), constraint.upper


@pytest.mark.parametrize(
    ("text", "coefficients", "upper"),
    [
        ("a <= 3", {"a": 1.0}, 3.0),
        ("a >= 3", {"a": -1.0}, -3.0),
        ("3 >= a", {"a": 1.0}, 3.0),
        ("a + b <= c + 1", {"a": 1.0, "b": 1.0, "c": -1.0}, 1.0),
        ("+a - b <= -2", {"a": 1.0, "b": -1.0}, -2.0),
        ("a - -b - -2 <= 0", {"a": 1.0, "b": 1.0}, -2.0),
        ("a + a - 0*b <= 1", {"a": 2.0}, 1.0),
        ("2*3*a/4 <= 1", {"a": 1.5}, 1.0),
        ("a*2 - (1 - b)*3 <= 0", {"a": 2.0, "b": 3.0}, 3.0),
        ("1/2/2*a <= 12/4", {"a": 0.25}, 3.0),
        ("6/2*(a - 1) <= (2)*(3)", {"a": 3.0}, 9.0),
        (".5*a + 1.*b + 1E2*c <= 1e-3", {"a": 0.5, "b": 1.0, "c": 100.0}, 1e-3),
        ("  a.b_1<=2  ", {"a.b_1": 1.0}, 2.0),
        ("größe <= 2", {"größe": 1.0}, 2.0),
        ("e1 + _a <= 2", {"e1": 1.0, "_a": 1.0}, 2.0),
    ],
)
def test_texts_and_what_they_mean(text: str, coefficients: dict[str, float], upper: float) -> None:
    (constraint,) = parse(text)
    assert terms_of(constraint) == (coefficients, upper)
    assert constraint.text == text


def test_a_chain_means_one_inequality_between_neighbors() -> None:
    assert list(map(terms_of, parse("1 <= a <= b >= 2"))) == [
        ({"a": -1.0}, -1.0),
        ({"a": 1.0, "b": -1.0}, 0.0),
        ({"b": -1.0}, -2.0),
    ]


@st.composite
def sides(draw: st.DrawFn, depth: int = 2) -> str:
    """A linear expression: sums, differences, signs, and products and quotients with numbers."""
    number = f"{draw(st.integers(1, 20)) / 4!r}"
    if depth == 0:
        return draw(st.sampled_from(["a", "b", "c", number]))
    inner = sides(depth=depth - 1)
    shape = draw(st.sampled_from(["{x} + {y}", "{x} - {y}", "{n}*({x})", "({x})*{n}", "({x})/{n}", "-({x})", "({x})"]))
    return shape.format(x=draw(inner), y=draw(inner), n=number)


@given(sides(), sides(), st.booleans())
def test_any_nesting_agrees_with_pythons_arithmetic(left: str, right: str, is_upper: bool) -> None:
    def excess(values: dict[str, float]) -> float:
        return float(eval(f"({left}) - ({right})", {}, dict(values))) * (1 if is_upper else -1)

    at_0 = excess(dict.fromkeys("abc", 0.0))
    assume(any(abs(excess({**dict.fromkeys("abc", 0.0), name: 1.0}) - at_0) > 1e-9 for name in "abc"))
    (constraint,) = parse(f"{left} {'<=' if is_upper else '>='} {right}")
    assert constraint.excess(VALUES) == pytest.approx(excess(VALUES), rel=1e-9, abs=1e-9)


EXAMPLE = 'Write it like "a + 2*b <= 10"'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a + b", "it has no <= or >="),
        ("", "it ends too early"),
        ("a <=", "it ends too early"),
        ("a + <= 1", "cannot read '<='"),
        ("a < 1", "cannot read '<' (a limit is inclusive: write <= or >=)"),
        ("a > 1", "cannot read '>' (a limit is inclusive: write <= or >=)"),
        ("a = 1", "cannot read '=' (a limit is inclusive: write <= or >=)"),
        ("a <= = 1", "write <= or >="),
        ("a >== 1", "write <= or >="),
        ("a b <= 1", "cannot read 'b'"),
        ("a <= 1 )", "cannot read ')'"),
        ("2a <= 1", "cannot read 'a'"),
        ("(a <= 1", "a parenthesis is not closed"),
        ("a*b <= 1", "a product of two parameters is not linear"),
        ("(1 + a)*(b - 1) <= 1", "a product of two parameters is not linear"),
        ("1/a <= 1", "only division by a number other than 0 is linear"),
        ("a/(b + 2) <= 1", "only division by a number other than 0 is linear"),
        ("a/0 <= 1", "only division by a number other than 0 is linear"),
        ("a/(1 - 1) <= 1", "only division by a number other than 0 is linear"),
        ("1 <= 2", "it names no parameter"),
        ("a <= a", "it names no parameter"),
        ("1e999 <= a", "its numbers are beyond the largest 64-bit float"),
        ("a <= $", "cannot read '$'"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(text: str, fault: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse(text)
    assert str(caught.value) == f"constraint {text!r}: {fault}. {EXAMPLE}"


@pytest.mark.parametrize("given_", [3, None, b"a <= 1", ("a", 1)])
def test_what_is_no_text_is_refused(given_: Any) -> None:
    with pytest.raises(SpaceError) as caught:
        parse(given_)
    assert str(caught.value) == f"constraint {given_!r} is not text. {EXAMPLE}"


@pytest.mark.parametrize("opening", ["(", "-"])
def test_fifty_parentheses_or_signs_are_the_deepest(opening: str) -> None:
    def text(n: int) -> str:
        return f"b + {opening * n}a{')' * n if opening == '(' else ''} <= 1"

    assert terms_of(parse(text(50))[0]) == ({"b": 1.0, "a": 1.0}, 1.0)
    with pytest.raises(SpaceError, match="it is nested more than 50 deep"):
        parse(text(51))


def test_parentheses_beside_one_another_are_not_deep() -> None:
    assert terms_of(parse(" + ".join(["(a)"] * 60) + " <= 1")[0]) == ({"a": 60.0}, 1.0)


@given(st.floats(-9, 9), st.floats(-9, 9))
def test_it_holds_where_the_sum_exceeds_the_bound_by_no_more_than_its_tolerance(a: float, tolerance: float) -> None:
    constraint = LinearConstraint({"a": 2.0}, 1.0, "2*a <= 1", tolerance=tolerance)
    assert constraint.excess({"a": a}) == 2 * a - 1
    assert constraint.holds({"a": a}) is (2 * a - 1 <= tolerance)


def test_rounding_is_forgiven_and_more_is_not() -> None:
    (constraint,) = parse("a + b <= 0.3")
    assert constraint.holds({"a": 0.1, "b": 0.2})
    assert constraint.holds({"a": 0.1, "b": 0.2 + 0.9e-9})
    assert not constraint.holds({"a": 0.1, "b": 0.2 + 1.1e-9})


def test_without_one_of_its_parameters_it_holds_nothing_back() -> None:
    (constraint,) = parse("a + b <= -1")
    assert (constraint.excess({"a": 9.0}), constraint.holds({"a": 9.0})) == (0.0, True)
    assert (constraint.excess({"a": 9.0, "b": 0.0, "c": 1.0}), constraint.holds({"a": 9.0, "b": 0.0})) == (10.0, False)


def test_it_is_a_frozen_value_equal_by_what_it_means() -> None:
    one, other = parse("a + 2*b <= 1")[0], parse("1 >= b*2 + a")[0]
    assert one == other
    assert hash(one) == hash(other)
    assert one != parse("a + 2*b <= 2")[0]
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(TypeError, match="cannot be changed"):
        one.coefficients["a"] = 2.0  # type: ignore[index]


def test_a_bound_of_zero_is_no_minus_zero() -> None:
    assert [math.copysign(1.0, c.upper) for c in (*parse("a <= 0"), *parse("a >= 0"))] == [1.0, 1.0]
