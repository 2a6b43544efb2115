"""Problems that look up a table: one objective, limits, two objectives, real noise.

Unless noise is the point, the truth is the first repeat of the training: what a user would have seen who trains each
configuration once with a fixed seed. An evaluation lasts as long as the training did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

import hpo
from benchmarks.problems.base import BenchProblem, Family, Outcome
from benchmarks.problems.formula import Report
from benchmarks.problems.scale import limit, scale
from benchmarks.problems.table import SPACES, table

BUDGET = 60
OBJECTIVE: Mapping[str, hpo.Objective] = {
    "hpolib": hpo.Objective("val_loss", goal="minimize"),
    "hpobench": hpo.Objective("val_acc", goal="maximize"),
    "nasbench201": hpo.Objective("val_acc", goal="maximize"),
}
"""What each suite calls its main metric."""
Repeat = Literal["first", "mean"]


def looked_up(
    suite: str, dataset: str, metrics: tuple[str, ...], params: Mapping[str, Any], repeat: Repeat
) -> dict[str, float]:
    """`metrics` of one configuration: of the first training, or the mean over all."""
    data = table(suite, dataset)
    row = data.row(params)
    rows = {name: data.values[name][row] for name in metrics}
    return {name: float(v[0] if repeat == "first" else np.nanmean(v)) for name, v in rows.items()}


def training_seconds(suite: str, dataset: str, params: Mapping[str, Any]) -> float:
    """How long the first training took."""
    return looked_up(suite, dataset, ("train_time",), params, "first")["train_time"]


def timed(suite: str, dataset: str) -> Report:
    """A report of the truth that takes as long as the training."""

    def report(params: Mapping[str, Any], values: dict[str, float], _rng: np.random.Generator) -> Outcome:
        return Outcome(values, seconds=training_seconds(suite, dataset, params))

    return report


def one_repeat(suite: str, dataset: str) -> Report:
    """A report of one of the training runs, drawn at each evaluation."""
    metric = OBJECTIVE[suite].name

    def report(params: Mapping[str, Any], _values: dict[str, float], rng: np.random.Generator) -> Outcome:
        data = table(suite, dataset)
        row = data.row(params)
        repeats = data.values[metric][row]
        drawn = int(rng.choice(np.flatnonzero(np.isfinite(repeats))))
        return Outcome({metric: float(repeats[drawn])}, seconds=float(data.values["train_time"][row, drawn]))

    return report


def tabular(
    name: str,
    family: Family,
    suite: str,
    dataset: str,
    metrics: tuple[hpo.Objective | hpo.Constraint, ...] | None = None,
    *,
    repeat: Repeat = "first",
    report: Report | None = None,
    reference: tuple[float, ...] = (),
) -> BenchProblem:
    """A problem on a table; its main metric unless `metrics` says otherwise."""
    chosen = metrics or (OBJECTIVE[suite],)
    names = tuple(m.name for m in chosen)
    best, typical = scale(name)
    return BenchProblem(
        name=name,
        family=family,
        problem=hpo.Problem(SPACES[suite], chosen),
        truth=lambda params: looked_up(suite, dataset, names, params, repeat),
        best=best,
        typical=typical,
        budget=BUDGET,
        reference=reference,
        report=report or timed(suite, dataset),
    )


def hpolib_limited(name: str, dataset: str) -> BenchProblem:
    """val_loss under limits of train_time and model_size: quantiles of the table, both the number that ends `name` in
    per cent (S. Watanabe, F. Hutter, "c-TPE: tree-structured Parzen estimator with inequality constraints for expensive
    hyperparameter optimization", IJCAI (2023), section 5; recomputed from the table's first repeat)."""
    return tabular(
        name,
        "constrained",
        "hpolib",
        dataset,
        (
            OBJECTIVE["hpolib"],
            hpo.Constraint("train_time", upper=limit(name, "train_time"), unit="s"),
            hpo.Constraint("model_size", upper=limit(name, "model_size"), unit="weights"),
        ),
    )


TABLES = (
    tabular("hpolib_naval", "mixed", "hpolib", "naval_propulsion"),
    tabular("hpolib_protein", "mixed", "hpolib", "protein_structure"),
    tabular("hpolib_slice", "mixed", "hpolib", "slice_localization"),
    tabular("hpolib_parkinsons", "mixed", "hpolib", "parkinsons_telemonitoring"),
    tabular("hpobench_australian", "mixed", "hpobench", "australian"),
    tabular("hpobench_blood", "mixed", "hpobench", "blood_transfusion"),
    # A third of the first training runs on car reach an accuracy of 1; only one configuration in 700 does so in all five.
    tabular("hpobench_car", "mixed", "hpobench", "car", repeat="mean"),
    tabular("hpobench_credit_g", "mixed", "hpobench", "credit_g"),
    tabular("nasbench201_cifar10", "mixed", "nasbench201", "cifar10"),
)
