"""How long tasks take on a simulated clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError

Duration = Callable[[Mapping[str, Any], np.random.Generator], float]
"""The payload of a task and a generator of its own in, the seconds that it takes out."""


@public_class
@dataclass(frozen=True)
class Lognormal:
    """Durations with a lognormal distribution.

    Half of the tasks take less than `median` seconds, and two thirds are within a factor of `e**sigma` of it.

    Args:
        median: Seconds.
        sigma: The standard deviation of the logarithm. 0.5 is common for training runs of one model under varied
            settings.

    Raises:
        ExecutorError: The median is not above 0, or sigma is below 0.

    Example:
        >>> import hpo, numpy as np
        >>> duration = hpo.executors.Lognormal(600.0, 0.5)
        >>> rng = np.random.default_rng(0)
        >>> 100 < duration({}, rng) < 3600
        True
    """

    median: float
    sigma: float

    def __post_init__(self) -> None:
        if not 0 < self.median < math.inf:
            raise ExecutorError(f"Lognormal: median is seconds, above 0, got {self.median}")
        if not 0 <= self.sigma < math.inf:
            raise ExecutorError(f"Lognormal: sigma must be 0 or more, got {self.sigma}")

    def __call__(self, payload: Mapping[str, Any], rng: np.random.Generator) -> float:
        """Seconds of one task."""
        return self.median * math.exp(self.sigma * float(rng.standard_normal()))


@public_class
@dataclass(frozen=True)
class Recorded:
    """Durations drawn from recorded ones, such as those of earlier trials, each as likely as another.

    Args:
        seconds: The recorded durations.

    Raises:
        ExecutorError: There is none, or one is below 0.

    Example:
        >>> import hpo, numpy as np
        >>> hpo.executors.Recorded([60.0])({}, np.random.default_rng(0))
        60.0
    """

    seconds: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", tuple(self.seconds))
        if not self.seconds or not all(0 <= s < math.inf for s in self.seconds):
            raise ExecutorError(f"Recorded: give one or more seconds, each 0 or more, got {self.seconds}")

    def __call__(self, payload: Mapping[str, Any], rng: np.random.Generator) -> float:
        """Seconds of one task."""
        return float(self.seconds[int(rng.integers(len(self.seconds)))])
