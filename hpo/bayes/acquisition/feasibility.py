"""Success: the part of the space where training runs end well, as a utility.

A failed trial teaches nothing but where it failed, so the price of failing is not only the chance of it: where success
is doubtful the utility falls off steeply, and an objective that rises beyond the border cannot buy its way across. The
border is approached from the side that works.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from hpo.bayes.acquisition.log_ei import log_normal_cdf
from hpo.bayes.gp.gp import GP
from hpo.common.arrays import Array
from hpo.trials.trial import LEARNED_KINDS, Trial, TrialState

_CALIBRATIONS = np.geomspace(0.1, 1.0, 13)
_RISK_MARGIN = 0.8416  # standard normal quantile of a chance of 80 %
_STEEPNESS = 20.0
_TOLERATED = 0.1  # share of suggestions that may fail
_LEARNING = 0.5
_MAX_RAISED = 1.0


@dataclass(frozen=True)
class LikelySuccess:
    """log P(success) - steepness * max(0, doubt - z)^2, with z = trust * mean / sd of the labels' GP (1 success, -1
    failure), and a doubt up to a chance of 80 % unless suggestions have failed more often than they may.

    A trial with a chance of 50 % costs 14 nats, one with 16 % some 70.
    """

    calibration: float = 1.0
    risk_margin: float = _RISK_MARGIN

    def __call__(self, mean: Array, sd: Array) -> tuple[Array, Array, Array]:
        """See acquisition.Utility."""
        sd = sd / self.calibration
        z = mean / sd
        value, slope = log_normal_cdf(z)
        short = np.maximum(self.risk_margin - z, 0.0)
        value, slope = value - _STEEPNESS * short**2, slope + 2.0 * _STEEPNESS * short
        return value, slope / sd, -slope * z / (sd * self.calibration)


def calibration(gp: GP) -> float:
    """Calibration factor of the success model's scores, in [0.1, 1]: the one under which each label is most
    probable when predicted from the others.

    A GP of labels sees a smooth surface where there is a border, and is too sure of it in many dimensions.
    """
    mean, variance = gp.leave_one_out()
    z = mean / np.sqrt(np.maximum(variance - gp.theta.noise, 1e-6))
    likelihood = [log_ndtr(gp.y * factor * z).sum() for factor in _CALIBRATIONS]
    return float(_CALIBRATIONS[int(np.argmax(likelihood))])


def risk_margin(trials: Iterable[Trial]) -> float:
    """The score that a suggestion must have not to be doubted, after what became of earlier suggestions of the model.

    The search picks what the model is wrong about, so chances that hold on average do not hold for what was picked: along
    a border that the objective pulls towards, half of the trials at 80 % fail. Each failure therefore raises the score
    wanted, and each success lowers it, so that in the long run a tenth fails (adaptive conformal inference, Gibbs and
    Candes, NeurIPS 2021, eq. 2, on the score). Only suggestions made with every earlier result known count: a batch would
    be punished many times for one doubt.
    """
    raised = 0.0
    for trial in trials:
        is_sequential = "p_success" in trial.why and trial.why.get("n_in_flight") == 0
        if is_sequential and (trial.state is TrialState.COMPLETED or trial.kind in LEARNED_KINDS):
            has_failed = trial.state is not TrialState.COMPLETED
            raised = float(np.clip(raised + _LEARNING * (has_failed - _TOLERATED), 0.0, _MAX_RAISED))
    return _RISK_MARGIN + raised
