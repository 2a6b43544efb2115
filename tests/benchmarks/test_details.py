"""The tables beside the losses: many in flight, first feasible, failures, predicted feasibility."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hpo
from benchmarks import calibration, compare, details, problems, records
from benchmarks.problems.base import BenchProblem
from benchmarks.suites import SUITES
from tests.benchmarks.fakes import SPACE, a_run, line

PROBLEMS = {name: line(name) for name in ("easy", "rare")} | {
    name: line(name, family="failing") for name in ("breaks", "breaks_infra")
}


@pytest.fixture(autouse=True)
def these_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "BY_NAME", PROBLEMS)
    monkeypatch.setattr(problems, "FAMILIES", {"single": ("easy", "rare"), "failing": ("breaks", "breaks_infra")})
    monkeypatch.setattr(problems, "half", lambda name: "development")


def row(page: str, first: str) -> list[str]:
    (found,) = [text for text in page.splitlines() if text.startswith(f"| {first} ")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_shares_in_flight_compare_with_the_own_sequential_median() -> None:
    one = {"a": {0: np.array([0.8, 0.4, 0.2, 0.1])}, "b": {0: np.array([1.0, 1.0, 0.5, 0.4])}}
    many = {"a": {0: np.array([0.8, 0.8, 0.8, 0.4, 0.4, 0.3])}, "b": {0: np.array([0.5, 0.5])}}
    # a: 0.4 after 2 and 4, 0.2 after 3 and never; b: nothing is known after half, 0.5 after 3 and 1
    assert compare.shares_in_flight(one, many) == [2.0, np.inf, 1 / 3]
    # a: 0.8 after 1 and 1, twice; b: not both after half, 0.5 after 3 and 1
    assert compare.shares_in_flight(one, many, reached_by_both=True) == [1.0, 1.0, 1 / 3]


def test_losses_that_both_reach_treat_both_alike() -> None:
    rng = np.random.default_rng(0)
    one, many = ({"a": {0: np.minimum.accumulate(rng.random(20))}} for _ in range(2))
    there = compare.shares_in_flight(one, many, reached_by_both=True)
    back = compare.shares_in_flight(many, one, reached_by_both=True)
    assert np.isfinite(there).all()
    np.testing.assert_allclose(there, 1 / np.array(back))


def test_the_tables() -> None:
    runs = [
        a_run(contender=name, problem=problem, mode="q1", seed=seed, first_feasible=first, failed=failed)
        for name, first, failed in (("hpo", 10, 2), ("random", 40, 8), ("ax", None, 0))
        for problem in ("rare", "breaks", "breaks_infra")
        for seed in range(2)
    ]
    runs += [a_run(contender="random", problem="easy", mode="q1", seed=0, first_feasible=3)]
    runs += [a_run(contender="hpo", problem="rare", mode="q8", seed=0)]
    page = "\n".join(details.sections(runs))
    rare = page[page.index("## First feasible") : page.index("## Failures")]
    assert row(rare, "rare") == ["rare", "10", "40 (0.25)", "never"]
    assert "easy" not in rare
    failures = page[page.index("## Failures") :]
    assert row(failures, "breaks") == ["breaks", "2", "8 (0.25)", "0"]
    assert "breaks_infra" not in failures
    assert row(page, "q8: 8 rounds of 8")[1] == row(page, "q8: 8 rounds of 8, both")[1] == "1"
    assert details.sections([]) == []


def test_parity_is_told_on_the_seeds_that_both_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "parity", replace(SUITES["parity"], problems=("easy", "rare")))
    ours = [a_run(problem="easy", mode="q1", seed=s, curve=((1, 0.5), (2, 0.1 * s))) for s in range(3)]
    theirs = [a_run(contender="botorch", problem="easy", mode="q1", seed=s, curve=((1, 0.5),)) for s in range(2)]
    page = "\n".join(details.sections(ours + theirs))
    assert row(page, "easy")[:4] == ["easy", "2", "0.05", "0.5"]
    assert "rare" not in page[page.index("## Parity") :]


def limited() -> BenchProblem:
    problem = hpo.Problem(SPACE, [hpo.Objective("f", goal="minimize"), hpo.Constraint("x_of", upper=0.4)])
    return BenchProblem("limited", "constrained", problem, lambda p: {"f": p["x"], "x_of": p["x"]}, 0.0, 1.0, budget=12)


def test_what_was_predicted_is_held_against_what_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "BY_NAME", {"limited": limited(), "easy": PROBLEMS["easy"]})
    calibration.measure(tmp_path)
    runs = [r for r in records.read(calibration.path_of(tmp_path)) if r["kind"] == "calibration"]
    assert [(r["problem"], r["seed"]) for r in runs] == [("limited", seed) for seed in range(calibration.SEEDS)]
    assert all(0 < len(r["chances"]) == len(r["held"]) < 12 for r in runs), "the initial design predicts nothing"
    sure = [held for r in runs for chance, held in zip(r["chances"], r["held"], strict=True) if chance > 0.99]
    assert len(sure) > 10
    assert np.mean(sure) > 0.9
    page = "\n".join(calibration.sections(tmp_path))
    assert row(page, "at least 0.9")[1] == str(sum(c >= 0.9 for r in runs for c in r["chances"]))
    assert calibration.picture(tmp_path, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_without_lines_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert calibration.sections(tmp_path) == []
    assert not calibration.picture(tmp_path, tmp_path / "p.png")
