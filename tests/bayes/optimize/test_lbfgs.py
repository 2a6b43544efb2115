"""Batched L-BFGS against known optima and against scipy's optimizers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from hpo.bayes.optimize.halfspaces import HalfSpaces
from hpo.bayes.optimize.lbfgs import ValueAndGradient, maximize_rows
from hpo.common.arrays import Array


def rosenbrock(X: Array) -> tuple[Array, Array]:
    """Negated, maximum 0 at all ones."""
    a, b = X[:, :-1], X[:, 1:]
    gradient = np.zeros_like(X)
    gradient[:, :-1] += 400 * a * (b - a**2) + 2 * (1 - a)
    gradient[:, 1:] -= 200 * (b - a**2)
    return -np.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2, axis=1), gradient


def bowl(center: Array, weights: Array) -> ValueAndGradient:
    def function(X: Array) -> tuple[Array, Array]:
        return -np.sum(weights * (X - center) ** 2, axis=1), -2 * weights * (X - center)

    return function


@pytest.mark.parametrize("d", [2, 6])
def test_rosenbrock_valley(d: int) -> None:
    starts = np.random.default_rng(0).uniform(-1, 0.5, (5, d))
    end = maximize_rows(rosenbrock, starts, np.full(d, -2.0), np.full(d, 2.0), max_iterations=400, tolerance=1e-14)
    np.testing.assert_allclose(end.X, 1.0, atol=1e-4)


def test_badly_scaled_bowl_with_the_optimum_outside_the_box() -> None:
    center, weights = np.array([0.3, 1.7, -0.4, 0.8]), np.array([1.0, 1e4, 1e-2, 10.0])
    starts = np.random.default_rng(0).random((6, 4))
    end = maximize_rows(bowl(center, weights), starts, np.zeros(4), np.ones(4), max_iterations=100, tolerance=1e-14)
    np.testing.assert_allclose(end.X, np.tile(np.clip(center, 0, 1), (6, 1)), atol=1e-5)


def test_a_row_climbs_the_same_alone_and_in_company() -> None:
    starts = np.random.default_rng(1).uniform(-1, 1, (7, 3))
    box = np.full(3, -2.0), np.full(3, 2.0)
    together = maximize_rows(rosenbrock, starts, *box)
    for i in range(7):
        alone = maximize_rows(rosenbrock, starts[i : i + 1], *box)
        np.testing.assert_allclose(alone.X[0], together.X[i], rtol=1e-6)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_no_row_ends_lower_or_outside_or_moves_a_held_column(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, waves = 4, rng.normal(size=(4, 3)) * 4

    def function(X: Array) -> tuple[Array, Array]:
        return np.sin(X @ waves).sum(axis=1), np.cos(X @ waves) @ waves.T

    starts, free = rng.random((6, d)), rng.random((6, d)) < 0.7
    end = maximize_rows(function, starts, np.zeros(d), np.ones(d), free=free)
    assert np.all(end.value >= function(starts)[0])
    np.testing.assert_allclose(end.value, function(end.X)[0])
    assert np.all((end.X >= 0) & (end.X <= 1))
    assert np.array_equal(end.X[~free], starts[~free])


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_halfspaces_hold_and_the_constrained_optimum_is_reached(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = 4
    A = rng.normal(size=(2, d))
    halfspaces = HalfSpaces(A, A @ np.full(d, 0.4) + 0.05)
    center, weights = rng.random(d) * 1.4 - 0.2, np.exp(rng.normal(size=d))
    function = bowl(center, weights)
    starts = rng.random((200, d))
    starts = np.concatenate([starts[halfspaces.contain(starts)][:5], np.full((1, d), 0.4)])
    end = maximize_rows(
        function, starts, np.zeros(d), np.ones(d), halfspaces=halfspaces, max_iterations=200, tolerance=1e-12
    )
    assert (halfspaces.b >= end.X @ halfspaces.A.T).all()
    assert np.all((end.X >= 0) & (end.X <= 1))

    def loss(x: Array) -> tuple[float, Array]:
        value, gradient = function(x[None])
        return -float(value[0]), -gradient[0]

    exact = minimize(
        loss,
        np.full(d, 0.4),
        jac=True,
        bounds=[(0.0, 1.0)] * d,
        constraints=[LinearConstraint(A, ub=halfspaces.b)],
        method="SLSQP",
        tol=1e-12,
    )
    assert end.value.max() == pytest.approx(-exact.fun, abs=1e-5)


def test_rows_without_a_finite_value_stay_where_they_are() -> None:
    def function(X: Array) -> tuple[Array, Array]:
        value, gradient = bowl(np.full(2, 0.5), np.ones(2))(X)
        return np.where(X[:, 0] > 0.9, np.nan, value), gradient

    end = maximize_rows(function, np.array([[0.95, 0.1], [0.2, 0.2]]), np.zeros(2), np.ones(2))
    np.testing.assert_array_equal(end.X[0], [0.95, 0.1])
    np.testing.assert_allclose(end.X[1], 0.5, atol=1e-4)


def test_steps_into_infinity_are_shortened() -> None:
    def function(X: Array) -> tuple[Array, Array]:  # log barrier: -inf beyond 0.3, maximum at 0.2
        room = 0.3 - X
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(room > 0, X * 10 + np.log(room), -np.inf)[:, 0], np.where(room > 0, 10 - 1 / room, np.nan)

    end = maximize_rows(function, np.array([[0.01]]), np.zeros(1), np.ones(1), first_step=0.5)
    np.testing.assert_allclose(end.X, 0.2, atol=1e-3)
