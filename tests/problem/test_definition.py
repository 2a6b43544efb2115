"""Definitions of spaces: all faults at once, parents first, and what rounding may add to sums."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import SpaceError
from hpo.problem.parameters import Categorical, Float, Int, Parameter
from hpo.problem.space import Space


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


def test_every_one_of_thousands_of_faults_is_told() -> None:
    with pytest.raises(SpaceError) as caught:
        Space({f"p{i}": Float(0, 1, active_if={f"q{i}": [1]}) for i in range(3000)})
    assert len(caught.value.problems) == 3000
    fault = Space({"x": (0, 1)}).fault({f"y{i}": 1 for i in range(3000)})
    assert fault is not None
    assert fault.count("unknown parameter") == 3000


@pytest.mark.parametrize(
    ("parameters", "text", "tolerance"),
    [
        ({"a": Float(0, 1), "b": Float(0, 1)}, "a + b <= 1", 1e-9 * 2 + 1e-12 * 2),
        ({"a": Float(-4, 1), "b": Float(0, 1)}, "-3*a + b <= 1", 1e-9 * 13 + 1e-12 * 13),
        ({"a": Int(0, 7), "b": Int(-9, 5)}, "2*a + b <= 1", 1e-12 * 23),
        ({"a": Int(0, 7), "b": Float(0, 1)}, "a + b <= 1", 1e-9 * 1 + 1e-12 * 8),
        ({"a": Int(0, 7), "b": Float(0, 1)}, "a + b <= 4000", 1e-9 * 1 + 1e-12 * 4000),
    ],
)
def test_sums_may_exceed_a_bound_by_the_last_digit_that_is_kept(
    parameters: dict[str, Parameter], text: str, tolerance: float
) -> None:
    (constraint,) = Space(parameters, [text]).linear
    assert constraint.tolerance == pytest.approx(tolerance, rel=1e-12)


def test_parents_come_before_what_they_activate_and_the_rest_stays_as_given() -> None:
    when = {name: Float(0, 1, active_if={parent: [1]}) for name, parent in {"e": "d", "f": "a"}.items()}
    d = Int(0, 1, active_if={"b": [1], "a": [1]})
    space = Space({**when, "d": d, "c": Float(0, 1), "b": Int(0, 1), "a": Int(0, 1)})
    assert space.order == ("c", "b", "a", "f", "d", "e")


@pytest.mark.parametrize(
    ("parameters", "constraint", "fault"),
    [
        ({1: Float(0, 1)}, [], "parameter name 1 is not letters, digits and underscores, with dots between stages"),
        (
            {"x.": Float(0, 1)},
            [],
            "parameter name 'x.' is not letters, digits and underscores, with dots between stages",
        ),
        ({"width": Float(0, 1)}, ["widht <= 1"], "names 'widht', which is no parameter. Did you mean 'width'?"),
        ({"a": Float(0, 1e308)}, ["a <= 1.2e308"], "has sums beyond the largest 64-bit float, about 1.8e308"),
    ],
)
def test_what_cannot_be_defined_is_refused_in_words(parameters: Any, constraint: list[str], fault: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space(parameters, constraint)
    assert str(caught.value).endswith(fault)
