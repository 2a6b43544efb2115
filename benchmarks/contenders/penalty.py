"""Numbers for libraries that know no failures, or neither constraints nor failures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.contenders.base import Result
from benchmarks.contenders.spec import Objective, Spec

SHARE = 0.1
"""The least that an infeasible trial lies above the worst feasible one, in shares of the range of the losses."""


def penalized(spec: Spec, result: Result, results: Sequence[Result]) -> float | None:
    """The loss of `result` where it is feasible; else `worst + range * (0.1 + excess)`, None while nothing is known.

    Worst and range are those of the feasible losses in `results` (of all losses while none is feasible). `excess` is in
    [0, 1]: the mean over the limits of how far they are exceeded, in shares of the largest excess seen; 1 for a failure.
    So every infeasible trial is worse than every feasible one, and less so the nearer it comes to the limits: the rule
    of Deb, Comput. Methods Appl. Mech. Eng. 186 (2000), section 3, with scales taken from the data.
    """
    if result.values and all(excess <= 0 for excess in spec.excesses(result.values)):
        return spec.losses(result.values)[0]
    complete = [r.values for r in results if r.values]
    feasible = [values for values in complete if all(excess <= 0 for excess in spec.excesses(values))]
    losses = [spec.losses(values)[0] for values in feasible or complete]
    if not losses:
        return None
    span = max(losses) - min(losses) or abs(losses[0]) or 1.0
    return max(losses) + span * (SHARE + _excess(spec, result, complete))


def worst(spec: Spec, results: Sequence[Result]) -> dict[str, float] | None:
    """Of each metric the worst value seen: the largest loss, the largest excess; None while nothing is known."""
    complete = [r.values for r in results if r.values]
    if not complete:
        return None
    out = {o.name: max((values[o.name] for values in complete), key=sign.__mul__) for o, sign in _signed(spec)}
    for i, (name, _, _) in enumerate(spec.limits):
        out[name] = max(complete, key=lambda values, i=i: spec.excesses(values)[i])[name]  # type: ignore[misc]
    return out


def _signed(spec: Spec) -> zip[tuple[Objective, float]]:
    return zip(spec.objectives, spec.signs, strict=True)


def _excess(spec: Spec, result: Result, complete: Sequence[dict[str, float]]) -> float:
    """The mean share `[0, 1]` of the largest excess seen; 1 for a failure."""
    if result.values is None:
        return 1.0
    own = spec.excesses(result.values)
    seen = [spec.excesses(values) for values in complete] + [own]
    largest = [max(column) for column in zip(*seen, strict=True)]
    shares = [max(x, 0.0) / most for x, most in zip(own, largest, strict=True) if most > 0]
    return float(np.mean(shares))
