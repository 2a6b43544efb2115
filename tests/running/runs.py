"""What the runs of these tests are of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hpo


def study(where: str | Path = ":memory:") -> hpo.Study:
    """One parameter, an objective and a limit."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y"), hpo.Constraint("c", upper=0.8)])
    return hpo.open_study("run", problem, storage=where, seed=4)


def measure(trial: hpo.Trial) -> Mapping[str, Any]:
    """A smooth function of x."""
    return {"y": hpo.Measurement(-((trial.params["x"] - 0.3) ** 2), sem=0.01), "c": trial.params["x"]}


def raise_error(trial: hpo.Trial) -> Mapping[str, Any]:
    """Fail each time."""
    raise ValueError("too late")
