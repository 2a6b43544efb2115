from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hpo.cli import check
from hpo.study.open_study import open_study
from hpo.study.provenance import installed
from hpo.trials.events import Draft
from tests.cli.stored import PROBLEM, call, filled


def test_replay_and_doctor(storage: Path) -> None:
    study = filled(storage)
    study.tell(study.ask(), {"accuracy": 0.9, "latency_ms": 1.0})
    study.storage.close()
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


def test_what_this_machine_has_is_what_python_says() -> None:
    assert check.versions() == (
        f"python {platform.python_version()}, hpo {installed('hpo')}, numpy {np.__version__}, "
        f"scipy {version('scipy')}, sqlalchemy {version('sqlalchemy')}"
    )
    assert check.threads().startswith(f"{len(os.sched_getaffinity(0))} cores; ")
    assert check.threads().endswith(" (one inside ask)")
    assert f"pandas {version('pandas')} (to_frame)" in check.optional_packages()
    assert check.optional_packages().count(" (") == len(check._OPTIONAL)


def test_the_disk_is_the_one_of_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    assert check.disk(":memory:").endswith(f" GB free in {tmp_path}")
    assert check.disk("below/here.db").endswith(f" GB free in {tmp_path / 'below'}")
    free = 1e9 * float(check.disk("here.db").partition(" ")[0])
    assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1, abs=1e9)


def test_a_disk_that_is_nearly_full_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=199_400_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError) as raised:  # noqa: PT011 - its words follow
        check.disk(str(tmp_path / "here.db"))
    assert str(raised.value) == f"199 MB free in {tmp_path}; a study and its logs want 200 MB"
    usage.free = 200_000_000
    assert check.disk(str(tmp_path / "here.db")) == f"0.2 GB free in {tmp_path}"


def test_studies_are_counted_with_their_events(storage: Path) -> None:
    assert check.studies(":memory:") == "none yet in :memory:"
    assert check.studies(str(storage)) == f"none yet in {storage}"
    assert not storage.exists(), "a look makes nothing"
    filled(storage).storage.close()
    assert check.studies(str(storage)) == f"1 study with 2 events in {storage}, all readable"
    filled(storage, "other").storage.close()
    assert check.studies(str(storage)) == f"2 studies with 4 events in {storage}, all readable"


def test_a_suggestion_is_timed_on_twelve_results_and_is_no_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    said = re.fullmatch(r"a fit and a suggestion on 12 results in \d+\.\d\d s \((\w+)\)", check.timed_suggestion())
    assert said
    assert said[1] not in ("fallback", "initial")


def test_the_round_trip_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert re.fullmatch(r"a trial written and read back in \d+\.\d\d s", check.storage_round_trip())
    assert list(tmp_path.iterdir()) == []


def test_checks_for_scripts_say_which_failed(tmp_path: Path) -> None:
    done = call(tmp_path / "no folder" / "here.db", "doctor", "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["ready"] is False
    assert [one["check"] for one in told["checks"] if not one["ok"]] == ["disk", "studies"]
    assert told["checks"][2]["text"].startswith("FileNotFoundError: ")
