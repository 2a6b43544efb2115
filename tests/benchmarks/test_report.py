"""Pages from made-up result lines whose tables are known; the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import ask_cost, first_feasible, race, records
from benchmarks.__main__ import main
from benchmarks.report import ask_cost_page, first_feasible_page, regret_page, report

ORIGIN = {"commit": "abc+", "machine": "a machine", "date": "2026-01-01 00:00 UTC", "versions": {"numpy": "2.4"}}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    monkeypatch.setattr(ask_cost, "PATH", tmp_path / "ask-cost.jsonl")
    monkeypatch.setattr(first_feasible, "STUDIES", tmp_path / "first-feasible.hpo.jsonl")
    monkeypatch.setattr(first_feasible, "RANDOM", tmp_path / "first-feasible.random.jsonl")
    return tmp_path


def cells(page: str, first: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0] == first]


def line(**fields: Any) -> dict[str, Any]:
    return {**fields, **ORIGIN}


def test_pages_without_results_say_so() -> None:
    for page in (regret_page(), ask_cost_page(), first_feasible_page()):
        assert "No results yet." in page


def test_regret_page() -> None:
    for seed in range(5):
        for contender, scale in (("hpo", 0.01), ("botorch", 0.1)):
            curve = [10.0] * 15 + [scale * (1 + seed)] * 15
            run = {"problem": "branin", "contender": contender, "seed": seed, "budget": 30}
            records.append(race.path_of(contender), line(**run, regret=curve, ask_cpu=[0.5] * 30))
    final, compared, *way, cost = cells(regret_page(), "branin")
    assert final[1:] == ["30", "0.03 [0.02, 0.04] (5)", "0.3 [0.2, 0.4] (5)", "-"]
    assert compared[1:4] == ["5", "5 / 0 / 0", "-1.00 [-1.00, -1.00]"]
    assert compared[-1] == "no difference shown"  # five seeds cannot: p is 1/16 at best
    assert way[0][1:] == ["hpo", "10", "10", "0.03", "0.03"]
    assert cost[1:] == ["15", "15"]
    assert "hpo: commit abc+ (" in regret_page()
    again = {"problem": "branin", "contender": "hpo", "seed": 4, "budget": 30}
    records.append(race.path_of("hpo"), {**line(**again, regret=[1.0] * 30, ask_cpu=[0.5] * 30), "commit": "def"})
    assert "hpo: commit abc+ .. def (2 different)" in regret_page()


def test_ask_cost_page() -> None:
    for repeat in (1, 2, 3):
        for contender, cpu in (("hpo", 0.01), ("botorch", 0.2 * repeat)):
            fields = {"d": 6, "n": 20, "repeat": repeat, "contender": contender}
            records.append(ask_cost.PATH, line(**fields, ask_cpu=[2 * cpu, cpu, cpu]))
    (row,) = cells(ask_cost_page(), "6")
    assert row == ["6", "20", "3", "20.0", "800.0", "40.0", "10.0", "400.0", "40.0", "20.0 .. 60.0"]


def test_first_feasible_page() -> None:
    yardstick = {"problem": "welded_beam", "contender": "random", "feasible_share": 0.001}
    records.append(first_feasible.RANDOM, line(**yardstick, median=700.0, quartiles=[300.0, 1400.0]))
    for seed, found in enumerate([10, 14, None]):
        study = {"problem": "welded_beam", "contender": "hpo", "seed": seed}
        records.append(first_feasible.STUDIES, line(**study, found=found))
    (row,) = cells(first_feasible_page(), "welded_beam")
    assert row == ["welded_beam", "0.10%", "700 [300, 1400]", "14 [14, inf]", "inf", "2 / 3", "2.0%"]


def test_report_prints_what_it_writes(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report()
    printed = capsys.readouterr().out
    for name in ("regret.md", "ask-cost.md", "first-feasible.md"):
        assert (results / name).read_text() in printed


def test_ask_cost_measures_both_on_the_same_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ask_cost, "CONTENDERS", ("hpo", "random"))
    monkeypatch.setattr(ask_cost, "SIZES", (5,))
    monkeypatch.setattr(ask_cost, "GROWTH", 2)
    ask_cost.ask_cost(repeats=2)
    lines = records.read(ask_cost.PATH)
    assert [(x["d"], x["repeat"], x["contender"]) for x in lines] == [
        (d, repeat, contender) for d in (6, 20) for repeat in (1, 2) for contender in ("hpo", "random")
    ]
    assert all(len(x["ask_cpu"]) == 2 for x in lines)
    assert "hartmann6_in_20, n = 5, repeat 2 of 2" in capsys.readouterr().out


def test_no_command_prints_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for command in ("versus-botorch", "ask-cost", "first-feasible", "report"):
        assert command in printed


@pytest.mark.parametrize("arguments", [["versus-botorch", "--seeds", "0"], ["race"], ["versus-botorch", "--jobs", "x"]])
def test_mistakes_on_the_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err
