"""How long the parts of a suggestion take, roughly: for deciding what there is time for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CostModel:
    """Durations fitted to measurements on one core of an ordinary server; `deadline.Deadline` corrects them as it goes.

    n: rows of the models.    m: models.
    """

    n: int
    m: int

    @property
    def build(self) -> float:
        """Building all models from known hyperparameters."""
        return 2e-3 + self.m * self._factorization(self.n)

    def search(self, *, cold: bool) -> float:
        """Searching all hyperparameters: 15 evaluations of a likelihood from the last ones, 120 from nothing, under two
        transforms each; of many rows on 300 of them and little on all."""
        on_few = (120 if cold else 15) * self._factorization(min(self.n, 300))
        on_all = 8 * self._factorization(self.n) if self.n > 500 else 0.0
        return 2 * self.m * (on_few + on_all)

    @property
    def climb(self) -> float:
        """One suggestion."""
        return 0.01 + self.m * (5e-3 + 1.2e-7 * self.n**2)

    def screen(self, candidates: int) -> float:
        """Choosing from a pool."""
        return 0.02 + self.m * candidates * (2e-5 + 1e-7 * self.n)

    @staticmethod
    def _factorization(n: int) -> float:
        return 1e-4 + 5e-8 * n**2
