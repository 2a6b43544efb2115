"""The settings that all executors with supervisors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import Dask, Processes, Ray, Slurm, Subprocess
from hpo.executors.supervisor.command import Command
from hpo.testing.executors import behave


def test_settings_say_what_the_executor_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = {"A": "b"}
    made = Processes(logs="logs", grace=2.0, env=env).settings(behave, is_reused=False)
    assert made.function is not None
    assert (made.command, made.is_reused, made.logs) == (None, False, tmp_path / "logs")
    assert (made.grace, made.env) == (2.0, {"A": "b"})
    assert made.env is not env
    made = Dask().settings(None, ["train", "{lr}"], is_reused=True)
    assert (made.function, made.command, made.is_reused, made.logs) == (None, Command.of(["train", "{lr}"]), True, None)


@pytest.mark.parametrize("is_local", [True, False])
def test_only_this_machine_has_its_folder_of_logs_made_now(tmp_path: Path, is_local: bool) -> None:
    Processes(logs=tmp_path / "a" / "b").settings(behave, is_local=is_local)
    assert (tmp_path / "a" / "b").is_dir() == is_local


@pytest.mark.parametrize(
    ("executor", "function", "said"),
    [
        (Dask, None, r"^Dask\(.*\) runs a function: start\(function\), got None$"),
        (Processes, None, r"^Processes\(.*\) runs a function: start\(function\), got None$"),
        (lambda: Dask(command=["true"]), behave, "^Dask runs its command and no function; got <function behave "),
        (lambda: Subprocess(["true"]), behave, "^Subprocess runs its command and no function; got <function behave "),
    ],
)
def test_a_function_or_a_command_and_not_both(executor: Callable[[], Any], function: Any, said: str) -> None:
    with pytest.raises(ExecutorError, match=said):
        executor().start(function)


@pytest.mark.parametrize("kind", [Dask, Ray])
def test_a_command_is_a_list(kind: Callable[..., Any]) -> None:
    said = r"^the command must be a list of arguments, got the text 'python train.py'; as a list: \['python', "
    with pytest.raises(ExecutorError, match=said):
        kind(command="python train.py")


@pytest.mark.parametrize("kind", [Processes, Dask, Ray, lambda **fields: Slurm("/shared", **fields)])
def test_all_are_checked_alike(kind: Callable[..., Any]) -> None:
    for fields, said in (
        ({"slots": 0}, "needs at least one slot, got 0"),
        ({"grace": -1}, "grace is seconds, 0 or more"),
    ):
        with pytest.raises(ExecutorError, match=said):
            kind(**fields)
    assert kind().isolated
