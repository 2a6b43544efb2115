"""Which trials the surrogates are built on, when there are more than they can be built on."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

import hpo
from hpo.bayes.data import MAX_FAILED, MAX_MODELED, relevant
from hpo.problem.space import key
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState

SPACE = hpo.Space({"x": hpo.Float(0, 1)})


def completed(number: int, **values: float) -> Trial:
    told = {name: hpo.Measurement(value) for name, value in values.items()}
    return Trial(number, {"x": number / 1e5}, TrialState.COMPLETED, 0, values=told)


def ended(number: int, state: TrialState, kind: str | None = None) -> Trial:
    return Trial(number, {"x": number / 1e5}, state, 0, kind=kind)


def history_of(trials: list[Trial], *metrics: hpo.Objective | hpo.Constraint) -> History:
    problem = hpo.Problem(SPACE, metrics or [hpo.Objective("v")])
    return History(problem, 0, tuple(replace(t, number=i) for i, t in enumerate(trials)))


def values_of(n: int, seed: int = 0) -> list[float]:
    return [float(v) for v in np.random.default_rng(seed).permutation(n)]


def test_what_fits_is_left_as_it_is() -> None:
    trials = [completed(0, v=v) for v in values_of(MAX_MODELED)]
    history = history_of([*trials, *[ended(0, TrialState.FAILED, "oom")] * MAX_FAILED])
    assert relevant(history) is history


@pytest.mark.parametrize("n", [1501, 2000, 4000])
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_the_best_half_is_kept_and_the_rest_is_spread(n: int, goal: Literal["maximize", "minimize"]) -> None:
    values = values_of(n)
    history = history_of([completed(0, v=v) for v in values], hpo.Objective("v", goal))
    kept = relevant(history)
    assert [t.number for t in kept.trials] == sorted({t.number for t in kept.trials})
    assert kept.problem is history.problem
    ranks = sorted(t.values["v"].value if goal == "minimize" else n - 1 - t.values["v"].value for t in kept.completed)
    assert len(ranks) == MAX_MODELED
    half = MAX_MODELED // 2
    assert ranks[:half] == list(range(half))
    assert ranks[-1] == n - 1, "the worst is among them"
    gaps = np.diff(ranks[half:])
    even = (n - 1 - half) / (half - 1)
    assert np.all(np.abs(gaps - even) < 1.0)


def test_what_misses_limits_least_ranks_first() -> None:
    n = 2000
    cost, value = values_of(n, 1), values_of(n, 2)
    trials = [completed(0, v=v, c=c) for v, c in zip(value, cost, strict=True)]
    history = history_of(trials, hpo.Objective("v"), hpo.Constraint("c", upper=400.0))
    kept = {t.number for t in relevant(history).completed}
    order = sorted(range(n), key=lambda i: (max(cost[i] - 400.0, 0.0), -value[i]))
    assert set(order[: MAX_MODELED // 2]) <= kept
    assert len(kept) == MAX_MODELED


def test_several_objectives_rank_by_the_sum_of_ranks() -> None:
    n = 1800
    a, b = values_of(n, 1), values_of(n, 2)
    trials = [completed(0, a=u, b=1e3 * v) for u, v in zip(a, b, strict=True)]
    history = history_of(trials, hpo.Objective("a"), hpo.Objective("b", "minimize"))
    kept = {t.number for t in relevant(history).completed}
    total = np.array(b) - np.array(a)
    sure = np.flatnonzero(total < np.sort(total)[MAX_MODELED // 2])  # all better than the last of the better half
    assert set(sure.tolist()) <= kept
    assert len(kept) == MAX_MODELED


def test_constraints_alone_rank_too() -> None:
    cost = values_of(1700)
    history = history_of([completed(0, c=c) for c in cost], hpo.Constraint("c", upper=100.0))
    kept = relevant(history).completed
    assert len(kept) == MAX_MODELED
    assert {float(c) for c in range(101)} <= {t.values["c"].value for t in kept}


@pytest.mark.parametrize("n", [20, 2000])
def test_everything_in_flight_is_kept_and_failures_are_capped(n: int) -> None:
    """The latest failures: they tell of where the search is now."""
    running = [ended(0, s) for s in (TrialState.RUNNING, TrialState.WAITING)] * 40
    failed = [ended(0, TrialState.FAILED, "oom")] * 700
    history = history_of([*running, *failed, *[completed(0, v=v) for v in values_of(n)], *running])
    kept = relevant(history)
    assert kept.in_flight == history.in_flight
    assert len(kept.in_flight) == 160
    assert kept.failed == history.failed[-MAX_FAILED:]
    assert len(kept.completed) == min(n, MAX_MODELED)


def test_an_ask_after_1600_results_repeats_none_of_them() -> None:
    """Of 1700 configurations a hundred are left: they are what a hundred are asked for, and none of those that are tried
    but not modeled any more."""
    problem = hpo.Problem(hpo.Space({"i": hpo.Int(1, 100), "j": hpo.Int(1, 17)}), [hpo.Objective("v")])
    random = hpo.open_study("r", problem, storage=":memory:", seed=1, strategy=hpo.strategies.Random())
    for trial in random.ask(1600):
        random.tell(trial, {"v": -((trial.params["i"] - 40) ** 2.0) - (trial.params["j"] - 8) ** 2.0})
    study = hpo.open_study("r", storage=random.storage, strategy=hpo.strategies.Bayesian())
    tried = {key(t.params) for t in study.trials}
    batch = [study.ask(), *study.ask(99)]
    assert len({key(t.params) for t in batch} - tried) == 100
    assert {t.why["n_seen"] for t in batch} == {MAX_MODELED}
    assert all(t.why["role"] in ("explore", "exploit") for t in batch)
