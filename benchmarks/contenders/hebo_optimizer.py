"""HEBO 0.3.6: `HEBO` for one objective, `GeneralBO` for several or with constraints; suggest and observe.

Constraints: GeneralBO's, not above 0 where met. Failures: observed as NaN, which HEBO drops. Several objectives: their
thresholds, where all are given and there are no constraints, are GeneralBO's `ref_point`. Batches: `n_suggestions`; HEBO
knows nothing of trials in flight. Conditions: all parameters are always given, and the inactive ones dropped.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.general import GeneralBO
from hebo.optimizers.hebo import HEBO

from benchmarks.contenders.base import Adapter, Opening, Proposal, Result
from benchmarks.contenders.spec import Parameter


class Hebo(Adapter):
    """One optimizer. HEBO draws from the global generators of numpy and torch, which the worker seeds."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        torch.set_num_threads(1)
        spec = self.spec
        space = DesignSpace().parse([_row(p) for p in spec.parameters])
        if len(spec.objectives) == 1 and not spec.limits:
            self._optimizer = HEBO(space, scramble_seed=opening.seed)
        else:
            self._optimizer = GeneralBO(space, len(spec.objectives), len(spec.limits), ref_point=self._reference())

    def _reference(self) -> Any:
        thresholds = [o.threshold for o in self.spec.objectives]
        if len(thresholds) == 1 or self.spec.limits or None in thresholds:
            return None
        return np.array([s * t for s, t in zip(self.spec.signs, thresholds, strict=True) if t is not None])

    def ask(self, n: int) -> Sequence[Proposal]:
        """`suggest`."""
        rows = self._optimizer.suggest(n_suggestions=n)
        points = [{p.name: float(row[p.name]) for p in self.spec.parameters} for row in rows.to_dict("records")]
        return [Proposal(self.spec.from_axes(point), point) for point in points]

    def tell(self, proposal: Proposal, result: Result) -> None:
        """`observe`, at the coordinates suggested."""
        self._observe(proposal.handle, result)

    def add(self, result: Result) -> None:
        """`observe`."""
        self._observe(self.spec.to_axes(result.params), result)

    def _observe(self, point: dict[str, float], result: Result) -> None:
        row = {p.name: point[p.name] if p.axis.kind == "real" else int(point[p.name]) for p in self.spec.parameters}
        if result.values is None:
            y = [np.nan] * (len(self.spec.objectives) + len(self.spec.limits))
        else:
            y = [*self.spec.losses(result.values), *self.spec.excesses(result.values)]
        self._optimizer.observe(pd.DataFrame([row]), np.array([y]))


def _row(p: Parameter) -> dict[str, Any]:
    axis = p.axis
    if axis.kind == "choice":
        return {"name": p.name, "type": "cat", "categories": list(range(axis.size or 1))}
    kinds = {("real", False): "num", ("real", True): "pow", ("whole", False): "int", ("whole", True): "pow_int"}
    return {"name": p.name, "type": kinds[axis.kind, axis.log], "lb": axis.low, "ub": axis.high}
