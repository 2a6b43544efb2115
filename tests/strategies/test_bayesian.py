"""The Bayesian strategy: what it learns from, what it explains, and that no data make it raise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hpo
from hpo.bayes import propose
from hpo.strategies import Bayesian, Random, Strategy
from hpo.testing.strategies import StrategyContract


class TestBayesian(StrategyContract):
    def make(self) -> Strategy:
        return Bayesian(n_initial=2)


def study(*metrics: Any, d: int = 2, seed: int = 0, strategy: Any = None) -> hpo.Study:
    """`d` parameters in [0, 1]."""
    space = hpo.Space({f"x{i}": hpo.Float(0, 1) for i in range(d)})
    problem = hpo.Problem(space, metrics or [hpo.Objective("y")])
    return hpo.open_study("b", problem, storage=":memory:", seed=seed, strategy=strategy)


def run(s: hpo.Study, n: int, measure: Callable[[dict[str, float]], Any]) -> None:
    """Tell what `measure` makes of the params; a text is a kind of failure."""
    for _ in range(n):
        trial = s.ask()
        told = measure(dict(trial.params))
        if isinstance(told, str):
            s.fail(trial, told)
        else:
            s.tell(trial, told)


@pytest.mark.parametrize(
    "y",
    [
        lambda x: 0.0,
        lambda x: 1e300 * x["x0"],
        lambda x: 1e-300 * x["x0"],
        lambda x: -1e308 if x["x0"] < 0.5 else 1e308,
        lambda x: float(x["x0"] > 0.5),
        lambda x: 1e12 + x["x0"],
        lambda x: math.exp(300 * x["x0"]),
        lambda x: -math.exp(600 * x["x0"]),
    ],
)
def test_no_values_make_it_raise(y: Callable[[dict[str, float]], float]) -> None:
    s = study(hpo.Objective("y"), hpo.Constraint("c", upper=0.0))
    run(s, 15, lambda x: {"y": y(x), "c": -y(x)})
    assert all(t.why["role"] != "fallback" for t in s.trials)
    for trial in s.trials[8:]:
        assert all(math.isfinite(v) for pair in trial.why["predicted"].values() for v in pair)


@pytest.mark.parametrize(
    ("value", "sem"), [(1e-160, 1e-161), (1e-200, 1e-201), (1e-10, 1e150), (1e170, 1e160), (1.0, 0.0)]
)
def test_no_standard_errors_make_it_raise(value: float, sem: float) -> None:
    s = study()
    run(s, 12, lambda x: {"y": hpo.Measurement(value * (x["x0"] - 0.3) ** 2, sem)})
    assert all(t.why["role"] != "fallback" for t in s.trials)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_limits_far_beyond_all_values_make_nothing_raise(sign: float) -> None:
    limits = sorted([1e12 * sign, 2e12 * sign])
    s = study(hpo.Objective("y"), hpo.Constraint("z", lower=limits[0], upper=limits[1]))
    values = iter([0.0, -1.0, -4.0, -9.0, -16.0, -90.0, 1.0] * 2)
    run(s, 12, lambda x: {"y": x["x0"], "z": sign * next(values)})
    assert {t.why["role"] for t in s.trials} == {"initial", "feasibility"}


def test_reasons_that_are_not_finite_are_a_model_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    s = study()
    run(s, 6, lambda x: {"y": x["x0"]})
    said: list[tuple[dict[str, Any], dict[str, Any]]]
    said = [({"acquisition": math.nan}, {}), ({"predicted": {"y": [math.inf, 1.0]}}, {}), ({}, {"thetas": [-math.inf]})]
    for why, fitted in said:
        suggestion = hpo.strategies.Suggestion({"x0": 0.5, "x1": 0.5}, {"role": "exploit", **why}, fitted)
        monkeypatch.setattr(propose, "propose", lambda *_, out=suggestion: [out])
        assert s.ask().why["role"] == "fallback"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=12), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_arbitrary_values_are_modeled(values: list[float], seed: int) -> None:
    s = study(hpo.Objective("y"), hpo.Constraint("c", lower=-1.0, upper=1.0), seed=seed, strategy=Random())
    for value in values:
        s.tell(s.ask(), {"y": value, "c": value})
    model = hpo.open_study("b", storage=s.storage, strategy=Bayesian(n_initial=2))
    assert len(model.ask(2)) == 2


def test_all_failing_and_then_some() -> None:
    s = study()
    run(s, 12, lambda x: "oom")
    assert len(s.history.failed) == 12
    run(s, 4, lambda x: {"y": x["x0"]})
    assert s.best.values["y"].value > 0


def test_the_region_that_fails_is_left_alone() -> None:
    def crashing(x: dict[str, float]) -> Any:
        return "oom" if x["x0"] > 0.5 else {"y": 1.0 - (x["x0"] - 0.45) ** 2 - (x["x1"] - 0.3) ** 2}

    def n_failed(strategy: Any) -> int:
        total = 0
        for seed in range(4):
            s = study(strategy=strategy, seed=seed)
            run(s, 30, crashing)
            total += len(s.history.failed)
        return total

    assert n_failed(None) < 0.5 * n_failed(Random())
    s = study(seed=9)
    run(s, 30, crashing)
    assert 0.0 <= s.trials[-1].why["p_success"] <= 1.0
    assert s.best.values["y"].value > 0.99, "the border is approached from the side that works"


def test_feasibility_comes_first() -> None:
    """A disc of 1 % of the square, away from the objective's optimum."""
    found = []
    for seed in range(5):
        s = study(hpo.Objective("y"), hpo.Constraint("r", upper=0.0564), seed=seed)
        run(s, 25, lambda x: {"y": x["x0"], "r": math.hypot(x["x0"] - 0.2, x["x1"] - 0.7)})
        found.append(s.history.feasible[0].number if s.history.feasible else 99)
        roles = [t.why["role"] for t in s.trials]
        assert set(roles[: found[-1] + 1]) <= {"initial", "feasibility"}
    assert np.median(found) < 15, "random search needs 69 in the median"


def test_points_in_flight_are_kept_away_from() -> None:
    s = study(d=2, seed=3)
    run(s, 8, lambda x: {"y": -((x["x0"] - 0.4) ** 2) - (x["x1"] - 0.6) ** 2})
    trials = s.ask(6)
    X = np.array([list(t.params.values()) for t in trials])
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(X) for b in X[:i]]
    assert min(gaps) > 1e-3
    assert [t.why["n_in_flight"] for t in trials] == list(range(6))
    assert {t.why["n_seen"] for t in trials} == {8}


def test_a_large_standard_error_widens_what_is_predicted() -> None:
    def last_sd(sem: float) -> float:
        s = study(d=1)
        for x in np.linspace(0.05, 0.95, 7):
            s.add({"x0": float(x)}, {"y": hpo.Measurement(math.sin(5 * x), sem=sem)})
        return float(s.ask().why["predicted"]["y"][1])

    assert last_sd(0.5) > 3 * last_sd(0.001)


def test_predictions_are_in_the_metric_s_own_unit_and_direction() -> None:
    s = study(hpo.Objective("loss", goal="minimize", unit="nats"), hpo.Constraint("ms", upper=1500.0), d=1)
    run(s, 20, lambda x: {"loss": 100 + 10 * (x["x0"] - 0.3) ** 2, "ms": 1000 + 600 * x["x0"]})
    s.ask()
    why = s.trials[-1].why
    x = s.trials[-1].params["x0"]
    assert why["predicted"]["loss"][0] == pytest.approx(100 + 10 * (x - 0.3) ** 2, abs=0.2)
    assert why["predicted"]["ms"][0] == pytest.approx(1000 + 600 * x, rel=0.02)
    assert why["p_meets"]["ms"] > 0.5
    assert why["nearest"] in range(20)
    assert why["role"] in ("explore", "exploit")


def test_maximizing_and_minimizing_are_mirror_images() -> None:
    up, down = study(hpo.Objective("y")), study(hpo.Objective("y", goal="minimize"))
    run(up, 14, lambda x: {"y": math.sin(4 * x["x0"]) + x["x1"]})
    run(down, 14, lambda x: {"y": -math.sin(4 * x["x0"]) - x["x1"]})
    assert [t.params for t in up.trials] == [t.params for t in down.trials]


def test_feasibility_alone_is_an_aim() -> None:
    s = study(hpo.Constraint("a", lower=0.9), hpo.Constraint("b", upper=0.1))
    run(s, 20, lambda x: {"a": x["x0"], "b": x["x1"]})
    assert s.best.number == s.history.feasible[0].number < 20


def test_it_finds_what_one_at_a_time_cannot() -> None:
    """A narrow diagonal ridge: on it, no parameter alone can be improved."""

    def ridge(x: dict[str, float]) -> dict[str, float]:
        return {"y": -abs(x["x0"] - x["x1"]) * 10 - abs(x["x0"] + x["x1"] - 1.7)}

    def found(seed: int, strategy: Any = None) -> float:
        s = study(seed=seed, strategy=strategy)
        run(s, 40, ridge)
        return s.best.values["y"].value

    one = found(0, hpo.strategies.OneAtATime(10))
    assert one < -0.4
    assert np.median([found(seed) for seed in range(5)]) > 0.5 * one


def test_a_batch_takes_from_the_initial_design_what_is_left_of_it_and_the_rest_from_the_model() -> None:
    s = study(d=12)
    for trial in s.ask(8):
        s.tell(trial, {"y": -sum(trial.params.values())})
    roles = [t.why["role"] for t in s.ask(8)]
    assert roles.count("initial") == 2, "of ten"
    assert set(roles) <= {"initial", "explore", "exploit"}
