"""The encoder: params <-> rows, and what snapping, activity and constraints mean column by column."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.problem.encoding import Encoder
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.space import Space, key
from tests.random_spaces import spaces


@given(spaces(), st.integers(0, 2**31))
@settings(deadline=None)
def test_decode_undoes_encode(space: Space, seed: int) -> None:
    encoder = Encoder(space)
    drawn = space.sample(np.random.default_rng(seed), 6)
    X = encoder.encode(drawn)
    assert X.shape == (6, encoder.d)
    assert X.min() >= 0.0
    assert X.max() <= 1.0
    for before, after in zip(drawn, encoder.decode(X), strict=True):
        assert list(before) == list(after)
        for name in before:
            p = space[name]
            if isinstance(p, Float) and p.step is None:
                width = abs(before[name]) if p.log else p.high - p.low
                assert abs(before[name] - after[name]) <= 3e-9 * width * (30 if p.log else 1)
            else:
                assert before[name] == after[name]


@given(spaces(), st.integers(0, 2**31))
@settings(deadline=None)
def test_snapped_is_encode_of_decode(space: Space, seed: int) -> None:
    encoder = Encoder(space)
    raw = np.random.default_rng(seed).random((8, encoder.d))
    snapped = encoder.snapped(raw)
    np.testing.assert_allclose(snapped, encoder.encode(encoder.decode(raw)), atol=1e-7)
    np.testing.assert_allclose(encoder.snapped(snapped), snapped, atol=1e-12)


@given(spaces(), st.integers(0, 2**31))
@settings(deadline=None)
def test_cube_columns_and_params_agree(space: Space, seed: int) -> None:
    encoder = Encoder(space)
    U = np.random.default_rng(seed).random((8, len(space)))
    X = encoder.from_cube(U)
    np.testing.assert_allclose(X, encoder.encode([space.at(u) for u in U]), atol=1e-7)


@given(spaces(), st.integers(0, 2**31))
@settings(deadline=None)
def test_activity_and_constraints_agree_with_the_space(space: Space, seed: int) -> None:
    encoder = Encoder(space)
    X = encoder.from_cube(np.random.default_rng(seed).random((20, len(space))))
    active = encoder.is_active(X)
    holds = encoder.meets_constraints(X)
    for i, params in enumerate(encoder.decode(X)):
        assert {n for n in space.names if active[n][i]} == set(params)
        excess = max((c.excess(params) - c.tolerance for c in space.linear), default=-1.0)
        if abs(excess) > 1e-6 * max([1.0, *(abs(c.upper) for c in space.linear)]):
            assert bool(holds[i]) == (excess <= 0)


def test_two_choices_are_equally_far_apart_whatever_their_number() -> None:
    for k in (2, 3, 10):
        encoder = Encoder(Space({"c": Categorical(list("abcdefghij")[:k])}))
        X = encoder.encode([{"c": "a"}, {"c": "b"}])
        assert np.isclose(np.linalg.norm(X[0] - X[1]), 0.35)
        assert set(encoder.groups) == {0}


def test_ordered_choices_keep_their_order() -> None:
    encoder = Encoder(Space({"c": Categorical(["s", "m", "l"], ordered=True)}))
    assert encoder.encode([{"c": c} for c in ("s", "m", "l")]).ravel().tolist() == [1 / 6, 0.5, 5 / 6]


def test_inactive_parameters_do_not_tell_configurations_apart() -> None:
    space = Space({"k": Categorical(["x", "y"]), "a": Float(0, 1, active_if={"k": ["x"]}), "n": Int(1, 3)})
    encoder = Encoder(space)
    raw = np.array([[0.0, 0.7, 0.1, 0.5], [0.0, 0.7, 0.9, 0.5]])
    one, other = encoder.snapped(raw)
    np.testing.assert_array_equal(one, other)
    assert key(encoder.decode(raw)[0]) == key(encoder.decode(raw)[1])


def test_columns_by_what_they_are() -> None:
    space = Space(
        {
            "x": Float(0, 1),
            "k": Categorical(["a", "b", "c"]),
            "o": Categorical(["s", "m", "l"], ordered=True),
            "n": Int(1, 4, active_if={"k": ["a"]}),
            "j": Categorical(["a", "b", "c"]),
            "two": Categorical([0, 1]),
        }
    )
    encoder = Encoder(space)
    assert encoder.d == 1 + 3 + 1 + 1 + 3 + 2
    assert encoder.groups.tolist() == [0, 1, 1, 1, 2, 3, 4, 4, 4, 5, 5]
    assert encoder.is_continuous.tolist() == [True] + [False] * 10
    assert encoder.is_numeric.tolist() == [True, False, False, False, True, True] + [False] * 5
    assert {names: columns.tolist() for names, columns in encoder.one_hot.items()} == {
        ("k", "j"): [[1, 2, 3], [6, 7, 8]],
        ("two",): [[9, 10]],
    }
    assert encoder.is_conditional
    assert not Encoder(Space({"x": Float(0, 1)})).is_conditional


def test_rows_by_hand() -> None:
    """A choice is a corner at the distance 0.35 from every other; what does not exist is in the middle of all."""
    space = Space({"n": Int(1, 4), "k": Categorical(["a", "b"]), "o": Categorical(["s", "m", "l"], ordered=True)})
    hot = 0.35 * np.sqrt(0.5)
    np.testing.assert_allclose(
        Encoder(space).encode([{"n": 1, "k": "a", "o": "l"}, {"n": 4, "k": "b", "o": "m"}, {}]),
        [[0.125, hot, 0.0, 5 / 6], [0.875, 0.0, hot, 0.5], [0.5, hot / 2, hot / 2, 0.5]],
        atol=1e-12,
    )


def test_inequalities_forgive_the_same_rounding_as_the_space() -> None:
    space = Space({name: Float(0, 1, step=0.1) for name in "abc"}, ["a + b + c <= 0.3", "a + b + c >= 0.3"])
    encoder = Encoder(space)
    everything = list(Space(space.parameters).enumerate())
    holds = encoder.meets_constraints(encoder.encode(everything))
    assert [bool(ok) for ok in holds] == [space.contains(params) for params in everything]
    assert sum(map(int, holds)) == 10
