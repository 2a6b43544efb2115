"""What every contender can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import hpo


class Contender(Protocol):
    """An optimizer at work on one problem. All its randomness comes from the seed it was opened with."""

    def ask(self) -> dict[str, Any]:
        """The next params to evaluate."""

    def tell(self, params: Mapping[str, Any], values: Mapping[str, float]) -> None:
        """A result: of the params last asked for, or of others that were measured elsewhere."""


Opener = Callable[[hpo.Problem, int], Contender]
"""(problem, seed) -> a contender that knows nothing yet."""
