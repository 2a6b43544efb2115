"""The studies that `benchmarks.load` tells to: a problem of six parameters, suggested at random."""

from __future__ import annotations

import uuid
from typing import Any

import hpo
from hpo.strategies import Random
from hpo.trials.events import Draft

PROBLEM = hpo.Problem(
    hpo.Space({f"x{i}": hpo.Float(0.0, 1.0) for i in range(6)}), [hpo.Objective("y"), hpo.Constraint("c", upper=0.9)]
)


def new_study(url: str) -> hpo.Study:
    return hpo.open_study(uuid.uuid4().hex, PROBLEM, storage=url, seed=1, strategy=Random())


def values(trial: Any) -> dict[str, float]:
    return {"y": trial.params["x0"], "c": trial.params["x1"]}


def fill(study: hpo.Study, n: int, size: int = 2000) -> None:
    """Give a study `n` completed trials, `size` in a transaction, as a driver before this one left them."""
    record = study.storage.load(study.name)
    assert record is not None
    for begin in range(0, n, size):
        trials = study.ask(min(size, n - begin))
        with study.storage.transaction(record.id) as log:
            log.append(
                [Draft("told", t.number, {"values": {k: [v, None] for k, v in values(t).items()}}) for t in trials]
            )
