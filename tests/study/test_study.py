"""The study: asking, telling, refusing, editing, resuming."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo import errors
from hpo.strategies import Random
from tests.study.studies import GOOD, problem, study


def test_tell_then_best() -> None:
    s = study()
    for accuracy, latency in [(0.9, 10.0), (0.99, 16.0), (0.95, 15.0), (0.5, 1.0)]:
        s.tell(s.ask(), {"accuracy": accuracy, "latency_ms": latency, "recall": 0.8})
    assert s.best.values["accuracy"].value == 0.95, "a limit is inclusive, and the best is never infeasible"
    assert s.history.misses() == {"latency_ms": 1, "recall": 0}
    assert [t.number for t in s.pareto_front] == [2]


def test_unknown_trials() -> None:
    s = study()
    with pytest.raises(errors.TrialNotFound, match=r"^no trial 3; the study has none yet$"):
        s.tell(3, GOOD)
    s.ask()
    with pytest.raises(errors.TrialNotFound, match=r"^no trial 99; the study has 0-0$"):
        s.tell(99, GOOD)


def test_numbers_of_trials_may_be_numpys(tmp_path: Path) -> None:
    file = tmp_path / "n.db"
    s = hpo.open_study("mnist", problem(), storage=file, seed=1, strategy=Random())
    s.ask(2)
    numbers: Any = np.arange(2)
    s.tell(numbers[0], GOOD)
    s.cancel(numbers[1])
    again = hpo.open_study(s.name, storage=file)
    assert [t.state for t in again.trials] == ["completed", "cancelled"]
    for wrong in ("0", 0.0, None, {"x": 1}):
        with pytest.raises(errors.TrialNotFound, match="give a trial, or its number as an int"):
            s.tell(wrong, GOOD)  # type: ignore[arg-type]


def test_params_of_a_trial_cannot_be_changed() -> None:
    """An ask/tell loop that takes params apart would take the study apart."""
    s = study()
    trial = s.ask()
    params: Any = trial.params
    for change, *given in (("pop", "lr"), ("update", {"lr": 1.0}), ("__setitem__", "lr", 1.0), ("clear",)):
        with pytest.raises(TypeError, match=r"work on a copy: params = dict\(trial.params\)"):
            getattr(params, change)(*given)
    for copied in (dict(trial.params), json.loads(json.dumps(trial.params)), pickle.loads(pickle.dumps(trial)).params):
        assert copied == trial.params


def test_nothing_that_a_study_shows_can_be_changed() -> None:
    s = study()
    for _ in range(9):
        s.tell(s.ask(), GOOD)
    for seen in (s.trials[-1].values, s.trials[-1].why, s.facts):
        stack: list[Any] = [seen]
        while stack:
            value = stack.pop()
            if isinstance(value, Mapping):
                with pytest.raises(TypeError, match="cannot be changed"):
                    value["new"] = 1  # type: ignore[index]
                stack += value.values()
            stack += value if isinstance(value, list) else ()


def test_failures_of_machines_are_repeated_and_those_of_params_are_kept() -> None:
    s = study()
    first = s.ask()
    assert s.fail(first, "infra", "node lost").state is hpo.TrialState.WAITING
    again = s.ask()
    assert (again.number, again.attempt, again.params) == (first.number, 2, first.params)
    s.fail(again, "preempted")
    last = s.fail(s.ask(), "infra")
    assert (last.state, last.attempt, last.kind) == (hpo.TrialState.FAILED, 3, "infra")
    oom = s.fail(s.ask(), "oom", "8 GB")
    assert (oom.kind, oom.message, oom.state) == ("oom", "8 GB", hpo.TrialState.FAILED)
    with pytest.raises(errors.SettingsError, match=r"^failure kind 'oops' is not one of oom, diverged, timeout, crash"):
        s.fail(s.ask(), "oops")
    with pytest.raises(errors.TrialStateError):
        s.fail(oom, "error")
    s.tell(oom, GOOD)
    assert s.trials[oom.number].state is hpo.TrialState.COMPLETED, "a late result is still a result"


def test_what_failed_by_a_fault_that_was_mended_is_run_again() -> None:
    s = study()
    failed, cancelled = s.ask(2)
    s.fail(failed, "error", "KeyError: a typo", seconds=30.0)
    s.cancel(cancelled, "broke its contract", seconds=10.0)
    assert s.history.failed
    for number, spent in ((0, 30.0), (1, 10.0)):
        again = s.requeue(number, "the typo is fixed")
        assert (again.state, again.kind, again.attempt) == ("waiting", None, 2)
        assert (again.earlier_seconds, again.seconds) == (spent, None)
    assert not s.history.failed
    assert [t.number for t in s.ask(2)] == [0, 1]
    assert s.tell(0, GOOD, seconds=31.0).state == "completed"
    assert s.replay().is_identical
    assert hpo.Budget(worker_seconds=500.0, trial_seconds=50.0).worked(s.history) == 30.0 + 31.0 + 10.0 + 50.0


def test_enqueued_trials_are_served_first() -> None:
    s = study()
    queued = s.enqueue({"lr": 1e-3, "layers": 2}, note="the paper's")
    trials = s.ask(3)
    assert [t.number for t in trials] == [0, 1, 2]
    assert trials[0].params == queued.params
    assert trials[0].source == "enqueued"
    again = s.enqueue({"lr": 1e-3, "layers": 2})
    assert again.why["role"] == "replicate"
    with pytest.raises(errors.ParamsError) as info:
        s.enqueue({"lr": 5.0, "typo": 1})
    for part in ("lr=5.0 is outside [1e-05, 0.1]", "unknown parameter 'typo'", "missing parameter 'layers'"):
        assert part in str(info.value)


def test_results_from_elsewhere_count() -> None:
    s = study()
    s.add({"lr": 1e-3, "layers": 2}, GOOD, note="production")
    assert s.best.number == 0
    assert s.ask().number == 1
    with pytest.raises(errors.MissingMetric, match=r"^the added result reported"):
        s.add({"lr": 1e-3, "layers": 2}, {"accuracy": 1.0})


def test_cancelled_configurations_may_come_again() -> None:
    tiny = hpo.Problem(hpo.Space({"a": hpo.Int(1, 2)}), [hpo.Objective("y")])
    s = hpo.open_study("tiny", tiny, storage=":memory:", seed=0)
    first, _ = s.ask(2)
    with pytest.raises(
        hpo.SpaceExhausted, match=r"^all 2 configurations of the space have been tried or are in flight"
    ):
        s.ask()
    s.cancel(first, "not now")
    assert s.ask().params == first.params


@pytest.mark.parametrize("strategy", [Random(), None])
def test_a_space_of_four_gives_exactly_four(strategy: Random | None) -> None:
    tiny = hpo.Problem(hpo.Space({"a": hpo.Int(1, 2), "b": hpo.Categorical(["x", "z"])}), [hpo.Objective("y")])
    s = hpo.open_study("tiny", tiny, storage=":memory:", seed=0, strategy=strategy)
    given = []
    for _ in range(16):
        try:
            trial = s.ask()
        except hpo.SpaceExhausted:
            break
        given.append((trial.params["a"], trial.params["b"]))
        s.tell(trial, {"y": float(trial.params["a"])})
    assert sorted(given) == [(1, "x"), (1, "z"), (2, "x"), (2, "z")]
    assert len(hpo.open_study("t", tiny, storage=":memory:", seed=0, strategy=strategy).ask(16)) == 4


def test_nothing_feasible() -> None:
    s = study()
    with pytest.raises(hpo.NoFeasibleTrial, match=r"^no trial has completed yet$"):
        _ = s.best
    s.tell(s.ask(), {**GOOD, "latency_ms": 30.0})
    s.tell(s.ask(), {**GOOD, "latency_ms": 15.8})
    with pytest.raises(hpo.NoFeasibleTrial) as info:
        _ = s.best
    assert str(info.value) == (
        "no trial of 2 meets every limit. Closest: #1 (latency_ms 15.8, limit <= 15 ms). Missed: latency_ms 2/2. "
        "See study.closest()"
    )
    assert s.closest().number == 1


def test_limits_may_be_edited_and_the_edit_is_logged() -> None:
    s = study()
    s.tell(s.ask(), {**GOOD, "latency_ms": 16.0})
    assert not s.history.has_best
    s.edit_metric(hpo.Constraint("latency_ms", upper=20.0, unit="ms"), reason="new hardware")
    assert s.best.number == 0
    assert (s.events()[-1].kind, s.events()[-1].data["reason"]) == ("edited", "new hardware")
    with pytest.raises(errors.MetricError, match="role and goal"):
        s.edit_metric(hpo.Objective("accuracy", goal="minimize"), reason="oops")
    with pytest.raises(errors.NotFound, match="no metric 'latency'"):
        s.edit_metric(hpo.Constraint("latency", upper=1.0), reason="oops")
    with pytest.raises(errors.MetricError, match="an edit needs a reason"):
        s.edit_metric(hpo.Constraint("latency_ms", upper=9.0, unit="ms"), reason=" ")
    with pytest.raises(errors.MetricError, match="give the whole metric as it is to become"):
        s.edit_metric("latency_ms", reason="oops")  # type: ignore[arg-type]


def test_metrics_and_definitions_are_hashed_by_meaning() -> None:
    assert problem().hash == problem().hash
    assert problem().hash != problem(latency=14.0).hash
    code = "from tests.study.test_study import problem; import sys; sys.stdout.write(problem().hash)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == problem().hash


def test_frames(tmp_path: Path) -> None:
    s = study()
    s.tell(s.ask(), GOOD)
    s.fail(s.ask(), "oom")
    frame = s.to_frame()
    assert list(frame["state"]) == ["completed", "failed"]
    assert {"param.lr", "metric.accuracy", "ok.latency_ms", "seconds"} <= set(frame.columns)


def test_many_constraints_at_once() -> None:
    metrics: list[Any] = [hpo.Objective("y")]
    metrics += [hpo.Constraint(f"c{i}", upper=0.7 + 0.02 * i) for i in range(10)]
    many = hpo.Problem(hpo.Space({f"x{i}": hpo.Float(0, 1) for i in range(4)}), metrics)
    s = hpo.open_study("many", many, storage=":memory:", seed=2)

    def measure(params: Mapping[str, float]) -> dict[str, float]:
        x = list(params.values())
        return {"y": sum(x), **{f"c{i}": x[i % 4] * (1 + 0.01 * i) for i in range(10)}}

    for _ in range(16):
        trial = s.ask()
        s.tell(trial, measure(trial.params))
    assert len(s.trials[-1].why["p_meets"]) == 10
    assert s.best.values["y"].value > 2.0


def test_notes_are_kept_and_nothing_follows_from_them() -> None:
    s = study()
    s.ask()
    before = s.trials
    s.note("the second GPU\nwas slow")
    assert s.trials == before
    assert [(e.kind, e.number, e.data) for e in s.events()][-1] == ("noted", None, {"text": "the second GPU\nwas slow"})
    nothing: list[Any] = ["", " \n", None, 3]
    for text in nothing:
        with pytest.raises(errors.SettingsError, match="a note needs a text"):
            s.note(text)
    assert len(s.events()) == 2
    assert s.replay().is_identical
