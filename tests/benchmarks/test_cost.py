"""That every contender meets the same data, in turns, and that whoever is too slow is left out and named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from benchmarks import cost, records
from benchmarks.cost import Plan, Spent, cells, measure, surface, too_slow, turns
from benchmarks.problems.base import Outcome
from benchmarks.process import ContenderProcess
from tests.benchmarks.fakes import Asked, Trial

SMALL = Plan(dims=(2,), sizes=(4, 8), batches=(1, 2), limit=60.0, many=(6, 5), study=(2, 6))


@dataclass(frozen=True)
class Deadline(Asked):
    """With the elapsed time."""

    wall: float = 0.5


@dataclass
class Metered:
    """A contender whose asks cost what it is told; notes what it meets."""

    cost: float = 0.01
    log: list[str] = field(default_factory=list)
    name: str = ""
    added: list[tuple[Mapping[str, Any], Mapping[str, float]]] = field(default_factory=list)
    dies: bool = False

    def open(self, problem: object, seed: int, *, budget: int, q: int) -> None:
        self.added.clear()

    def add(self, params: Mapping[str, Any], values: Mapping[str, float]) -> float:
        self.added.append((params, values))
        return 0.001

    def ask(self, n: int) -> Deadline:
        if self.dies:
            raise RuntimeError("out of memory")
        self.log.append(self.name)
        return Deadline([Trial(i, {"x0": 0.1, "x1": 0.2}) for i in range(n)], self.cost)

    def tell(self, id: int, outcome: Outcome) -> float:
        assert outcome.values == surface(2).truth({"x0": 0.1, "x1": 0.2})
        return 0.001

    def peak_memory(self) -> float:
        return 50.0

    def __enter__(self) -> Metered:
        return self

    def __exit__(self, *reasons: object) -> None:
        pass


def cell(processes: dict[str, Metered], repeats: int, limit: float, q: int = 1) -> dict[str, Spent]:
    return turns(cast(dict[str, ContenderProcess], processes), surface(2), 7, q, repeats, limit)


def test_contenders_take_turns_on_the_same_data() -> None:
    log: list[str] = []
    both = {name: Metered(log=log, name=name) for name in "ab"}
    spent = cell(both, repeats=1, limit=60.0, q=3)
    assert log == list("abbaabbaab")
    assert len(both["a"].added) == 7
    assert both["a"].added == both["b"].added
    for params, values in both["a"].added:
        assert values == surface(2).truth(params)
    assert spent["a"].cpu == [pytest.approx([0.013] * 5)]  # an ask and three tells
    assert spent["a"].wall == [[0.5] * 5]
    assert spent["a"].add_cpu == pytest.approx(0.007)


def test_every_repeat_has_other_data() -> None:
    once, twice = Metered(), Metered()
    cell({"a": once}, repeats=1, limit=60.0)
    cell({"a": twice}, repeats=2, limit=60.0)
    assert once.added != twice.added


def test_whoever_has_spent_the_limit_asks_no_more() -> None:
    spent = cell({"slow": Metered(cost=7.0), "fast": Metered()}, repeats=3, limit=10.0)
    assert [len(asks) for asks in spent["slow"].cpu] == [2]
    assert [len(asks) for asks in spent["fast"].cpu] == [5, 5, 5]


def test_whoever_dies_is_noted_and_the_others_go_on() -> None:
    spent = cell({"broken": Metered(dies=True), "sound": Metered()}, repeats=2, limit=60.0)
    assert spent["broken"].died == "out of memory"
    assert [len(asks) for asks in spent["sound"].cpu] == [5, 5]


@pytest.mark.parametrize(
    ("first", "rest", "words"),
    [
        (0.1, 0.1, ""),
        (40.0, 40.0, ""),  # asks that spend the limit together
        (65.0, 0.1, "65 CPU seconds for an ask after 100 results"),
        (0.1, 65.0, "65 CPU seconds for an ask after 100 results"),  # the first may need no model yet
    ],
)
def test_who_is_left_out(first: float, rest: float, words: str) -> None:
    assert too_slow(Spent(cpu=[[first, rest]]), 100, limit=60.0) == words


def test_the_lines_of_the_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"hpo": 0.01, "slow": 70.0}
    monkeypatch.setattr(cost, "ContenderProcess", lambda name: Metered(cost=costs[name]))
    lines = list(cells(["hpo", "slow"], SMALL))
    assert [(x["kind"], x["contender"], x["n"], x["q"]) for x in lines] == [
        ("ask", "hpo", 4, 1),
        ("ask", "slow", 4, 1),
        ("ask", "hpo", 8, 1),
        ("left_out", "slow", 8, 1),
        ("ask", "hpo", 4, 2),
        ("ask", "slow", 4, 2),
        ("ask", "hpo", 8, 2),
        ("left_out", "slow", 8, 2),
        ("ask", "hpo", 6, 5),
    ]
    assert lines[3]["reason"] == "70 CPU seconds for an ask after 4 results"
    assert [len(asks) for asks in lines[-1]["cpu"]] == [1]


def test_measuring_for_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With hpo and random search, each in a process of its own."""
    cost.path_of(tmp_path).write_text("an earlier measurement\n")
    measure(["hpo", "random"], tmp_path, SMALL)
    lines = records.read(cost.path_of(tmp_path))
    origin = lines[0]
    assert origin["kind"] == "origin"
    assert origin["versions"].keys() == {"hpo", "random"}
    kinds = [line["kind"] for line in lines[1:]]
    assert [kinds.count(kind) for kind in ("origin", "start", "ask", "left_out", "study")] == [0, 2, 9, 0, 1]
    for line in lines[1:]:
        assert line["origin"] == origin["id"]
        if line["kind"] == "ask":
            assert np.min(line["cpu"]) > 0
            assert np.min(line["wall"]) > 0
            assert line["memory"] > 10
            assert line["died"] == ""
    study = next(line for line in lines if line["kind"] == "study")
    assert (study["trials"], study["d"]) == (6, 2)
    assert "d = 2, n = 8, q = 2: hpo" in capsys.readouterr().out


def test_an_unknown_contender_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no contender 'botroch'"):
        measure(["botroch"], tmp_path)


def test_the_surface_by_hand() -> None:
    x = (0.2, 0.5, 0.9)
    expected = [(x[j] - 0.3) ** 2 + np.sin(5 * x[j] * x[(j - 1) % 3]) / 4 for j in range(3)]
    got = surface(3).truth(dict(zip(("x0", "x1", "x2"), x, strict=True)))
    assert got == {"f": pytest.approx(np.mean(expected))}
