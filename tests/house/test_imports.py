"""What is loaded when, seen in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "scipy.stats", "sklearn", "pandas", "sqlalchemy", "plotly", "matplotlib")

SPACE = """
import hpo
problem = hpo.Problem(
    hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True), "act": hpo.Categorical(["relu", "tanh"]), "n": hpo.Int(1, 8)}),
    [hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=5.0)],
)
"""

ASK = (
    SPACE
    + """
study = hpo.open_study("a", problem, storage=STORAGE, seed=0)
for i in range(6):
    trial = study.ask()
    if i == 2:
        study.fail(trial, "diverged")
    else:
        study.tell(trial, {"accuracy": 0.5 + i / 100, "latency_ms": 4.0 + i / 2})
trials = study.ask(3)
assert trials[0].why["role"] in ("exploit", "explore", "feasibility"), trials[0].why
"""
)


def loaded(program: str, folder: Path) -> list[str]:
    """The modules in memory after `program` has run in a new interpreter."""
    tell = "\nimport sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program + tell], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_loads_nothing_heavy(tmp_path: Path) -> None:
    modules = loaded("import hpo", tmp_path)
    assert not set(HEAVY) & set(modules)
    assert [m for m in modules if m.startswith("hpo")] == ["hpo"]
    assert "numpy" not in modules


def test_building_a_problem_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not {*HEAVY, "scipy.optimize"} & set(loaded(SPACE, tmp_path))


def test_hints_are_read_when_something_has_failed(tmp_path: Path) -> None:
    hints = {"hpo.boundary.foreign_names", "hpo.boundary.signatures"}
    assert not hints & set(loaded(SPACE, tmp_path))
    failed = SPACE + "\ntry: hpo.Float(0, 1, q=2)\nexcept TypeError: pass"
    assert hints <= set(loaded(failed, tmp_path))


@pytest.mark.parametrize(("storage", "allowed"), [("':memory:'", ()), ("'hpo.db'", ("sqlalchemy",))])
def test_a_model_based_ask_loads_no_torch_and_no_statistics(
    storage: str, allowed: tuple[str, ...], tmp_path: Path
) -> None:
    modules = set(loaded(ASK.replace("STORAGE", storage), tmp_path))
    assert {*HEAVY, "botorch", "gpytorch"} & modules == set(allowed)


def test_several_objectives_load_no_torch(tmp_path: Path) -> None:
    two = ASK.replace('hpo.Constraint("latency_ms", upper=5.0)', 'hpo.Objective("latency_ms", "minimize")')
    modules = set(loaded(two.replace("STORAGE", "':memory:'"), tmp_path))
    assert not {*HEAVY, "botorch", "gpytorch"} & modules


def test_the_check_sees_what_is_loaded(tmp_path: Path) -> None:
    assert "scipy.stats" in loaded("import scipy.stats", tmp_path)
