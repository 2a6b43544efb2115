"""One run with a contender that follows a script: what it is asked and told, when, and what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.problems.base import BenchProblem, Outcome
from benchmarks.run import luck, run
from benchmarks.suites import MODES, Mode
from tests.benchmarks.fakes import Script, line


def test_one_at_a_time() -> None:
    script = Script([0.5, 0.75, 0.125, 0.25])
    result = run("script", script, line(), MODES["q1"], seed=7)
    assert script.opened == [(line().problem.hash, 7, 4, 1)]
    assert script.asks == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert [x for x, _ in script.told] == [0.5, 0.75, 0.125, 0.25]
    assert [outcome.values for _, outcome in script.told] == [{"f": x} for x in (0.5, 0.75, 0.125, 0.25)]
    assert result.curve == ((1, 0.5), (3, 0.125))
    assert (result.contender, result.mode, result.problem, result.seed) == ("script", "q1", "line", 7)
    assert (result.total, result.evaluations, result.first_feasible) == (4, 4, 1)
    assert (result.failed, result.repeated, result.died, result.clock) == (0, 0, "", ())
    assert (result.ask_cpu, result.ask_median, result.tell_cpu) == (1.0, 0.25, 0.04)


def test_rounds_are_told_whole_before_the_next_is_asked() -> None:
    script = Script(np.linspace(1, 0.01, 64))
    result = run("script", script, line(), MODES["q8"], seed=0)
    assert script.asks == [(8, 8 * i) for i in range(8)]
    assert (result.total, result.evaluations) == (64, 64)
    assert script.opened[0][2:] == (64, 8)


def test_a_round_that_comes_short_is_not_made_up_for() -> None:
    """Whoever gives one where four are asked for would otherwise work one at a time."""

    class Single(Script):
        def ask(self, n: int = 1) -> Any:
            return super().ask(1)

    result = run("script", Single([0.9, 0.8, 0.7, 0.6, 0.5]), line(), Mode("q4", 4, rounds=2), seed=0)
    assert (result.total, result.evaluations) == (8, 2)
    assert result.curve == ((1, 0.9), (2, 0.8))


@pytest.mark.parametrize("mode", ["q1", "async8"])
def test_whoever_has_no_more_to_suggest_is_done(mode: str) -> None:
    result = run("script", Script([0.5, 0.25]), line(), MODES[mode], seed=0)
    assert (result.evaluations, result.died) == (2, "")
    assert result.curve == ((1, 0.5), (2, 0.25))


def slow_left(params: Mapping[str, Any], values: dict[str, float], rng: np.random.Generator) -> Outcome:
    """It takes x seconds."""
    return Outcome(values, seconds=params["x"])


def test_on_a_clock_results_are_told_in_the_order_of_their_ends() -> None:
    """Two workers. A: 0.6 until 0.6, then 0.5 until 1.1. B: 0.2 until 0.2, then 0.3 until 0.5, then 0.1 until 0.6."""
    script = Script([0.6, 0.2, 0.3, 0.1, 0.5, 0.4])
    bench = line(budget=3, report=slow_left)
    result = run("script", script, bench, Mode("async2", 2, budgets=2, is_on_a_clock=True), seed=0)
    assert script.asks == [(1, 0), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4)]
    assert [x for x, _ in script.told] == [0.2, 0.3, 0.6, 0.1, 0.4, 0.5]
    assert result.curve == ((1, 0.2), (4, 0.1))
    assert result.clock == ((0.2, 0.2), (0.6, 0.1))
    assert result.simulated == pytest.approx(1.1)


def crashing(kind: str) -> BenchProblem:
    def report(params: Mapping[str, Any], values: dict[str, float], rng: np.random.Generator) -> Outcome:
        return Outcome(None, kind) if params["x"] < 0.4 else Outcome(values)

    return line(family="failing", report=report, budget=5)


def test_failures_count_as_evaluations_and_give_no_result() -> None:
    script = Script([0.1, 0.9, 0.1, 0.2, 0.1])
    result = run("script", script, crashing("oom"), MODES["q1"], seed=0)
    assert [outcome.failure for _, outcome in script.told] == ["oom", None, "oom", "oom", "oom"]
    assert (result.evaluations, result.failed, result.repeated, result.first_feasible) == (5, 4, 2, 2)
    assert result.curve == ((2, 0.9),)


def test_asking_again_for_what_a_machine_lost_is_no_repeated_failure() -> None:
    result = run("script", Script([0.1, 0.1, 0.1, 0.5, 0.1]), crashing("preempted"), MODES["q1"], seed=0)
    assert (result.failed, result.repeated) == (4, 0)


def noise(params: Mapping[str, Any], values: dict[str, float], rng: np.random.Generator) -> Outcome:
    return Outcome({"f": values["f"] + rng.normal()})


def test_luck_depends_on_problem_seed_and_number_only() -> None:
    told = {}
    for name, xs in (("a", [0.5] * 8), ("b", [0.25] * 8)):
        script = Script(xs)
        run(name, script, line(report=noise), Mode("q4", 4, rounds=2), seed=3)
        told[name] = [outcome.values["f"] - x for x, outcome in script.told if outcome.values]
    np.testing.assert_allclose(told["a"], told["b"], rtol=0, atol=1e-12)
    assert told["a"] == pytest.approx([luck("line", 3, k).normal() for k in range(8)])
    assert len({luck("line", s, k).normal() for s in range(5) for k in range(5)} | {luck("other", 0, 0).normal()}) == 26


def test_noisy_runs_are_scored_by_the_truth_of_their_recommendation() -> None:
    """Twenty evaluations, so a checkpoint at every second; the recommendation is the x told last."""
    xs = np.linspace(1.0, 0.05, 20).round(3)
    script = Script(xs.tolist(), recommends=lambda script: script.told[-1][0])
    result = run("script", script, line(family="noisy", budget=20, report=noise), MODES["q1"], seed=0)
    assert result.curve == tuple((n, xs[n - 1]) for n in range(2, 21, 2))


def test_noisy_rounds_are_asked_once_a_round() -> None:
    asked: list[int] = []

    def recommends(script: Script) -> None:
        asked.append(len(script.told))

    result = run("script", Script([0.5] * 8, recommends=recommends), line(family="noisy"), Mode("q4", 4, 2), seed=0)
    assert asked == [4, 8]
    assert result.curve == ()  # nothing recommended: the loss stays 1


def test_death_is_recorded_and_what_was_found_counts() -> None:
    result = run("script", Script([0.5, 0.25, 0.1], dies_at=2), line(), MODES["q1"], seed=0)
    assert result.died == "the process of 'script' ended with code 9"
    assert (result.evaluations, result.total, result.curve) == (2, 4, ((1, 0.5), (2, 0.25)))


def test_spent_cpu_ends_the_run() -> None:
    """0.25 seconds an ask and 0.01 a tell."""
    result = run("script", Script([0.5, 0.25, 0.1]), line(), MODES["q1"], seed=0, cpu_limit=0.5)
    assert "over the limit" in result.died
    assert (result.evaluations, result.curve) == (1, ((1, 0.5),))


def test_params_outside_of_the_space_are_the_contenders_fault() -> None:
    result = run("script", Script([0.5, 1.5, 0.1]), line(), MODES["q1"], seed=0)
    assert result.died.startswith("outside of the space: ")
    assert result.evaluations == 1
    noisy = run("script", Script([0.5], recommends=lambda script: 1.5), line(family="noisy"), MODES["q1"], seed=0)
    assert noisy.died.startswith("outside of the space: ")
    assert noisy.curve == ()


def test_a_fault_of_the_problem_is_raised() -> None:
    def truth(params: Mapping[str, Any]) -> dict[str, float]:
        raise ImportError("no tables")

    with pytest.raises(ImportError, match="no tables"):
        run("script", Script([0.5]), replace(line(), truth=truth), MODES["q1"], seed=0)
