"""One-at-a-time tuning: the habit joint tuning replaces, kept as the baseline to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpo.boundary.public import public_class
from hpo.errors import SpaceExhausted
from hpo.problem.metrics import is_feasible
from hpo.problem.space import Params, Space, key
from hpo.strategies.grid import at_least_one, spread
from hpo.trials.history import History, oriented
from hpo.trials.suggestion import Suggestion, distinct
from hpo.trials.trial import Trial

_ROUNDS = 100
_GOLDEN = 0.6180339887498949


@public_class
@dataclass(frozen=True)
class OneAtATime:
    """One parameter at a time: the habit that joint tuning replaces, kept to compare with.

    It starts from the defaults, tries some values of the first parameter with all others fixed, keeps the best, and
    goes on to the next. After the last it begins again, with values between those tried. The best is the best feasible
    one; while nothing is feasible, the one that misses the limits by least.

    Args:
        values: How many values of a parameter are tried in a round.

    Raises:
        SettingsError: `values` is below 1.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0), "y": (0.0, 1.0)}), [hpo.Objective("z")])
        >>> strategy = hpo.strategies.OneAtATime(values=2)
        >>> study = hpo.open_study("corner", problem, storage=":memory:", strategy=strategy)
        >>> [tuple(trial.params.values()) for trial in study.ask(3)]
        [(0.5, 0.5), (0.25, 0.5), (0.75, 0.5)]
    """

    values: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", at_least_one("values", self.values))

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """See Strategy.suggest. What is still in flight is not waited for: the best known value is kept."""
        out: list[Suggestion] = []
        taken = set(history.taken)
        results = _ranks(history)
        for name, sweep in self._sweeps(history.problem.space, results):
            for params in distinct(sweep, frozenset(taken), n - len(out)):
                how = "the configuration in production" if name is None else f"sweeping {name}"
                role = "initial" if name is None else "explore"
                out.append(Suggestion(params, {"role": role, "how": how}))
                taken.add(key(params))
            if len(out) == n:
                return out
        if not out:
            raise SpaceExhausted("one-at-a-time tuning has tried every value it can reach")
        return out

    def _sweeps(
        self, space: Space, results: dict[str, tuple[float, float]]
    ) -> Iterator[tuple[str | None, list[Params]]]:
        base = space.start()
        yield None, [base]
        for turn in range(_ROUNDS):
            for name in space.names:
                if name not in base:
                    continue
                sweep = []
                for value in spread(space[name], self.values, shift=turn * _GOLDEN):
                    params = space.snapped({**_middles(space), **space.start(), **base, name: value})
                    if all(c.holds(params) for c in space.linear):
                        sweep.append(params)
                yield name, sweep
                known = [p for p in (base, *sweep) if key(p) in results]
                base = max(known, key=lambda p: results[key(p)], default=base)


def _middles(space: Space) -> Params:
    return {name: p.value_at(0.5) for name, p in space.parameters.items()}


def _ranks(history: History) -> dict[str, tuple[float, float]]:
    """Of each completed configuration that is not set aside: what to maximize, feasibility first."""
    violations = history.violations()

    def rank(trial: Trial, violation: float) -> tuple[float, float]:
        feasible = is_feasible(history.problem.metrics, trial.values)
        value = sum(oriented(o, trial) for o in history.problem.objectives)
        return (0.0, value) if feasible else (-max(violation, 1e-300), value)

    rows = zip(history.completed, violations, strict=True)
    return {key(t.params): rank(t, v) for t, v in rows if not t.set_aside}
