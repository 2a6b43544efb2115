from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from hpo.cli.export import _inert
from hpo.problem.metrics import Objective
from hpo.problem.parameters import Categorical
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.study.open_study import open_study
from tests.cli.stored import PROBLEM, call, filled


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


def test_no_cell_of_an_export_is_a_formula(tmp_path: Path) -> None:
    choices = ["=1+cmd|'/C calc'!A0", "@SUM(1)", "+1", "-1", "-2+3", "\uff1d1", "\xa0 =1", " -1", "plain", "a=1"]
    problem = Problem(Space({"c": Categorical(choices)}), [Objective("=y"), Objective("z", "minimize")])
    study = open_study("s", problem, storage=tmp_path / "s.db", seed=1)
    for i, choice in enumerate(choices):
        study.add({"c": choice}, {"=y": -float(i) - 0.5, "z": 1e-30})
    study.storage.close()
    rows = list(csv.DictReader(io.StringIO(call(tmp_path / "s.db", "export").output)))
    assert [row["param.c"] for row in rows] == [
        *("'=1+cmd|'/C calc'!A0", "'@SUM(1)", "'+1", "-1", "'-2+3", "'\uff1d1", "'\xa0 =1", "' -1", "plain", "a=1")
    ]
    assert [float(row["metric.=y"]) for row in rows] == [-float(i) - 0.5 for i in range(len(choices))]


def test_a_report_is_one_page_of_the_study(storage: Path, tmp_path: Path) -> None:
    filled(storage).storage.close()
    page = tmp_path / "page.html"
    said = call(storage, "report", "-o", str(page)).output
    assert said == f"wrote {page}: 2 trials, {page.stat().st_size / 1000:.0f} kB\n"
    assert "<title>digits</title>" in page.read_text()


def test_a_study_without_trials_has_no_rows(storage: Path) -> None:
    open_study("digits", PROBLEM, storage=storage, seed=1).storage.close()
    done = call(storage, "export")
    assert (done.exit_code, done.output) == (0, "")


def test_numbers_of_an_export_are_exact(storage: Path) -> None:
    study = filled(storage)
    x = 0.1 + 0.2
    study.add({"z.last": x, "a.first": "y"}, {"accuracy": -1.0 / 3.0, "latency_ms": 5e-324})
    study.storage.close()
    row = list(csv.DictReader(io.StringIO(call(storage, "export").output)))[2]
    assert [float(row[name]) for name in ("param.z.last", "metric.accuracy", "metric.latency_ms")] == [
        x,
        -1.0 / 3.0,
        5e-324,
    ]


@pytest.mark.parametrize(
    ("cell", "inert"),
    [
        ("=1", "'=1"),
        (" \t=1", "' \t=1"),
        ("+1", "'+1"),
        ("-1", "-1"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        ("x=1", "x=1"),
        ("", ""),
    ],
)
def test_a_text_that_is_a_formula_is_quoted(cell: str, inert: str) -> None:
    assert _inert(cell) == inert


@pytest.mark.parametrize("cell", [-1.5, 0, None, True])
def test_what_is_no_text_stays_as_it_is(cell: object) -> None:
    assert _inert(cell) is cell
