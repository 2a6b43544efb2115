"""SMAC 2.4: HyperparameterOptimizationFacade with its defaults, by ask and tell; a deterministic scenario of `budget`
trials, whose files go to a temporary folder that is removed when the run ends.

Constraints: a penalized cost (`penalty.py`). Failures: that cost, with the status CRASHED. Batches: `ask` n times; what is
in flight is running in its run history. Conditions: those of ConfigSpace.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    InCondition,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from smac import HyperparameterOptimizationFacade as Facade
from smac import Scenario
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from benchmarks.contenders.base import NOT_THE_PARAMS, Adapter, Opening, Proposal, Result
from benchmarks.contenders.penalty import penalized
from benchmarks.contenders.spec import Axis, Spec

DETERMINISTIC_SEED = 0
"""What a deterministic scenario calls the seed of every trial."""


class Smac(Adapter):
    """One facade; it minimizes."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._is_fresh = True
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-smac-")
        self._space = _space(self.spec)
        self._scenario = Scenario(
            self._space,
            output_directory=Path(self._folder.name),
            deterministic=True,
            n_trials=opening.budget,
            seed=opening.seed,
        )
        self._facade = Facade(self._scenario, logging_level=False, overwrite=True)

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()

    def ask(self, n: int) -> Sequence[Proposal]:
        """`ask`, n times; fewer when SMAC has no more trials."""
        self._is_fresh = False
        out: list[Proposal] = []
        while len(out) < n:
            try:
                info = self._facade.ask()
            except StopIteration:
                break
            point = {name: float(x) for name, x in dict(info.config).items()}
            out.append(Proposal(self.spec.from_axes(point), info))
        return out

    def tell(self, proposal: Proposal, result: Result) -> None:
        """`tell`."""
        self._tell(proposal.handle, result)

    def add(self, result: Result) -> None:
        """`tell`, with a configuration of our own. Results before the first ask replace the initial design, as on the
        warm-starting page of SMAC's documentation."""
        if self._is_fresh:
            design = Facade.get_initial_design(self._scenario, n_configs=0, additional_configs=[])
            self._facade = Facade(self._scenario, initial_design=design, logging_level=False, overwrite=True)
            self._is_fresh = False
        active = [p for p in self.spec.parameters if p.name in result.params]
        coordinates = {p.name: (p.coordinate(result.params[p.name]), p.axis.kind == "real") for p in active}
        values = {name: x if is_real else int(x) for name, (x, is_real) in coordinates.items()}
        config = Configuration(self._space, values=values)
        self._tell(TrialInfo(config, seed=DETERMINISTIC_SEED), result)

    def _tell(self, info: TrialInfo, result: Result) -> None:
        cost = penalized(self.spec, result, self.results)
        if cost is not None and result.failure not in NOT_THE_PARAMS:
            status = StatusType.SUCCESS if result.values else StatusType.CRASHED
            self._facade.tell(info, TrialValue(cost=cost, status=status), save=False)


def _space(spec: Spec) -> ConfigurationSpace:
    space = ConfigurationSpace()
    hyperparameters = {p.name: _hyperparameter(p.name, p.axis) for p in spec.parameters}
    space.add(*hyperparameters.values())
    for p in spec.order:
        conditions = []
        for name, values in p.active_if.items():
            allowed = [int(spec.by_name[name].coordinate(value)) for value in values]
            conditions.append(InCondition(hyperparameters[p.name], hyperparameters[name], allowed))
        if conditions:
            space.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
    return space


def _hyperparameter(
    name: str, axis: Axis
) -> UniformFloatHyperparameter | UniformIntegerHyperparameter | CategoricalHyperparameter:
    match axis.kind:
        case "real":
            return UniformFloatHyperparameter(name, axis.low, axis.high, log=axis.log)
        case "whole":
            return UniformIntegerHyperparameter(name, int(axis.low), int(axis.high), log=axis.log)
        case "choice":
            return CategoricalHyperparameter(name, list(range(axis.size or 1)))
