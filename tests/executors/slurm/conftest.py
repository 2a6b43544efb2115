"""Slurm's programs on this machine, for tests that need no real Slurm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpo.executors.slurm import client as slurm_client
from hpo.executors.slurm import pool as slurm_pool
from hpo.executors.slurm import programs as slurm_programs
from tests.executors.slurm.fake_slurm import FakeSlurm


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """On the PATH, and looked at often."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for module, constants in (
        (slurm_client, {"POLL": 0.1, "STEADY": 0.0}),
        (slurm_programs, {"POLL": 0.1, "LONGEST": 0.4}),
        (slurm_pool, {"SETTLE": 0.3}),
    ):
        for name, value in constants.items():
            monkeypatch.setattr(module, name, value)
    return FakeSlurm(tmp_path / "bin")
