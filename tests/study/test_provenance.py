"""What is recorded of who ran what, with what code, on what data; and what is not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hpo
from hpo.cli.show import recipe
from hpo.common.redact import HIDDEN
from hpo.strategies import Random
from hpo.study.provenance import code_words, differences, fingerprint, machine, provenance

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])


def test_equal_data_have_equal_fingerprints_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "a.csv").write_text("1,2")
        (tmp_path / name / "deep" / "b.csv").write_text("3")
    first, second = fingerprint(tmp_path / "one"), fingerprint(tmp_path / "two")
    assert first == second
    assert first.startswith("sha256:")
    assert fingerprint([tmp_path / "one" / "a.csv"]) == fingerprint(tmp_path / "two" / "a.csv")
    (tmp_path / "two" / "deep" / "b.csv").rename(tmp_path / "two" / "b.csv")
    assert fingerprint(tmp_path / "two") != first, "names count"
    (tmp_path / "one" / "a.csv").write_text("1,3")
    assert fingerprint(tmp_path / "one") != first
    with pytest.raises(OSError, match="nowhere"):
        fingerprint(tmp_path / "nowhere")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode()


def test_code_is_a_commit_and_the_hash_of_what_differs_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert provenance()["code"] is None
    assert code_words(None) == "not in a git checkout"
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("lr = 1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert provenance()["code"] == {"commit": commit, "dirty": False}
    (tmp_path / "train.py").write_text("lr = 2")
    diff = hashlib.sha256(git(tmp_path, "diff", "HEAD").encode()).hexdigest()
    code = provenance()["code"]
    assert code == {"commit": commit, "dirty": True, "diff": diff}
    assert code_words(code) == f"{commit[:12]} with uncommitted changes {diff[:12]}"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 5", "git took longer than 0.1 s"),
        ("echo fatal: detected dubious ownership >&2; exit 128", "git failed with exit code 128"),
        (None, "there is no git to ask"),
    ],
)
def test_where_git_cannot_tell_the_code_is_unknown(
    script: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.study.provenance._PATIENCE", 0.1 if script == "exec sleep 5" else 10)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}" if script else str(tmp_path))
    if script:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "git").chmod(0o755)
    code = provenance()["code"]
    assert code == {"unknown": said}
    assert code_words(code) == f"unknown: {said}"
    study = hpo.open_study("s", PROBLEM, storage=":memory:", seed=1)
    study.tell(study.ask(), {"y": 1.0})
    assert f"# its code: unknown: {said}" in recipe(study, study.trials[0])


def test_only_the_image_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert provenance()["image"] is None
    monkeypatch.setenv("HPO_IMAGE", "sha256:123")
    assert provenance()["image"] == "sha256:123"
    found = machine()
    assert found["cores"] >= 1
    assert found["memory_gib"] >= 1


def test_differences_are_those_that_may_change_results() -> None:
    first = provenance(author="ada")
    assert differences(first, {**first, "author": "bob", "argv": ["other"], "machine": {}}) == []
    second = {**first, "code": None, "data": "sha256:1", "versions": {**first["versions"], "numpy": "0.1"}}
    assert [line.split(":")[0] for line in differences(first, second)] == (
        ["code", "data", "numpy"] if first["code"] else ["data", "numpy"]
    )


def test_a_study_is_not_resumed_on_other_data(tmp_path: Path) -> None:
    storage = tmp_path / "hpo.db"
    hpo.open_study("s", PROBLEM, storage=storage, seed=1, data="sha256:1")
    assert hpo.open_study("s", PROBLEM, storage=storage).facts["data"] == "sha256:1"
    hpo.open_study("s", PROBLEM, storage=storage, data="sha256:1")
    with pytest.raises(hpo.errors.DefinitionChanged, match="data: stored sha256:1, given sha256:2"):
        hpo.open_study("s", PROBLEM, storage=storage, data="sha256:2")


def test_every_trial_leads_to_the_run_that_made_it(tmp_path: Path) -> None:
    study = hpo.open_study("s", PROBLEM, storage=tmp_path / "hpo.db", seed=1, strategy=Random())
    by_hand = study.ask()
    study.leases.join("host:1:2.0", ["/bin/train", "--token", "abc", ["--x", "{x}"], "b", ["--key", "/k"]])
    (trial,) = study.leases.claim(1, "host:1:2.0", lease=1.0)
    origin = study.origin(trial)
    assert origin["command"] == ["/bin/train", "--token", HIDDEN, ["--x", "{x}"], "b", ["--key", HIDDEN]]
    assert set(origin["facts"]) == set(provenance())
    assert study.origin(by_hand)["facts"] == study.facts
    hpo.run(study, lambda trial: {"y": trial.params["x"]}, budget=hpo.Budget(trials=3))
    assert study.origin(study.trials[2])["owner"] == study.trials[2].owner


STUDY = """
[study]
name = "s"
seed = 1
data = "data.csv"
strategy = "random"
[space.x]
type = "float"
low = 0.0
high = 1.0
[[metrics]]
role = "objective"
name = "y"
[budget]
trials = 2
[run]
command = ["%s", "train.py", "--x", "{x}"]
"""
TRAIN = """
import json, sys
print(json.dumps({"y": float(sys.argv[2])}))
"""


def test_best_says_what_to_run_and_that_gives_the_result_again(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY % sys.executable)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "data.csv").write_text("1")
    command = Path(sys.executable).parent / "hpo"
    subprocess.run([command, "run", "study.toml", "--quiet"], cwd=tmp_path, check=True, capture_output=True)
    shown = subprocess.run([command, "best", "--reproduce"], cwd=tmp_path, check=True, capture_output=True, text=True)
    lines = shown.stdout.splitlines()
    assert f"# data: {fingerprint(tmp_path / 'data.csv')}" in lines
    assert any(line.startswith("pip install numpy==") for line in lines), "hpo itself is not needed to train"
    again = subprocess.run(lines[-1], shell=True, cwd=tmp_path, check=True, capture_output=True, text=True)
    study = hpo.open_study("s", storage=tmp_path / "hpo.db")
    assert again.stdout.strip() == f'{{"y": {study.best.values["y"].value}}}'
    (tmp_path / "data.csv").write_text("2")
    refused = subprocess.run([command, "run", "study.toml"], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "data: stored sha256:" in refused.stderr
