"""Lines are whole, runs come back as they were, and outdated ones do not count."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import records
from benchmarks.records import append_run, definition, path_of, read, runs, steps
from tests.benchmarks.fakes import a_run, line

ORIGIN = {"commit": "abc", "machine": "a machine", "date": "2026-01-01", "versions": {"hpo": "1"}}
BENCH = line()
RUN = a_run(definition=definition(BENCH), clock=((0.5, 0.25),), simulated=2.0, died="hm")


def test_runs_come_back_as_they_were(tmp_path: Path) -> None:
    path = path_of(tmp_path, "hpo", "q1")
    given = [RUN, replace(RUN, seed=1, curve=(), clock=(), died="", first_feasible=None, simulated=0.0)]
    for run in given:
        append_run(path, ORIGIN, run)
    assert runs(tmp_path, {"line": BENCH}) == given


def test_an_origin_is_written_when_it_changes(tmp_path: Path) -> None:
    path = path_of(tmp_path, "hpo", "q1")
    for commit in ("abc", "abc", "def", "def"):
        append_run(path, {**ORIGIN, "commit": commit}, RUN)
    lines = read(path)
    assert [line["kind"] for line in lines] == ["origin", "run", "run", "origin", "run", "run"]
    assert [line["origin"] for line in lines if line["kind"] == "run"] == [1, 1, 2, 2]
    assert [line["commit"] for line in lines if line["kind"] == "origin"] == ["abc", "def"]
    assert [(name, line["id"]) for name, line in records.origins(tmp_path)] == [("hpo", 1), ("hpo", 2)]


def test_of_two_runs_of_a_cell_the_later_counts(tmp_path: Path) -> None:
    path = path_of(tmp_path, "hpo", "q1")
    append_run(path, ORIGIN, RUN)
    append_run(path, ORIGIN, replace(RUN, died=""))
    assert runs(tmp_path, {"line": BENCH}) == [replace(RUN, died="")]


@pytest.mark.parametrize("change", [{"best": -1.0}, {"typical": 2.0}, {"reference": (1.0,)}, {"edition": 2}])
def test_runs_of_an_earlier_version_of_a_problem_do_not_count(tmp_path: Path, change: dict[str, float]) -> None:
    append_run(path_of(tmp_path, "hpo", "q1"), ORIGIN, RUN)
    assert runs(tmp_path, {"line": replace(BENCH, **change)}) == []  # type: ignore[arg-type]
    assert runs(tmp_path, {}) == []


def test_a_line_cut_short_is_left_out_and_overwritten(tmp_path: Path) -> None:
    path = path_of(tmp_path, "hpo", "q1")
    assert read(path) == []
    append_run(path, ORIGIN, RUN)
    with path.open("a") as file:
        file.write('{"kind": "run", "b')
    assert len(read(path)) == 2
    append_run(path, ORIGIN, replace(RUN, seed=3))
    assert [run.seed for run in runs(tmp_path, {"line": BENCH})] == [0, 3]


def test_a_broken_line_in_the_middle_is_not_overlooked(tmp_path: Path) -> None:
    path = tmp_path / "hpo.q1.jsonl"
    path.write_text('{"kind": "origin", "id": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(json.JSONDecodeError):
        read(path)


def test_packed_lines_and_later_ones_are_read_as_one(tmp_path: Path) -> None:
    path, below = path_of(tmp_path, "hpo", "q1"), path_of(tmp_path / "ablations", "hpo", "q1")
    append_run(path, ORIGIN, RUN)
    append_run(below, ORIGIN, RUN)
    before = read(path)
    records.pack(tmp_path)
    assert sorted(file.name for file in tmp_path.rglob("*.*")) == ["hpo.q1.jsonl.gz"] * 2
    assert read(path) == read(below) == before
    append_run(path, ORIGIN, replace(RUN, seed=1))
    append_run(path, {**ORIGIN, "commit": "def"}, replace(RUN, seed=2))
    assert [line["id"] for line in read(path) if line["kind"] == "origin"] == [1, 2], "origins are known from the pack"
    assert [run.seed for run in runs(tmp_path, {"line": BENCH})] == [0, 1, 2]
    before = read(path)
    records.pack(tmp_path)
    packed = records.pack_of(path).read_bytes()
    assert read(path) == before
    records.pack(tmp_path)
    assert records.pack_of(path).read_bytes() == packed
    records.discard(path)
    assert read(path) == []
    assert read(below)


def test_steps_keep_four_digits_and_only_changes() -> None:
    assert steps([1.0, 0.123456, 0.123461, 0.5]) == ((2, 0.1235), (4, 0.5))


def test_a_commit_with_changes_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert records.commit() == "unknown"
    (tmp_path / "hpo").mkdir()
    (tmp_path / "hpo" / "a.py").write_text("")
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    head = records.commit()
    assert len(head) == 12
    (tmp_path / "hpo" / "a.py").write_text("changed")
    assert records.commit() == f"{head}+"
    assert records.origin({"hpo": "1"}) | {"date": ""} == {
        "commit": f"{head}+",
        "machine": records.machine(),
        "date": "",
        "versions": {"hpo": "1"},
    }
