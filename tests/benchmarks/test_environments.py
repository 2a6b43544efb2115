"""The environments of the peers: pins, order of installation, going on after an interruption; without the network."""

from __future__ import annotations

import re
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from benchmarks import environments
from benchmarks.contenders import CONTENDERS, is_installed
from benchmarks.environments import build, commands, is_built, names, path, python


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two environments of one pin each, not built."""
    pins = tmp_path / "pins"
    pins.mkdir()
    (pins / "modern.txt").write_text("optuna==5.0.0\n")
    (pins / "misc.txt").write_text("hyperopt==0.3.0\n")
    monkeypatch.setattr(environments, "PINS", pins)
    monkeypatch.setattr(environments, "VENVS", tmp_path / "venvs")
    return tmp_path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip is called with, instead of calling it; making an environment makes its interpreter."""
    made: list[list[str]] = []

    def create(folder: Path, with_pip: bool) -> None:
        assert with_pip
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()

    def run(arguments: list[Any], **_: Any) -> None:
        made.append([str(argument) for argument in arguments])

    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(subprocess, "run", run)
    return made


def test_every_contender_has_its_environment() -> None:
    assert {c.environment for c in CONTENDERS.values()} - {None} == set(names())


@pytest.mark.parametrize("name", names())
def test_pins_are_exact(name: str) -> None:
    lines = (environments.PINS / f"{name}.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert len({line.split("==")[0].lower() for line in lines}) == len(lines)


def test_torch_goes_first_and_the_pins_without_their_dependencies() -> None:
    first, torch, rest = commands("hebo")
    assert first == ["install", "setuptools==65.5.0", "wheel==0.48.0"]
    assert torch == ["install", "torch==2.13.0"]
    assert rest[:-1] == ["install", "--no-deps", "--no-build-isolation", "-r"]
    assert len(commands("smac")) == 2


def test_building(here: Path, calls: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_built("misc")
    assert not is_installed("hyperopt")
    build(["misc"])
    assert [call[0] for call in calls] == [str(python("misc"))] * 2
    assert calls[-1][-1] == str(here / "pins" / "misc.txt")
    assert is_built("misc")
    assert is_installed("hyperopt")
    assert not is_built("modern")
    build()
    assert len(calls) == 2 + 3  # the one that is complete is left alone
    (here / "pins" / "misc.txt").write_text("hyperopt==0.4.0\n")
    assert not is_built("misc")
    assert "misc: complete" in capsys.readouterr().out


def test_a_failure_leaves_no_marker_and_the_next_call_goes_on(
    here: Path, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    working = subprocess.run

    def failing(arguments: list[Any], **options: Any) -> None:
        if any("misc.txt" in str(argument) for argument in arguments):
            raise subprocess.CalledProcessError(1, "pip")
        working(arguments, **options)

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(subprocess.CalledProcessError):
        build()
    assert not is_built("misc")
    assert is_built("modern")
    assert "misc: FAILED" in capsys.readouterr().out
    monkeypatch.setattr(subprocess, "run", working)
    build()
    assert is_built("misc")


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no environment 'heb' \(have: hebo, misc, modern, smac\)"):
        path("heb")
