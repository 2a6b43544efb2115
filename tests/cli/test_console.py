"""What commands print and write holds no text that a terminal, a shell or a spreadsheet would obey, and no password."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.cli.run import _again
from hpo.problem.json_format import problem_to_json
from hpo.problem.metrics import Objective
from hpo.problem.parameters import Categorical, Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.storage import open_storage
from hpo.strategies import Random
from hpo.study.open_study import open_study
from hpo.trials.events import Draft

EVIL = "\x1b]0;pwned\x07\x1b[2J\r\u202e\x9b31m"
STEERS = set("\x1b\x07\r\u202e\x9b")
PROBLEM = Problem(Space({"x": Float(0, 1)}), [Objective("y", unit=EVIL)])


def call(storage: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--storage", str(storage)])


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A study as versions before stored it: nothing in it was refused, and nothing cleaned."""
    path = tmp_path / "old.db"
    made = open_study("s", PROBLEM, storage=":memory:", seed=1, strategy=Random())
    store = open_storage(path)
    record = store.create(f"a\n{EVIL}b", problem_to_json(PROBLEM), made.facts)
    failed = Draft("failed", 1, {"kind": "error", "seconds": None})
    object.__setattr__(failed, "data", {**failed.data, "message": f"half \udc80 {EVIL}"})
    with store.transaction(record.id) as log:
        for event in made.events():
            log.append([Draft(event.kind, event.number, event.data)])
        log.append([Draft("added", 0, {"params": {"x": 0.5}, "values": {"y": [1.0, None]}, "why": {}})])
        log.append([Draft("enqueued", 1, {"params": {"x": 0.25}, "why": {}}), Draft("started", 1, {}), failed])
    store.close()
    return path


@pytest.mark.parametrize("command", ["list", "status", "best", "best --reproduce", "best --json", "replay"])
def test_nothing_stored_steers_the_terminal(storage: Path, command: str) -> None:
    done = call(storage, *command.split())
    assert done.exit_code == 0, done.output
    assert not set(done.output) & STEERS
    if command == "list":
        assert len(done.output.splitlines()) == 2, "a line a study, whatever its name"


def test_errors_are_shown_safe_and_without_a_password(storage: Path) -> None:
    done = call(storage, "best", f"no {EVIL}")
    assert done.exit_code == 1
    assert not set(done.output) & STEERS
    done = CliRunner().invoke(main, ["list", "--storage", "nothing://ada:hunter2@db/hpo"])
    assert done.exit_code == 1
    assert "hunter2" not in done.output


def test_a_study_with_half_a_character_in_a_message_is_exported_and_reported(storage: Path, tmp_path: Path) -> None:
    for arguments in (["export"], ["export", "--format", "json"], ["report"]):
        target = tmp_path / "out"
        done = call(storage, *arguments, "-o", str(target))
        assert done.exit_code == 0, done.output
        assert target.read_text(encoding="utf-8")
    target = tmp_path / "out.json"
    call(storage, "export", "--format", "json", "-o", str(target))
    text = target.read_text(encoding="utf-8")
    assert json.loads(text)["trials"][1]["message"] == f"half \udc80 {EVIL}"
    assert not set(text) & STEERS


def test_what_reproduces_a_trial_runs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_IMAGE", "image\ntouch PWNED1")
    monkeypatch.chdir(tmp_path)
    problem = Problem(Space({"c": Categorical(["a; touch PWNED2", "$(touch PWNED3)"])}), [Objective("y")])
    study = open_study("s\u00e9 `touch PWNED4`", problem, storage="s.db", seed=1, data="d\ntouch PWNED5 #")
    study.add({"c": "a; touch PWNED2"}, {"y": 1.0})
    study.leases.join("me", ["true", "--c", "{c}", "; touch PWNED6"])
    done = call(tmp_path / "s.db", "best", "--reproduce")
    recipe = done.output[done.output.index("# to train") :]
    runnable = [line for line in recipe.splitlines() if not line.startswith(("git", "pip"))]
    subprocess.run(["sh", "-c", "\n".join(runnable)], check=True)
    assert not list(tmp_path.glob("PWNED*")), recipe


def test_the_way_on_shows_no_password() -> None:
    words = _again("study.toml", None, 2, "postgresql://ada:hun/ter2@db/hpo", quiet=True)
    command, _, hint = words.partition(" (")
    assert shlex.split(command) == [
        *("hpo", "run", "study.toml", "--workers", "2", "--storage", "postgresql://ada:***@db/hpo", "--quiet")
    ]
    assert hint == "its password in place of ***, or in PGPASSWORD, or the URL in HPO_STORAGE)"
    assert _again("a b.toml", None, None, "x.db", quiet=False) == "hpo run 'a b.toml' --storage x.db"
