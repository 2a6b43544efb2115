"""The study: asking, telling, refusing, editing, resuming."""

from __future__ import annotations

import copy
import json
import math
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo import errors
from hpo.strategies import Random


def problem(**changes: Any) -> hpo.Problem:
    """Two parameters, an objective, two constraints, a tracked metric."""
    return hpo.Problem(
        hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True), "layers": hpo.Int(1, 4)}),
        [
            hpo.Objective("accuracy", goal=changes.get("goal", "maximize"), threshold=changes.get("threshold")),
            hpo.Constraint("latency_ms", upper=changes.get("latency", 15.0), unit="ms"),
            hpo.Constraint("recall", lower=0.5),
            hpo.Tracked("revenue", business=True),
        ],
    )


def study(**settings: Any) -> hpo.Study:
    """An empty study in memory."""
    return hpo.open_study("mnist", problem(), storage=":memory:", seed=1, **settings)


GOOD = {"accuracy": 0.9, "latency_ms": 10.0, "recall": 0.8}


def test_tell_then_best() -> None:
    s = study()
    for accuracy, latency in [(0.9, 10.0), (0.99, 16.0), (0.95, 15.0), (0.5, 1.0)]:
        s.tell(s.ask(), {"accuracy": accuracy, "latency_ms": latency, "recall": 0.8})
    assert s.best.values["accuracy"].value == 0.95, "a limit is inclusive, and the best is never infeasible"
    assert s.history.misses() == {"latency_ms": 1, "recall": 0}
    assert [t.number for t in s.pareto_front] == [2]


NOTHING = "Nothing is recorded"
CORRUPTED: list[tuple[str, Any, type[Exception], str]] = [
    (
        "missing",
        {"accuracy": 0.9, "recall": 0.8},
        errors.MissingMetric,
        f"trial 0 reported {{'accuracy', 'recall'}}; missing 'latency_ms' (limit <= 15 ms). {NOTHING}",
    ),
    (
        "misspelt",
        {"accuracy": 0.9, "recall": 0.8, "latencyms": 3.0},
        errors.MissingMetric,
        "trial 0 reported {'accuracy', 'recall', 'latencyms'}; missing 'latency_ms' (limit <= 15 ms)."
        f" Is 'latencyms' a misspelling of it? {NOTHING}",
    ),
    (
        "unknown",
        {**GOOD, "power_w": 3.0},
        errors.UnknownMetric,
        "trial 0 reported {'accuracy', 'latency_ms', 'recall', 'power_w'}; unknown 'power_w' (have: accuracy, latency_ms,"
        f" recall, revenue). Add it to the problem as Tracked, or leave it out. {NOTHING}",
    ),
    (
        "nan",
        {**GOOD, "accuracy": math.nan},
        errors.NotFinite,
        "trial 0: metric 'accuracy' is nan. Report a finite number, or study.fail(trial, \"diverged\") so that the region"
        f" is learned. {NOTHING}",
    ),
    (
        "infinite",
        {**GOOD, "latency_ms": -math.inf},
        errors.NotFinite,
        "trial 0: metric 'latency_ms' is -inf. Report a finite number, or study.fail(trial, \"diverged\") so that the"
        f" region is learned. {NOTHING}",
    ),
    (
        "text",
        {**GOOD, "accuracy": "0.9"},
        errors.NotANumber,
        f"trial 0: metric 'accuracy' is '0.9' (str), not a number. {NOTHING}",
    ),
    (
        "none",
        {**GOOD, "accuracy": None},
        errors.NotANumber,
        f"trial 0: metric 'accuracy' is None (NoneType), not a number. {NOTHING}",
    ),
    (
        "boolean",
        {**GOOD, "accuracy": True},
        errors.NotANumber,
        f"trial 0: metric 'accuracy' is True (bool), not a number. {NOTHING}",
    ),
    (
        "list",
        {**GOOD, "accuracy": [0.9]},
        errors.NotANumber,
        f"trial 0: metric 'accuracy' is [0.9] (list), not a number. {NOTHING}",
    ),
    (
        "bare number",
        0.9,
        errors.NotANumber,
        "trial 0 reported 0.9; a result is a mapping of metric name to number, like {'accuracy': ..., 'latency_ms': ...,"
        f" 'recall': ..., 'revenue': ...}}. {NOTHING}",
    ),
    (
        "nan standard error",
        {**GOOD, "accuracy": hpo.Measurement(0.9, sem=math.nan)},
        errors.NotFinite,
        "trial 0: standard error of metric 'accuracy' is nan. Report a finite number, or study.fail(trial, \"diverged\")"
        f" so that the region is learned. {NOTHING}",
    ),
    (
        "negative standard error",
        {**GOOD, "accuracy": hpo.Measurement(0.9, sem=-0.1)},
        errors.NotFinite,
        f"trial 0: the standard error of metric 'accuracy' is -0.1, below 0. {NOTHING}",
    ),
]


@pytest.mark.parametrize(("case", "told", "error", "message"), CORRUPTED, ids=[c[0] for c in CORRUPTED])
def test_corrupted_tells_are_refused(case: str, told: Any, error: type[Exception], message: str) -> None:
    s = study()
    trial = s.ask()
    before = s.events()
    with pytest.raises(error) as info:
        s.tell(trial, told)
    assert str(info.value) == message
    assert isinstance(info.value, errors.ResultError)
    assert s.events() == before, "nothing is recorded"
    assert s.trials[0].state is hpo.TrialState.RUNNING
    s.tell(trial, GOOD)


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


@pytest.mark.parametrize("seconds", ["2", True, -1.0, math.nan, math.inf, [2.0]])
def test_how_long_an_attempt_took_is_a_number_of_seconds(seconds: Any) -> None:
    s = study()
    t = s.ask()
    steps: list[Callable[[], Any]] = [
        lambda: s.tell(t, GOOD, seconds=seconds),
        lambda: s.fail(t, "oom", seconds=seconds),
        lambda: s.fail(t, "infra", seconds=seconds),
        lambda: s.cancel(t, seconds=seconds),
        lambda: s.requeue(t, seconds=seconds),
    ]
    for step in steps:
        with pytest.raises(errors.SettingsError, match="is not how long an attempt took: a number of at least 0"):
            step()
    assert s.trials[0].state == "running"
    assert s.tell(t, GOOD, seconds=np.float32(2)).seconds == 2.0  # type: ignore[arg-type]


def test_telling_again() -> None:
    s = study()
    trial = s.tell(s.ask(), GOOD)
    before = len(s.events())
    s.tell(trial, GOOD)
    assert len(s.events()) == before, "the same values again change nothing"
    other = {**GOOD, "accuracy": 0.91}
    with pytest.raises(
        errors.ResultConflict, match=r"^trial 0 already has accuracy=0\.9, latency_ms=10, recall=0\.8 \("
    ):
        s.tell(trial, other)
    with pytest.raises(errors.ResultConflict, match="a correction needs a reason"):
        s.tell(trial, other, replace=True)
    s.tell(trial, other, replace=True, reason="wrong fold")
    assert s.best.values["accuracy"].value == 0.91
    assert s.events()[-1].kind == "corrected"


def test_numbers_of_other_libraries_are_numbers() -> None:
    s = study()
    told: Any = {"accuracy": np.float32(0.5), "latency_ms": np.int64(3), "recall": np.array(0.75)}
    s.tell(s.ask(), told)
    assert s.trials[0].values["accuracy"].value == 0.5


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


def test_resuming(tmp_path: Path) -> None:
    file = tmp_path / "hpo.db"
    s = hpo.open_study("mnist", problem(), storage=file, seed=5, author="ada", reason="faster serving")
    s.tell(s.ask(), GOOD)
    again = hpo.open_study("mnist", storage=file)
    assert (again.seed, len(again.trials), again.problem) == (5, 1, problem())
    assert (again.facts["author"], again.facts["reason"]) == ("ada", "faster serving")
    assert again.problem.hash == problem().hash
    with pytest.raises(errors.DefinitionChanged) as info:
        hpo.open_study("mnist", problem(goal="minimize", latency=12.0), storage=file)
    sent = pickle.loads(pickle.dumps(info.value))
    assert (str(sent), sent.differences) == (str(info.value), info.value.differences)
    assert info.value.differences == (
        "accuracy.goal: stored maximize, given minimize",
        "latency_ms.upper: stored 15.0, given 12.0",
    )
    assert str(info.value).startswith(
        "study 'mnist' is stored with another definition: accuracy.goal: stored maximize,"
    )
    with pytest.raises(errors.DefinitionChanged, match="seed: stored 5, given 6"):
        hpo.open_study("mnist", problem(), storage=file, seed=6)
    with pytest.raises(errors.StudyNotFound, match=r"Did you mean 'mnist'\? It has: mnist$"):
        hpo.open_study("mnst", storage=file)


def test_two_studies_of_one_storage_share_nothing_and_two_objects_of_one_study_everything(tmp_path: Path) -> None:
    file = tmp_path / "hpo.db"
    a, b = (hpo.open_study("one", problem(), storage=file, seed=1) for _ in range(2))
    other = hpo.open_study("two", problem(), storage=file, seed=1)
    trials = [x.ask() for x in (a, b, a, b)]
    assert [t.number for t in trials] == [0, 1, 2, 3]
    assert len({tuple(t.params.values()) for t in trials}) == 4
    b.tell(trials[0], GOOD)
    assert a.trials[0].state is hpo.TrialState.COMPLETED
    assert other.trials == ()


def test_a_study_far_behind_the_log_decides_as_one_that_has_read_it(tmp_path: Path) -> None:
    s = hpo.open_study("s", problem(), storage=tmp_path / "hpo.db", seed=1, strategy=Random())
    opened = [hpo.open_study("s", storage=tmp_path / "hpo.db") for _ in range(9)]
    trials = s.ask(30, owner="a")
    s.edit_metric(hpo.Constraint("latency_ms", upper=5.0, unit="ms"), reason="a newer phone")
    told = s.tell(trials[0], GOOD)
    again = s.requeue(trials[1])

    assert opened[0].tell(trials[0], GOOD) == told, "the same again changes nothing"
    with pytest.raises(errors.ResultConflict, match=r"already has accuracy=0\.9"):
        opened[0].tell(0, {**GOOD, "accuracy": 0.8})
    late = opened[1].tell(trials[1], GOOD)
    assert (late.state, late.attempt, again.attempt) == (hpo.TrialState.COMPLETED, 1, 2)
    assert opened[2].fail(trials[2], "oom", "full").kind == "oom"
    assert opened[3].fail(trials[3], "infra").state is hpo.TrialState.WAITING
    assert opened[3].fail(trials[3], "infra").attempt == 2, "of an attempt that is over"
    assert opened[4].cancel(4, "enough").state is hpo.TrialState.CANCELLED
    with pytest.raises(errors.TrialStateError):
        opened[4].cancel(0)
    assert opened[5].tell(5, {**GOOD, "accuracy": 0.7}, seconds=2.0).seconds == 2.0
    corrected = opened[5].tell(5, {**GOOD, "accuracy": 0.6}, replace=True, reason="typing error")
    assert corrected.values["accuracy"].value == 0.6
    with pytest.raises(errors.TrialNotFound, match="the study has 0-29"):
        opened[6].cancel(30)
    with pytest.raises(errors.MissingMetric):
        opened[7].tell(7, {"accuracy": 0.9})
    assert all(each.trials == s.trials for each in opened)
    assert s.trials[1] == late
    assert s.trials[5] == corrected
    assert opened[8].problem.metric("latency_ms") == hpo.Constraint("latency_ms", upper=5.0, unit="ms")


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


def test_a_copy_of_a_study_is_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    s = hpo.open_study("s", problem(), storage="h.db", seed=1, strategy=Random())
    other = hpo.open_study("s", storage="h.db", strategy=hpo.strategies.Sobol())
    s.ask()
    monkeypatch.chdir("/")
    for again in (pickle.loads(pickle.dumps(s)), copy.copy(s), copy.deepcopy(s)):
        n = len(s.trials)
        assert (again.name, again.seed, again.trials) == (s.name, s.seed, s.trials)
        assert again.ask().number == n
        assert len(s.trials) == n + 1
    assert pickle.loads(pickle.dumps(other)).ask().why == other.ask().why, "the strategy it was opened with goes along"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(asked_there, s).result() == len(s.trials) - 1


def asked_there(s: hpo.Study) -> int:
    """The number of a trial asked for in another process."""
    return s.ask().number


def test_a_study_in_memory_can_be_neither_pickled_nor_copied() -> None:
    s = study()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(
            TypeError, match=r"^study 'mnist' lives in the memory of this process.* storage=\"hpo\.db\""
        ):
            attempt(s)
    assert pickle.loads(pickle.dumps(s.history)).problem == s.problem


def test_a_pickled_study_that_is_gone_is_not_another_of_its_name(tmp_path: Path) -> None:
    s = hpo.open_study("s", problem(), storage=tmp_path / "h.db", seed=1)
    pickled = pickle.dumps(s)
    s.storage.close()
    (tmp_path / "h.db").unlink()
    with pytest.raises(errors.StudyNotFound, match="the study 's' that was pickled is no longer in"):
        pickle.loads(pickled)
    assert list(tmp_path.iterdir()) == []
    hpo.open_study("s", problem(), storage=tmp_path / "h.db", seed=1)
    with pytest.raises(errors.StudyNotFound):
        pickle.loads(pickled)


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
