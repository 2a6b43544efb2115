"""The contracts on a real Slurm with fake nodes.

Run as `tests/servers/slurm.sh run python -m pytest tests/executors/test_slurm.py`: that makes the place where clusters may
be started, and says so by HPO_TEST_SLURM.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.executors import Pool, Slurm
from hpo.testing import executors as contracts
from hpo.testing.executors import ConcurrencyContract, ExecutorContract, IsolationContract, behave

if not os.environ.get("HPO_TEST_SLURM"):
    pytest.skip("HPO_TEST_SLURM is not set: tests/servers/slurm.sh run ... sets it", allow_module_level=True)

CLUSTER = Path(__file__).parents[1] / "servers" / "slurm.sh"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="hpo-slurm-", dir="/tmp") as folder:
        command = ["bash", str(CLUSTER), "up", folder]
        conf = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", conf)
            patch.setattr(contracts, "PATIENCE", 200.0)  # a job takes seconds to start on a loaded machine
            yield
        subprocess.run(["bash", str(CLUSTER), "down", folder], check=True)


class TestFunctions(ExecutorContract, ConcurrencyContract, IsolationContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "shared"

    def start(self, slots: int) -> Pool:
        return Slurm(self.path, slots, grace=0.3).start(behave)
