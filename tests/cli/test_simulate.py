from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.executors import Simulated
from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.running.budget import Budget
from hpo.running.runner import run
from hpo.storage import open_storage
from hpo.strategies import Sobol
from hpo.study.open_study import open_study
from tests.cli.conftest import STUDY

PROBLEM = Problem(Space({"x": Float(0, 1)}), [Objective("accuracy"), Constraint("latency_ms", upper=15, unit="ms")])


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "here.db"


def filled(storage: Path, n: int, name: str = "digits") -> None:
    store = open_storage(storage)
    study = open_study(name, PROBLEM, storage=store, seed=1, strategy=Sobol())
    executor = Simulated(1, 90.0)
    run(
        study,
        lambda trial: {"accuracy": trial.params["x"], "latency_ms": 20 * trial.params["x"]},
        budget=Budget(trials=n),
        executor=executor,
    )
    store.close()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["simulate", *map(str, arguments)])


def test_a_study_with_results(storage: Path) -> None:
    filled(storage, 12)
    done = call("digits", "--workers", "1,4", "--trials", 12, "--repeats", 1, "--rate", 2, "--storage", storage)
    assert done.exit_code == 0, done.output
    basis, header, one, four, advice = done.output.splitlines()
    assert basis == "learned from 12 results; durations from the seconds of 12 trials; 1 run each"
    assert header == (
        "workers  trials  time    worker-hours  speed-up  efficiency  runs lost  failed  cost  best accuracy"
    )
    assert one.split()[:-1] == ["1", "12", "18", "min", "0.3", "1", "100", "%", "0", "0", "0.6"]
    assert four.split()[:-1] == ["4", "12", "4", "min", "0.3", "4", "100", "%", "0", "0", "0.6"]
    assert 0.6 < float(one.split()[-1]) <= 0.76, "no more accuracy than 15 ms allow"
    assert advice == "More workers help up to 4 at least: they are 4 times as fast as 1."
    store = open_storage(storage)
    assert store.names() == ["digits"]
    assert len(open_study("digits", storage=store).trials) == 12
    store.close()


def test_too_few_results_say_so(storage: Path) -> None:
    filled(storage, 3)
    done = call("--workers", "1,2", "--trials", 4, "--storage", storage)
    assert done.output.splitlines() == [
        "3 results are too few to learn from: time and cost only, params at random; "
        "durations from the seconds of 3 trials; medians of 5 runs each",
        "workers  trials  time   worker-hours  speed-up  efficiency  runs lost  failed",
        "1        4       6 min  0.1           1         100 %       0          0",
        "2        4       3 min  0.1           2         100 %       0          0",
        "More workers help up to 2 at least: they are 2 times as fast as 1.",
    ]


def test_a_study_file_that_has_never_run(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    done = call(file, "--workers", "1,5,20", "--duration", "10min", "--repeats", 1, "--storage", tmp_path / "none.db")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert (
        lines[0]
        == "no results to learn from: time and cost only, params at random; durations from the duration given; 1 run each"
    )
    assert [line.split()[:4] for line in lines[2:5]] == [
        ["1", "5", "50", "min"],  # the trials of its budget
        ["5", "5", "10", "min"],
        ["20", "5", "10", "min"],
    ]
    assert lines[5] == (
        "More than 5 workers no longer help much: 20 are 1 times as fast as 5, for 4 times the worker-hours."
    )
    assert not (tmp_path / "none.db").exists()


def test_a_study_file_whose_study_is_stored(tmp_path: Path, storage: Path) -> None:
    filled(storage, 3, "digits")
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    done = call(file, "--workers", 1, "--trials", 2, "--repeats", 1, "--storage", storage)
    assert "durations from the seconds of 3 trials" in done.output
    other = tmp_path / "other.toml"
    other.write_text(STUDY.replace('"digits"', '"letters"'))
    done = call(other, "--workers", 1, "--duration", 60, "--repeats", 1, "--storage", storage)
    assert done.output.startswith("no results to learn from")


def test_spread_failures_and_stragglers(storage: Path) -> None:
    filled(storage, 3)
    settings = ["--workers", 3, "--trials", 60, "--repeats", 1, "--storage", storage, "--duration", "1h"]
    plain = call("digits", *settings).output.splitlines()[2].split()
    rough = call("digits", *settings, "--spread", 0.5, "--failures", 0.5, "--stragglers", 0.2)
    assert rough.exit_code == 0, rough.output
    cells = rough.output.splitlines()[2].split()
    assert plain[-2:] == ["0", "0"]
    assert float(cells[-2]) > 10, "half of the runs of an hour or more die"
    assert cells[2:4] != plain[2:4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digts"], "no study 'digts' in sqlite:///"),
        (
            ["digits", "--workers", "1,many"],
            "--workers: whole numbers with commas between them, like 1,8,32, got '1,many'",
        ),
        (["digits", "--workers", "0"], "workers: whole numbers of at least 1, like 1,8,32, got [0]"),
        (["digits", "--spread", "0.5"], "--spread is that of --duration, which is not given"),
        (["digits", "--duration", "long"], "'long' is no length of time"),
        (["digits", "--wall", "soon"], "'soon' is no length of time"),
        (["missing.toml"], "missing.toml: cannot be read"),
    ],
)
def test_faults_are_named(storage: Path, arguments: list[str], message: str) -> None:
    filled(storage, 2)
    done = call(*arguments, "--storage", storage)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stdout == ""


def test_a_study_without_results_needs_a_duration(storage: Path) -> None:
    store = open_storage(storage)
    open_study("digits", PROBLEM, storage=store, seed=1)
    store.close()
    done = call("digits", "--storage", storage)
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: study 'digits' has no trial whose seconds were recorded, so nothing tells how long a trial takes; "
        "give a duration: --duration 10min, or duration=600.0\n"
    )
