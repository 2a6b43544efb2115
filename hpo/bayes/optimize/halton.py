"""Scrambled Halton points: an even cover of the unit cube in any number of dimensions, without scipy.stats."""

from __future__ import annotations

import numpy as np

from hpo.common.arrays import Array

_RESOLUTION = 2**32  # points are told apart down to one part in this


def halton(n: int, d: int, rng: np.random.Generator) -> Array:
    """First n points [n, d] in [0, 1) of a randomly scrambled Halton sequence.

    Coordinate j of point i is i written in the j-th prime base, each digit permuted at random, and mirrored at the point:
    sum_k permutation_jk(digit_k(i)) / base_j^(k + 1). Every digit position has its own permutation, leading zeros
    included, which breaks the correlation between large bases that plain Halton points show (Owen 2017,
    arXiv:1706.02808). Each point alone is uniform on the cube.

    The permutations do not depend on n: a longer sequence from an equal generator starts with the shorter one.
    """
    points = np.zeros((n, d))
    for j, base in enumerate(_first_primes(d)):
        rest, weight = np.arange(n), 1.0 / base
        while weight * _RESOLUTION > 1.0:
            rest, digit = np.divmod(rest, base)
            points[:, j] += weight * rng.permutation(base)[digit]
            weight /= base
    return points


def _first_primes(count: int) -> list[int]:
    primes: list[int] = []
    candidate = 2
    while len(primes) < count:
        if all(candidate % p for p in primes):
            primes.append(candidate)
        candidate += 1
    return primes
