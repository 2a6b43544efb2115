"""Studies that the tests of commands look at."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from hpo.cli.main import main
from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Categorical, Float
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.study.open_study import open_study
from hpo.study.study import Study

PROBLEM = Problem(
    Space({"z.last": Float(0, 1), "a.first": Categorical(["x", "y"])}),
    [Objective("accuracy", threshold=0.5), Constraint("latency_ms", upper=15, unit="ms")],
)


def call(storage: Path, *arguments: str) -> Result:
    """The command line, with this storage."""
    return CliRunner().invoke(main, [*arguments, "--storage", str(storage)])


def filled(storage: Path, name: str = "digits", limit: float = 3.0) -> Study:
    """Two results, of which the second misses its limit."""
    study = open_study(name, PROBLEM, storage=storage, seed=1)
    for x, latency in ((0.25, limit), (0.75, 18.44449)):
        study.add({"z.last": x, "a.first": "x"}, {"accuracy": 0.6 + x / 4, "latency_ms": latency})
    return study
