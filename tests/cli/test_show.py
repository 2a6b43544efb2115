from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo.cli.main import main
from hpo.executors import Subprocess
from hpo.problem.metrics import Objective
from hpo.problem.parameters import Categorical, Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.running.budget import Budget
from hpo.running.runner import run
from hpo.study.open_study import open_study
from tests.cli.stored import PROBLEM, call, filled


def test_best_shows_params_and_limits(storage: Path) -> None:
    filled(storage).storage.close()
    done = call(storage, "best", "digits")
    assert done.exit_code == 0
    assert done.output == (
        "best feasible accuracy 0.6625 (#0)\n"
        "param    value\n"
        "z.last   0.25\n"
        "a.first  x\n"
        "\n"
        "metric      value   limit\n"
        "accuracy    0.6625  >= 0.5    met\n"
        "latency_ms  3 ms    <= 15 ms  met\n"
    )


def test_best_for_scripts(storage: Path) -> None:
    filled(storage).storage.close()
    done = call(storage, "best", "--json")
    assert json.loads(done.output) == {
        "study": "digits",
        "feasible": True,
        "trial": {
            "number": 0,
            "params": {"z.last": 0.25, "a.first": "x"},
            "metrics": {
                "accuracy": {"value": 0.6625, "sem": None, "unit": "", "lower": 0.5, "upper": None, "ok": True},
                "latency_ms": {"value": 3.0, "sem": None, "unit": "ms", "lower": None, "upper": 15.0, "ok": True},
            },
        },
    }


@pytest.mark.parametrize("arguments", [[], ["{z.last}"], ["{z.last}", "{a.first}"]])
def test_what_reproduces_a_trial_gives_the_command_the_same_params(
    storage: Path, tmp_path: Path, arguments: list[str]
) -> None:
    script = """
        echo "$* $HPO_TRIAL $HPO_SEED" >> seen
        if [ $# != 2 ]; then echo "$HPO_PARAM_Z_LAST $HPO_PARAM_A_FIRST $(cat $HPO_PARAMS)" >> seen; fi
        echo '{{"accuracy": 0.9, "latency_ms": 1}}'
    """
    problem = Problem(Space({"z.last": Float(0, 1), "a.first": Categorical(["it's x"])}), list(PROBLEM.metrics))
    study = open_study("digits", problem, storage=storage, seed=1)
    command = ["env", "-C", str(tmp_path), "sh", "-c", script, "sh", *arguments]
    run(study, executor=Subprocess(command), budget=Budget(trials=1))
    study.storage.close()
    before = (tmp_path / "seen").read_text()
    lines = call(storage, "best", "--reproduce").output.split("pip install")[1].partition("\n")[2]
    subprocess.run(["sh", "-c", lines], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "seen").read_text() == 2 * before
    assert (tmp_path / "hpo-params-0.json").exists() == (len(arguments) < 2)


def test_the_closest_stands_in_while_nothing_is_feasible(storage: Path) -> None:
    filled(storage, limit=15.004).storage.close()
    done = call(storage, "best")
    assert done.exit_code == 3
    # Four digits would show both sides as 15.
    assert done.output.splitlines()[0] == "no trial of 2 meets every limit; closest #0: latency_ms 15.004 > 15 ms"
    assert "latency_ms  15 ms   <= 15 ms  missed" in done.output
    assert json.loads(call(storage, "best", "--json").output)["feasible"] is False


def test_several_objectives_give_a_front(storage: Path) -> None:
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("a"), Objective("b", "minimize")])
    study = open_study("pair", problem, storage=storage, seed=1)
    for x, a, b in ((0.1, 1.0, 1.0), (0.2, 2.0, 2.0), (0.3, 1.5, 3.0)):
        study.add({"x": x}, {"a": a, "b": b})
    study.storage.close()
    done = call(storage, "best", "--json")
    assert [t["number"] for t in json.loads(done.output)["pareto_front"]] == [0, 1]
    lines = call(storage, "best").output.splitlines()
    assert lines[0].startswith("Pareto front of 2 trials")
    assert [line.split() for line in lines[1:]] == [["x", "a", "b"], ["#1", "0.2", "2", "2"], ["#0", "0.1", "1", "1"]]


def test_list_and_status(storage: Path) -> None:
    filled(storage).storage.close()
    filled(storage, "other").storage.close()
    listed = call(storage, "list").output.splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [["digits", "2"], ["other", "2"]]
    done = call(storage, "status", "digits")
    assert "best infeasible 0.7875 (#1: latency_ms 18.44 > 15 ms) | limits missed: latency_ms 1/2" in done.output
    assert "latency_ms  <= 15 ms  1/2" in done.output
    several = call(storage, "status")
    assert several.exit_code == 1
    assert several.stderr == f"Error: {storage} has 2 studies, name one: digits, other\n"


def test_help_documents_the_exit_codes() -> None:
    text = CliRunner().invoke(main, ["run", "--help"]).output
    for line in ("  0    the best trial", "  1    an error", "  2    a faulty", "  3    ended", "  130  interrupted"):
        assert line in text


def test_what_scripts_read(storage: Path) -> None:
    study = filled(storage)
    study.fail(study.ask(), "oom", "much", seconds=2.0)
    study.ask()
    study.enqueue({"z.last": 0.5, "a.first": "y"})
    study.storage.close()
    filled(storage, "other", limit=16.0).storage.close()
    counts = {"waiting": 1, "running": 1, "completed": 2, "failed": 1, "stopped": 0, "cancelled": 0}
    listed = json.loads(call(storage, "list", "--json").output)
    assert listed["storage"] == f"sqlite:///{storage}"
    digits, other = listed["studies"]
    created = digits.pop("created_at")
    assert digits == {
        "study": "digits",
        "trials": {"total": 5, **counts},
        "feasible": 1,
        "best": [json.loads(call(storage, "best", "digits", "--json").output)["trial"]],
    }
    assert (other["study"], other["feasible"], other["best"]) == ("other", 0, [])
    assert json.loads(call(storage, "status", "digits", "--json").output) == {
        **digits,
        "created_at": created,
        "failures": {"oom": 1},
        "evaluation_seconds": 2.0,
        "limits": {
            "accuracy": {"lower": 0.5, "upper": None, "unit": "", "missed": 0},
            "latency_ms": {"lower": None, "upper": 15.0, "unit": "ms", "missed": 1},
        },
        "notes": [],
        "copied": None,
    }
    assert json.loads(call(storage, "replay", "digits", "--json").output) == {
        "study": "digits",
        "identical": True,
        "checked": 2,
        "first_difference": None,
    }
    said = json.loads(call(storage, "doctor", "--json").output)
    assert said["ready"] is True
    assert {check["check"]: check["ok"] for check in said["checks"]}["studies"] is True
    simulated = call(storage, "simulate", "digits", "--duration", "10", "--workers", "1", "--repeats", "1", "--json")
    forecast = json.loads(simulated.output)
    assert (forecast["study"], forecast["enough"], [row["workers"] for row in forecast["rows"]]) == ("digits", 1, [1])
    missing = call(storage, "status", "digts", "--json")
    assert (missing.exit_code, missing.stdout) == (1, "")


def test_a_damaged_study_hides_no_other(storage: Path) -> None:
    filled(storage).storage.close()
    filled(storage, "other").storage.close()
    with closing(sqlite3.connect(storage)) as file:
        file.execute("UPDATE event SET data = '{' WHERE study_id = 1 AND seq = 2")
        file.commit()
    done = call(storage, "list")
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [
        ["digits", "-", "cannot"],
        ["other", "2", "best"],
    ]
    assert done.exit_code == 1
    assert "study 'digits' in sqlite:///" in done.stderr
    assert "event 2 (added) is damaged" in done.stderr
    assert [s["study"] for s in json.loads(call(storage, "list", "--json").stdout)["studies"]] == ["other"]
    doctor = call(storage, "doctor")
    assert doctor.exit_code == 1
    assert "studies   FAULT StorageError: study 'digits' in" in doctor.output
    assert call(storage, "export", "other").exit_code == 0
    with closing(sqlite3.connect(storage)) as file:
        file.execute("UPDATE event SET data = '{}', kind = 'paused', number = NULL WHERE study_id = 1 AND seq = 2")
        file.commit()
    later = call(storage, "list")
    assert later.exit_code == 1
    assert later.stdout.splitlines()[1].split() == ["digits", "-", "cannot", "be", "read"]
    assert later.stderr == "Error: study 'digits': event 2 is a 'paused', unknown to this version\n"
