"""Spaces of thousands of parameters, and numbers beyond machine integers: no recursion, no overflow, no hang."""

from __future__ import annotations

import itertools

import pytest

import hpo
from hpo.problem.enumeration import Enumeration
from hpo.problem.linear_constraints import LinearConstraint
from hpo.problem.parameters import Categorical, Int, Parameter
from hpo.problem.space import Space

MANY = 3000


def chain(*, backwards: bool) -> Space:
    """Each switch exists while the one before it is on."""
    names = [f"p{i}" for i in range(MANY)]
    conditions = [{}, *({name: [1]} for name in names)]
    made: dict[str, Parameter] = {
        name: Categorical([0, 1], active_if=when) for name, when in zip(names, conditions, strict=False)
    }
    return Space({name: made[name] for name in (reversed(names) if backwards else names)})


@pytest.mark.parametrize("backwards", [False, True])
def test_conditions_may_be_thousands_deep(backwards: bool) -> None:
    space = chain(backwards=backwards)
    assert space.order == tuple(f"p{i}" for i in range(MANY))
    assert next(space.enumerate()) == {"p0": 0}
    assert space.size(100) is None
    assert space.contains(space.start())
    assert len(space.canonical({f"p{i}": 1 for i in range(MANY)})) == MANY


def test_thousands_of_switches_are_listed_and_counted_without_recursion() -> None:
    space = Space({f"b{i}": [True, False] for i in range(MANY)})
    assert space.size(100) is None
    assert len(list(itertools.islice(space.enumerate(), 3))) == 3
    constrained = Space({f"b{i}": (0, 1) for i in range(300)}, [" + ".join(f"b{i}" for i in range(300)) + " <= 1"])
    assert constrained.size(100) is None
    assert all(map(constrained.contains, itertools.islice(constrained.enumerate(), 2)))


def test_whole_numbers_beyond_machine_integers_are_walked() -> None:
    space = Space({"a": Int(0, 10**30), "b": Int(0, 10**30)}, ["a + b <= 1e29"])
    assert space.size(10) is None
    assert all(map(space.contains, itertools.islice(space.enumerate(), 3)))
    study = hpo.open_study("s", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=1)
    assert all(space.contains(t.params) for t in study.ask(8))


@pytest.mark.parametrize("is_conditional", [False, True])
def test_what_holds_by_the_last_digit_is_walked(is_conditional: bool) -> None:
    """Without any tolerance, at bounds that some sum meets exactly as floats add it up."""
    when = {"on": [True]} if is_conditional else {}
    numbers = {name: Int(0, 9, active_if=when) for name in "abc"}
    parameters: dict[str, Parameter] = {"on": Categorical([True, False]), **numbers}
    factors = {"a": 0.1, "b": 0.7, "c": 1.1}
    for values in itertools.product((3, 6), repeat=3):
        upper = sum(f * v for f, v in zip(factors.values(), values, strict=True))
        edge = LinearConstraint(factors, upper, "edge", tolerance=0.0)
        walked = [tuple(p.values()) for p in Enumeration(parameters, tuple(parameters), [edge]).configurations()]
        assert (True, *values) in walked
