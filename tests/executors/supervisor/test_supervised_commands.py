"""Commands under a supervisor: their output, their ends, and what they leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.executors import Task
from hpo.testing.executors import (
    collect,
)
from tests.executors.started import run_command, shell

pytestmark = pytest.mark.usefixtures("scratch_folders_go")

# Functions below stand inside the tests: this module cannot be imported elsewhere, so they travel by value.


@pytest.mark.parametrize("left", ['mkdir "$HPO_RESULT"', 'rm "$HPO_PARAMS"; mkdir -p "$HPO_PARAMS/a" "$HPO_RESULT/a"'])
def test_whatever_a_command_leaves_in_place_of_a_file_harms_no_other(left: str) -> None:
    with shell(f"""if [ $1 = 1 ]; then {left}; else echo '{{{{"y": 1}}}}'; fi""", "{first}").start() as pool:
        outcomes = []
        for first in (1, 0):
            pool.submit(Task(id="a", payload={"first": first}))
            outcomes += collect(pool, 1)
    assert (outcomes[0].kind, outcomes[0].message[:29]) == ("error", "what the command left at HPO_")
    assert outcomes[1].value == {"y": 1}, outcomes[1]


def test_a_scratch_folder_that_a_command_has_tidied_away_is_made_again() -> None:
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
    outcome = run_command(shell(script))
    assert outcome.kind == "error"
    assert outcome.message.startswith(message)
    assert outcome.log_tail == tail


@pytest.mark.parametrize(("number", "name"), [(11, "SIGSEGV"), (40, "40")])
def test_death_by_a_signal_is_a_crash(number: int, name: str) -> None:
    outcome = run_command(shell(f"kill -{number} $$"))
    assert outcome.kind == "crash"
    assert outcome.message.endswith(f"signal {name}")


def test_background_process_that_holds_the_output_open_does_not_hold_the_task() -> None:
    assert run_command(shell("""sleep 1000 & echo '{{"y": 1}}'""")).value == {"y": 1}


def test_termination_signal_comes_first_so_that_a_command_can_clean_up(tmp_path: Path) -> None:
    script = f"trap 'touch {tmp_path}/clean; exit' TERM; touch {tmp_path}/on; while :; do sleep 0.01; done"
    with shell(script, grace=60.0).start() as pool:
        for timeout in (1.0, 5.0, 25.0):  # a loaded machine may need a second to start a shell
            pool.submit(Task(id="a", payload={}, timeout=timeout))
            assert collect(pool, 1)[0].kind == "timeout"
            if (tmp_path / "on").exists():
                break
    assert (tmp_path / "clean").exists()


def test_logs_that_cannot_be_written_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with shell("""echo '{{"y": 1}}'""", logs=tmp_path).start() as pool:
        (tmp_path / "a.out").mkdir()
        pool.submit(Task(id="a", payload={}))
        outcome = collect(pool, 1)[0]
    assert outcome.kind == "infra"
    assert outcome.message.startswith("the task could not be started: ")
    assert capfd.readouterr().err == ""


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


# -- the program alone, told by this process what a pool would tell it ------------------------------------------------
