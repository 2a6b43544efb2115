"""What is told: corrupted results are refused, and the same result again changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hpo
from hpo import errors
from tests.study.studies import GOOD, study

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
