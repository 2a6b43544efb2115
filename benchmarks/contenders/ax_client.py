"""Ax 1.3: the Client of its documentation, with the generation strategy it chooses by default.

Constraints: outcome constraints in words, `"m1 <= 3.0"`; the thresholds of several objectives likewise, which Ax takes as
objective thresholds. Failures: `mark_trial_failed`. Trials in flight and batches: `get_next_trials(max_trials=n)`.
Conditions: what exists with one choice alone is a dependent parameter of it; other conditional parameters are always
given, and dropped where they are inactive.

After results from elsewhere the first ask is a Sobol point all the same; `get_best_parameterization` predicts by the model
of the last ask. Ax reads names as symbols, so that parameters and metrics are called p0, p1, ... and m0, m1, ...; a choice
is the text of its index.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from ax.exceptions.core import AxError, OptimizationComplete

from benchmarks.contenders.base import Adapter, Opening, Proposal, Result
from benchmarks.contenders.spec import Parameter, Params


class AxClient(Adapter):
    """One client, seeded."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        torch.set_num_threads(1)
        spec = self.spec
        metrics = dict.fromkeys([*(o.name for o in spec.objectives), *(c.name for c in spec.constraints)])
        self._alias = {name: f"m{i}" for i, name in enumerate(metrics)}
        self._client = Client(random_seed=opening.seed)
        self._names = {p.name: f"p{i}" for i, p in enumerate(spec.parameters)}
        self._client.configure_experiment([self._config(p) for p in spec.parameters])
        self._client.configure_optimization(
            ", ".join(("-" if o.goal == "minimize" else "") + self._alias[o.name] for o in spec.objectives),
            [*self._constraints(), *self._thresholds()],
        )

    def _constraints(self) -> list[str]:
        return [f"{self._alias[name]} {'<=' if sign > 0 else '>='} {limit!r}" for name, sign, limit in self.spec.limits]

    def _thresholds(self) -> list[str]:
        given = [o for o in self.spec.objectives if o.threshold is not None and len(self.spec.objectives) > 1]
        return [f"{self._alias[o.name]} {'<=' if o.goal == 'minimize' else '>='} {o.threshold!r}" for o in given]

    def ask(self, n: int) -> Sequence[Proposal]:
        """`get_next_trials`; nothing when Ax finds the space exhausted."""
        try:
            trials = self._client.get_next_trials(max_trials=n)
        except OptimizationComplete:
            return []
        return [Proposal(self._params(given), index) for index, given in trials.items()]

    def tell(self, proposal: Proposal, result: Result) -> None:
        """`complete_trial`, or `mark_trial_failed`."""
        if result.values is None:
            self._client.mark_trial_failed(proposal.handle, failed_reason=result.failure)
        else:
            self._client.complete_trial(proposal.handle, self._data(result.values))

    def add(self, result: Result) -> None:
        """`attach_trial` and `complete_trial`."""
        assert result.values is not None
        point = self.spec.to_axes(result.params)
        known = {p.name for p in self.spec.top} | result.params.keys()
        given = {self._names[p.name]: _given(p, point[p.name]) for p in self.spec.parameters if p.name in known}
        self._client.complete_trial(self._client.attach_trial(given), self._data(result.values))

    def recommend(self) -> Params | None:
        """`get_best_parameterization`, which predicts by the model where there is one; where Ax finds none, the best
        feasible one observed."""
        if len(self.spec.objectives) > 1 or not any(r.values for r in self.results):
            return None
        try:
            return self._params(self._client.get_best_parameterization()[0])
        except (AxError, ValueError):
            return super().recommend()

    def _params(self, given: Mapping[str, Any]) -> Params:
        return self.spec.from_axes({name: float(given[alias]) for name, alias in self._names.items() if alias in given})

    def _config(self, p: Parameter) -> RangeParameterConfig | ChoiceParameterConfig:
        axis, name = p.axis, self._names[p.name]
        if axis.kind == "choice":
            texts = [str(i) for i in range(axis.size or 1)]
            below = zip(texts, self.spec.below(p), strict=True)
            hung = {text: [self._names[child.name] for child in children] for text, children in below if children}
            return ChoiceParameterConfig(
                name=name, values=texts, parameter_type="str", is_ordered=False, dependent_parameters=hung or None
            )
        scaling = "log" if axis.log else None
        if axis.kind == "real":
            return RangeParameterConfig(
                name=name, bounds=(axis.low, axis.high), parameter_type="float", scaling=scaling
            )
        bounds = (int(axis.low), int(axis.high))
        return RangeParameterConfig(name=name, bounds=bounds, parameter_type="int", scaling=scaling)

    def _data(self, values: Mapping[str, float]) -> dict[str, float]:
        return {alias: values[name] for name, alias in self._alias.items()}


def _given(p: Parameter, x: float) -> Any:
    return str(int(x)) if p.axis.kind == "choice" else x if p.axis.kind == "real" else int(x)
