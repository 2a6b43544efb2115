"""Mode: which way one suggestion is chosen.

Most suggestions improve on the best, as one model sees it. Where that is not enough, every second one goes another way.
See decisions 0010, 0018 and 0019.
"""

from __future__ import annotations

from enum import Enum

from hpo.bayes.target import AcquisitionTarget


class Mode(Enum):
    """Which way one suggestion is chosen; the value is what `why["how"]` says of it, where it differs from its role's."""

    IMPROVE = ""
    IMPROVE_OR_EXPLORE = "expected improvement near the best is negligible; exploring an uncertain region"
    """Explore only if the best candidate's acquisition value is below `stall_threshold`."""
    ALTERNATIVE = "chosen by an alternative model, so that pending trials do not all rely on one"
    SPACE_FILLING = "the model does not yet predict better than the mean; took the best of 16 space-filling points"


def mode_of(number: int, n_in_flight: int, target: AcquisitionTarget, *, several: bool) -> Mode:
    """The mode of the suggestion for trial `number`, while `n_in_flight` trials are in flight, those of its own batch among
    them. several: whether there are several objectives, and something feasible is known.

    * An uninformative model is least certain in the corners, and would visit one after the other.
    * If the one model is wrong, all trials in flight are chosen wrongly at once.
    * Points in flight lower the acquisition around them, which is no sign of a stall: only a lone suggestion explores.
    """
    if number % 2 == 0:
        return Mode.IMPROVE
    if target.is_uninformative:
        return Mode.SPACE_FILLING
    if n_in_flight:
        return Mode.ALTERNATIVE if target.alternatives else Mode.IMPROVE
    return Mode.IMPROVE_OR_EXPLORE if target.stall_threshold > 0.0 and not several else Mode.IMPROVE
