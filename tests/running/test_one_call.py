"""maximize() and minimize(): one call is a study, and says so."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import (
    DefinitionChanged,
    HpoError,
    MetricError,
    MissingMetric,
    NoFeasibleTrial,
    NotANumber,
    SettingsError,
    SpaceError,
)
from hpo.running.one_call import limit_of

SPACE: dict[str, Any] = {"x": hpo.Float(0.0, 1.0), "n": hpo.Int(1, 5)}


def far(trial: hpo.Trial) -> float:
    """How far from (0.3, 2) a configuration is."""
    x, n = float(trial.params["x"]), int(trial.params["n"])
    return (x - 0.3) ** 2 + (n - 2) ** 2


def test_the_smallest_value_is_found() -> None:
    study = hpo.minimize(far, SPACE, trials=15, seed=1)
    assert len(study.trials) == 15
    assert study.best.params["n"] == 2
    assert study.best.params["x"] == pytest.approx(0.3, abs=0.05)
    assert study.best.values["value"].value == min(far(trial) for trial in study.trials)


def test_the_largest_is_the_smallest_of_the_opposite() -> None:
    down = hpo.minimize(far, hpo.Space(SPACE), trials=10, seed=1)
    up = hpo.maximize(lambda trial: -far(trial), hpo.Space(SPACE), trials=10, seed=1)
    assert [t.params for t in up.trials] == [t.params for t in down.trials]
    assert up.best.number == down.best.number


def test_it_is_the_study_that_the_steps_make() -> None:
    def train(trial: hpo.Trial) -> dict[str, float]:
        return {"accuracy": -far(trial), "latency_ms": 10 * trial.params["x"]}

    one = hpo.maximize(train, SPACE, 12, metric="accuracy", limits={"latency_ms": "<= 2 ms"}, seed=3)
    problem = hpo.Problem(
        hpo.Space(SPACE), [hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=2.0, unit="ms")]
    )
    steps = hpo.open_study("steps", problem, storage=":memory:", seed=3)
    hpo.run(steps, train, budget=hpo.Budget(trials=12))
    assert one.problem == problem
    assert [t.params for t in one.trials] == [t.params for t in steps.trials]
    assert one.best.values["latency_ms"].value <= 2.0


def test_no_trial_within_the_limits_is_no_best_and_loses_nothing() -> None:
    study = hpo.maximize(lambda trial: {"value": 1.0, "size": 9.0}, SPACE, 4, limits={"size": "<= 5"})
    assert len(study.history.completed) == 4
    with pytest.raises(NoFeasibleTrial, match="size"):
        _ = study.best


def test_every_call_begins_anew_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [len(hpo.minimize(far, SPACE, 3).trials) for _ in range(2)] == [3, 3]
    assert list(tmp_path.iterdir()) == []


def test_a_name_keeps_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = hpo.minimize(far, SPACE, 3, name="far", seed=5)
    again = hpo.minimize(far, SPACE, 5, name="far")
    assert again.seed == 5
    assert [t.params for t in again.trials[:3]] == [t.params for t in first.trials[:3]]
    assert len(again.trials) == 5
    assert (tmp_path / "hpo.db").exists()
    with pytest.raises(DefinitionChanged, match="value"):
        hpo.maximize(far, SPACE, 5, name="far")
    hpo.minimize(far, SPACE, 2, name="far", storage=tmp_path / "other.db")
    assert len(hpo.open_study("far", storage=tmp_path / "other.db").trials) == 2


def test_several_workers_are_processes() -> None:
    def train(trial: hpo.Trial) -> dict[str, float]:
        import os

        return {"value": far(trial), "pid": os.getpid()}

    import os

    study = hpo.minimize(train, SPACE, 4, workers=2, limits={"pid": ">= 1"})
    assert os.getpid() not in {t.values["pid"].value for t in study.trials}


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ("<= 5", (None, 5.0, "")),
        (">= 0.8", (0.8, None, "")),
        (" <=5 ", (None, 5.0, "")),
        ("<= 5 ms", (None, 5.0, "ms")),
        (">= -1e-3 MB/s", (-0.001, None, "MB/s")),
        ("<= .5 %", (None, 0.5, "%")),
        ((1, 10), (1, 10, "")),
        ([None, 3.0], (None, 3.0, "")),
    ],
)
def test_limits(given: Any, limit: tuple[float | None, float | None, str]) -> None:
    assert limit_of("m", given) == limit


@pytest.mark.parametrize(
    "given",
    [5, 5.0, None, True, "", "5", "< 5", "> 5", "== 5", "=< 5", "<= five", "<= 5ms", "<= 5k", "<= 5,000", "<= 1_000",
     "<= nan", "<= inf", "<= 5 <= 6", "<= 5 6", "1 <= m <= 2", "<= 5 ms s <", "4..5", (1,), (1, 2, 3), {"upper": 5}],
)  # fmt: skip
def test_what_is_no_limit_is_refused_in_words(given: Any) -> None:
    with pytest.raises(MetricError) as caught:
        hpo.maximize(far, SPACE, limits={"m": given})
    assert str(caught.value) == (
        f'limits: \'m\' has {given!r}. Write "<= 5" or ">= 5", with a unit "<= 5 ms", or both ends (4, 5); limits are '
        "inclusive"
    )


@pytest.mark.parametrize(
    ("ends", "fault"),
    [
        ((5, 4), "swap"),
        ((None, None), "no limit"),
        (("4", 5), "not a finite number"),
        ((float("nan"), 5), "not a finite"),
    ],
)
def test_ends_are_those_of_a_constraint(ends: Any, fault: str) -> None:
    with pytest.raises(MetricError, match=fault):
        hpo.maximize(far, SPACE, limits={"m": ends})


def test_a_limit_of_the_value_is_its_threshold() -> None:
    up = hpo.maximize(far, SPACE, 1, limits={"value": ">= 0.5"}).problem
    down = hpo.minimize(far, SPACE, 1, metric="loss", limits={"loss": "<= 0.5 nats"}).problem
    assert up.metrics == (hpo.Objective("value", threshold=0.5),)
    assert down.metrics == (hpo.Objective("loss", "minimize", threshold=0.5, unit="nats"),)
    with pytest.raises(MetricError, match=r"'value' is to be maximized, .* on the other side: \">= "):
        hpo.maximize(far, SPACE, limits={"value": "<= 0.5"})
    with pytest.raises(MetricError, match=r"'value' is to be minimized, .* on the other side: \"<= "):
        hpo.minimize(far, SPACE, limits={"value": (0.1, 0.5)})


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"space": {}}, SpaceError, "a space is a non-empty mapping"),
        ({"trials": 0}, SettingsError, "budget.trials: 0 is not a whole number of at least 1"),
        ({"workers": 0}, HpoError, "at least one slot, got 0"),
        (
            {"limits": "<= 5"},
            MetricError,
            'limits=\'<= 5\' is not a mapping of metric to limit, like {"latency_ms": "<= 5"}',
        ),
        ({"storage": "x.db"}, SettingsError, 'keeps the study, which needs a name to be found by: name="digits"'),
        ({"metric": " "}, MetricError, "metric name ' ' is not a plain non-empty text"),
        ({"objective": 0.5}, SettingsError, "Give the function itself"),
    ],
)
def test_mistakes(settings: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        hpo.maximize(**{"objective": far, "space": SPACE, **settings})
    assert said in str(caught.value)


def test_an_error_tells_what_would_be_lost() -> None:
    def train(trial: hpo.Trial) -> dict[str, float]:
        return {"value": far(trial)} if trial.number < 3 else {"vlaue": 0.0}

    with pytest.raises(MissingMetric) as caught:
        hpo.minimize(train, SPACE, seed=0)
    told = "".join(traceback.format_exception_only(caught.value))
    assert "Is 'vlaue' a misspelling of it?" in told
    assert "is the best so far of 3 results. A study with a name is kept" in told


def test_a_value_of_another_name_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MissingMetric) as caught:
        hpo.maximize(lambda trial: {"accuracy": 1.0}, SPACE, name="kept", storage=tmp_path / "hpo.db")
    assert caught.value.__notes__ == [
        "The value is called 'value' where no name is given. Give it yours: metric=\"accuracy\""
    ]


def test_with_limits_the_value_alone_is_not_enough() -> None:
    with pytest.raises(NotANumber, match=r"1\.0 alone; .*\{'value': ..., 'size': ...\}"):
        hpo.maximize(lambda trial: 1.0, SPACE, limits={"size": "<= 5"})


def test_progress_is_handed_on() -> None:
    seen: list[int] = []
    hpo.minimize(far, SPACE, 3, progress=lambda step: seen.append(len(step.history.completed)) if step.ended else None)
    assert seen == [1, 2, 3]


def test_an_objective_and_a_space_in_the_wrong_order_are_told_so() -> None:
    with pytest.raises(SettingsError, match="minimize: the objective comes first, then the space"):
        hpo.minimize({"x": (0.0, 1.0)}, lambda trial: 1.0)  # type: ignore[arg-type]
