"""hpo enqueue, edit, note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import hpo
from hpo.cli.change import parsed
from hpo.cli.main import main
from hpo.strategies import Random

SPACE = hpo.Space(
    {
        "lr": hpo.Float(1e-5, 1.0, log=True),
        "n": hpo.Int(-3, 1000),
        "opt": hpo.Categorical(["sgd", "a=b", "", True, None, 0.1, 3]),
        "m": hpo.Float(0, 1, active_if={"opt": ["sgd"]}),
    }
)
PROBLEM = hpo.Problem(
    SPACE,
    [hpo.Objective("y"), hpo.Constraint("ms", upper=5, lower=1, unit="ms"), hpo.Tracked("t")],
)


def call(storage: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--storage", str(storage)])


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    path = tmp_path / "here.db"
    study = hpo.open_study("digits", PROBLEM, storage=path, seed=1, strategy=Random())
    for ms in (2.0, 4.0, 6.0):
        study.tell(study.ask(), {"y": ms, "ms": ms})
    study.storage.close()
    return path


def study_of(storage: Path) -> hpo.Study:
    return hpo.open_study("digits", storage=storage)


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (["lr=1e-3", "n=3"], {"lr": 0.001, "n": 3}),
        (["n=-2", "lr=.5"], {"n": -2, "lr": 0.5}),
        (["n=1e2"], {"n": 100.0}),
        (["opt=sgd"], {"opt": "sgd"}),
        (['opt="sgd"'], {"opt": "sgd"}),
        (["opt=a=b"], {"opt": "a=b"}),
        (["opt="], {"opt": ""}),
        (["opt=true"], {"opt": True}),
        (["opt=True"], {"opt": True}),
        (["opt=null"], {"opt": None}),
        (["opt=None"], {"opt": None}),
        (["opt=0.10"], {"opt": 0.1}),
        (["opt=3"], {"opt": 3}),
        (["opt=3.0"], {"opt": 3}),
        (["opt=adam", "lr=high", "x=1"], {"opt": "adam", "lr": "high", "x": 1.0}),
        (['{"lr": 0.1, "opt": null}', "n=3"], {"lr": 0.1, "opt": None, "n": 3}),
    ],
)
def test_values_are_read_by_the_type_of_their_parameter(words: list[str], params: dict[str, Any]) -> None:
    assert repr(parsed(words, SPACE)) == repr(params)


def test_choices_that_are_spelled_alike() -> None:
    space = hpo.Space({"c": hpo.Categorical(["1", 1, "true", "x"])})
    assert parsed(['c="1"'], space) == {"c": "1"}
    assert parsed(["c=true"], space) == {"c": "true"}
    assert parsed(['{"c": 1}'], space) == {"c": 1}
    with pytest.raises(hpo.errors.SettingsError) as raised:
        parsed(["c=1"], space)
    assert str(raised.value) == """c=1 may be '1', 1; say which in JSON: '{"c": "1"}' or '{"c": 1}'"""


def test_enqueue(storage: Path) -> None:
    done = call(storage, "enqueue", "digits", "lr=0.01", "n=7", "opt=sgd", "m=0.5", "--note", "as before")
    assert done.output == "trial 3 of 'digits' waits: lr=0.01, n=7, opt=sgd, m=0.5\n"
    assert call(storage, "enqueue", '{"lr": 0.02, "n": 8, "opt": 3}').exit_code == 0
    study = study_of(storage)
    assert [(t.params, t.message) for t in study.history.waiting] == [
        ({"lr": 0.01, "n": 7, "opt": "sgd", "m": 0.5}, "as before"),
        ({"lr": 0.02, "n": 8, "opt": 3}, ""),
    ]
    assert study.ask().number == 3
    study.storage.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lr=x", "n=7", "opt=adm"], "lr='x' is not a number; opt='adm' is not one of 'sgd'"),
        (["lr=0.1", "n=7.5", "opt=3"], "n=7.5 is not a whole number"),
        (["lr=0.1", "n=7"], "missing parameter 'opt'"),
        (["lrr=0.1", "n=7", "opt=3"], "Did you mean 'lr'?"),
        (["lr=nan", "n=7", "opt=3"], "lr=nan"),
        ([], "missing parameter 'lr'"),
        (["digits", "lr=0.1", "fast"], "'fast' is neither name=value nor a JSON object"),
        (["lr=0.1", "lr=0.2"], "lr is given twice"),
        (["{lr: 1}"], "'{lr: 1}' is no JSON: "),
        (["digit", "lr=0.1"], "no study 'digit' in "),
    ],
)
def test_enqueue_says_what_is_wrong(storage: Path, words: list[str], said: str) -> None:
    done = call(storage, "enqueue", *words)
    assert done.exit_code == 1
    assert said in done.stderr
    study = study_of(storage)
    assert len(study.trials) == 3
    study.storage.close()


def test_edit(storage: Path) -> None:
    done = call(storage, "edit", "digits", "--metric", "ms", "--upper", "3", "--reason", "a smaller device")
    assert done.output == "ms: 1..3 ms (was 1..5 ms); 1 of 3 results meet every limit (was 2)\n"
    done = call(storage, "edit", "--metric", "ms", "--lower", "none", "--upper", "6", "--reason", "back")
    assert done.output == "ms: <= 6 ms (was 1..3 ms); 3 of 3 results meet every limit (was 1)\n"
    done = call(storage, "edit", "--metric", "y", "--threshold", "4", "--reason", "goal")
    assert done.output == "y: >= 4 (was no limit); 2 of 3 results meet every limit (was 3)\n"
    study = study_of(storage)
    assert [e.data["reason"] for e in study.events() if e.kind == "edited"] == ["a smaller device", "back", "goal"]
    assert study.problem.metric("ms") == hpo.Constraint("ms", upper=6, unit="ms")
    study.storage.close()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--metric", "ms", "--upper", "3"], 2, "Missing option '--reason'"),
        (["--metric", "ms", "--upper", "3", "--reason", " "], 1, "an edit needs a reason"),
        (["--metric", "ms", "--upper", "0", "--reason", "r"], 1, "lower=1 is above upper=0"),
        (["--metric", "ms", "--upper", "none", "--lower", "none", "--reason", "r"], 1, "has no limit"),
        (["--metric", "ms", "--upper", "nan", "--reason", "r"], 2, "'nan' is no number; give one, or none"),
        (["--metric", "ms", "--upper", " NaN", "--reason", "r"], 2, "' NaN' is no number"),
        (["--metric", "ms", "--upper", "5ms", "--reason", "r"], 2, "'5ms' is no number"),
        (["--metric", "ms", "--threshold", "3", "--reason", "r"], 1, "edited with --lower or --upper"),
        (["--metric", "ms", "--reason", "r"], 1, "edited with --lower or --upper"),
        (["--metric", "y", "--upper", "3", "--reason", "r"], 1, "edited with --threshold"),
        (["--metric", "t", "--upper", "3", "--reason", "r"], 1, "metric 't' is tracked only"),
        (["--metric", "mss", "--upper", "3", "--reason", "r"], 1, "Did you mean 'ms'?"),
    ],
)
def test_edit_says_what_is_wrong(storage: Path, words: list[str], code: int, said: str) -> None:
    done = call(storage, "edit", *words)
    assert done.exit_code == code
    assert said in done.stderr
    study = study_of(storage)
    assert study.problem == PROBLEM
    study.storage.close()


def test_note(storage: Path) -> None:
    assert call(storage, "note", "digits", "GPU 2 was slow").output == "noted in 'digits'\n"
    assert call(storage, "note", "again; é").exit_code == 0
    shown = call(storage, "status").output.splitlines()[-2:]
    assert [line.partition(" UTC: ")[2] for line in shown] == ["GPU 2 was slow", "again; é"]
    for text in (
        call(storage, "status", "--json").output,
        call(storage, "export", "--format", "json").output,
    ):
        assert [note["text"] for note in json.loads(text)["notes"]] == ["GPU 2 was slow", "again; é"]
    report = storage.with_name("page.html")
    assert call(storage, "report", "-o", str(report)).exit_code == 0
    assert "GPU 2 was slow" in report.read_text()
    assert call(storage, "note", " ").stderr == "Error: note(' '): a note needs a text\n"
    split = call(storage, "note", "digits", "was", "slow")
    assert split.stderr == "Error: a note is one text; put it into quotes: hpo note digits 'was slow'\n"
