"""simulate(): schedules with known answers, results the models know, a study that is only read."""

from __future__ import annotations

import dataclasses

import pytest

import hpo
from hpo.bayes.predict import PosteriorMeanObjective
from hpo.errors import SettingsError, TrialFailed
from hpo.executors import Failures, Lognormal, Simulated
from hpo.running.simulate import Capacity, Forecast
from hpo.strategies import Random, Sobol
from hpo.trials.trial import Trial

PROBLEM = hpo.Problem(
    hpo.Space({"x": hpo.Float(0, 1), "y": hpo.Float(0, 1)}),
    [hpo.Objective("score"), hpo.Constraint("size", upper=1.2), hpo.Tracked("heat")],
)


def train(trial: Trial) -> dict[str, float]:
    x, y = trial.params["x"], trial.params["y"]
    return {"score": -((x - 0.7) ** 2) - (y - 0.6) ** 2, "size": x + y}


def study(n: int, problem: hpo.Problem = PROBLEM) -> hpo.Study:
    """A space-filling study with `n` results, each after a minute."""
    out = hpo.open_study("known", problem, storage=":memory:", seed=0, strategy=Sobol())
    if n:
        hpo.run(out, train, budget=hpo.Budget(trials=n), executor=Simulated(2, 60.0))
    return out


def test_equal_trials_take_as_long_as_arithmetic_says() -> None:
    """100 trials of a minute on 8 workers: 12 rounds and a half one."""
    forecast = hpo.simulate(PROBLEM, workers=(8, 1, 100), trials=100, duration=60.0, repeats=2, rate=3.0)
    rows = {row.workers: row for row in forecast.rows}
    assert list(rows) == [1, 8, 100]
    assert [row.seconds for row in rows.values()] == [6000.0, 780.0, 60.0]
    assert [row.speed_up for row in rows.values()] == pytest.approx([1.0, 100 / 13, 100.0])
    assert [row.efficiency for row in rows.values()] == pytest.approx([1.0, 100 / 104, 1.0])
    assert [row.worker_hours for row in rows.values()] == pytest.approx([100 / 60, 104 / 60, 100 / 60])
    assert [row.cost for row in rows.values()] == pytest.approx([5.0, 5.2, 5.0])
    assert {(row.trials, row.lost, row.failed, row.best) for row in rows.values()} == {(100, 0, 0, None)}
    assert (forecast.n_results, forecast.n_seconds, forecast.objective) == (0, 0, None)


def test_within_a_wall_time_more_workers_run_more_trials() -> None:
    forecast = hpo.simulate(PROBLEM, workers=(1, 4), trials=1000, wall="1h", duration=600.0, repeats=1)
    assert [(row.trials, row.seconds) for row in forecast.rows] == [(6, 3600.0), (24, 3600.0)]
    assert [row.speed_up for row in forecast.rows] == pytest.approx([1.0, 4.0])


def test_deaths_and_timeouts_are_counted() -> None:
    """In half an hour at two deaths an hour, a run is lost with the probability 1 - 1/e, and the trial is run again."""
    forecast = hpo.simulate(
        PROBLEM, workers=(20,), trials=300, duration=1800.0, failures=Failures(deaths=2.0), repeats=2
    )
    (row,) = forecast.rows
    lost = 1 - 0.36788
    assert row.failed == 0
    assert row.lost / 300 == pytest.approx(lost / (1 - lost), abs=0.3)  # standard error 9 %
    (slow,) = hpo.simulate(PROBLEM, workers=(5,), trials=9, duration=100.0, timeout=50.0, repeats=1).rows
    assert (slow.failed, slow.lost, slow.seconds) == (9, 0, 100.0)


def test_a_study_with_results_says_what_to_expect() -> None:
    known = study(24)
    before = known.events()
    forecast = hpo.simulate(known, workers=(1, 4), trials=16, repeats=1, strategy=hpo.strategies.Bayesian())
    assert (forecast.n_results, forecast.n_seconds) == (24, 24)
    assert forecast.objective is not None
    assert forecast.objective.name == "score"
    assert [row.seconds for row in forecast.rows] == [16 * 60.0, 4 * 60.0]
    for (
        row
    ) in forecast.rows:  # the best within the limit is at x = 0.65, y = 0.55; models of 24 exact results are close
        assert row.best == pytest.approx(-0.005, abs=0.02)
    assert known.events() == before
    assert known.storage.names() == ["known"]


def test_the_same_seed_gives_the_same_forecast() -> None:
    def once(seed: int) -> Forecast:
        return hpo.simulate(PROBLEM, workers=(1, 4), trials=20, duration=Lognormal(60.0, 1.0), repeats=2, seed=seed)

    assert once(1) == once(1)
    assert once(1).rows != once(2).rows


def test_too_few_results_give_their_seconds_only() -> None:
    forecast = hpo.simulate(study(9), workers=(1,), trials=5, repeats=1)
    assert (forecast.n_results, forecast.n_seconds, forecast.objective) == (0, 9, None)
    assert (forecast.rows[0].seconds, forecast.rows[0].best) == (300.0, None)


def test_several_objectives_have_no_best_value() -> None:
    two = hpo.Problem(PROBLEM.space, [hpo.Objective("score"), hpo.Objective("size", "minimize")])
    forecast = hpo.simulate(study(12, two), workers=(2,), trials=8, repeats=1, strategy=Random())
    assert (forecast.n_results, forecast.objective, forecast.rows[0].best) == (12, None, None)


def test_progress_counts_the_runs() -> None:
    seen: list[tuple[int, int]] = []
    hpo.simulate(
        PROBLEM, workers=(1, 2), trials=2, duration=1.0, repeats=2, progress=lambda done, all: seen.append((done, all))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_is_expected_is_what_the_models_say() -> None:
    known = study(24)
    expected = PosteriorMeanObjective.of(known.history)
    for trial in known.trials[::5]:  # exact measurements of a smooth function
        at = expected.at(trial.params)
        assert at["score"] == pytest.approx(trial.values["score"].value, abs=0.02)
        assert at["size"] == pytest.approx(trial.values["size"].value, abs=0.05)
        assert "heat" not in at


def test_where_trials_failed_they_are_expected_to_fail() -> None:
    known = hpo.open_study("failing", PROBLEM, storage=":memory:", seed=0, strategy=Sobol())
    for trial in known.ask(32):
        if trial.params["x"] > 0.5:
            known.fail(trial, "oom")
        else:
            known.tell(trial, train(trial))
    expected = PosteriorMeanObjective.of(known.history)
    with pytest.raises(TrialFailed, match="expected to fail") as failure:
        expected.at({"x": 0.95, "y": 0.5})
    assert failure.value.kind == "oom"
    assert expected.at({"x": 0.05, "y": 0.5})["size"] == pytest.approx(0.55, abs=0.1)


def forecast(*rows: tuple[int, float]) -> Forecast:
    """Of (workers, speed-up)."""
    first = rows[0][0]
    capacities = tuple(
        Capacity(workers=n, trials=9, seconds=1 / s, worker_hours=n / s, speed_up=s, efficiency=s * first / n)
        for n, s in rows
    )
    return Forecast(rows=capacities, repeats=1, n_results=0, n_seconds=0)


def test_the_advice_says_from_where_on_more_no_longer_help() -> None:
    flat = forecast((1, 1.0), (4, 3.6), (8, 6.0), (32, 7.5))
    assert flat.enough.workers == 8
    assert flat.advice == (
        "More than 8 workers no longer help much: 32 are 1.2 times as fast as 8, for 3.2 times the worker-hours."
    )
    steep = forecast((2, 1.0), (4, 1.9), (16, 7.0))
    assert steep.advice == "More workers help up to 16 at least: they are 7 times as fast as 2."
    assert forecast((4, 1.0)).advice.startswith("Give several numbers of workers")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {},
            r"^no results, so nothing tells how long a trial takes; give a duration: --duration 10min, or duration=600",
        ),
        ({"duration": 1.0, "workers": ()}, r"^workers: whole numbers of at least 1, like 1,8,32, got \(\)"),
        ({"duration": 1.0, "workers": (0, 4)}, r"^workers: .* got \(0, 4\)"),
        ({"duration": 1.0, "repeats": 0}, "^repeats: 0 is not a whole number of at least 1"),
        ({"duration": 1.0, "rate": -1.0}, "^rate: -1.0 is no cost per hour"),
        ({"duration": 1.0, "trials": 0}, r"^budget.trials: 0 is not a whole number of at least 1"),
        ({"duration": 1.0, "wall": "soon"}, "^budget.wall: 'soon' is no length of time"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        hpo.simulate(PROBLEM, **wrong)  # type: ignore[arg-type]


def test_a_study_without_recorded_seconds_needs_a_duration() -> None:
    known = hpo.open_study("told", PROBLEM, storage=":memory:", seed=0, strategy=Sobol())
    for trial in known.ask(12):
        known.tell(trial, train(trial))
    with pytest.raises(
        SettingsError, match=r"^study 'told' has no trial whose seconds were recorded, so nothing tells"
    ):
        hpo.simulate(known)
    assert hpo.simulate(known, workers=(1,), trials=3, duration=5.0, repeats=1).n_results == 12


def test_forecasts_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        forecast((1, 1.0)).repeats = 2  # type: ignore[misc]


def test_a_space_with_fewer_configurations_than_trials_ends_early() -> None:
    small = hpo.Problem(hpo.Space({"n": hpo.Int(1, 5)}), [hpo.Objective("score")])
    (row,) = hpo.simulate(small, workers=(2,), trials=50, duration=10.0, repeats=1).rows
    assert (row.trials, row.seconds) == (5, 30.0)
