"""hpo validate: nothing is made, and every fault is shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Hpo


def edited(folder: Path, old: str, new: str) -> None:
    file = folder / "study.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_what_would_be_done(folder: Path, hpo: Hpo) -> None:
    before = sorted(os.listdir(folder))
    done = hpo("validate", "study.toml")
    lines = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert lines == ["study", "space", "metric accuracy", "metric latency_ms", "budget", "runs on", "command", "valid"]
    assert "'digits' in hpo.db: new" in done.stdout
    assert "3 parameters, endlessly many configurations" in done.stdout
    assert "constraint <= 15 ms" in done.stdout
    assert "trials 5" in done.stdout
    assert f"{sys.executable} train.py " in done.stdout
    assert sorted(os.listdir(folder)) == before
    assert done.returncode == 0


def test_for_scripts(folder: Path, hpo: Hpo) -> None:
    edited(folder, "[run]\n", "[run]\nworkers = 2\n")
    done = hpo("validate", "study.toml", "--json")
    plan = json.loads(done.stdout)
    first = plan.pop("first_trial")
    assert plan == {
        "file": "study.toml",
        "valid": True,
        "study": "digits",
        "storage": {"where": "hpo.db", "trials": None},
        "parameters": 3,
        "configurations": None,
        "metrics": {"accuracy": "objective (maximize)", "latency_ms": "constraint <= 15 ms"},
        "budget": {"trials": 5},
        "executor": "local",
        "workers": 2,
    }
    assert first["command"][:3] == [sys.executable, "train.py", str(first["params"]["model.lr"])]
    assert hpo("run", "study.toml", "--trials", "1", "--quiet").returncode in (0, 3)
    best = json.loads(hpo("best", "--json").stdout)["trial"]
    assert best["params"] == first["params"], "a new study of this seed begins with that trial"
    assert json.loads(hpo("validate", "study.toml", "--json").stdout)["storage"] == {"where": "hpo.db", "trials": 1}


def test_the_command_is_shown_without_its_secrets(folder: Path, hpo: Hpo) -> None:
    edited(folder, "command = [", 'command = ["env", "HF_TOKEN=S3CRET", ')
    for options in ([], ["--json"]):
        done = hpo("validate", "study.toml", *options)
        assert "S3CRET" not in done.stdout
        assert "HF_TOKEN=***" in done.stdout


def test_every_fault_at_once(folder: Path, hpo: Hpo) -> None:
    assert hpo("run", "study.toml", "--trials", "1", "--quiet").returncode in (0, 3)
    edited(folder, "low = 1e-4", "low = 1e-3")
    edited(folder, f'"{sys.executable}"', '"pythom"')
    done = hpo("validate", "study.toml", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "Error: - study.toml: run.command: there is no program 'pythom' on this machine; give one that is, with its folder "
        "if it is not on the PATH",
        "- study.toml: study 'digits' is stored otherwise in hpo.db: model.lr.low: stored 0.0001, given 0.001",
    ]
    edited(folder, 'name = "digits"', "name = 3\nsead = 1")
    done = hpo("validate", "study.toml")
    assert done.returncode == 1
    assert "study.name: expected text, got 3" in done.stderr
    assert "study.sead: no such key" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 7", 'seed = 7\nstrategy = { name = "grid", levels = { "model.lrr" = 3 } }', "'model.lrr'"),
        ("seed = 7", 'seed = 7\nstorage = "none/hpo.db"', "there is no folder "),
        ("[study]", "[study]\nstorage = 'train.py'", "train.py is not an SQLite database; give another path"),
    ],
)
def test_what_only_a_run_would_meet(folder: Path, hpo: Hpo, old: str, new: str, said: str) -> None:
    edited(folder, old, new)
    done = hpo("validate", "study.toml")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_small_space_and_no_budget(folder: Path, hpo: Hpo) -> None:
    (folder / "study.toml").write_text(
        '[study]\nname = "s"\n[space.a]\ntype = "int"\nlow = 1\nhigh = 4\n[[metrics]]\nrole = "tracked"\nname = "y"\n'
        f'[[metrics]]\nrole = "objective"\nname = "z"\n[run]\ncommand = ["{sys.executable}", "train.py", "{{a}}"]\n'
    )
    done = hpo("validate", "study.toml")
    assert "1 parameters, 4 configurations" in done.stdout
    assert "none; hpo run needs --trials then" in done.stdout
    with (folder / "study.toml").open("a") as file:
        file.write("[budget]\ntrials = 9\n")
    assert "4 configurations, fewer than the budget has trials" in hpo("validate", "study.toml").stdout
    missing = hpo("validate", "other.toml")
    assert (missing.returncode, missing.stderr) == (1, "Error: other.toml: cannot be read: No such file or directory\n")
