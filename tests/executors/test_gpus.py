"""GPUs of this machine: each slot has its own, and what was set for all gives way."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from hpo.errors import ExecutorError
from hpo.executors import Pool, Processes, Subprocess, Task
from hpo.executors.supervisor.pool import deal
from hpo.testing.executors import collect

SHOW = 'import json, os; print(json.dumps({"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}))'


def show(_: Mapping[str, Any]) -> dict[str, Any]:
    """The devices a task sees."""
    return {"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}


@pytest.mark.parametrize(
    ("gpus", "slots", "dealt"),
    [
        ("0123", 4, ["0", "1", "2", "3"]),
        ("0123", 2, ["01", "23"]),
        ("0123", 3, ["0", "1", "2"]),
        ("01", 4, ["0", "1", "0", "1"]),
        ("", 2, ["", ""]),
    ],
)
def test_devices_are_dealt_out_evenly(gpus: str, slots: int, dealt: list[str]) -> None:
    assert ["".join(devices) for devices in deal(gpus, slots)] == dealt


def started(executor: str) -> Pool:
    """Two slots with two devices each."""
    if executor == "Processes":
        return Processes(2, devices=[4, 5, 6, 7], env={"CUDA_VISIBLE_DEVICES": "0"}).start(show)
    return Subprocess(
        [sys.executable, "-c", SHOW.replace("{", "{{").replace("}", "}}")], 2, devices=[4, 5, 6, 7]
    ).start()


@pytest.mark.parametrize("executor", ["Processes", "Subprocess"])
def test_each_task_sees_the_devices_of_its_slot(executor: str) -> None:
    with started(executor) as pool:
        pool.submit(*(Task(id=str(i), payload={}, gpus=2) for i in range(8)))
        seen = [outcome.value for outcome in collect(pool, 8)]
        assert {str(value and value["gpus"]) for value in seen} == {"4,5", "6,7"}
        with pytest.raises(ExecutorError, match=r"task 'big' asks for 3 gpus, and a slot has 2"):
            pool.submit(Task(id="big", payload={}, gpus=3))
