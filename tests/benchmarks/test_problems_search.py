"""How scales.json comes about: the descents, the known points, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.problems import BY_NAME
from benchmarks.problems.formula import limits, uniform
from benchmarks.problems.functions import michalewicz
from benchmarks.problems.optima import full_memory, half_ball, known, michalewicz_at
from benchmarks.problems.scale import entries, limit, scale
from benchmarks.problems.scales import TABLE_OF, main
from benchmarks.problems.search import climbed, draws, is_good, neighbors, polished, slacks


def test_a_descent_finds_the_optimum_of_a_smooth_function() -> None:
    bench = BY_NAME["lognormal_bowl4"]
    start = bench.problem.space.sample(np.random.default_rng(1), 1)[0]
    assert bench.truth(polished(bench, start))["f"] == pytest.approx(1e-3, rel=1e-9)


def test_a_descent_ends_within_the_limits_and_on_them() -> None:
    """The optimum of the gearbox lies on several of its limits."""
    bench = BY_NAME["speed_reducer"]
    found, _ = draws(bench, lambda rng: bench.problem.space.sample(rng, 1)[0], 3000, 1, 20_000)
    end = polished(bench, found[0])
    room = slacks(bench, bench.truth(end))
    assert min(room) >= 0
    assert sum(slack < 1e-6 for slack in room) >= 2
    assert bench.truth(end)["weight"] == pytest.approx(bench.best, rel=1e-6)


def test_climbing_changes_choices_and_branches() -> None:
    bench = BY_NAME["branches5"]
    start = {"algorithm": "linear", "smoothing": 0.9, "linear.penalty": 10.0}
    end = climbed(bench, start)
    assert end["algorithm"] != "linear"
    assert bench.truth(end)["f"] < 0.23
    assert bench.problem.space.contains(end)


def test_neighbors_differ_in_one_discrete_parameter() -> None:
    bench = BY_NAME["hartmann6_mixed"]
    params = bench.problem.space.start()
    found = neighbors(bench.problem.space, params)
    assert len(found) == 2 * 3 + 2
    for other in found:
        assert bench.problem.space.contains(other)
        assert sum(other[name] != params[name] for name in params) == 1


def test_draws_go_on_until_enough_are_good() -> None:
    bench = BY_NAME["gardner2"]
    params, values = draws(bench, lambda rng: bench.problem.space.sample(rng, 1)[0], 10, 5, 100_000)
    assert len(params) == len(values) == 5
    assert all(is_good(bench, bench.truth(p)) for p in params)
    few, _ = draws(bench, lambda rng: bench.problem.space.sample(rng, 1)[0], 10, 1000, 500)
    assert len(few) < 50


def test_michalewicz_is_least_where_the_terms_are() -> None:
    low, high = limits(BY_NAME["michalewicz5"].problem.space)
    x = uniform(BY_NAME["michalewicz5"].problem.space, np.random.default_rng(2), 200_000)
    assert float(michalewicz(michalewicz_at())) < michalewicz(x).min()
    assert np.all((michalewicz_at() > low) & (michalewicz_at() < high))


def test_the_half_ball_is_uniform_and_feasible() -> None:
    bench, rng = BY_NAME["ackley_ball10"], np.random.default_rng(3)
    found = [bench.truth(half_ball(bench, rng)) for _ in range(2000)]
    radius = np.array([values["radius"] for values in found])
    assert all(values["total"] <= 0 for values in found)
    # A share s^10 of a uniform ball lies within s of its radius.
    assert np.mean(radius / 5 <= 0.5**0.1) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(2000))


def test_no_random_network_beats_the_one_that_fills_the_memory() -> None:
    bench = BY_NAME["mixed_oom"]
    best = bench.truth(full_memory(bench))["f"]
    sample = bench.problem.space.sample(np.random.default_rng(4), 5000)
    assert best < min(bench.truth(params)["f"] for params in sample)


def test_known_points_are_for_formulas_only() -> None:
    assert known("hartmann6_mixed_noisy") is None
    assert known("tension_spring") is None
    crash, noisy = known("hartmann6_crash"), known("hartmann6_very_noisy")
    assert crash == noisy == known("hartmann6")


def test_tables_are_those_that_their_names_say() -> None:
    for name, (suite, dataset) in TABLE_OF.items():
        assert name.split("_")[0] == suite
        assert name.removeprefix(f"{suite}_").split("_")[0] in dataset


def test_the_command_writes_what_it_computes_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scales.json"
    file.write_text(json.dumps({"branin": {"best": 0.4, "typical": 36.0}}))
    monkeypatch.setattr("benchmarks.problems.scale.FILE", file)
    monkeypatch.setattr("benchmarks.problems.scales.FILE", file)
    entries.cache_clear()
    try:
        main(["zdt1_6"])
        entries.cache_clear()
        assert scale("branin") == (0.4, 36.0)
        assert scale("zdt1_6")[0] == pytest.approx(121 - 1 / 3)
        assert all(math.isnan(x) for x in scale("ackley10"))
        assert limit("zdt1_6", "train_time") > 1e100
    finally:
        monkeypatch.undo()
        entries.cache_clear()
    assert "zdt1_6" in capsys.readouterr().out
    assert len(entries()) > 2
