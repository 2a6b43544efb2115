"""A study of a ten-line training script, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TRAIN = """\
import json, os, sys, time
from pathlib import Path
lr = float(sys.argv[1])
momentum = float(sys.argv[3]) if len(sys.argv) > 2 else 0.0
while os.environ.get("GATE") and not Path(os.environ["GATE"]).exists():
    time.sleep(0.01)
if lr > 0.09:
    sys.exit("the loss is NaN")
print("epoch 1 of 1")
print(json.dumps({"accuracy": 1 - abs(lr - 0.05) - 0.01 * momentum, "latency_ms": 400 * lr}))
"""

STUDY = """\
[study]
name = "digits"
seed = 7
reason = "Which learning rate?"

[space.model.opt]
type = "categorical"
choices = ["sgd", "adam"]

[space."model.lr"]
type = "float"
low = 1e-4
high = 1e-1
log = true

[space."model.momentum"]
type = "float"
low = 0
high = 1
active_if = {"model.opt" = ["sgd"]}

[[metrics]]
role = "objective"
name = "accuracy"

[[metrics]]
role = "constraint"
name = "latency_ms"
upper = 15
unit = "ms"

[budget]
trials = 5

[run]
command = ["PYTHON", "train.py", "{model.lr}", ["--momentum", "{model.momentum}"]]
"""

Hpo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with study.toml and train.py."""
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "study.toml").write_text(STUDY.replace("PYTHON", sys.executable))
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    """One thread, and no storage from outside."""
    kept = {name: value for name, value in os.environ.items() if name != "HPO_STORAGE"}
    return {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "300"}


@pytest.fixture
def hpo(folder: Path, environment: dict[str, str]) -> Hpo:
    """Run `hpo` in the folder as a person does."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hpo.cli.main", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return call


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "here.db"
