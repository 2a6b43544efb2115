"""Ray listens on all interfaces, so these run in a network namespace, by `tests/servers/alone.sh`, and where HPO_TEST_RAY
is set."""

from __future__ import annotations

import os

import pytest

if not os.environ.get("HPO_TEST_RAY"):
    pytest.skip("HPO_TEST_RAY is not set: Ray is not installed, or has no namespace", allow_module_level=True)

from hpo.executors import Pool, Ray
from hpo.testing.engines import EngineContract
from hpo.testing.executors import ConcurrencyContract, ExecutorContract, IsolationContract, behave


class TestContract(ExecutorContract, ConcurrencyContract, IsolationContract, EngineContract):
    def start(self, slots: int) -> Pool:
        return Ray(slots=slots, grace=0.3).start(behave)
