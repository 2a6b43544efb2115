"""Results that could not be stored: the program that is left behind stores them, and nothing else."""

from __future__ import annotations

import os
import re
import runpy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.executors import Outcome
from hpo.problem.measurement import Measurement
from hpo.running.objective import Evaluate
from hpo.running.untold_results import kept
from hpo.strategies import Random

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Tracked("z")])


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> hpo.Study:
    """With three trials, in a file; the present folder is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    study = hpo.open_study("a/b ü", PROBLEM, storage=tmp_path / "hpo.db", seed=1, strategy=Random())
    study.ask(3)
    return study


def returned(told: Any, **given: Any) -> Outcome:
    """Of an objective that returned this."""
    value = Evaluate(lambda _: told)({"number": 0, "params": {}, "seed": 1})
    return Outcome(id="t", value=value, seconds=2.5, **given)


def written(study: hpo.Study, *outcomes: Outcome, is_command: bool = False) -> str:
    pairs = list(zip(study.trials, outcomes, strict=False))
    return kept(study, study.problem.metrics, pairs, is_command=is_command)


def test_the_program_stores_what_was_measured(study: hpo.Study) -> None:
    exact = 0.1 + 0.2
    said = written(study, returned({"y": exact, "z": 1}), returned({"y": Measurement(-1e-300, sem=0.5)}))
    (program,) = Path.cwd().iterdir()
    assert said == (
        '2 results are not stored (study.tell(0, {"y": hpo.Measurement(0.30000000000000004, sem=None), "z": '
        'hpo.Measurement(1, sem=None)}, seconds=2.5); study.tell(1, {"y": hpo.Measurement(-1e-300, sem=0.5)}, '
        f"seconds=2.5)); when the storage answers: python {program}"
    )
    assert re.fullmatch(rf"hpo-untold-a-b-ü-\d{{8}}-\d{{6}}-{os.getpid()}\.py", program.name)
    runpy.run_path(str(program))
    assert study.trials[0].values == {"y": Measurement(exact), "z": Measurement(1.0)}
    assert study.trials[1].values == {"y": Measurement(-1e-300, sem=0.5)}
    assert [trial.seconds for trial in study.trials] == [2.5, 2.5, None]


def test_a_command_s_numbers_are_written_as_it_printed_them(study: hpo.Study) -> None:
    said = written(study, Outcome(id="t", value={"y": 0.5, "epoch": 3}, seconds=1.0), is_command=True)
    assert said.startswith(
        '1 result is not stored (study.tell(0, {"y": 0.5}, seconds=1.0)); when the storage answers: '
    )


def test_what_was_reported_before_a_timeout_is_a_result(study: hpo.Study) -> None:
    late = Outcome(id="t", kind="timeout", reported={"y": 0.5}, seconds=1.0)
    assert 'study.tell(0, {"y": 0.5}, seconds=1.0)' in written(study, late, is_command=True)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(id="t", kind="oom"),
        Outcome(id="t", kind="timeout"),
        returned({"y": float("nan")}),
        returned("nothing of use"),
        Outcome(id="t", value={"failed": ["oom", "why"]}),
    ],
    ids=["oom", "timeout", "diverged", "no mapping", "TrialFailed"],
)
def test_what_brought_no_result_need_not_be_told(study: hpo.Study, outcome: Outcome) -> None:
    assert written(study, outcome) == ""
    assert list(Path.cwd().iterdir()) == []
    assert written(study, outcome, returned({"y": 1.0})).startswith("1 result is not stored (study.tell(1, ")


def test_a_later_attempt_is_billed_for_it(study: hpo.Study) -> None:
    study.requeue(0, seconds=0.0)
    (again,) = study.ask(1)
    assert (again.number, again.attempt) == (0, 2)
    study.requeue(0, seconds=0.0)  # another driver took it over meanwhile
    said = kept(study, PROBLEM.metrics, [(again, returned({"y": 1.0}))], is_command=False)
    assert "(study.tell(dataclasses.replace(study.trials[0], attempt=2), {" in said
    runpy.run_path(said.rsplit("python ", 1)[1])
    assert (study.trials[0].values["y"].value, study.trials[0].attempt) == (1.0, 2)


def test_no_password_is_written(study: hpo.Study) -> None:
    written(study, returned({"y": 1.0}))
    (program,) = Path.cwd().iterdir()
    lines = program.read_text(encoding="utf-8").splitlines()
    assert (
        lines[0] == "# Results that a run could not store. Passwords are left out of the storage's URL: see PGPASSWORD."
    )
    assert lines[3] == f"study = hpo.open_study('a/b ü', storage={study.storage.url!r})"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a folder that is gone")
def test_where_nothing_can_be_written_here_it_is_written_elsewhere_or_said_alone(
    study: hpo.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "gone")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(other))
    said = written(study, returned({"y": 1.0}))
    (program,) = other.iterdir()
    assert said.endswith(f"python {program}")
    assert [r.getMessage() for r in caplog.records if "cannot be written to" in r.getMessage()]
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "gone too"))
    one = written(study, returned({"y": 1.0}))
    assert one.endswith("; store it so from Python when the storage answers")
    two = written(study, returned({"y": 1.0}), returned({"y": 1.0}))
    assert two.endswith("; store them so from Python when the storage answers")


def test_a_long_name_is_cut(tmp_path: Path, study: hpo.Study) -> None:
    long = hpo.open_study("n" * 100, PROBLEM, storage=tmp_path / "hpo.db", seed=1, strategy=Random())
    trial = replace(long.ask())
    kept(long, PROBLEM.metrics, [(trial, returned({"y": 1.0}))], is_command=False)
    (program,) = Path.cwd().iterdir()
    assert program.name.startswith(f"hpo-untold-{'n' * 60}-")
