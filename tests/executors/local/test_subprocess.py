from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.errors import ExecutorError
from hpo.executors import Outcome, Pool, Subprocess, Task
from hpo.testing.executors import (
    ConcurrencyContract,
    ExecutorContract,
    IsolationContract,
    await_that,
    behave,
    collect,
    is_gone,
)


class TestContract(ExecutorContract, ConcurrencyContract, IsolationContract):
    exit_kind = "error"

    def start(self, slots: int) -> Pool:
        return Subprocess([sys.executable, "-m", "hpo.testing.executors"], slots, grace=0.3).start()


def run(executor: Subprocess, env: dict[str, str] | None = None, **params: Any) -> Outcome:
    with executor.start() as pool:
        pool.submit(Task(id="a", payload=params, env=env or {}))
        return collect(pool, 1)[0]


def shell(script: str, *arguments: str, **settings: Any) -> Subprocess:
    return Subprocess(["sh", "-c", script, "sh", *arguments], **settings)


def test_params_arrive_in_three_ways_and_the_last_metrics_win() -> None:
    script = """
        echo starting
        echo '{"y": 0, "z": 1}'
        echo '{"y": "'"$1 $HPO_PARAM_MODEL_LR $HPO_SEED"'"}'
        cat "$HPO_PARAMS"
    """
    executor = shell(script.replace("{", "{{").replace("}", "}}"), "--lr={model.lr}")
    params = {"model.lr": 1e-05, "name": 'it\'s "quoted" $HOME; and {braces}'}
    outcome = run(executor, env={"HPO_SEED": "7"}, **params)
    assert outcome.value == {"y": "--lr=1e-05 1e-05 7", "z": 1, **params}


def test_result_file_wins_and_does_not_outlive_its_task() -> None:
    script = """echo '{{"noise": 1}}'; if [ $1 = 1 ]; then echo '{{"y": 2.5}}' > "$HPO_RESULT"; fi"""
    with shell(script, "{write}").start() as pool:
        values = []
        for write in (1, 0):
            pool.submit(Task(id="a", payload={"write": write}))
            values.append(collect(pool, 1)[0].value)
    assert values == [{"y": 2.5}, {"noise": 1}]


@pytest.mark.parametrize("left", ['mkdir "$HPO_RESULT"', 'rm "$HPO_PARAMS"; mkdir -p "$HPO_PARAMS/a" "$HPO_RESULT/a"'])
def test_whatever_a_command_leaves_in_place_of_a_file_harms_no_other(left: str) -> None:
    with shell(f"""if [ $1 = 1 ]; then {left}; else echo '{{{{"y": 1}}}}'; fi""", "{first}").start() as pool:
        outcomes = []
        for first in (1, 0):
            pool.submit(Task(id="a", payload={"first": first}))
            outcomes += collect(pool, 1)
    assert (outcomes[0].kind, outcomes[0].message[:29]) == ("error", "what the command left at HPO_")
    assert outcomes[1].value == {"y": 1}, outcomes[1]


def test_a_scratch_folder_that_was_tidied_away_is_made_again() -> None:
    script = """if [ $1 = 1 ]; then rm -r "$(dirname "$HPO_PARAMS")"; fi; cp "$HPO_PARAMS" "$HPO_RESULT" """
    with shell(script, "{first}").start() as pool:
        outcomes = []
        for first in (1, 0):
            pool.submit(Task(id="a", payload={"first": first}))
            outcomes += collect(pool, 1)
    assert (outcomes[0].kind, outcomes[1].value) == ("error", {"first": 0}), outcomes


@pytest.mark.parametrize(
    ("script", "message", "tail"),
    [
        ("echo out; echo bad data >&2; exit 3", "the command ended with exit code 3", "bad data"),
        ("echo only out; exit 1", "the command ended with exit code 1", "only out"),
        ("echo done", "the command ended well but reported no metrics", "done"),
        ('echo "[1]" > "$HPO_RESULT"', "the file HPO_RESULT names must hold a JSON object, not [1]", ""),
    ],
)
def test_failures_are_errors_with_the_tail_of_what_was_written(script: str, message: str, tail: str) -> None:
    outcome = run(shell(script))
    assert outcome.kind == "error"
    assert outcome.message.startswith(message)
    assert outcome.log_tail == tail


@pytest.mark.parametrize(("number", "name"), [(11, "SIGSEGV"), (40, "40")])
def test_death_by_a_signal_is_a_crash(number: int, name: str) -> None:
    outcome = run(shell(f"kill -{number} $$"))
    assert outcome.kind == "crash"
    assert outcome.message.endswith(f"signal {name}")


def test_background_process_that_holds_the_output_open_does_not_hold_the_task() -> None:
    assert run(shell("""sleep 1000 & echo '{{"y": 1}}'""")).value == {"y": 1}


def test_nothing_below_a_lost_supervisor_lives_on(tmp_path: Path) -> None:
    others = psutil.Process().children()
    with shell(
        f"sleep 600 & echo $! > {tmp_path}/$1.new; mv {tmp_path}/$1.new {tmp_path}/$1; wait", "{name}", slots=3
    ).start() as pool:
        pool.submit(*(Task(id=name, payload={"name": name}) for name in "abc"))
        await_that(lambda: all((tmp_path / name).exists() for name in "abc"), "all have begun")
        for supervisor in set(psutil.Process().children()).difference(others):
            supervisor.kill()
        assert {outcome.kind for outcome in collect(pool, 3)} == {"infra"}
    await_that(lambda: all(is_gone(tmp_path / name) for name in "abc"), "all are ended")


def test_termination_signal_comes_first_so_that_a_command_can_clean_up(tmp_path: Path) -> None:
    script = f"trap 'touch {tmp_path}/clean; exit' TERM; touch {tmp_path}/on; while :; do sleep 0.01; done"
    with shell(script, grace=60.0).start() as pool:
        for timeout in (1.0, 5.0, 25.0):  # a loaded machine may need a second to start a shell
            pool.submit(Task(id="a", payload={}, timeout=timeout))
            assert collect(pool, 1)[0].kind == "timeout"
            if (tmp_path / "on").exists():
                break
    assert (tmp_path / "clean").exists()


def test_logs(tmp_path: Path) -> None:
    outcome = run(shell("""echo '{{"y": 1}}'; echo note >&2""", logs=tmp_path))
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
    outcome = run(Subprocess(program))
    assert (outcome.kind, outcome.message[:49]) == ("error", "the command ended well but reported no metrics; p"), (
        outcome
    )


def test_logs_that_cannot_be_written_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with shell("""echo '{{"y": 1}}'""", logs=tmp_path).start() as pool:
        (tmp_path / "a.out").mkdir()
        pool.submit(Task(id="a", payload={}))
        outcome = collect(pool, 1)[0]
    assert outcome.kind == "infra"
    assert outcome.message.startswith("the task could not be started: ")
    assert capfd.readouterr().err == ""


def test_the_signals_python_ignores_are_not_ignored_by_its_commands() -> None:
    """What else is ignored, as under nohup, was so before and is the user's choice."""
    script = """echo '{{"ignored": "'$(grep SigIgn /proc/$$/status | cut -f 2)'"}}'"""
    value = run(shell(script)).value
    assert value is not None
    ignored = int(value["ignored"], 16)
    assert not any(ignored >> (number - 1) & 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))


def test_program_that_does_not_exist_is_told_at_start() -> None:
    with pytest.raises(ExecutorError, match="cannot run 'no-such-trainer': no such program"):
        Subprocess(["no-such-trainer"]).start()


def test_program_that_depends_on_params_and_does_not_exist() -> None:
    outcome = run(Subprocess(["no-such-{which}"]), which="trainer")
    assert (outcome.kind, outcome.message) == ("error", "the command ended with exit code 127")
    assert outcome.log_tail == "cannot run 'no-such-trainer': No such file or directory"


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


@pytest.mark.parametrize(
    ("script", "reported"),
    [
        ("""echo '{{"y": 1}}'; echo '{{"y": 2}}'; sleep 1000""", {"y": 2}),
        ("""echo '{{"y": 1}}' > "$HPO_RESULT"; sleep 1000""", {"y": 1}),
        ("""trap 'echo "{{\\"y\\": 3}}"; exit 1' TERM; sleep 1000 & wait""", {"y": 3}),
        ("""printf '{{"y": 1'; sleep 1000""", None),
        ("""printf '{{"y": 1' > "$HPO_RESULT"; sleep 1000""", None),
    ],
)
def test_what_was_reported_before_a_timeout_is_told(script: str, reported: dict[str, Any] | None) -> None:
    with shell(script, grace=1.0).start() as pool:
        pool.submit(Task(id="a", payload={}, timeout=0.5))
        outcome = collect(pool, 1)[0]
    assert (outcome.kind, outcome.value, outcome.reported) == ("timeout", None, reported)


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
