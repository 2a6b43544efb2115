from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.errors import ExecutorError
from hpo.executors import Pool, Subprocess, Task
from hpo.testing.executors import (
    ConcurrencyContract,
    ExecutorContract,
    IsolationContract,
    behave,
    collect,
)
from tests.executors.started import run_command, shell


class TestContract(ExecutorContract, ConcurrencyContract, IsolationContract):
    exit_kind = "error"

    def start(self, slots: int) -> Pool:
        return Subprocess([sys.executable, "-m", "hpo.testing.executors"], slots, grace=0.3).start()


def test_params_arrive_in_three_ways_and_the_last_metrics_win() -> None:
    script = """
        echo starting
        echo '{"y": 0, "z": 1}'
        echo '{"y": "'"$1 $HPO_PARAM_MODEL_LR $HPO_SEED"'"}'
        cat "$HPO_PARAMS"
    """
    executor = shell(script.replace("{", "{{").replace("}", "}}"), "--lr={model.lr}")
    params = {"model.lr": 1e-05, "name": 'it\'s "quoted" $HOME; and {braces}'}
    outcome = run_command(executor, env={"HPO_SEED": "7"}, **params)
    assert outcome.value == {"y": "--lr=1e-05 1e-05 7", "z": 1, **params}


def test_result_file_wins_and_does_not_outlive_its_task() -> None:
    script = """echo '{{"noise": 1}}'; if [ $1 = 1 ]; then echo '{{"y": 2.5}}' > "$HPO_RESULT"; fi"""
    with shell(script, "{write}").start() as pool:
        values = []
        for write in (1, 0):
            pool.submit(Task(id="a", payload={"write": write}))
            values.append(collect(pool, 1)[0].value)
    assert values == [{"y": 2.5}, {"noise": 1}]


def test_logs(tmp_path: Path) -> None:
    outcome = run_command(shell("""echo '{{"y": 1}}'; echo note >&2""", logs=tmp_path))
    assert outcome.logs == (str(tmp_path / "a.out"), str(tmp_path / "a.err"))
    assert [Path(log).read_text() for log in outcome.logs] == ['{"y": 1}\n', "note\n"]


def test_a_long_name_has_logs_too(tmp_path: Path) -> None:
    with shell("""echo '{{"y": 1}}'; echo note >&2""", logs=tmp_path).start() as pool:
        pool.submit(Task(id=f"{'数' * 30}-0-1", payload={}))
        outcome = collect(pool, 1)[0]
    assert outcome.value == {"y": 1}, outcome
    assert Path(outcome.logs[1]).read_text() == "note\n"


def test_lines_nested_without_end_do_the_supervisor_no_harm() -> None:
    program = [sys.executable, "-c", """print('{{"a":' * 100_000); print('{{"a":' * 600 + '1' + '}}' * 600)"""]
    outcome = run_command(Subprocess(program))
    assert (outcome.kind, outcome.message[:49]) == ("error", "the command ended well but reported no metrics; p"), (
        outcome
    )


def test_program_that_does_not_exist_is_told_at_start() -> None:
    with pytest.raises(ExecutorError, match="cannot run 'no-such-trainer': no such program"):
        Subprocess(["no-such-trainer"]).start()


def test_absent_parameter_is_told_at_submission() -> None:
    with shell("true", "{lr}").start() as pool:
        with pytest.raises(ExecutorError, match=r"asks for \{lr\}"):
            pool.submit(Task(id="a", payload={"rate": 1}))
        assert pool.wait() == []


def test_names_can_be_checked_against_a_space() -> None:
    executor = Subprocess(["train", "--lr={model.lr}", ["--momentum", "{model.momentum}"]])
    assert executor.names == {"model.lr", "model.momentum"}


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            "python train.py",
            "must be a list of arguments, got the text 'python train.py'; as a list: ['python', 'train.py']",
        ),
        ([], "a command begins with its program"),
        (["train", "{lr:g}"], "formats cannot be given"),
    ],
)
def test_command_is_checked_at_birth(command: Any, text: str) -> None:
    with pytest.raises(ExecutorError) as raised:
        Subprocess(command)
    assert text in str(raised.value)


def test_runs_no_function() -> None:
    with pytest.raises(ExecutorError, match="runs its command and no function"):
        Subprocess(["true"]).start(behave)


def test_payload_file_is_the_payload(tmp_path: Path) -> None:
    params = {"a.b": 1, "c": [1, {"d": None}], "e": "é"}
    with shell('cp "$HPO_PARAMS" "$1"; cp "$HPO_PARAMS" "$HPO_RESULT"', str(tmp_path / "copy")).start() as pool:
        pool.submit(Task(id="a", payload=params))
        assert collect(pool, 1)[0].value == params
    assert json.loads((tmp_path / "copy").read_text()) == params


def test_a_supervisor_does_not_hold_what_a_command_prints() -> None:
    """200 MiB on one line, and the supervisor stays below what one such line would need."""
    script = "head -c 200M /dev/zero; echo; echo '{{\"y\": 1}}'"
    with shell(script).start() as pool:
        pool.submit(Task(id="a", payload={}))
        outcome = collect(pool, 1)[0]
        supervisor = psutil.Process().children()[-1]
        peak = int(
            next(
                line for line in Path(f"/proc/{supervisor.pid}/status").read_text().splitlines() if "VmHWM" in line
            ).split()[1]
        )
    assert (outcome.value, outcome.message) == ({"y": 1}, "of its output, 1 lines longer than 1 MiB were not read")
    assert peak < 150 * 1024


def test_its_command_is_what_it_was_made_with() -> None:
    command: list[Any] = ["echo", ["--lr", "{lr}"]]
    executor = Subprocess(command)
    command[1].append("more")
    command.append("more")
    assert executor.command == ("echo", ("--lr", "{lr}"))
