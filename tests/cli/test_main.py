"""The command line as Python runs it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click

import hpo.cli
from hpo.cli.main import main


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `python -m hpo` does with these."""
    return subprocess.run(
        [sys.executable, "-m", "hpo", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_python_m_hpo_is_the_command(tmp_path: Path) -> None:
    assert ran(tmp_path, "--help").stdout.startswith("Usage: python -m hpo [OPTIONS] COMMAND")
    done = ran(tmp_path, "best", "digits")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: no file hpo.db")
    assert "No such command 'tune'" in ran(tmp_path, "tune").stderr


def test_every_command_of_the_room_is_one_of_hpo() -> None:
    files = [path.stem for path in Path(hpo.cli.__path__[0]).glob("*.py") if path.stem not in ("__init__", "main")]
    modules = [importlib.import_module(f"hpo.cli.{name}") for name in files]
    commands = {value for module in modules for value in vars(module).values() if isinstance(value, click.Command)}
    assert len(commands) > 15
    missing = sorted(command.name or "" for command in commands - set(main.commands.values()))
    assert not missing, f"hpo/cli/main.py does not add {missing}"
