from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from hpo.study.open_study import open_study
from hpo.trials.events import Draft
from tests.cli.stored import PROBLEM, call, filled


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
