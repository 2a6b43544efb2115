"""A Slurm cluster for one test; see slurm.sh."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_suffix(".sh")
PATIENCE = 400.0
"""Seconds after which something that should happen is declared hanging. No statement about speed."""


def skip_without() -> None:
    """Skip the module where no cluster may be started; `.ci/run` makes the place."""
    if not os.environ.get("HPO_TEST_SLURM"):
        pytest.skip("HPO_TEST_SLURM is not set: tests/servers/slurm.sh run COMMAND... sets it", allow_module_level=True)


class Cluster:
    """A controller and nodes that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, command: str, *arguments: object) -> str:
        line = ["bash", str(SCRIPT), command, str(self.folder), *map(str, arguments)]
        return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def jobs(self, *options: str) -> list[str]:
        """Slurm's ids of the jobs that wait or run; with options of squeue, of some of them."""
        return said("squeue", "--noheader", "--array", "--format=%F_%K", *options).split()


def said(*command: str) -> str:
    """What a program printed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout


@contextmanager
def cluster(nodes: int = 2, cpus: int = 8) -> Iterator[Cluster]:
    """One that is up, and that sbatch of this process speaks to."""
    with tempfile.TemporaryDirectory(prefix="hpo-slurm-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        started = Cluster(Path(folder))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", started("up", nodes, cpus))
            try:
                yield started
            finally:
                started("down")


def await_that(holds: Callable[[], bool], what: str) -> float:
    """Sleep until it holds, and return the seconds that took; fail when patience ends."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() < begun + PATIENCE, f"after {PATIENCE} s still not: {what}"
        time.sleep(0.05)
    return time.monotonic() - begun
