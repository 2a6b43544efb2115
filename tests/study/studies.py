"""The study of these tests: an objective, a limit and a tracked metric."""

from __future__ import annotations

from typing import Any

import hpo


def problem(**changes: Any) -> hpo.Problem:
    """Two parameters, an objective, two constraints, a tracked metric."""
    return hpo.Problem(
        hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True), "layers": hpo.Int(1, 4)}),
        [
            hpo.Objective("accuracy", goal=changes.get("goal", "maximize"), threshold=changes.get("threshold")),
            hpo.Constraint("latency_ms", upper=changes.get("latency", 15.0), unit="ms"),
            hpo.Constraint("recall", lower=0.5),
            hpo.Tracked("revenue", business=True),
        ],
    )


def study(**settings: Any) -> hpo.Study:
    """An empty study in memory."""
    return hpo.open_study("mnist", problem(), storage=":memory:", seed=1, **settings)


GOOD = {"accuracy": 0.9, "latency_ms": 10.0, "recall": 0.8}
