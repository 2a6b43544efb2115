"""This library as a user meets it: a study in memory with its defaults, and its simple strategies as yardsticks."""

from __future__ import annotations

from collections.abc import Sequence

import hpo
from benchmarks.contenders.base import Adapter, Opening, Proposal, Result
from benchmarks.contenders.spec import Params
from hpo import strategies
from hpo.problem.json_format import problem_from_json
from hpo.study.open_study import open_study


class Study(Adapter):
    """`open_study`, `ask`, `tell`, `fail`, `add`, all with their defaults. Constraints, failures and their kinds, several
    objectives, conditions and trials in flight are the library's own business."""

    def __init__(self, opening: Opening, strategy: strategies.Strategy | None = None) -> None:
        super().__init__(opening)
        problem = problem_from_json(opening.spec.source)
        self._study = open_study("benchmark", problem, storage=":memory:", seed=opening.seed, strategy=strategy)

    def ask(self, n: int) -> Sequence[Proposal]:
        """The whole of `study.ask(n)`; nothing when the space, or the grid, is exhausted."""
        try:
            return [Proposal(dict(trial.params), trial.number) for trial in self._study.ask(n)]
        except hpo.SpaceExhausted:
            return []

    def tell(self, proposal: Proposal, result: Result) -> None:
        """`study.tell`, or `study.fail` with the kind."""
        if result.values is None:
            self._study.fail(proposal.handle, result.failure or "error")
        else:
            self._study.tell(proposal.handle, result.values)

    def add(self, result: Result) -> None:
        """`study.add`."""
        assert result.values is not None
        self._study.add(result.params, result.values)


class Hpo(Study):
    """The default strategy."""

    def recommend(self) -> Params | None:
        """What the study itself recommends, where it does; else its best trial."""
        study = self._study
        if len(study.problem.objectives) > 1:
            return None
        try:
            trial = study.recommended if hasattr(study, "recommended") else study.best
        except hpo.NoFeasibleTrial:
            return None
        return dict(trial.params)


class Random(Study):
    """Independent draws, each configuration once."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening, strategies.Random())


class Sobol(Study):
    """A scrambled Sobol sequence."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening, strategies.Sobol())


class Grid(Study):
    """The largest grid that the budget pays for, in order. The same for every seed."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening, strategies.Grid(budget=opening.budget))


class OneAtATime(Study):
    """Ten values of the first parameter, the best one kept, ten of the next. The same for every seed."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening, strategies.OneAtATime())
