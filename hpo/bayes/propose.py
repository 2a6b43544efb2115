"""From a history to configurations: fit, choose, explain.

Per configuration: the acquisition is screened on points spread over the space and near the best trials, climbed from the
most promising, and the best configuration that is not taken wins. A small finite space is compared point by point.
Several objectives are weighed by the hypervolume they dominate. Beyond some points of a batch, or many in flight, the
rest is chosen from a pool of candidates by joint draws, which costs the same however many they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpo.bayes.acquisition.feasibility import risk_margin
from hpo.bayes.acquisition.log_ei import Acquisition, LogProbability
from hpo.bayes.acquisition.pending import N_FANTASIES, acquisition
from hpo.bayes.candidate_pool import greedy, pool_draws
from hpo.bayes.data import TrainingData, training_data
from hpo.bayes.domain import domain_of, feasible_params
from hpo.bayes.gp.gp import GP
from hpo.bayes.gp.kernel import squared_distances
from hpo.bayes.mode import Mode, mode_of
from hpo.bayes.models import Models, fit_models, needs_search
from hpo.bayes.optimize.halton import halton
from hpo.bayes.optimize.maximize import Climbable, Domain, maximize, perturb
from hpo.bayes.several_objectives import Front
from hpo.bayes.target import meets_constraints, target_of
from hpo.bayes.time_estimates import CostModel
from hpo.common.arrays import Array, Mask
from hpo.errors import SpaceExhausted
from hpo.problem.encoding import Encoder
from hpo.problem.space import Params, key
from hpo.trials.deadline import REUSED, SCREENED, NoTimeLimit, TimeLimit
from hpo.trials.history import History
from hpo.trials.suggestion import Suggestion, random_distinct

N_RAW = 384
N_STARTS = 6
N_INCUMBENTS = 3
N_GLANCED = 16
"""Candidates from which a trial is chosen while the model is uninformative."""
MAX_LISTED = 2000
"""Finite spaces up to this size are compared point by point."""
MAX_CLIMBED = 16
"""Points of one batch that are searched for one by one; the rest come from a pool."""
MAX_FANTASIZED = 64
"""Points in flight beyond which all come from a pool."""
POOL = 1024
MAX_POOLED = 1000
"""Picks from one pool; it has twice as many candidates, and at least `POOL`."""


def propose(
    history: History, n: int, rng: np.random.Generator, time_limit: TimeLimit | None = None
) -> list[Suggestion]:
    """Up to `n` configurations, distinct and not taken; fewer, perhaps none, when all others are taken or `time_limit`
    does not suffice."""
    time_limit = time_limit or NoTimeLimit()
    data = training_data(history, Encoder(history.problem.space))
    seconds = CostModel(len(data.X) + len(data.X_failed), len(data.objectives) + len(data.constraints) or 1)
    if not time_limit.model(seconds.build):
        return []
    search = not needs_search(data, history.fitted) or time_limit.search(seconds.search(cold=not history.fitted))
    models = fit_models(data, history.fitted, search=search, use_alternatives=n > 1 or len(data.X_in_flight) > 0)
    chooser = _Chooser(data.history, set(history.taken), len(history.trials), data, models, rng, n)
    out = chooser.choose(n, time_limit, seconds, () if search else (REUSED,))
    return [Suggestion(s.params, s.why, models.fitted() if search and not i else {}) for i, s in enumerate(out)]


class _Chooser:
    """Chooses one configuration after another; each joins what is in flight for the next."""

    def __init__(
        self,
        history: History,
        taken: set[str],
        n_trials: int,
        data: TrainingData,
        models: Models,
        rng: np.random.Generator,
        n: int,
    ) -> None:
        self.history, self.data, self.models, self.rng = history, data, models, rng
        self.encoder = data.encoder
        self.taken = taken
        self.n_trials = n_trials
        self.meets = meets_constraints(data)
        self.skipped: tuple[str, ...] = ()
        self.in_flight = data.X_in_flight
        self.target = target_of(data, models, risk_margin(history.trials))
        width = N_FANTASIES * max(len(models.objectives), 1)
        self.normals = rng.standard_normal((min(len(self.in_flight), MAX_FANTASIZED) + min(n, MAX_CLIMBED), width))
        self.listed = self._listed()
        self.domain: Domain = domain_of(self.encoder)
        several = len(models.objectives) > 1 and not self.target.is_feasibility
        self.front = Front.of(models, data.X, self.meets) if several else None
        self.incumbents = self.front.spread(N_INCUMBENTS) if self.front else _incumbents(data, models, history)

    def choose(self, n: int, time_limit: TimeLimit, seconds: CostModel, skipped: tuple[str, ...]) -> list[Suggestion]:
        """Up to `n` configurations; fewer when all others are taken, or the time limit ends."""
        out: list[Suggestion] = []
        self.skipped = skipped
        climbed = min(n, MAX_CLIMBED) if n <= MAX_FANTASIZED else 0
        while len(out) < climbed and len(self.in_flight) <= MAX_FANTASIZED:
            rest = n - len(out) - 1
            if not time_limit.climb(seconds.climb, seconds.screen(POOL + 2 * rest) if rest else 0.0):
                self.skipped = (*skipped, SCREENED)
                break
            pick = self._next()
            if pick is None:
                return out
            out.append(pick)
        if len(out) < n and not time_limit.screen(seconds.screen(POOL + 2 * (n - len(out)))):
            return out
        while len(out) < n:
            picks = self._from_pool(min(n - len(out), MAX_POOLED))
            out += picks
            if not picks:
                break
        return out

    def _next(self) -> Suggestion | None:
        number, n_in_flight = self.n_trials + len(self.in_flight) - len(self.data.X_in_flight), len(self.in_flight)
        mode = mode_of(number, n_in_flight, self.target, several=self.front is not None)
        function, best = self._function(), self._best
        if mode is Mode.SPACE_FILLING:
            best = self._best_of_few
        elif mode is Mode.ALTERNATIVE:
            alternatives = self.target.alternatives
            function = acquisition(alternatives[number // 2 % len(alternatives)], self.in_flight, self.normals)
        found = best(function)
        if found is None:
            return self._by_chance()
        if mode is Mode.IMPROVE_OR_EXPLORE:
            if function.value(self._row(found))[0] < np.log(self.target.stall_threshold):
                function = acquisition(self.target.exploring, self.in_flight, self.normals)
                found = self._best(function) or found
            else:
                mode = Mode.IMPROVE
        X = self._row(found)
        (pick,) = self._suggestions([found], X, function.value(X), how=mode.value)
        return pick

    def _row(self, params: Params) -> Array:
        return self.encoder.encode([params])

    def _best(self, function: Climbable) -> Params | None:
        return next(self._from_search(function), None) if self.listed is None else self._from_list(function)

    def _best_of_few(self, function: Climbable) -> Params | None:
        return next(self._ranked(function, self._raw(N_GLANCED)), None)

    def _by_chance(self) -> Suggestion | None:
        try:
            drawn = random_distinct(self.history.problem.space, frozenset(self.taken), 1, self.rng)
        except SpaceExhausted:
            return None
        X = self._row(drawn[0])
        (pick,) = self._suggestions(drawn, X, self._function(self.in_flight[:0]).value(X), "fallback")
        return pick

    def _from_pool(self, n: int) -> list[Suggestion]:
        """At most `n` configurations chosen together; at least one while any is left."""
        X = self._pool(max(POOL, 2 * n))
        draws, reach, chance = pool_draws(self.target.terms, self.front, X, self.in_flight, self.rng)
        picks: dict[str, Params] = {}
        for i in greedy(draws, reach, chance):
            params = feasible_params(self.encoder, X[i], X)
            if key(params) not in self.taken:
                picks[key(params)] = params
            if len(picks) == n:
                break
        if not picks:
            pick = self._by_chance()
            return [pick] if pick else []
        X = self.encoder.encode(list(picks.values()))
        return self._suggestions(list(picks.values()), X, self._function(self.in_flight[:0]).value(X))

    def _pool(self, size: int) -> Array:
        """Candidates [<= size, d] that are not taken: all of a small space, else half spread out and half near the best."""
        if self.listed is not None:
            X = self.encoder.encode([p for p in self.listed if key(p) not in self.taken])
            return X if len(X) <= size else X[self.rng.permutation(len(X))[:size]]
        spread = self._raw(size if not len(self.incumbents) else size // 2)
        if not len(self.incumbents):
            return spread
        near = self.encoder.snapped(perturb(self.incumbents, size - len(spread), self.rng, self.domain))
        return np.concatenate([spread, near[self.encoder.meets_constraints(near)]])

    def _function(self, in_flight: Array | None = None) -> Climbable:
        in_flight = self.in_flight if in_flight is None else in_flight
        if self.front:
            return self.front.improvement(self.target.terms.limits, in_flight, self.normals)
        return acquisition(self.target.terms, in_flight, self.normals)

    def _listed(self) -> list[Params] | None:
        space = self.history.problem.space
        return None if space.size(MAX_LISTED) is None else list(space.enumerate())

    def _from_list(self, function: Climbable) -> Params | None:
        assert self.listed is not None
        left = [p for p in self.listed if key(p) not in self.taken]
        return left[int(np.argmax(function.value(self.encoder.encode(left))))] if left else None

    def _from_search(self, function: Climbable) -> Iterator[Params]:
        raw = self._raw(N_RAW)
        maxima = maximize(function, raw, self.rng, domain=self.domain, incumbents=self.incumbents, n_starts=N_STARTS)
        yield from self._free(maxima.X, raw)
        yield from self._ranked(function, raw)

    def _ranked(self, function: Climbable, raw: Array) -> Iterator[Params]:
        """The best 32 rows of `raw`, less what is taken."""
        yield from self._free(raw[np.argsort(-function.value(raw), kind="stable")[:32]], raw)

    def _free(self, X: Array, anchors: Array) -> Iterator[Params]:
        """The configurations of rows X [k, d] that are not taken."""
        for x in X:
            params = feasible_params(self.encoder, x, anchors)
            if key(params) not in self.taken:
                yield params

    def _raw(self, count: int) -> Array:
        """Configurations spread over the space, as rows; all meet the linear constraints."""
        space = self.history.problem.space
        X = self.encoder.from_cube(halton(count, len(space), self.rng))
        X = X[self.encoder.meets_constraints(X)]
        if len(X) < count // 8:
            X = np.concatenate([X, self.encoder.encode(space.sample(self.rng, count // 8))])
        return X

    def _suggestions(
        self, picks: list[Params], X: Array, value: Array, role: str = "", how: str = ""
    ) -> list[Suggestion]:
        """The chosen configurations X [k, d] with their reasons; from here on they are in flight."""
        models, n_in_flight = self.models, len(self.in_flight)
        predicted = {m.series.metric.name: m.predict(X) for m in models.by_metric}
        p_meets = {m.series.metric.name: _probability(m.gp, m.limit, X) for m in models.by_metric if m.limit}
        p_success = models.p_success(X)
        nearest = _nearest(self.history, self.data, X)
        is_bold = None if role or self.target.is_feasibility else self._is_daring(X)
        out = []
        for i, params in enumerate(picks):
            is_role = role or ("feasibility" if is_bold is None else "explore" if is_bold[i] else "exploit")
            why: dict[str, object] = {
                "role": is_role,
                "how": how or _HOW[is_role],
                "predicted": {name: [float(mean[i]), float(sd[i])] for name, (mean, sd) in predicted.items()},
                "p_meets": {name: float(p[i]) for name, p in p_meets.items()},
                "acquisition": float(value[i]),
                "n_seen": len(self.data.X),
                "n_in_flight": n_in_flight + i,
                "seed": self.history.seed,
            }
            if self.skipped:
                why["skipped"] = list(self.skipped)
            if p_success is not None:
                why["p_success"] = float(p_success[i])
            if len(self.data.X):
                why["nearest"] = nearest[i]
            out.append(Suggestion(params, why))
        self.taken |= {key(params) for params in picks}
        self.in_flight = np.concatenate([self.in_flight, X])
        return out

    def _is_daring(self, X: Array) -> Mask:
        """Whether each configuration is predicted worse than what is known."""
        if self.front:
            return self.front.dominates(X)
        gp, best = self.target.terms.objective, self.target.terms.best
        assert gp is not None
        return gp.posterior_mean(X) < best


_HOW = {
    "feasibility": "no trial meets every limit yet; this one is the most likely to meet them all",
    "exploit": "predicted better than the best trial so far",
    "explore": "predicted worse than the best trial so far, but uncertain enough to be worth a try",
    "fallback": "drawn at random, because the search found nothing new",
}


def _incumbents(data: TrainingData, models: Models, history: History) -> Array:
    """The best few completed trials `[<= 3, d]`: by the objective's model among the feasible, by violation before."""
    if models.objectives and data.feasible.any():
        rows = np.flatnonzero(data.feasible)
        score = models.objectives[0].gp.posterior_mean(data.X[rows])
    else:
        rows, score = np.arange(len(data.X)), -history.violations()
    return data.X[rows[np.argsort(-score, kind="stable")[:N_INCUMBENTS]]]


def _probability(gp: GP, limit: LogProbability | None, X: Array) -> Array:
    assert limit is not None
    return np.exp(Acquisition([(gp, limit)]).value(X))


def _nearest(history: History, data: TrainingData, X: Array) -> list[int]:
    """Numbers of the completed trials nearest to the rows of X."""
    return [history.completed[i].number for i in squared_distances(X, data.X).argmin(axis=1)] if len(data.X) else []
