"""hpo rename, delete, copy, backup."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import hpo
from hpo.cli.main import main
from hpo.strategies import Random

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])


def call(storage: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--storage", str(storage)])


def names(storage: Path) -> list[str]:
    return [line.split()[0] for line in call(storage, "list").output.splitlines()[1:]]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    path = tmp_path / "here.db"
    study = hpo.open_study("digits", PROBLEM, storage=path, seed=1, strategy=Random())
    study.tell(study.ask(), {"y": 1.0})
    study.storage.close()
    return path


def test_rename(storage: Path) -> None:
    said = "study 'digits' is now 'mnist'; in a study file, change study.name too\n"
    assert call(storage, "rename", "digits", "mnist").output == said
    assert names(storage) == ["mnist"]
    wrong = call(storage, "rename", "digits", "other")
    assert (wrong.exit_code, wrong.stderr) == (1, "Error: no study 'digits' (have: mnist).\n")


def test_delete_wants_the_name_once_more(storage: Path) -> None:
    unsaid = call(storage, "delete", "digits")
    assert unsaid.exit_code == 1
    assert unsaid.stderr == (
        "Error: this deletes study 'digits' with 1 trial for good; to do it, add --confirm digits\n"
    )
    wrong = call(storage, "delete", "digits", "--confirm", "digit")
    assert (wrong.exit_code, wrong.stderr) == (1, "Error: nothing was deleted: 'digit' is not 'digits'\n")
    assert names(storage) == ["digits"]
    assert call(storage, "delete", "digits", "--confirm", "digits").output == "deleted study 'digits' with 1 trial\n"
    assert names(storage) == []
    gone = call(storage, "delete", "digits", "--confirm", "digits")
    assert gone.exit_code == 1
    assert "no study 'digits'" in gone.stderr


@pytest.mark.parametrize(("typed", "left"), [("digits\n", []), ("\n", ["digits"]), ("y\n", ["digits"])])
def test_delete_asks_on_a_terminal(storage: Path, typed: str, left: list[str]) -> None:
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "hpo.cli.main", "delete", "digits", "--storage", str(storage)]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.write(ours, typed.encode())
            assert process.wait(60) == (1 if left else 0)
            assert b"This deletes study 'digits' with 1 trial for good. Its name, to do it: " in os.read(ours, 10_000)
    finally:
        os.close(ours)
        os.close(theirs)
    assert names(storage) == left


def test_delete_while_trials_run(storage: Path) -> None:
    study = hpo.open_study("digits", storage=storage)
    study.ask()
    refused = call(storage, "delete", "digits", "--confirm", "digits")
    assert refused.exit_code == 1
    assert "has running trials (#1), whose results would be lost" in refused.stderr
    assert call(storage, "delete", "digits", "--confirm", "digits", "--force").exit_code == 0
    assert names(storage) == []
    study.storage.close()


def test_copy(storage: Path, tmp_path: Path) -> None:
    assert call(storage, "copy", "digits", "b").output == "copied study 'digits' to 'b'\n"
    other = tmp_path / "other.db"
    assert call(storage, "copy", "b", "--to", str(other)).output == f"copied study 'b' to 'b' in {other}\n"
    assert (names(storage), names(other)) == (["digits", "b"], ["b"])
    assert "\ncopied from 'b', at its event 2\n" in call(other, "status").output
    unnamed = call(storage, "copy", "digits")
    assert unnamed.stderr == (
        "Error: a copy in the same storage needs another name: hpo copy digits NEW; or give --to other.db\n"
    )
    assert "there is a study 'b' in" in call(storage, "copy", "digits", "b").stderr


def test_backup(storage: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    assert call(storage, "backup", str(target)).output.startswith(f"wrote {target}: 1 study, ")
    assert names(target) == ["digits"]
    again = call(storage, "backup", str(target))
    assert (again.exit_code, "`hpo backup --replace`" in again.stderr) == (1, True)
    assert call(storage, "backup", str(target), "--replace").exit_code == 0
    assert call(storage, "backup", str(storage), "--replace").exit_code == 1
    assert names(storage) == ["digits"]
