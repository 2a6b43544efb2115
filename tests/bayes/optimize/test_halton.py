"""Scrambled Halton points against the definition of discrepancy and against scipy's measure of it."""

import numpy as np
import pytest
from scipy.stats import qmc

from hpo.bayes.optimize.halton import halton


@pytest.mark.parametrize("d", [1, 2, 6, 20])
def test_more_even_than_random_points(d: int) -> None:
    seeds = range(10)
    even = [qmc.discrepancy(halton(256, d, np.random.default_rng(s))) for s in seeds]
    random = [qmc.discrepancy(np.random.default_rng(s).random((256, d))) for s in seeds]
    assert max(even) < min(random)


@pytest.mark.parametrize(("j", "base"), [(0, 2), (1, 3), (2, 5), (14, 47)])
def test_every_cell_of_a_base_gets_its_share(j: int, base: int) -> None:
    column = halton(base * base, 15, np.random.default_rng(3))[:, j]
    cells = np.floor(column * base * base + 1e-6).astype(int)
    assert sorted(cells) == list(range(base * base))


def test_high_bases_are_not_correlated() -> None:
    # Plain Halton points in bases 53 and 59 lie on a diagonal at this n: correlation about 0.9.
    points = halton(100, 17, np.random.default_rng(0))
    assert abs(np.corrcoef(points[:, 15], points[:, 16])[0, 1]) < 0.4


def test_each_point_is_uniform_over_seeds() -> None:
    first = np.array([halton(1, 2, np.random.default_rng(s))[0] for s in range(400)])
    standard_error = np.sqrt(1.0 / 12.0 / 400.0)
    assert np.all(np.abs(first.mean(axis=0) - 0.5) < 4.0 * standard_error)
    assert np.all((first >= 0.0) & (first < 1.0))


def test_a_longer_sequence_starts_with_the_shorter_one() -> None:
    short, long = halton(7, 5, np.random.default_rng(1)), halton(300, 5, np.random.default_rng(1))
    np.testing.assert_array_equal(short, long[:7])


def test_equal_generators_give_equal_points_and_others_do_not() -> None:
    a, b, c = (halton(20, 3, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)
