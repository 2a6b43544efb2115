"""Exact sums of whole numbers: found, listed and drawn without trying every combination, interruptible and silent."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpo
from hpo.errors import SpaceError
from hpo.problem.enumeration import Enumeration
from hpo.problem.parameters import Float, Int
from hpo.problem.space import Space, key


def budget(n: int, *, even: bool = False, miss: int = 0, largest: int = 1000) -> tuple[dict[str, Int], list[str]]:
    """`n` switches of which some cost exactly as much as there is; with `miss` 1 and `even` weights no choice does."""
    weights = np.random.default_rng(1).integers(largest // 100, largest, n) * (2 if even else 1)
    text = " + ".join(f"{w}*b{i}" for i, w in enumerate(weights))
    total = int(weights[: n // 2].sum()) + miss
    return {f"b{i}": Int(0, 1) for i in range(n)}, [f"{total} <= {text} <= {total}"]


@st.composite
def exact_sums(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    parameters: dict[str, Any] = {"free": Int(0, 1)}
    terms, total = [], Fraction(0)
    for name in "abcd":
        low, size = draw(st.integers(-3, 3)), draw(st.integers(2, 4))
        if draw(st.booleans()):
            step = draw(st.sampled_from([1, 2, 5]))
            parameters[name] = Int(low, low + (size - 1) * step, step=step)
        else:
            parameters[name] = Float(low * 0.1, low * 0.1 + (size - 1) * 0.25, step=0.25)
        factor = draw(st.sampled_from(["3", "-2", "0.5", "0.1", "7"]))
        terms.append(f"({factor})*{name}")
        k = draw(st.integers(0, parameters[name].size - 1))
        total += Fraction(factor) * Fraction(repr(parameters[name].nth(k)))
    bound = float(total)
    return parameters, [f"{' + '.join(terms)} <= 0 + ({bound!r})", f"0 + ({bound!r}) <= {' + '.join(terms)}"]


@given(exact_sums())
@settings(deadline=None)
def test_nothing_is_left_out(given: tuple[dict[str, Any], list[str]]) -> None:
    parameters, constraints = given
    space = Space(parameters, constraints)
    everything = (
        dict(zip(parameters, v, strict=True)) for v in itertools.product(*(p.values() for p in parameters.values()))
    )
    wanted = [params for params in everything if all(c.holds(params) for c in space.linear)]
    assert list(space.enumerate()) == wanted
    assert space.size(1000) == len(wanted)
    walks = list(
        itertools.islice(Enumeration(space.parameters, space.order, space.linear).draws(np.random.default_rng(0)), 20)
    )
    assert len(walks) == 20
    assert all(space.contains(params) for params in walks)


@pytest.mark.parametrize("n", [30, 100])
def test_a_budget_met_exactly_is_sampled_and_asked_for(n: int) -> None:
    parameters, constraints = budget(n)
    space = Space(parameters, constraints)
    drawn = space.sample(np.random.default_rng(0), 20)
    assert all(map(space.contains, drawn))
    assert len({key(params) for params in drawn}) > 10
    assert space.size(50) is None
    study = hpo.open_study("s", hpo.Problem(space, [hpo.Objective("y")]), storage=":memory:", seed=1)
    trials = study.ask(3)
    assert len({t.key for t in trials}) == 3
    assert all(space.contains(t.params) for t in trials)


def test_a_budget_that_cannot_be_met_names_its_constraint() -> None:
    with pytest.raises(SpaceError, match=r"^no configuration found that meets '\d+ <= "):
        Space(*budget(60, even=True, miss=1))


def test_listing_in_vain_is_given_up() -> None:
    """Numbers too large for sums to be written down, next to a continuous parameter. Of older versions of the solver some
    take this for impossible; none hangs."""
    parameters, constraints = budget(34, largest=10**9)
    with pytest.raises(SpaceError, match=r"^no configuration found that meets '\d+ <= "):
        Space({**parameters, "x": Float(0, 1)}, constraints)
