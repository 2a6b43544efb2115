from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.cli.executors import executor_of, words_of
from hpo.errors import ExecutorError, SettingsError
from hpo.executors import Dask, Ray, Slurm, Subprocess


def test_a_table_names_the_executor_and_its_fields() -> None:
    table = {"type": "slurm", "folder": "/shared", "partition": "gpu"}
    made = executor_of(table, ["train", "{lr}"], 64, "logs", ())
    assert isinstance(made, Slurm)
    assert (made.slots, made.folder, made.partition) == (64, "/shared", "gpu")
    assert (made.command, made.logs) == (["train", "{lr}"], "logs")
    assert table == {"type": "slurm", "folder": "/shared", "partition": "gpu"}, "it is the caller's"


def test_this_machine_is_where_nothing_else_is_said() -> None:
    local = executor_of({"grace": 2, "env": {"A": "b"}}, ["train"], 2, None, [0, 1])
    assert isinstance(local, Subprocess)
    assert (local.slots, local.devices, local.grace, local.env) == (2, [0, 1], 2, {"A": "b"})
    assert executor_of({"type": "local"}, ["train"], 1, None, ()) == executor_of({}, ["train"], 1, None, ())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"type": "slrum"}, "type 'slrum' is not one of local, dask, ray, slurm. Did you mean 'slurm'?"),
        ({"type": 7}, "type 7 is not one of local, dask, ray, slurm."),
        ({"type": "slurm"}, "folder: slurm needs it, text; add folder = ..."),
        ({"grace": "5s"}, "grace: expected a number, got '5s'"),
        ({"grace": True}, "grace: expected a number, got True"),
        ({"env": {"A": 1}}, "env: expected a table of text, got {'A': 1}"),
        ({"env": ["A"]}, "env: expected a table of text, got ['A']"),
        ({"type": "ray", "reuse": 1}, "reuse: expected true or false, got 1"),
        ({"type": "slurm", "folder": "/f", "options": ["-x", 1]}, "options: expected a list of text, got ['-x', 1]"),
        ({"type": "slurm", "folder": "/f", "gpus": 0.5}, "gpus: expected a whole number, got 0.5"),
        ({"type": "dask", "scale": [1]}, "dask: scale cannot be: not enough values to unpack (expected 2, got 1)"),
    ],
)
def test_what_a_table_cannot_say(table: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        executor_of(table, ["train"], 1, None, ())
    assert str(raised.value) == said


@pytest.mark.parametrize("name", ["command", "slots", "logs", "devices_"])
def test_what_other_keys_of_the_file_say_is_no_key_of_an_executor(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: no such key of local \(have: .*grace"):
        executor_of({name: 1}, ["train"], 1, None, ())


@pytest.mark.parametrize("kind", ["dask", "ray", "slurm"])
def test_gpus_of_this_machine_are_dealt_out_here_alone(kind: str) -> None:
    table = {"type": kind, **({"folder": "/f"} if kind == "slurm" else {})}
    with pytest.raises(SettingsError) as raised:
        executor_of(table, ["train"], 1, None, [0])
    assert str(raised.value) == f"run.devices are GPUs of this machine; {kind} deals out its own: say run.gpus"


def test_what_an_executor_refuses_is_its_own_error() -> None:
    with pytest.raises(ExecutorError, match=r"^Subprocess: grace is seconds, 0 or more, got -1$"):
        executor_of({"grace": -1}, ["train"], 1, None, ())


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_words_are_those_of_a_shell(words: list[str]) -> None:
    assert words_of(shlex.join(words)) == words


def test_what_no_shell_could_split() -> None:
    with pytest.raises(SettingsError) as raised:
        words_of("sh 'x")
    assert str(raised.value) == (
        'the command "sh \'x" cannot be split into words: No closing quotation; close what is open'
    )


@pytest.mark.parametrize("made", [Subprocess, Dask, Ray, Slurm])
def test_any_value_of_any_field_is_taken_or_refused_by_name(made: type[Any]) -> None:
    kind = "local" if made is Subprocess else made.__name__.lower()
    for field in dataclasses.fields(made):
        if field.init and field.name not in ("command", "slots", "logs"):
            for value in ("text", 1, 0.5, True, [], ["text"], [1], {}, {"a": "b"}, {"a": 1}):
                table = {"type": kind, **({"folder": "/shared"} if made is Slurm else {}), field.name: value}
                said = field.name
                try:
                    executor_of(table, ["train"], 1, None, ())
                except (SettingsError, ExecutorError) as error:
                    said = str(error)
                assert field.name in said
