"""Success: the part of the space where trainings end well, as a utility.

A failed trial teaches nothing but where it failed, so the price of failing is not only the chance of it: where success
is doubtful the utility falls off steeply, and an objective that rises beyond the border cannot buy its way across. The
border is approached from the side that works.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpo.bayes.acquisition import log_normal_cdf
from hpo.bayes.kernel import Array

_DOUBT = 0.8416  # standard normal quantile of a chance of 80 %
_STEEPNESS = 20.0


@dataclass(frozen=True)
class LikelySuccess:
    """log P(success) - steepness * max(0, doubt - z)^2, with z = mean / sd of the labels' GP (1 success, -1 failure).

    A trial with a chance of 50 % costs 14 nats, one with 16 % some 70.
    """

    def __call__(self, mean: Array, sd: Array) -> tuple[Array, Array, Array]:
        """See acquisition.Utility."""
        z = mean / sd
        value, slope = log_normal_cdf(z)
        doubt = np.maximum(_DOUBT - z, 0.0)
        value, slope = value - _STEEPNESS * doubt**2, slope + 2.0 * _STEEPNESS * doubt
        return value, slope / sd, -slope * z / sd
