"""run() on a simulated clock: what would take days on thousands of workers, with all that goes wrong there."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

import hpo
from hpo.executors import Failures, Lognormal, Recorded, Simulated
from hpo.running.progress import Progress
from hpo.running.run_result import Run
from hpo.strategies import Random
from hpo.trials.trial import Trial, TrialState


def study(seed: int = 0, strategy: Any = None) -> hpo.Study:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    return hpo.open_study("simulated", problem, storage=":memory:", seed=seed, strategy=strategy or Random())


def measure(trial: Trial) -> dict[str, float]:
    return {"y": -((trial.params["x"] - 0.3) ** 2)}


WORKERS = int(os.environ.get("HPO_SIMULATED_WORKERS", "500"))


def told(s: hpo.Study) -> Counter[int | None]:
    """How many results the log holds of each trial."""
    return Counter(event.number for event in s.events() if event.kind in ("told", "extra"))


def test_many_workers_and_trials() -> None:
    s = study()
    simulated = Simulated(WORKERS, Recorded([600.0, 660.0, 780.0, 900.0, 1800.0]))
    ended = hpo.run(s, measure, budget=hpo.Budget(trials=4 * WORKERS), executor=simulated)
    assert told(s) == dict.fromkeys(range(4 * WORKERS), 1)
    assert len(s.history.completed) == 4 * WORKERS
    task = sum(t.seconds or 0.0 for t in s.trials) / WORKERS
    assert task <= ended.seconds <= task + 1800.0, "no worker was idle before the last trials"


def test_trials_in_flight_whose_ends_are_all_apart() -> None:
    s = study()
    most: list[int] = []

    def show(step: Progress) -> None:
        most.append(len(step.history.in_flight))

    hpo.run(s, measure, budget=hpo.Budget(trials=800), executor=Simulated(300, Lognormal(600.0, 1.0)), progress=show)
    assert max(most) == 299, "one has just ended"
    assert told(s) == dict.fromkeys(range(800), 1)


@pytest.mark.parametrize("deaths", [1.0, 12.0])
def test_stragglers_deaths_and_hangs_leave_nothing_open(deaths: float) -> None:
    s = study()
    failures = Failures(deaths=deaths, recovery=300.0, stragglers=0.1, slowdown=20.0, hangs=0.02)
    simulated = Simulated(50, Lognormal(300.0, 0.5), failures=failures, seed=1)
    hpo.run(s, measure, budget=hpo.Budget(trials=400), executor=simulated, timeout=3600.0)
    results = told(s)
    assert len(s.trials) == 400
    for trial in s.trials:
        if trial.state is TrialState.COMPLETED:
            assert results[trial.number] == 1
        else:
            assert (trial.state, results[trial.number]) == (TrialState.FAILED, 0)
            assert trial.kind == "timeout", "the deaths of workers are no trial's fault"
    kinds = Counter(t.kind for t in s.trials)
    assert kinds[None] > 100
    assert kinds["timeout"] > 0 or deaths > 10
    assert any(t.attempt > 1 and t.state is TrialState.COMPLETED for t in s.trials)


def test_the_wall_time_is_that_of_the_simulated_clock() -> None:
    s = study()
    elapsed: list[float] = []
    ended = hpo.run(
        s,
        measure,
        budget=hpo.Budget(wall="8h"),
        executor=Simulated(4, 1800.0),
        progress=lambda step: elapsed.append(step.elapsed),
    )
    assert ended == Run("the wall time of 8h is over", 8 * 3600.0)
    assert len(s.trials) == 4 * 16
    assert elapsed == [1800.0 * (1 + i // 4) for i in range(64)]


def test_workers_that_join_late_get_trials_when_they_come() -> None:
    s = study()
    ends: list[float] = []
    simulated = Simulated(2, 100.0, joins=[(50.0, 10)])
    hpo.run(
        s, measure, budget=hpo.Budget(trials=22), executor=simulated, progress=lambda step: ends.append(step.elapsed)
    )
    assert Counter(ends) == {100.0: 2, 150.0: 10, 200.0: 2, 250.0: 8}


def test_the_same_seed_gives_the_same_study() -> None:
    def once(seed: int) -> tuple[float, list[tuple[Any, ...]]]:
        s = study(strategy=hpo.strategies.Bayesian())
        simulated = Simulated(4, Lognormal(60.0, 1.0), failures=Failures(deaths=5.0, stragglers=0.2), seed=seed)
        ended = hpo.run(s, measure, budget=hpo.Budget(trials=14), executor=simulated)
        return ended.seconds, [(t.params["x"], t.state, t.attempt, t.seconds) for t in s.trials]

    assert once(1) == once(1)
    assert once(1) != once(2)


def test_trials_of_a_simulated_run_can_be_derived_again() -> None:
    s = study()
    hpo.run(s, measure, budget=hpo.Budget(trials=60), executor=Simulated(8, Lognormal(60.0, 1.0)))
    assert s.replay().is_identical
