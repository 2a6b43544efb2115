"""The command line as Python runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


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
