"""What a training reported, on its way from the worker: numbers of every library, a command's log, what diverged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import ExecutorError, MissingMetric, NotANumber, UnknownMetric
from hpo.executors import Outcome, Subprocess
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Metric
from hpo.running.objective import Evaluate, Failure, Reading, result_of
from hpo.running.progress import Progress
from hpo.running.telling import failure_of

METRICS: list[Metric] = [hpo.Objective("y"), hpo.Constraint("c", upper=1.0), hpo.Tracked("z")]
PAYLOAD = {"number": 0, "params": {}, "seed": 1}


def sent(told: Any) -> Reading | Failure:
    """What comes of an objective's answer, after its journey as JSON."""
    return result_of(json.loads(json.dumps(Evaluate(lambda _: told)(PAYLOAD))), METRICS, is_command=False)


def test_numbers_arrive_as_they_are_and_the_rest_in_words() -> None:
    told = {"y": np.array([0.5]), "c": Measurement(np.float32(0.25), np.int64(1)), "z": np.array([1, 2])}  # type: ignore[arg-type]
    reading = sent(told)
    assert isinstance(reading, Reading)
    assert (reading.values["y"], reading.values["c"]) == (0.5, Measurement(0.25, 1))
    assert reading.values["z"].value.shown == "array([1, 2]) (ndarray)"  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan"), 10**400])
def test_only_what_decides_can_diverge(value: Any) -> None:
    assert sent({"y": value, "c": 0.5}) == Failure("diverged", "y not finite")
    assert sent({"y": 1.0, "c": Measurement(1.0, value)}) == Failure("diverged", "c not finite")
    assert isinstance(sent({"y": 1.0, "c": 0.5, "z": value}), Reading)
    assert isinstance(sent({"y": 1.0, "c": 0.5, "unknown": value}), Reading), "for the contracts to refuse"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (hpo.TrialFailed("oomm", "at step 3"), "oomm: at step 3"),
        (hpo.TrialFailed("out of memory"), "out of memory"),
    ],
)
def test_what_was_meant_for_a_kind_is_not_lost(raised: hpo.TrialFailed, said: str) -> None:
    def fail(_: hpo.Trial) -> dict[str, float]:
        raise raised

    failure = result_of(Evaluate(fail)(PAYLOAD), METRICS, is_command=False)
    kinds = "oom, diverged, timeout, crash, error, infra, preempted"
    assert failure == Failure("error", f"{said} (TrialFailed takes a kind first, one of {kinds})")


def test_a_known_kind_is_the_kind() -> None:
    assert result_of({"failed": ["oom", "at step 3"]}, METRICS, is_command=False) == Failure("oom", "at step 3")


def test_names_that_are_no_metrics_are_log_where_a_command_prints_them_and_nothing_is_missing() -> None:
    told = {"y": 1.0, "c": 0.5, "epoch": 3, "level": "info", "loss": math.nan}
    assert result_of(told, METRICS, is_command=True) == Reading({"y": 1.0, "c": 0.5}, ("epoch", "level", "loss"))
    misspelt = {"y": 1.0, "C": 0.5, "epoch": 3}
    assert result_of(misspelt, METRICS, is_command=True) == Reading(misspelt)
    reading = sent(told)
    assert isinstance(reading, Reading)
    assert set(reading.values) == set(told), "an objective says only what it means"


def test_null_is_how_json_writes_nan() -> None:
    assert result_of({"y": None, "c": 0.5}, METRICS, is_command=True) == Failure("diverged", "y not finite")
    assert isinstance(result_of({"y": 1.0, "c": 0.5, "z": None}, METRICS, is_command=True), Reading)
    with pytest.raises(NotANumber, match="metric 'y' is None"):
        hpo.run(study(), lambda _: {"y": None, "c": 0.5}, budget=hpo.Budget(trials=1))  # type: ignore[dict-item]


def study(*metrics: Any) -> hpo.Study:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), metrics or METRICS)
    return hpo.open_study("s", problem, storage=":memory:", seed=1, strategy=hpo.strategies.Random())


def test_a_broken_tracked_value_costs_a_run_nothing() -> None:
    s = study()
    broken: list[Any] = [math.nan, None, "high", [1.0], object(), np.array([1, 2]), math.inf]
    hpo.run(s, lambda t: {"y": 1.0, "c": 0.5, "z": broken[t.number]}, budget=hpo.Budget(trials=len(broken)))
    assert [t.state for t in s.trials] == ["completed"] * len(broken)
    assert all(t.notes[0].startswith("z is not recorded: ") for t in s.trials)
    assert all("z" not in t.values for t in s.trials)


@pytest.mark.parametrize("told", [np.array([0.1, 0.2]), 1j, [0.5], None])
def test_what_is_no_number_in_an_objective_ends_the_run_and_is_not_laid_to_the_params(told: Any) -> None:
    s = study()
    with pytest.raises(NotANumber, match=r"trial 0: metric 'y' is .* not a number"):
        hpo.run(s, lambda _: {"y": told, "c": 0.5}, budget=hpo.Budget(trials=2))
    assert s.history.failed == ()


def test_an_objective_that_returns_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownMetric, match="unknown 'epoch'"):
        hpo.run(study(), lambda _: {"y": 1.0, "c": 0.5, "epoch": 3}, budget=hpo.Budget(trials=1))


SHELL = """
echo '{"epoch": 1, "level": "info", "msg": "begin", "nested": {"a": [1]}}'
echo '{"y": "n/a", "epoch": 2}'
echo '{"y": 0.25, "z": NaN}'
echo '{"c": 0.5, "y": 0.75, "epoch": 3}'
echo '{"done": true}'
"""


def test_a_command_may_log_json_lines(tmp_path: Path) -> None:
    s = study()
    (tmp_path / "train.sh").write_text(SHELL)
    steps: list[Progress] = []
    hpo.run(
        s, executor=Subprocess(["sh", str(tmp_path / "train.sh")]), budget=hpo.Budget(trials=3), progress=steps.append
    )
    assert [dict(t.values) for t in s.trials] == [{"y": 0.75, "c": 0.5}] * 3, "the last value wins"
    assert [t.notes for t in s.trials] == [("z is not recorded: nan (float) is not a finite number",)] * 3
    said = [step.message for step in steps if "log" in step.message]
    assert said == ["taken for log, as no metrics of the problem: done, epoch, level, msg, nested"]


def test_a_misspelt_metric_of_a_command_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("""echo '{"epoch": 1}'; echo '{"y": 0.25, "latency": 3}'""")
    s = study(hpo.Objective("y"), hpo.Constraint("latency_ms", upper=5.0))
    with pytest.raises(
        MissingMetric, match=r"missing 'latency_ms' \(limit <= 5\)\. Is 'latency' a misspelling of it\?"
    ):
        hpo.run(s, executor=Subprocess(["sh", str(tmp_path / "train.sh")]), budget=hpo.Budget(trials=1))


def test_a_command_that_prints_log_alone_has_reported_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("""[ $HPO_TRIAL = 1 ] && echo '{"loss": 3}' || echo '{"y": 1, "c": 0.5}'""")
    s = study()
    hpo.run(s, executor=Subprocess(["sh", str(tmp_path / "train.sh")]), budget=hpo.Budget(trials=3))
    assert [t.state for t in s.trials] == ["completed", "failed", "completed"]
    said = "the command ended well but reported no metrics of the study (y, c, z)"
    assert (s.trials[1].kind, s.trials[1].message) == ("error", f"{said}, only loss.")
    assert result_of({}, METRICS, is_command=True) == Failure("error", said)


def test_a_command_whose_first_log_misspells_its_metric_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("""echo '{"acuracy": 0.5}'""")
    s = study(hpo.Objective("accuracy"))
    with pytest.raises(ExecutorError, match=r"\(accuracy\), only acuracy\. Did you mean 'acuracy'\?"):
        hpo.run(s, executor=Subprocess(["sh", str(tmp_path / "train.sh")]), budget=hpo.Budget(trials=5))
    assert len(s.trials) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"y": 1.0},
        {"values": [1.0]},
        {"values": {"y": 1.0}},
        {"values": {"y": [1.0]}},
        {"value": {}},
        {"failed": "oom"},
    ],
)
def test_what_is_no_answer_of_an_objective_is_a_failure_of_what_brought_it(answer: dict[str, Any]) -> None:
    failure = result_of(answer, METRICS, is_command=False)
    assert isinstance(failure, Failure)
    assert failure.kind == "infra"
    assert "is no answer of an objective: {" in failure.message
    assert failure_of(Outcome(id="a", value=answer), is_command=False) == (failure.kind, failure.message)
