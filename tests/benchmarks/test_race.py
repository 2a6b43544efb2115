"""Runs leave whole lines, resume where they stopped, and a failure stops only itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import first_feasible, race, records


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    return tmp_path


def test_a_race_resumes(capsys: pytest.CaptureFixture[str]) -> None:
    race.race(["branin"], ["random"], seeds=1, jobs=1)
    race.race(["branin"], ["random"], seeds=2, jobs=2)
    lines = records.read(race.path_of("random"))
    assert [line["seed"] for line in lines] == [0, 1]
    assert "1 runs finished before, 1 to do" in capsys.readouterr().out
    for line in lines:
        assert len(line["regret"]) == len(line["ask_cpu"]) == len(line["tell_cpu"]) == line["budget"] == 30
        assert line["regret"] == sorted(line["regret"], reverse=True)
        assert {"commit", "machine", "date", "versions"} <= set(line)
    assert lines[0]["regret"] != lines[1]["regret"]


def test_a_failed_run_is_counted_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = race.run

    def run(task: race.Run) -> records.Record:
        if task.seed == 0:
            raise RuntimeError("the process of 'random' ended with code 1")
        return done(task)

    monkeypatch.setattr(race, "run", run)
    with pytest.raises(RuntimeError, match="1 of 2 runs failed"):
        race.race(["branin"], ["random"], seeds=2, jobs=1)
    assert [line["seed"] for line in records.read(race.path_of("random"))] == [1]
    assert "branin, random, seed 0: FAILED" in capsys.readouterr().out
    assert race.unfinished(["branin"], ["random"], 2) == [race.Run("branin", "random", 0)]


def test_a_run_with_another_budget_does_not_count(results: Path) -> None:
    line = {"problem": "branin", "contender": "random", "seed": 0, "budget": 29}
    records.append(results / "regret.random.jsonl", line)
    assert race.unfinished(["branin"], ["random"], 1) == [race.Run("branin", "random", 0)]


def test_a_line_cut_short_is_left_out_and_overwritten(results: Path) -> None:
    path = results / "lines.jsonl"
    assert records.read(path) == []
    records.append(path, {"a": 1})
    with path.open("a") as file:
        file.write('{"a": 2, "b')
    assert records.read(path) == [{"a": 1}]
    records.append(path, {"a": 3})
    assert records.read(path) == [{"a": 1}, {"a": 3}]


def test_a_broken_line_in_the_middle_is_not_overlooked(results: Path) -> None:
    path = results / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(json.JSONDecodeError):
        records.read(path)


def test_random_waits_are_geometric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean wait = 1 / share, and no search takes less than one evaluation."""
    import numpy as np

    from benchmarks.problems import BY_NAME

    waits = first_feasible.random_waits(BY_NAME["tension_spring"], 200_000, np.random.default_rng(0))
    assert waits.min() >= 1
    assert waits.sum() <= 200_000
    assert waits.mean() == pytest.approx(1 / 0.0091, rel=0.12)  # five standard errors of 1,800 waits
    assert np.median(waits) == pytest.approx(np.log(0.5) / np.log1p(-0.0091), rel=0.15)


def test_a_search_ends_at_the_first_feasible_point() -> None:
    line = first_feasible.search("speed_reducer", 1)
    assert line["found"] is None or line["found"] == len(line["ask_cpu"])


def test_searches_that_found_nothing_count_as_infinite() -> None:
    lines = [{"found": found} for found in (5, None, 9, 7)]
    assert first_feasible.quartiles(lines) == (7.0, 9.0, float("inf"))
