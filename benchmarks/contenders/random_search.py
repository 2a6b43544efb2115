"""Uniform random search: the yardstick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import hpo


class RandomSearch:
    """Independent draws from the space."""

    def __init__(self, problem: hpo.Problem, seed: int) -> None:
        self._space = problem.space
        self._rng = np.random.default_rng(seed)

    def ask(self) -> dict[str, Any]:
        """One draw."""
        return self._space.sample(self._rng, 1)[0]

    def tell(self, params: Mapping[str, Any], values: Mapping[str, float]) -> None:
        """Nothing is learned."""
