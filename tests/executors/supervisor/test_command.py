from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import ExecutorError
from hpo.executors.supervisor.command import LONGEST, Command, as_text, read_result, variables
from hpo.executors.supervisor.output import Output

NO_NUL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)


@given(text=NO_NUL, value=NO_NUL)
def test_text_goes_through_unchanged(text: str, value: str) -> None:
    literal = text.replace("{", "{{").replace("}", "}}")
    assert Command.of(["run", literal, "{a.b}"]).render({"a.b": value}) == ["run", text, value]


@given(SCALAR)
def test_numbers_go_through_exactly(value: Any) -> None:
    (argument,) = Command.of(["run", "{x}"]).render({"x": value})[1:]
    assert json.loads(argument) == value


def test_placeholders_within_arguments_and_groups() -> None:
    command = Command.of(["run", "--lr={model.lr}/{n}", ["--momentum", "{model.momentum}"], "-v"])
    assert command.names == {"model.lr", "n", "model.momentum"}
    params = {"model.lr": 1e-05, "n": 3}
    assert command.render(params) == ["run", "--lr=1e-05/3", "-v"]
    assert command.render({**params, "model.momentum": 0.9}) == ["run", "--lr=1e-05/3", "--momentum", "0.9", "-v"]


def test_absent_parameter_outside_a_group_is_refused() -> None:
    with pytest.raises(ExecutorError) as raised:
        Command.of(["run", "{model.lr}"]).check({"model.rl": 1, "depth": 2})
    assert str(raised.value) == (
        "the command asks for {model.lr}, but there is no such parameter (have: model.rl, depth). Did you mean"
        " 'model.rl'? If it is absent on purpose, put the argument and its option in a list of their own, which is left"
        " out when the parameter is absent"
    )


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([], "a command begins with its program"),
        ([["run"]], "a command begins with its program"),
        (["run", "{"], "in the argument '{'"),
        (["run", "{}"], "a placeholder without a name in the argument '{}'"),
        (["run", "{lr:.2f}"], "formats cannot be given in the argument '{lr:.2f}'"),
        (["run", "{lr!r}"], "formats cannot be given in the argument '{lr!r}'"),
        (["run", '{"a": 1}'], "{{ and }} are literal braces"),
    ],
)
def test_template_is_checked_at_birth(parts: list[Any], text: str) -> None:
    with pytest.raises(ExecutorError) as raised:
        Command.of(parts)
    assert text in str(raised.value)


def test_variables() -> None:
    assert variables({"model.lr": 0.1, "opt-name": "sgd", "on": True, "n": None}) == {
        "HPO_PARAM_MODEL_LR": "0.1",
        "HPO_PARAM_OPT_NAME": "sgd",
        "HPO_PARAM_ON": "true",
        "HPO_PARAM_N": "null",
    }
    with pytest.raises(ExecutorError, match=r"'a\.b' and 'a_b' share the environment variable HPO_PARAM_A_B"):
        Command.of(["run"]).check({"a.b": 1, "a_b": 2})


@given(
    st.dictionaries(st.text(), SCALAR, min_size=1), st.lists(st.sampled_from(["", "epoch 1", "{", "{1}", "[1]", "3"]))
)
def test_metrics_are_found_among_log_lines(metrics: dict[str, Any], noise: list[str]) -> None:
    lines = [*noise, json.dumps(dict.fromkeys(metrics, "early")), *noise, " " + json.dumps(metrics), *noise]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        out.write_text("\n".join(lines))
        assert read_result(out, Path(folder, "result")) == (metrics, "")


def test_result_file_is_the_whole_result(tmp_path: Path) -> None:
    out, result = tmp_path / "out", tmp_path / "result"
    out.write_bytes(b'{"level": "info"}\n\xff\xfe\n')
    assert read_result(out, result) == ({"level": "info"}, "")
    result.write_text('{"accuracy": 0.5}')
    assert read_result(out, result) == ({"accuracy": 0.5}, "")


@pytest.mark.parametrize(
    ("output", "result", "text"),
    [
        ("done\n", None, "reported no metrics"),
        ("", "{", "is not JSON"),
        ("", "[1]", r"must hold a JSON object, not \[1\]"),
        ("", '{"a":' * 100_000, "is not JSON"),
        ("", '{"a":' * 600 + "1" + "}" * 600, "is nested more than 50 deep"),
    ],
)
def test_no_result_is_told(tmp_path: Path, output: str, result: str | None, text: str) -> None:
    (tmp_path / "out").write_text(output)
    if result is not None:
        (tmp_path / "result").write_text(result)
    with pytest.raises(ValueError, match=text):
        read_result(tmp_path / "out", tmp_path / "result")


@pytest.mark.parametrize(
    "deep", ['{"a":' * 100_000, '{"a":' * 51 + "1" + "}" * 51, '{"a": ' + "[" * 600 + "]" * 600 + "}"]
)
def test_lines_nested_too_deeply_are_log(tmp_path: Path, deep: str) -> None:
    (tmp_path / "out").write_text(f'{{"y": 1}}\n{deep}\n{{"z": [[2]]}}\n')
    assert read_result(tmp_path / "out", tmp_path / "result") == ({"y": 1, "z": [[2]]}, "")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_result_that_is_no_file_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe without a writer would never be read to its end."""
    make(tmp_path / "result")
    with pytest.raises(ValueError, match="what the command left at HPO_RESULT is no file"):
        read_result(tmp_path / "out", tmp_path / "result")


def test_a_line_without_end_is_skipped_and_said(tmp_path: Path) -> None:
    out = tmp_path / "out"
    metrics = json.dumps({"y": 1, "pad": "x" * (LONGEST - 100)})
    for skipped in (b"{" + b"x" * (3 * LONGEST), b"y" * LONGEST + b"z"):
        out.write_bytes(metrics.encode() + b"\n" + skipped + b'\n{"z": 2}\n' + skipped)
        found, notice = read_result(out, tmp_path / "result")
        assert found == {**json.loads(metrics), "z": 2}
        assert notice == "of its output, 2 lines longer than 1 MiB were not read"
    out.write_bytes(b"x" * (LONGEST + 1))
    with pytest.raises(
        ValueError, match=r"reported no metrics;.* HPO_RESULT; of its output, 1 lines longer than 1 MiB"
    ):
        read_result(out, tmp_path / "result")
    (tmp_path / "result").write_text(json.dumps({"y": "x" * LONGEST}))
    with pytest.raises(ValueError, match="HPO_RESULT names is larger than 1 MiB"):
        read_result(out, tmp_path / "result")


def test_output_in_place_of_which_there_is_a_pipe_holds_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    with pytest.raises(ValueError, match="reported no metrics"):
        read_result(tmp_path / "out", tmp_path / "result")
    assert Output(tmp_path / "out", tmp_path / "out").tail() == ""


def test_as_text() -> None:
    assert [as_text(v) for v in ("a b", 1, 0.1, True, None, [1])] == ["a b", "1", "0.1", "true", "null", "[1]"]
