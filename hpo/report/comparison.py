"""Comparison: how several strategies did on one problem with the same number of training runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from hpo.errors import SettingsError
from hpo.problem.metrics import Objective
from hpo.report.tables import best_so_far
from hpo.trials.formatting import short, with_unit
from hpo.trials.history import History

Curve = tuple[float | None, ...]
"""The best feasible value after 1, 2, ... training runs; None while nothing was feasible."""


@dataclass(frozen=True)
class Contender:
    """One strategy, run once for each seed.

    Args:
        name: What it is called in the report.
        curves: By seed, the best feasible value after 1, 2, ... training runs; None while nothing was feasible.

    Example:
        >>> import hpo
        >>> hpo.report.Contender("joint", {0: (None, 0.7, 0.9), 1: (0.6, 0.6, 0.8)}).best
        {0: 0.9, 1: 0.8}
    """

    name: str
    curves: Mapping[int, Curve]
    """By seed."""

    @property
    def training_runs(self) -> int:
        """The most training runs any seed was given."""
        return max((len(curve) for curve in self.curves.values()), default=0)

    @property
    def best(self) -> dict[int, float | None]:
        """The best feasible value of each seed; None where nothing was feasible."""
        return {seed: curve[-1] if curve else None for seed, curve in self.curves.items()}


@dataclass(frozen=True)
class Comparison:
    """Strategies side by side on one problem, judged by the objective among feasible trials.

    Args:
        objective: The single objective.
        contenders: The strategies.

    Example:
        >>> import hpo
        >>> curves = {"joint": (None, 0.9), "grid": (0.7, 0.8)}
        >>> contenders = [hpo.report.Contender(name, {0: curve}) for name, curve in curves.items()]
        >>> hpo.report.Comparison(hpo.Objective("accuracy"), contenders).rows()
        [['joint', '2', '0.9', '0.9'], ['grid', '2', '0.8', '0.8']]
    """

    objective: Objective
    contenders: Sequence[Contender]

    @classmethod
    def of(cls, studies: Mapping[str, Mapping[int, History]]) -> Comparison:
        """The comparison of histories by strategy and seed. Raises SettingsError when there are none, or when their
        objective is not the same single one."""
        histories = [history for by_seed in studies.values() for history in by_seed.values()]
        objectives = {history.problem.objectives for history in histories}
        if len(objectives) != 1 or len(next(iter(objectives))) != 1:
            raise SettingsError(f"a comparison needs studies of one and the same objective, got {len(objectives)}")
        contenders = [
            Contender(name, {seed: best_so_far(history) for seed, history in by_seed.items()})
            for name, by_seed in studies.items()
        ]
        return cls(next(iter(objectives))[0], contenders)

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, in order."""
        return tuple(sorted({seed for c in self.contenders for seed in c.curves}))

    def median(self, values: Sequence[float | None]) -> float | None:
        """The median over seeds, a seed without a feasible trial counting as worse than any other; None where the
        middle seed has none. With an even number of seeds, the mean of the middle two."""
        worst = -self.objective.sign * math.inf
        if not values:
            return None
        middle = median(worst if value is None else value for value in values)
        return middle if math.isfinite(middle) else None

    def median_curve(self, contender: Contender) -> Curve:
        """The median over seeds after 1, 2, ... training runs; a seed that ended early keeps its last value."""
        curves = [curve for curve in contender.curves.values() if curve]
        return tuple(
            self.median([curve[min(i, len(curve) - 1)] for curve in curves]) for i in range(contender.training_runs)
        )

    def header(self) -> list[str]:
        """Headings of `rows`."""
        return ["strategy", "training runs", f"median {self.objective.name}", *(f"seed {seed}" for seed in self.seeds)]

    def rows(self) -> list[list[str]]:
        """One row a strategy: its name, training runs a seed, median over seeds, and the best feasible value of each."""
        return [
            [
                c.name,
                str(c.training_runs),
                self._words(self.median(list(c.best.values()))),
                *(self._words(c.best.get(seed)) for seed in self.seeds),
            ]
            for c in self.contenders
        ]

    def sentence(self) -> str:
        """Who came out best, in one sentence."""
        medians = {c.name: self.median(list(c.best.values())) for c in self.contenders}
        reached = {name: value for name, value in medians.items() if value is not None}
        if not reached:
            return "No strategy met every limit on its middle seed."
        sign = self.objective.sign
        top = max(sign * value for value in reached.values())
        names = " and ".join(name for name, value in reached.items() if sign * value == top)
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        return (
            f"The best median of {self.objective.name} over {seeds}, {short(sign * top)}, comes from {names}; "
            "thick lines are medians, thin lines single seeds."
        )

    def _words(self, value: float | None) -> str:
        return "none feasible" if value is None else with_unit(self.objective, value)
