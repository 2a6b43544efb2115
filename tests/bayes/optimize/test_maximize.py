"""Screening, climbing and hopping against exhaustive search."""

from dataclasses import dataclass

import numpy as np
import pytest

from hpo.bayes.optimize.halfspaces import HalfSpaces
from hpo.bayes.optimize.maximize import Domain, choose_starts, maximize, perturb
from hpo.common.arrays import Array, Mask


@dataclass(frozen=True)
class Bumps:
    """Gaussian hills: centers [k, d], heights [k]."""

    centers: Array
    heights: Array
    width: float = 0.08

    def value(self, X: Array) -> Array:
        return self(X)[0]

    def __call__(self, X: Array) -> tuple[Array, Array]:
        away = X[:, None] - self.centers
        hills = self.heights * np.exp(-0.5 * np.sum(away**2, axis=2) / self.width**2)
        value: Array = hills.sum(axis=1)
        return value, np.einsum("bk,bkd->bd", hills, -away) / self.width**2


def test_the_highest_of_many_hills_is_found_and_maxima_are_sorted() -> None:
    rng = np.random.default_rng(0)
    hills = Bumps(0.1 + 0.8 * rng.random((20, 2)), np.append(np.linspace(0.2, 0.8, 19), 1.0))
    found = maximize(hills, rng.random((400, 2)), rng)
    side = np.linspace(0, 1, 301)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    assert found.value[0] >= hills.value(grid).max()
    assert np.all(np.diff(found.value) <= 1e-8)
    np.testing.assert_allclose(found.value, hills.value(found.X))


def test_an_incumbent_leads_to_a_hill_too_narrow_for_the_screen() -> None:
    hills = Bumps(np.full((1, 6), 0.37), np.ones(1), width=0.02)
    found = maximize(hills, np.zeros((10, 6)), np.random.default_rng(0), incumbents=np.full((1, 6), 0.33))
    np.testing.assert_allclose(found.X[0], 0.37, atol=1e-4)


def test_equal_generators_give_equal_maxima() -> None:
    hills = Bumps(np.random.default_rng(1).random((5, 3)), np.ones(5), width=0.3)
    raw, incumbents = np.random.default_rng(2).random((50, 3)), np.full((2, 3), 0.5)
    a, b = (maximize(hills, raw, np.random.default_rng(3), incumbents=incumbents) for _ in range(2))
    np.testing.assert_array_equal(a.X, b.X)


LEVELS = np.linspace(0.0, 1.0, 5)


def lattice() -> Domain:
    """Columns 0 and 1 on five levels each, column 2 continuous."""

    def movable(X: Array) -> Mask:
        return np.tile([False, False, True], (len(X), 1))

    def neighbors(x: Array) -> Array:
        rows = np.repeat(x[None], 4, axis=0)
        rows[np.arange(4), [0, 0, 1, 1]] += [-0.25, 0.25, -0.25, 0.25]
        return rows[np.all((rows >= 0) & (rows <= 1), axis=1)]

    return Domain(movable, neighbors)


def test_discrete_columns_stay_on_their_levels_and_the_best_combination_is_found() -> None:
    # A ridge from low to high levels: the best continuous value depends on the levels.
    centers = np.array([[a, b, 0.3 + 0.4 * a * b] for a in LEVELS for b in LEVELS])
    hills = Bumps(centers, np.linspace(0.5, 1.5, 25), width=0.15)
    rng = np.random.default_rng(0)
    raw = np.column_stack([rng.choice(LEVELS[:4], 60), rng.choice(LEVELS[:4], 60), rng.random(60)])
    found = maximize(hills, raw, rng, domain=lattice(), n_starts=4)
    assert np.isin(np.round(found.X[:, :2], 12), LEVELS).all()
    fine = np.linspace(0, 1, 501)
    everything = np.array([[a, b, c] for a in LEVELS for b in LEVELS for c in fine])
    assert found.value[0] >= hills.value(everything).max() - 1e-4


def test_a_space_without_continuous_columns_is_searched_by_hops() -> None:
    domain = Domain(lambda X: np.zeros(X.shape, dtype=bool), lattice().neighbors)
    hills = Bumps(np.array([[1.0, 0.75, 0.0]]), np.ones(1), width=0.5)
    found = maximize(hills, np.zeros((1, 3)), np.random.default_rng(0), domain=domain)
    np.testing.assert_array_equal(found.X[0], [1.0, 0.75, 0.0])


def test_every_maximum_satisfies_linear_constraints() -> None:
    rng = np.random.default_rng(0)
    halfspaces = HalfSpaces(np.array([[1.0, 1.0, 0.0], [0.0, -1.0, 1.0]]), np.array([0.9, 0.2]))
    hills = Bumps(np.array([[0.8, 0.8, 0.8], [0.2, 0.2, 0.2]]), np.array([1.0, 0.1]), width=0.4)
    found = maximize(
        hills, rng.random((300, 3)), rng, domain=Domain(halfspaces=halfspaces), incumbents=np.full((1, 3), 0.2)
    )
    assert (halfspaces.b >= found.X @ halfspaces.A.T).all()
    dense = rng.random((200_000, 3))
    assert found.value[0] >= hills.value(dense[halfspaces.contain(dense)]).max() - 1e-3


def test_perturbations_stay_in_the_domain_and_change_about_twenty_columns() -> None:
    d = 60
    halfspaces = HalfSpaces(np.ones((1, d)) / d, np.array([0.5]))
    domain = Domain(lambda X: np.arange(d)[None] % 2 == np.zeros((len(X), 1)), halfspaces=halfspaces)
    base = np.full((1, d), 0.5)
    near = perturb(base, 300, np.random.default_rng(0), domain)
    assert (near @ halfspaces.A.T <= halfspaces.b).all()
    assert np.all((near >= 0) & (near <= 1))
    changed = near != base
    assert not changed[:, 1::2].any()
    moved = changed[changed.any(axis=1)]
    assert 5 <= moved.sum(axis=1).mean() <= 15  # a third of the thirty that may move


def test_starts_are_distinct_and_include_the_best_half() -> None:
    value = np.random.default_rng(0).normal(size=100)
    starts = choose_starts(value, 8, np.random.default_rng(1))
    assert len(set(starts.tolist())) == 8
    assert set(np.argsort(-value)[:4].tolist()) <= set(starts.tolist())
    assert len(choose_starts(value[:3], 8, np.random.default_rng(1))) == 3


@pytest.mark.parametrize("value", [np.full(20, -np.inf), np.full(20, np.nan), np.zeros(20)])
def test_a_screen_that_says_nothing_still_gives_starts(value: Array) -> None:
    assert len(set(choose_starts(value, 8, np.random.default_rng(0)).tolist())) == 8
