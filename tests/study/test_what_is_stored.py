"""A look into the database: params, numbers and the definition, and nothing else."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.executors import Processes, Subprocess

SECRET = "patient-4711-diagnosis"

WHY = {"role", "how", "predicted", "p_meets", "p_success", "acquisition", "n_seen", "n_in_flight", "seed", "nearest"}
EVENTS = {
    "asked": {"params", "why", "saw", "batch", "strategy", "owner", "fitted"},
    "started": {"owner"},
    "told": {"values", "seconds", "attempt"},
    "failed": {"kind", "message", "seconds"},
    "joined": {"owner", "command", "facts", "settings"},
}
FACTS = {
    *("id", "seed", "strategy", "author", "reason", "created_at", "code", "python", "platform", "versions"),
    *("argv", "machine", "image", "data"),
}


class Training:
    """Holds data that must not leave it."""

    def __init__(self) -> None:
        self.data = [SECRET] * 100

    def __call__(self, trial: hpo.Trial) -> Mapping[str, Any]:
        if trial.number == 3:
            raise hpo.TrialFailed("oom")
        return {"y": trial.params["x"] * len(self.data)}


def test_only_params_numbers_and_the_definition_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", SECRET)
    file = tmp_path / "hpo.db"
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1), "k": hpo.Categorical(["a", "b"])}), [hpo.Objective("y")])
    study = hpo.open_study("private", problem, storage=file, seed=1)
    hpo.run(study, Training(), budget=hpo.Budget(trials=8), executor=Processes(2))
    study.storage.close()

    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(file) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        ((facts,),) = database.execute("select facts from study")
        events = database.execute("select kind, data from event").fetchall()
    database.close()
    assert tables - {"sqlite_sequence"} == {"study", "event", "hpo_version", "lease"}
    assert set(json.loads(facts)) == FACTS
    assert {kind for kind, _ in events} <= set(EVENTS)
    for kind, text in events:
        data = json.loads(text)
        assert set(data) <= EVENTS[kind]
        assert set(data.get("why", {})) <= WHY
        assert set(data.get("params", {})) <= {"x", "k"}


def test_of_what_a_training_prints_only_the_last_line_of_a_failed_one_is_stored(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import json, sys\nprint('loading " + SECRET + "')\nprint('the last words')\n"
        "print(json.dumps({'y': 1.0})) if sys.argv[1] == 'good' else sys.exit(3)\n"
    )
    problem = hpo.Problem(hpo.Space({"k": hpo.Categorical(["good", "bad"])}), [hpo.Objective("y")])
    study = hpo.open_study("prints", problem, storage=tmp_path / "hpo.db", seed=1)
    study.enqueue({"k": "good"})
    study.enqueue({"k": "bad"})
    hpo.run(study, budget=hpo.Budget(trials=2), executor=Subprocess([sys.executable, str(script), "{k}"]))
    good, bad = study.trials
    assert (good.state, good.message) == ("completed", "")
    assert bad.state == "failed"
    assert bad.message.endswith(": the last words")
    assert not any(SECRET in json.dumps(event.data) for event in study.events())
