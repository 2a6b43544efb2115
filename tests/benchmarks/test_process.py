"""The protocol between a contender's process and the outside, from both ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import hpo
from benchmarks import environments
from benchmarks.contenders.base import Adapter, Opening, Proposal, Result
from benchmarks.environments import ROOT
from benchmarks.problems.base import Outcome
from benchmarks.process import ContenderProcess
from benchmarks.worker import VERBOSE, Session, serve
from hpo.problem.json_format import problem_to_json

PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("f", "minimize")])
OPEN = {"do": "open", "problem": problem_to_json(PROBLEM), "seed": 9, "budget": 4, "q": 1}


class Fake(Adapter):
    """Draws from the global generators, and writes down what it is told."""

    told: list[Result]
    closed = 0

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        Fake.told = []

    def ask(self, n: int) -> Sequence[Proposal]:
        return [Proposal({"x": random.random() * np.random.random()}, i) for i in range(n)]

    def tell(self, proposal: Proposal, result: Result) -> None:
        assert self.results[-1] is result
        Fake.told.append(result)

    def add(self, result: Result) -> None:
        Fake.told.append(result)

    def close(self) -> None:
        Fake.closed += 1


def answers(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    serve(Session("random", Fake), map(json.dumps, requests), lambda line: out.append(json.loads(line)))
    return out


def test_each_request_is_answered() -> None:
    got = answers(
        OPEN,
        {"do": "ask", "n": 2},
        {"do": "tell", "id": 1, "values": {"f": 2.0}, "failure": None},
        {"do": "tell", "id": 0, "values": None, "failure": "oom"},
        {"do": "add", "params": {"x": 0.5}, "values": {"f": 1.0}},
        {"do": "recommend"},
        {"do": "versions"},
        {"do": "memory"},
    )
    assert all(answer.pop("cpu") >= 0 and answer.pop("wall") >= 0 for answer in got)
    assert [trial["id"] for trial in got[1]["trials"]] == [0, 1]
    assert [(r.values, r.failure) for r in Fake.told] == [({"f": 2.0}, None), (None, "oom"), ({"f": 1.0}, None)]
    assert Fake.told[0].params == got[1]["trials"][1]["params"]
    assert got[5] == {"params": {"x": 0.5}}
    assert got[6]["versions"]["numpy"] == np.__version__
    assert got[7]["peak"] > 10


def test_opening_again_starts_over() -> None:
    before = Fake.closed
    first, second, other = [
        answer["trials"]
        for answer in answers(
            OPEN, {"do": "ask", "n": 2}, OPEN, {"do": "ask", "n": 2}, OPEN | {"seed": 8}, {"do": "ask", "n": 2}
        )[1::2]
    ]
    assert first == second != other
    assert Fake.closed == before + 3


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([{"do": "dance"}], "'dance' is not open, ask"),
        ([{"do": "ask", "n": 1}], "open a problem first"),
        ([OPEN, {"do": "tell", "id": 3, "values": {"f": 1.0}, "failure": None}], "trial 3 is not open"),
    ],
)
def test_mistakes_are_answered_with_their_reason(requests: list[dict[str, Any]], words: str) -> None:
    assert words in answers(*requests)[-1]["error"]
    assert "trials" in answers(*requests, OPEN, {"do": "ask", "n": 1})[-1]  # and the process goes on


CHATTY = """
import os, sys, types, warnings
import benchmarks.contenders as contenders
from benchmarks import worker
from tests.benchmarks.test_process import Fake

class Chatty(Fake):
    def ask(self, n):
        print("printed"); print("error", file=sys.stderr); os.write(1, b"raw"); warnings.warn("warned")
        assert sys.stdin.read() == ""
        return super().ask(n)

sys.modules["benchmarks.contenders.chatty"] = types.SimpleNamespace(Chatty=Chatty)
contenders.CONTENDERS["chatty"] = contenders.Contender("chatty:Chatty", None, lambda problem: True, ())
worker.main("chatty")
"""


@pytest.mark.parametrize("is_verbose", [False, True])
def test_chatter_never_reaches_the_protocol(is_verbose: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VERBOSE}
    done = subprocess.run(
        [sys.executable, "-c", CHATTY],
        input="".join(json.dumps(request) + "\n" for request in (OPEN, {"do": "ask", "n": 1})),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment | ({VERBOSE: "1"} if is_verbose else {}),
        check=True,
    )
    started, opened, asked = map(json.loads, done.stdout.splitlines())
    assert "import_cpu" in started
    assert "error" not in opened
    assert len(asked["trials"]) == 1
    words = ("printed", "error", "raw", "warned")
    assert [word for word in words if word in done.stderr] == (list(words) if is_verbose else [])


def test_a_worker_of_a_peer_loads_nothing_of_this_library() -> None:
    code = (
        "import sys, benchmarks.worker, benchmarks.contenders.penalty, benchmarks.contenders.cube;"
        "print([name for name in ('hpo', 'scipy', 'torch', 'benchmarks.problems') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_values_cross_unharmed() -> None:
    space = hpo.Space({"x": hpo.Float(0.0, 1.0), "kind": hpo.Categorical([None, True, 1, "1", 1.5])})
    problem = hpo.Problem(space, [hpo.Objective("f")])
    with ContenderProcess("random") as process:
        process.open(problem, 1, budget=20, q=5)
        trials = process.ask(20).trials
        for i, trial in enumerate(trials):
            assert space.fault(trial.params) is None
            assert process.tell(trial.id, Outcome({"f": np.float64(i / 3)})) >= 0
        assert process.recommend() == trials[-1].params


def test_what_a_contender_raises_is_told() -> None:
    with (
        ContenderProcess("random") as process,
        pytest.raises(RuntimeError, match=r"'random' failed:[\s\S]*open a problem"),
    ):
        process.ask()


def test_a_dead_process_is_named() -> None:
    with ContenderProcess("random") as process:
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
        with pytest.raises(RuntimeError, match="'random' ended with code -9"):
            process.ask()


def test_a_missing_environment_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(environments, "VENVS", tmp_path)
    with pytest.raises(ValueError, match=r"'hebo'.*not built: python -m benchmarks environments hebo"):
        ContenderProcess("hebo")
