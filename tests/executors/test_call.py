from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.executors import call as call_module
from hpo.executors.base import Task
from hpo.executors.call import TAIL_CHARACTERS, TAIL_LINES, call, kind_of, tail

TASK = Task(id="a", payload={"x": 3})


class OutOfMemoryError(RuntimeError):
    """As accelerator libraries name it."""


class Worse(OutOfMemoryError):
    """A subclass of it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError(), "error"),
        (SystemExit(0), "error"),
        (MemoryError(), "oom"),
        (OutOfMemoryError(), "oom"),
        (Worse(), "oom"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
def test_kind_of_an_exception(error: BaseException, kind: str) -> None:
    def fail(payload: dict[str, Any]) -> dict[str, Any]:
        raise error

    assert kind_of(error) == kind
    assert call(fail, TASK).kind == kind


def test_value() -> None:
    outcome = call(lambda payload: {"y": payload["x"] ** 2, "t": (1, 2)}, TASK)
    assert outcome.value == {"y": 9, "t": [1, 2]}
    assert (outcome.kind, outcome.message, outcome.log_tail) == (None, "", "")


def test_traceback_begins_in_the_function_and_shows_causes() -> None:
    def fail(payload: dict[str, Any]) -> dict[str, Any]:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer\nsecond line") from error

    outcome = call(fail, TASK)
    assert outcome.message == "ValueError: outer second line"
    assert "KeyError: 'inner'" in outcome.log_tail
    assert "in fail" in outcome.log_tail
    assert "in call" not in outcome.log_tail


@pytest.mark.parametrize("result", [0.5, None, {"y": {1, 2}}])
def test_result_that_is_not_plain_is_an_error_that_says_so(result: Any) -> None:
    outcome = call(lambda payload: result, TASK)
    assert outcome.kind == "error"
    assert outcome.message.startswith("TypeError: the function's result is ")
    assert outcome.message.endswith("return a mapping of names to numbers")


def test_tail_is_short() -> None:
    text = tail("\n".join(str(i) for i in range(1000)))
    assert text.splitlines() == [str(i) for i in range(1000 - TAIL_LINES, 1000)]
    assert len(tail("x" * 10**6)) == TAIL_CHARACTERS
    assert tail("") == ""


def test_a_long_traceback_keeps_the_users_function_and_the_last_line() -> None:
    source = "\n".join(f"def f{i}(payload):\n    return f{i + 1}(payload)" for i in range(40))
    names: dict[str, Any] = {}
    exec(f"{source}\ndef f40(payload):\n    raise ValueError('deep')", names)
    trace = call(names["f0"], TASK).log_tail.splitlines()
    assert len(trace) == TAIL_LINES
    assert "in f0" in trace[1]
    assert "  ..." in trace
    assert "in f40" in trace[-2]
    assert trace[-1] == "ValueError: deep"


def test_the_files_whose_frames_are_left_out_are_there() -> None:
    assert all(Path(file).exists() for file in call_module._OUR_FRAMES)
