"""Domination and hypervolume against their definitions, grids of cells, and Monte Carlo."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.common.arrays import Array
from hpo.trials.pareto import hypervolume, is_non_dominated


def matrices(most: int = 6, m: int = 4) -> st.SearchStrategy[Array]:
    """Small whole numbers, so that there are ties."""
    rows = st.integers(1, m).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=1, max_size=most)
    )
    return rows.map(lambda values: np.array(values, dtype=float))


def dominates(a: Array, b: Array) -> bool:
    return bool(np.all(a >= b) and np.any(a > b))


@given(matrices())
def test_rows_are_kept_that_no_other_dominates_by_definition(Y: Array) -> None:
    expected = [not any(dominates(other, row) for other in Y) for row in Y]
    assert is_non_dominated(Y).tolist() == expected


@pytest.mark.parametrize(
    ("Y", "kept"),
    [
        ([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]], [True, True, False]),
        ([[1.0, 1.0], [1.0, 1.0]], [True, True]),
        ([[1.0], [3.0], [3.0], [2.0]], [False, True, True, False]),
        ([[1.0, 3.0], [1.0, 2.0]], [True, False]),
        ([[3.0, 1.0], [2.0, 1.0]], [True, False]),
        ([[-np.inf, 0.0], [-np.inf, 1.0]], [False, True]),
    ],
)
def test_fronts_by_hand(Y: list[list[float]], kept: list[bool]) -> None:
    mask = is_non_dominated(np.array(Y))
    assert mask.tolist() == kept
    assert mask.dtype == np.bool_


def test_of_no_rows_none_is_kept() -> None:
    assert is_non_dominated(np.empty((0, 2))).shape == (0,)
    assert hypervolume(np.empty((0, 2)), np.zeros(2)) == 0.0
    assert hypervolume(np.empty(0), np.zeros(2)) == 0.0


@given(matrices(), st.integers(-1, 2))
def test_volumes_count_the_unit_cells_below_some_row(Y: Array, reference: int) -> None:
    """Of whole numbers the union of boxes is a union of cells: each is counted once."""
    cells = itertools.product(range(reference, 4), repeat=Y.shape[1])
    covered = sum(bool(np.any(np.all(np.array(cell) + 1 <= Y, axis=1))) for cell in cells)
    assert hypervolume(Y, np.full(Y.shape[1], float(reference))) == covered


@pytest.mark.parametrize(
    ("Y", "reference", "volume"),
    [
        ([[3.0]], [1.0], 2.0),
        ([[2.0, 1.0], [1.0, 2.0]], [0.0, 0.0], 3.0),
        ([[2.0, 1.0], [1.0, 2.0]], [1.0, 0.0], 1.0),
        ([[2.0, 1.0], [2.0, 1.0]], [0.0, 0.0], 2.0),
        ([[2.0, 3.0, 5.0]], [1.0, 1.0, 1.0], 8.0),
        ([[0.5, 4.0, 1.0, 1.0], [4.0, 0.5, 1.0, 1.0]], [0.0] * 4, 2.0 + 2.0 - 0.25),
    ],
)
def test_volumes_by_hand(Y: list[list[float]], reference: list[float], volume: float) -> None:
    assert hypervolume(np.array(Y), np.array(reference)) == pytest.approx(volume, rel=1e-12)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_volumes_agree_with_monte_carlo(m: int) -> None:
    rng = np.random.default_rng(m)
    Y, reference = rng.normal(size=(12, m)), np.full(m, -1.0)
    top = Y.max(axis=0)
    points = reference + rng.random((40_000, m)) * (top - reference)
    share = np.any(np.all(points[:, None, :] <= Y[None], axis=2), axis=1).mean()
    box = float(np.prod(top - reference))
    error = 4 * box * np.sqrt(share * (1 - share) / len(points))  # four standard errors
    assert hypervolume(Y, reference) == pytest.approx(box * share, abs=error)


@given(matrices())
def test_neither_order_nor_dominated_rows_nor_moving_both_change_the_volume(Y: Array) -> None:
    reference = np.zeros(Y.shape[1])
    volume = hypervolume(Y, reference)
    assert hypervolume(Y[::-1], reference) == volume
    assert hypervolume(np.vstack([Y, Y.min(axis=0)]), reference) == volume
    assert hypervolume(Y + 8.0, reference + 8.0) == volume
    assert hypervolume(Y[:, ::-1], reference) == volume


def test_what_does_not_exceed_the_reference_everywhere_covers_nothing() -> None:
    assert hypervolume(np.array([[5.0, 0.0], [-1.0, 9.0]]), np.zeros(2)) == 0.0
