"""Contenders: what they ask lies in the space, is decided by the seed, and crosses the border of a process unharmed."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import hpo
from benchmarks.contenders import CONTENDERS, load
from benchmarks.contenders.random_search import RandomSearch
from benchmarks.problems import BY_NAME
from benchmarks.process import ContenderProcess
from benchmarks.worker import serve


def loop(contender: ContenderProcess, problem: str, seed: int, n: int) -> list[dict[str, Any]]:
    bench, rng = BY_NAME[problem], np.random.default_rng(0)
    contender.open(problem, seed)
    out = []
    for _ in range(n):
        asked = contender.ask()
        assert asked.cpu >= 0
        assert bench.problem.space.fault(asked.params) is None
        contender.tell(asked.params, bench.evaluate(asked.params, rng))
        out.append(asked.params)
    return out


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_asks_lie_in_the_space_and_follow_the_seed(name: str) -> None:
    with ContenderProcess(name) as contender:
        first = loop(contender, "hartmann6_mixed", 3, 12)
        assert loop(contender, "hartmann6_mixed", 3, 12) == first
        assert loop(contender, "hartmann6_mixed", 4, 12) != first
        versions = contender.versions()
    assert ("torch" in versions) == (name == "botorch")
    assert versions["hpo"] == hpo.__version__


@pytest.mark.parametrize("name", ["hpo", "botorch"])
def test_results_from_elsewhere_are_used(name: str) -> None:
    """With twelve points around the optimum known, the next ask is no starting point of a design."""
    bench, rng = BY_NAME["branin"], np.random.default_rng(5)
    with ContenderProcess(name) as contender:
        contender.open("branin", 0)
        for _ in range(12):
            params = {"x1": math.pi + rng.normal(scale=1.0), "x2": 2.3 + abs(rng.normal(scale=1.0))}
            contender.tell(params, bench.evaluate(params, rng))
        asked = contender.ask().params
        contender.open("branin", 0)
        assert contender.ask().params != asked


def test_a_dead_process_is_named() -> None:
    with (
        pytest.raises(RuntimeError, match="'random' ended with code 1"),
        ContenderProcess("random") as contender,
    ):
        contender.ask()


def test_an_unknown_contender_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no contender 'botroch'.*have: hpo, botorch, random"):
        load("botroch")


def test_the_worker_answers_each_request() -> None:
    answers: list[dict[str, Any]] = []
    requests = [
        {"do": "open", "contender": "random", "problem": "branin", "seed": 9},
        {"do": "ask"},
        {"do": "tell", "params": {"x1": 0.0, "x2": 1.0}, "values": {"f": 2.0}},
        {"do": "versions"},
    ]
    serve(map(json.dumps, requests), lambda line: answers.append(json.loads(line)))
    assert [sorted(answer) for answer in answers] == [
        ["cpu", "wall"],
        ["cpu", "params", "wall"],
        ["cpu", "wall"],
        ["cpu", "versions", "wall"],
    ]
    assert answers[1]["params"] == RandomSearch(BY_NAME["branin"].problem, 9).ask()


@pytest.mark.parametrize("request_", [{"do": "dance"}, {"do": "ask"}])
def test_the_worker_refuses_what_it_cannot_do(request_: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"dance|open a problem first"):
        serve([json.dumps(request_)], lambda _: None)
