from __future__ import annotations

import csv
import errno
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.cli.strict_json import json_text
from hpo.executors import Subprocess
from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Categorical, Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.running.budget import Budget
from hpo.running.runner import run
from hpo.study.open_study import open_study
from hpo.study.study import Study
from hpo.trials.events import Draft

PROBLEM = Problem(
    Space({"z.last": Float(0, 1), "a.first": Categorical(["x", "y"])}),
    [Objective("accuracy", threshold=0.5), Constraint("latency_ms", upper=15, unit="ms")],
)


def call(storage: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--storage", str(storage)])


def filled(storage: Path, name: str = "digits", limit: float = 3.0) -> Study:
    study = open_study(name, PROBLEM, storage=storage, seed=1)
    for x, latency in ((0.25, limit), (0.75, 18.44449)):
        study.add({"z.last": x, "a.first": "x"}, {"accuracy": 0.6 + x / 4, "latency_ms": latency})
    return study


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "here.db"


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


def test_a_misspelt_study_and_a_missing_file(storage: Path) -> None:
    nothing = call(storage, "best", "digits")
    assert nothing.exit_code == 1
    assert nothing.stderr == f"Error: no file {storage}; `hpo run study.toml` makes one\n"
    assert not storage.exists()
    filled(storage).storage.close()
    wrong = call(storage, "best", "digts")
    assert wrong.stderr.startswith("Error: no study 'digts' in sqlite:///")
    assert "Did you mean 'digits'?" in wrong.stderr
    other = storage.with_name("other.db")
    assert call(other, "list").stderr == f"Error: no file {other}; there is here.db: add --storage {storage}\n"
    assert call(Path(f"sqlite:///{other}"), "list").exit_code == 1
    assert not other.exists()


def test_the_storage_may_come_from_the_environment(storage: Path) -> None:
    filled(storage).storage.close()
    done = CliRunner().invoke(main, ["list"], env={"HPO_STORAGE": str(storage)})
    assert "digits" in done.output


def test_export(storage: Path, tmp_path: Path) -> None:
    study = filled(storage)
    rows = list(csv.DictReader(io.StringIO(call(storage, "export").output)))
    assert [row["param.z.last"] for row in rows] == ["0.25", "0.75"]
    assert [row["metric.latency_ms"] for row in rows] == ["3.0", "18.44449"]
    assert [row["ok.latency_ms"] for row in rows] == ["True", "False"]
    target = tmp_path / "out.json"
    assert call(storage, "export", "--format", "json", "-o", str(target)).output == f"wrote {target}: 2 trials\n"
    data = json.loads(target.read_text())
    assert data["trials"][1]["values"]["latency_ms"] == {"value": 18.44449, "sem": None}
    assert data["definition"]["metrics"][0]["name"] == "accuracy"
    assert data["facts"]["seed"] == study.seed
    study.storage.close()
    folder = call(storage, "export", "-o", str(tmp_path / "none" / "out.csv"))
    assert folder.exit_code == 1
    assert folder.stderr == f"Error: {tmp_path / 'none' / 'out.csv'}: No such file or directory\n"


def test_report_replay_and_doctor(storage: Path, tmp_path: Path) -> None:
    study = filled(storage)
    study.tell(study.ask(), {"accuracy": 0.9, "latency_ms": 1.0})
    study.storage.close()
    page = tmp_path / "page.html"
    assert call(storage, "report", "-o", str(page)).output.startswith(f"wrote {page}: 3 trials, ")
    assert "<title>digits</title>" in page.read_text()
    assert call(storage, "replay").output == "1 suggestions derived again, all identical\n"
    done = call(storage, "doctor")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "ready"
    assert [line.split()[0] for line in done.output.splitlines()[:-1]] == [
        "versions",
        "threads",
        "disk",
        "storage",
        "studies",
        "engine",
        "optional",
    ]


def test_doctor_says_what_is_wrong_and_goes_on(tmp_path: Path) -> None:
    done = call(tmp_path / "no folder" / "here.db", "doctor")
    assert done.exit_code == 1
    assert "disk      FAULT FileNotFoundError" in done.output
    assert "a trial written and read back" in done.output
    assert done.stderr == "Error: not ready: disk, studies\n"


def test_a_replay_that_differs_is_an_error(storage: Path) -> None:
    study = open_study("digits", PROBLEM, storage=storage, seed=1)
    study.ask()
    record = study.storage.load("digits")
    assert record is not None
    event = study.events()[0]
    forged = {**event.data, "params": {"z.last": 0.123, "a.first": "y"}, "batch": [1, 1], "saw": 1}
    with study.storage.transaction(record.id) as log:
        log.append([Draft("asked", 1, forged)])
    study.storage.close()
    done = call(storage, "replay")
    assert done.exit_code == 1
    assert "trial 1 differs after 1 identical suggestions" in done.stderr


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


def test_json_has_no_infinite_numbers() -> None:
    assert json.loads(json_text({"a": [float("nan"), (float("-inf"), 1.5)], 1: {"b": "\ud800"}})) == {
        "a": [None, [None, 1.5]],
        "1": {"b": "\ud800"},
    }


def test_a_replay_that_differs(storage: Path) -> None:
    study = filled(storage)
    study.ask()
    study.storage.close()
    with closing(sqlite3.connect(storage)) as file:
        file.execute("""UPDATE event SET data = replace(data, '"z.last":0.', '"z.last":0.0') WHERE kind = 'asked'""")
        file.commit()
    done = call(storage, "replay", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["identical"], found["checked"], found["first_difference"]["trial"]) == (False, 0, 2)
    assert done.stderr.startswith("Error: trial 2 differs after 0 identical suggestions")


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


def test_doctor_looks_at_the_pages_of_the_file(storage: Path) -> None:
    study = filled(storage)
    for i in range(200):
        study.note(f"{i} " + "x" * 500)
    study.storage.close()
    data = bytearray(storage.read_bytes())
    with closing(sqlite3.connect(storage)) as file:
        (page,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event_request'").fetchone()
    data[(page - 1) * 4096 + 8 : (page - 1) * 4096 + 200] = b"\xff" * 192
    storage.write_bytes(data)
    done = call(storage, "doctor")
    assert done.exit_code == 1
    assert "studies   FAULT StorageError: " in done.output


def test_export_writes_all_or_nothing(storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(storage).storage.close()
    target = tmp_path / "out.csv"
    target.write_text("the old one")
    target.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr("os.fsync", full)
        done = call(storage, "export", "-o", str(link))
    assert done.stderr == f"Error: {link}: No space left on device\n"
    assert target.read_text() == "the old one"
    assert call(storage, "export", "-o", str(link)).exit_code == 0
    assert link.is_symlink()
    assert target.read_text().startswith("number,")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(file.name for file in tmp_path.iterdir()) == ["here.db", "link.csv", "out.csv"]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert call(storage, "export", "-o", str(pipe)).exit_code == 0
        assert reader.communicate(timeout=60)[0].startswith("number,")
    assert pipe.is_fifo()


def test_what_the_storage_names_is_imported_with_trust_alone(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(
        "import pathlib\npathlib.Path('imported').touch()\nfrom hpo.strategies.random import Random as X\n"
    )
    storage = tmp_path / "here.db"
    study = filled(storage)
    study.ask()
    study.storage.close()
    with closing(sqlite3.connect(storage)) as file:
        for table, column in (("study", "facts"), ("event", "data")):
            file.execute(f"""UPDATE {table} SET {column} = replace({column}, '"name":"bayesian"', '"name":"evil:X"')""")
        file.commit()

    def hpo(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hpo.cli.main", *arguments, "--storage", str(storage)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    for command in (
        ["list"],
        ["status"],
        ["best"],
        ["export"],
        ["report"],
        ["doctor"],
        ["note", "seen"],
        ["copy", "digits", "b"],
    ):
        assert hpo(*command).returncode == 0, command
    refused = hpo("replay", "digits")
    assert refused.returncode == 1
    assert "strategy 'evil:X' is not installed here" in refused.stderr
    assert not (tmp_path / "imported").exists()
    assert "derived" in hpo("replay", "digits", "--trust").stderr
    assert (tmp_path / "imported").exists()
