"""From a history to configurations: fit, choose, explain.

Per configuration: the acquisition is screened on points spread over the space and near the best trials, climbed from the
most promising, and the best configuration that is not taken wins. A small finite space is compared point by point.
Several objectives are weighed by the hypervolume they dominate (`torch/hypervolume.py`, loaded only then).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpo.bayes.acquisition import Acquisition, LogProbability, Utility
from hpo.bayes.batch import N_FANTASIES, Target, acquisition
from hpo.bayes.data import TrainingData, predictions_by_name, training_data
from hpo.bayes.domain import domain_of, feasible_params
from hpo.bayes.feasibility import LikelySuccess
from hpo.bayes.gp import GP
from hpo.bayes.halton import halton
from hpo.bayes.kernel import Array, Mask
from hpo.bayes.maximize import Climbable, Domain, maximize
from hpo.bayes.models import Models, fit_models
from hpo.encoding import Encoder, key
from hpo.history import History
from hpo.space import Params
from hpo.suggestion import Suggestion, exhausted, random_distinct

if TYPE_CHECKING:
    from hpo.bayes.torch.hypervolume import Front

N_RAW = 384
N_STARTS = 6
N_INCUMBENTS = 3
MOST_LISTED = 2000
"""Finite spaces up to this size are compared point by point."""


def propose(history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
    """Up to `n` configurations, distinct and not taken. Raises SpaceExhausted when all are taken."""
    encoder = Encoder(history.problem.space)
    data = training_data(history, encoder)
    models = fit_models(data, history.fitted)
    chooser = _Chooser(history, data, models, rng, n)
    out: list[Suggestion] = []
    for _ in range(n):
        pick = chooser.next()
        if pick is None:
            break
        out.append(pick)
    if not out:
        raise exhausted(len(history.taken))
    first = Suggestion(out[0].params, out[0].why, models.fitted())
    return [first, *out[1:]]


@dataclass(frozen=True, eq=False)
class Aim:
    """What the next configuration is chosen for, and the words for it."""

    target: Target
    is_feasibility: bool


def aim(data: TrainingData, models: Models) -> Aim:
    """Improve on the best feasible trial; while there is none, be feasible.

    The best is judged by the model's mean at the trials, so that a lucky measurement does not set the mark. A single
    objective's own threshold is no limit here: to improve is to approach it.
    """
    limits: list[tuple[GP, Utility]] = [(m.gp, limit) for m in models.constraints if (limit := m.limit)]
    if models.success:
        limits.append((models.success, LikelySuccess()))
    meets = meets_constraints(data)
    if not models.objectives or not meets.any():
        return Aim(Target(None, -np.inf, limits), is_feasibility=True)
    gp = models.objectives[0].gp
    mean = gp.posterior(data.X[meets])[0]
    return Aim(Target(gp, float(mean.max()), limits), is_feasibility=False)


def meets_constraints(data: TrainingData) -> Mask:
    """Which completed trials `[n]` meet every constraint as measured; the objectives' own thresholds are not looked at."""
    meets = np.ones(len(data.X), dtype=bool)
    for series in data.constraints:
        meets &= (series.y >= series.lower) & (series.y <= series.upper)
    return meets


class _Chooser:
    """Chooses one configuration after another; each joins what is in flight for the next."""

    def __init__(self, history: History, data: TrainingData, models: Models, rng: np.random.Generator, n: int) -> None:
        self.history, self.data, self.models, self.rng = history, data, models, rng
        self.encoder = data.encoder
        self.taken = set(history.taken)
        self.in_flight = data.X_in_flight
        self.aim = aim(data, models)
        self.normals = rng.standard_normal((len(self.in_flight) + n, N_FANTASIES))
        self.listed = self._listed()
        self.domain: Domain = domain_of(self.encoder)
        self.front = None if self.aim.is_feasibility else _front(data, models, rng)
        self.incumbents = self.front.spread(N_INCUMBENTS) if self.front else _incumbents(data, models, history)

    def next(self) -> Suggestion | None:
        function = self._function()
        if self.listed is not None:
            found = self._from_list(function)
        else:
            found = next(self._from_search(function), None) or self._from_chance()
        if found is None:
            return None
        params, role = found
        x = self.encoder.encode([params])
        suggestion = Suggestion(params, self._why(params, x, role, float(function.value(x)[0])))
        self.taken.add(key(params))
        self.in_flight = np.concatenate([self.in_flight, x])
        return suggestion

    def _function(self) -> Climbable:
        if self.front:
            return self.front.improvement(self.in_flight)
        return acquisition(self.aim.target, self.in_flight, self.normals)

    def _listed(self) -> list[Params] | None:
        space = self.history.problem.space
        return None if space.size(MOST_LISTED) is None else list(space.enumerate())

    def _from_list(self, function: Climbable) -> tuple[Params, str] | None:
        assert self.listed is not None
        left = [p for p in self.listed if key(p) not in self.taken]
        if not left:
            return None
        return left[int(np.argmax(function.value(self.encoder.encode(left))))], ""

    def _from_search(self, function: Climbable) -> Iterator[tuple[Params, str]]:
        raw = self._raw()
        maxima = maximize(function, raw, self.rng, domain=self.domain, incumbents=self.incumbents, n_starts=N_STARTS)
        screened = raw[np.argsort(-function.value(raw), kind="stable")[:32]]
        for x in np.concatenate([maxima.X, screened]):
            params = feasible_params(self.encoder, x, raw)
            if key(params) not in self.taken:
                yield params, ""

    def _from_chance(self) -> tuple[Params, str] | None:
        drawn = random_distinct(self.history.problem.space, frozenset(self.taken), 1, self.rng)
        return (drawn[0], "fallback") if drawn else None

    def _raw(self) -> Array:
        """Configurations spread over the space, as rows; all meet the linear constraints."""
        space = self.history.problem.space
        X = self.encoder.from_cube(halton(N_RAW, len(space), self.rng))
        X = X[self.encoder.meets_constraints(X)]
        if len(X) < N_RAW // 8:
            X = np.concatenate([X, self.encoder.encode(space.sample(self.rng, N_RAW // 8))])
        return X

    def _why(self, params: Params, x: Array, role: str, value: float) -> dict[str, object]:
        predicted = {m.series.metric.name: _first(m.predict(x)) for m in self.models.by_metric}
        p_meets = {m.series.metric.name: _probability(m.gp, m.limit, x) for m in self.models.by_metric if m.limit}
        if not role:
            role = "feasibility" if self.aim.is_feasibility else self._daring(x)
        why: dict[str, object] = {
            "role": role,
            "how": _HOW[role],
            "predicted": predictions_by_name(predicted),
            "p_meets": p_meets,
            "acquisition": value,
            "n_seen": len(self.data.X),
            "n_in_flight": len(self.in_flight),
            "seed": self.history.seed,
        }
        if self.models.success:
            why["p_success"] = _probability(self.models.success, LogProbability(lower=0.0), x)
        if len(self.data.X):
            why["nearest"] = _nearest(self.history, self.data, x)
        return why

    def _daring(self, x: Array) -> str:
        if self.front:
            return "explore" if self.front.dominates(x) else "exploit"
        gp, best = self.aim.target.objective, self.aim.target.best
        assert gp is not None
        return "exploit" if gp.posterior(x)[0][0] >= best else "explore"


_HOW = {
    "feasibility": "no trial meets every limit yet: here all are most probably met",
    "exploit": "predicted better than what is known",
    "explore": "predicted below what is known, but uncertain enough to be worth a look",
    "fallback": "drawn at random: the search found nothing new",
}


def _front(data: TrainingData, models: Models, rng: np.random.Generator) -> Front | None:
    """The best trade-offs between several objectives; None where there is one, so that torch is not even loaded."""
    if len(models.objectives) < 2:
        return None
    from hpo.bayes.torch.hypervolume import Front

    return Front.of(models, data.X, meets_constraints(data), seed=int(rng.integers(2**31)))


def _incumbents(data: TrainingData, models: Models, history: History) -> Array:
    """The best few completed trials `[<= 3, d]`: by the objective's model among the feasible, by violation before."""
    if models.objectives and data.feasible.any():
        rows = np.flatnonzero(data.feasible)
        score = models.objectives[0].gp.posterior(data.X[rows])[0]
    else:
        rows, score = np.arange(len(data.X)), -history.violations()
    return data.X[rows[np.argsort(-score, kind="stable")[:N_INCUMBENTS]]]


def _probability(gp: GP, limit: LogProbability | None, x: Array) -> float:
    assert limit is not None
    return float(np.exp(Acquisition([(gp, limit)]).value(x)[0]))


def _first(moments: tuple[Array, Array]) -> tuple[float, float]:
    return float(moments[0][0]), float(moments[1][0])


def _nearest(history: History, data: TrainingData, x: Array) -> int:
    return history.completed[int(np.argmin(np.sum((data.X - x) ** 2, axis=1)))].number
