"""Reports in a real browser: nothing that axe-core finds wrong, no request, nothing cut off on paper or on a phone.

Needs Chromium, node, and `npm install axe-core playwright-core` in a folder named by NODE_PATH. With HPO_TEST_BROWSER=1
what is missing is a failure; else the tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.problem.metrics import Constraint, Objective, Tracked
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.report import write_report
from hpo.strategies import Random
from hpo.study.open_study import open_study
from hpo.study.study import Study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ONE = (
    Objective("accuracy", threshold=0.5),
    Constraint("latency_ms", upper=5.0, unit="ms"),
    Tracked("revenue", business=True),
)
TWO = (
    Objective("loss", "minimize"),
    Objective("cost", "minimize", unit="USD"),
    Constraint("latency_ms", upper=5.0, unit="ms"),
)


def missing() -> str:
    """What the tests need and this machine lacks."""
    if CHROMIUM is None or shutil.which("node") is None:
        return "chromium and node: apt-get install chromium nodejs"
    probe = ["node", "-e", "require.resolve('axe-core'); require.resolve('playwright-core')"]
    found = subprocess.run(probe, check=False, capture_output=True, cwd=Path(__file__).parent)
    return "" if found.returncode == 0 else "axe-core and playwright-core in a folder named by NODE_PATH"


def study(n: int, metrics: tuple[Objective | Constraint | Tracked, ...] = ONE, n_params: int = 4) -> Study:
    """Of every tenth trial a failure."""
    space = Space(
        {
            "lr": Float(1e-5, 1e-1, log=True),
            "optimizer": Categorical(["sgd", "adam"]),
            "momentum": Float(0, 0.99, active_if={"optimizer": ["sgd"]}),
            "layers": Int(1, 8),
            **{f"model.parameter_{i}": Float(0, 1) for i in range(n_params - 4)},
        }
    )
    made = open_study(f"{n} trials", Problem(space, metrics), storage=":memory:", seed=1, strategy=Random())
    for i in range(n):
        trial = made.ask()
        u = trial.params["layers"] + (i * 0.618034) % 1
        if i % 10 == 9:
            made.fail(trial, "oom", "CUDA out of memory")
        else:
            made.tell(trial, {m.name: (u + k) % 10 for k, m in enumerate(metrics)})
    return made


def penalties() -> Study:
    """Largest floats."""
    made = study(12)
    made.add(dict(made.trials[0].params), {"accuracy": -1.7e308, "latency_ms": 1.7e308})
    return made


PAGES: dict[str, Callable[[], Study]] = {
    "none": lambda: study(0),
    "one": lambda: study(1),
    "constrained": lambda: study(60),
    "front": lambda: study(60, TWO),
    "many": lambda: study(45, n_params=12),
    "penalties": penalties,
}


def test_reports_are_right_in_a_browser(tmp_path: Path) -> None:
    lacking = missing()
    if lacking and os.environ.get("HPO_TEST_BROWSER") == "1":
        pytest.fail(f"HPO_TEST_BROWSER=1, and this machine lacks {lacking}")
    if lacking:
        pytest.skip(f"no browser: {lacking}; HPO_TEST_BROWSER=1 makes this a failure")
    paths = [str(write_report(make(), tmp_path / f"{name}.html")) for name, make in PAGES.items()]
    script = Path(__file__).with_name("axe.js")
    done = subprocess.run(
        ["node", str(script), *paths],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "HPO_TEST_CHROMIUM": str(CHROMIUM)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
