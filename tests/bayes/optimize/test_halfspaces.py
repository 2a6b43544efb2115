"""Linear inequalities against their definition, another solver and the laws of projections."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space
from scipy.optimize import Bounds, LinearConstraint, minimize

from hpo.bayes.optimize.halfspaces import HalfSpaces
from hpo.common.arrays import Array

SEEDS = st.integers(0, 10**6)
HALF = HalfSpaces(np.array([[1.0, 1.0]]), np.array([1.0]))
LOWER, UPPER = np.zeros(4), np.ones(4)
CENTER = np.full((1, 4), 0.4)


def around_the_centre(rng: np.random.Generator, k: int = 3) -> HalfSpaces:
    """Random inequalities that hold at CENTER with some room."""
    A = rng.normal(size=(k, 4))
    return HalfSpaces(A, A @ CENTER[0] + 0.02 + 0.2 * rng.random(k))


def excess(halfspaces: HalfSpaces, X: Array) -> float:
    return float((X @ halfspaces.A.T - halfspaces.b).max())


@pytest.mark.parametrize(("A", "b"), [(np.zeros(2), np.zeros(2)), (np.zeros((2, 3)), np.zeros(3))])
def test_a_bound_for_each_row_of_the_matrix(A: Array, b: Array) -> None:
    with pytest.raises(AssertionError):
        HalfSpaces(A, b)


# -- contain, are_tight -----------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_points_inside_are_those_that_satisfy_every_inequality(seed: int) -> None:
    rng = np.random.default_rng(seed)
    halfspaces, X = around_the_centre(rng), rng.random((30, 4))
    expected = [all(a @ x <= b for a, b in zip(halfspaces.A, halfspaces.b, strict=True)) for x in X]
    assert halfspaces.contain(X).tolist() == expected


def test_without_inequalities_everything_is_inside() -> None:
    nothing = HalfSpaces(np.empty((0, 2)), np.empty(0))
    X = np.array([[0.0, 5.0]])
    assert nothing.contain(X).tolist() == [True]
    assert nothing.are_tight(X).shape == (1, 0)
    np.testing.assert_array_equal(nothing.pull_back(X, X + 1.0), X + 1.0)


@pytest.mark.parametrize("b", [0.0, 1.0, -3.0, 1e6])
def test_an_excess_of_a_billionth_of_the_bound_is_rounding(b: float) -> None:
    line = HalfSpaces(np.array([[1.0]]), np.array([b]))
    unit = 1e-9 * (1.0 + abs(b))
    X = b + unit * np.array([[-1.1], [-0.9], [0.0], [0.9], [1.1]])
    assert line.contain(X).tolist() == [True, True, True, True, False]
    assert line.are_tight(X)[:, 0].tolist() == [False, True, True, True, True]


# -- pull_back --------------------------------------------------------------------------------------------------------


def test_pull_back_stops_at_the_border() -> None:
    inside, target = np.array([[0.2, 0.2], [0.2, 0.2], [0.5, 0.5]]), np.array([[1.0, 1.0], [0.3, 0.4], [0.9, 0.9]])
    np.testing.assert_allclose(HALF.pull_back(inside, target), [[0.5, 0.5], [0.3, 0.4], [0.5, 0.5]], atol=1e-8)
    assert (HALF.pull_back(inside, target) @ HALF.A.T <= HALF.b).all()


@given(seed=SEEDS)
def test_a_pulled_back_point_is_the_last_of_its_segment_that_is_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    halfspaces, target = around_the_centre(rng), 3.0 * rng.random((20, 4)) - 1.0
    inside = np.repeat(CENTER, 20, axis=0)
    found = halfspaces.pull_back(inside, target)
    assert excess(halfspaces, found) <= 0.0
    share = np.linalg.norm(found - inside, axis=1) / np.linalg.norm(target - inside, axis=1)
    np.testing.assert_allclose(found, inside + share[:, None] * (target - inside), atol=1e-12)
    reached = share > 1.0 - 1e-12
    np.testing.assert_array_equal(found[reached], target[reached])
    further = inside + (share[:, None] + 1e-6) * (target - inside)
    assert not halfspaces.contain(further[~reached]).any()


def test_a_step_along_the_border_is_free_and_one_across_it_is_none() -> None:
    at = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    target = at + np.array([[0.25, -0.25], [0.1, 0.1], [-0.1, -0.2]])
    found = HALF.pull_back(at, target)
    np.testing.assert_array_equal(found[[0, 2]], target[[0, 2]])
    np.testing.assert_array_equal(found[1], at[1])


def test_pulled_back_points_keep_a_margin_that_rounding_cannot_use_up() -> None:
    for b in (1e-3, 1.0, 1e6):
        halfspaces = HalfSpaces(np.ones((1, 3)), np.array([b]))
        found = halfspaces.pull_back(np.zeros((1, 3)), np.array([[b, 2.0 * b, 3.0 * b]]))
        slack = b - found.sum()
        assert 0.5e-12 * (1.0 + b) < slack < 2e-12 * (1.0 + b)


# -- project ----------------------------------------------------------------------------------------------------------


def test_what_satisfies_everything_is_returned_as_it_is() -> None:
    X = np.array([[0.2, 0.3], [0.5, 0.49]])
    np.testing.assert_array_equal(HALF.project(X, np.zeros(2), np.ones(2), np.ones((2, 2), dtype=bool)), X)


def test_one_inequality_is_reached_at_a_right_angle_and_a_box_by_clipping() -> None:
    X = np.array([[1.0, 0.6], [-1.0, 0.5], [1.0, 1.0]])
    found = HALF.project(X, np.zeros(2), np.ones(2), np.ones((3, 2), dtype=bool))
    np.testing.assert_allclose(found, [[0.7, 0.3], [0.0, 0.5], [0.5, 0.5]], atol=1e-9)


def test_of_the_half_spaces_only_free_columns_move() -> None:
    X, free = np.array([[0.7, 0.7]]), np.array([[True, False]])
    np.testing.assert_allclose(HALF.project(X, np.zeros(2), np.ones(2), free), [[0.3, 0.7]], atol=1e-9)


@pytest.mark.parametrize("b", [1e-3, 1.0, 1e6])
def test_projected_points_keep_more_room_than_rounding_and_pulling_back_need(b: float) -> None:
    halfspaces, box = HalfSpaces(np.ones((1, 3)), np.array([b])), np.full(3, 10.0 * b)
    found = halfspaces.project(np.full((1, 3), b), -box, box, np.ones((1, 3), dtype=bool))
    assert b - found.sum() == pytest.approx(1e-10 * (1.0 + b), rel=1e-3)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_a_projection_is_inside_and_no_point_of_the_set_lies_beyond_it(seed: int) -> None:
    """The law of projections p of x on a convex set: (x - p) (q - p) <= 0 for all q of the set. From points of the box:
    from far outside of it the alternation may stall before it is there, and what uses it pulls back what it gives."""
    rng = np.random.default_rng(seed)
    halfspaces, X = around_the_centre(rng), rng.random((10, 4))
    P = halfspaces.project(X, LOWER, UPPER, np.ones(X.shape, dtype=bool))
    assert excess(halfspaces, P) <= 1e-8  # as near as the sweeps come
    assert np.all((P >= LOWER) & (P <= UPPER))
    dense = np.concatenate(
        [rng.random((1000, 4)), halfspaces.pull_back(np.repeat(CENTER, 300, 0), rng.random((300, 4)))]
    )
    Q = dense[halfspaces.contain(dense)]
    for x, p in zip(X, P, strict=True):
        assert ((Q - p) @ (x - p)).max() < 1e-6
    again = halfspaces.project(P, LOWER, UPPER, np.ones(X.shape, dtype=bool))
    np.testing.assert_allclose(again, P, atol=1e-7)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_nearest_point_is_the_one_another_solver_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    halfspaces, x = around_the_centre(rng), rng.random(4)
    free = np.array([True, True, True, rng.random() < 0.5])
    start = np.where(free, CENTER[0], x)
    if excess(halfspaces, start[None]) > 0.0:
        free[:], start = True, CENTER[0]
    held = Bounds(np.where(free, 0.0, x), np.where(free, 1.0, x))

    def half_squared_distance(q: Array) -> tuple[float, Array]:
        return 0.5 * float((q - x) @ (q - x)), q - x

    exact = minimize(
        half_squared_distance,
        start,
        jac=True,
        bounds=held,
        constraints=[LinearConstraint(halfspaces.A, ub=halfspaces.b)],
        method="SLSQP",
        tol=1e-14,
    )
    found = halfspaces.project(x[None], LOWER, UPPER, free[None])
    np.testing.assert_allclose(found[0], exact.x, atol=1e-5)


# -- along ------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_what_keeps_inequalities_tight_is_the_part_in_their_null_space(seed: int) -> None:
    rng = np.random.default_rng(seed)
    halfspaces = around_the_centre(rng)
    tight, free = rng.random((5, 3)) < 0.6, rng.random((5, 4)) < 0.7
    V = rng.normal(size=(5, 2, 4)) * free[:, None]
    found = halfspaces.along(V, tight, free)
    for v, out, met, moves in zip(V, found, tight, free, strict=True):
        sizes = np.linalg.svd(halfspaces.A[met][:, moves], compute_uv=False)
        if ((sizes > 1e-13) & (sizes < 1e-3)).any():
            continue  # nearly dependent: which digits are left is a matter of rounding
        basis = null_space(np.concatenate([halfspaces.A[met], np.eye(4)[~moves]])) if moves.any() else np.zeros((4, 0))
        np.testing.assert_allclose(out, v @ basis @ basis.T, atol=1e-8)  # products of normals: squares of sizes


def test_the_same_inequality_twice_is_one() -> None:
    twice = HalfSpaces(np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([1.0, 2.0]))
    found = twice.along(np.array([[[1.0, 0.0]]]), np.ones((1, 2), dtype=bool), np.ones((1, 2), dtype=bool))
    np.testing.assert_allclose(found, [[[0.5, -0.5]]], atol=1e-12)
