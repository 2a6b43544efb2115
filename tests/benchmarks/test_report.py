"""Pages from made-up runs whose tables can be worked out by hand; partial results; the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cost, problems, records
from benchmarks.__main__ import main
from benchmarks.compare import Interval
from benchmarks.measured_page import measured_page
from benchmarks.plots import median_curve, style
from benchmarks.records import append, append_run, definition, path_of
from benchmarks.report import best_peer, write
from benchmarks.tables import interval, number, span, table
from tests.benchmarks.fakes import a_run, line

ORIGIN = {"commit": "abc+", "machine": "a machine", "date": "2026-01-01", "versions": {"numpy": "2.4"}}
PROBLEMS = {"a": line("a"), "b": line("b"), "n": line("n", family="noisy")}


@pytest.fixture(autouse=True)
def three_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "BY_NAME", PROBLEMS)
    monkeypatch.setattr(problems, "FAMILIES", {"single": ("a", "b"), "noisy": ("n",)})
    monkeypatch.setattr(problems, "half", lambda name: "validation" if name == "b" else "development")


def save(
    results: Path, contender: str, problem: str, finals: Sequence[float], mode: str = "q1", **fields: object
) -> None:
    """Runs of four evaluations that reach the given losses at the third, one seed each."""
    for seed, loss in enumerate(finals):
        run = a_run(
            contender=contender,
            mode=mode,
            problem=problem,
            seed=seed,
            definition=definition(PROBLEMS[problem]),
            curve=((1, 0.9), (3, loss)),
            **fields,
        )
        append_run(path_of(results, contender, mode), ORIGIN, run)


def cells(page: str, first: str) -> list[list[str]]:
    """The rows whose first cell is this."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0] == first]


def test_without_results_it_says_so(tmp_path: Path) -> None:
    assert "No results yet." in write(tmp_path)
    with pytest.raises(SystemExit, match="no results"):
        measured_page(tmp_path, tmp_path / "measured.md")


def test_the_tables(tmp_path: Path) -> None:
    save(tmp_path, "hpo", "a", [0.25] * 6)
    save(tmp_path, "hpo", "b", [0.5] * 6)
    save(tmp_path, "ax", "a", [0.5] * 5, ask_cpu=4.0, tell_cpu=4.0, failed=2, repeated=1)
    save(tmp_path, "ax", "b", [0.125] * 5, ask_cpu=4.0, tell_cpu=4.0, failed=2, repeated=1)
    page = write(tmp_path)
    short = cells(page, "q1")[0]
    assert short[1:7] == ["single", "2", "2", "1.50 (place 1)", "0.375", "ax"]
    ours, theirs = cells(page, "hpo")[0], cells(page, "ax")[0]
    assert ours[1:5] == ["2/2", "6", "1.50", "1.5"]
    assert ours[5] == "0.375 [0.25, 0.5]"  # two problems without spread: four equally likely draws
    assert [ours[6], ours[7], ours[9]] == ["0.25", "0.5", f"{np.log10([0.25, 0.5]).mean():.2f}"]
    assert float(ours[8]) == pytest.approx((0.9 * 4 + 0.25 * 2 + 0.5 * 2) / 8, abs=0.001)  # of three digits
    assert ours[10:] == ["1", "0", "0", "0", "0.25"]
    assert theirs[1:3] == ["2/2", "5"]
    assert theirs[10:] == ["1", "2", "1", "0", "2"]
    versus = cells(page, "**ax**")[0]
    assert versus[1:4] == ["2", "5", "+0.0625 [-0.25, +0.38]"]
    assert versus[4:6] == ["-0.25 [-0.25, -0.25]", "+0.375 [+0.38, +0.38]"]
    assert versus[6] == "never (never on 1 of 2)"
    assert "No runs of: random, sobol, grid" in page
    lost = page[page.index("## Where hpo loses") :]
    assert "In 1 of 2 comparisons" in lost
    assert cells(lost, "q1") == [["q1", "single", "b", "ax", "0.5", "0.125", "+0.375 [+0.38, +0.38]"]]
    assert "- hpo: commit abc+; 2026-01-01 to 2026-01-01; numpy 2.4" in page
    assert (tmp_path / "report.md").read_text() == page
    assert (tmp_path / "single.q1.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([("hpo", "a", 1)], ["no runs of a peer", "No peer has runs on hpo's problems", "Not known yet"]),
        ([("ax", "a", 1)], ["no runs of hpo", "No runs of hpo, so no comparison"]),
        ([("hpo", "a", 1), ("ax", "b", 1)], ["no runs of a peer", "No peer has runs on hpo's problems"]),
        ([("hpo", "a", 6), ("ax", "a", 2)], ["Not known yet: no problem has 5 seeds of both"]),
        ([("hpo", "a", 6), ("ax", "a", 6)], ["Nowhere, in 1 comparisons"]),
    ],
)
def test_partial_results_are_said_to_be_so(tmp_path: Path, given: list[tuple[str, str, int]], words: list[str]) -> None:
    for contender, problem, seeds in given:
        save(tmp_path, contender, problem, [0.5] * seeds)
    page = write(tmp_path)
    for text in words:
        assert text in page


def test_runs_that_died_or_found_nothing_are_counted(tmp_path: Path) -> None:
    save(tmp_path, "hpo", "a", [0.5, 0.5])
    save(tmp_path, "ax", "a", [1.0, 1.0, 1.0], first_feasible=None, died="boom", evaluations=0)
    row = cells(write(tmp_path), "ax")[0]
    assert row[10:] == ["never (3 of 3 never)", "0", "0", "3", "-"]


def test_a_few_seeds_are_a_hint(tmp_path: Path) -> None:
    save(tmp_path, "hpo", "a", [0.5, 0.4])
    save(tmp_path, "ax", "a", [0.1, 0.1])
    page = write(tmp_path)
    assert "it may lose too" in page
    assert cells(page.partition("may lose too")[2], "q1")[0][1:] == ["single", "a", "ax", "2", "0.35"]


def test_modes_on_a_clock_are_measured_in_time(tmp_path: Path) -> None:
    save(tmp_path, "hpo", "a", [0.5], mode="async8", clock=((1.0, 0.5),), simulated=2.0)
    save(tmp_path, "ax", "a", [0.5], mode="async8", clock=((3.0, 0.5),), simulated=4.0)
    page = write(tmp_path)
    assert "area in time" in page
    assert cells(page, "hpo")[0][8] == number((1 + 3 * 0.5) / 4)
    assert cells(page, "ax")[0][8] == number((3 + 1 * 0.5) / 4)


def test_the_best_peer_has_most_of_our_problems() -> None:
    ours = {p: {0: 0.5} for p in "abc"}
    few, many, worse = {"a": {0: 0.0}}, {"a": {0: 0.2}, "b": {0: 0.2}}, {p: {0: 0.9} for p in "abc"}
    assert best_peer({"hpo": ours, "few": few, "many": many, "worse": worse}) == "many"
    assert best_peer({"hpo": ours, "few": few}) is None
    lucky = {p: {1: 0.1} for p in "abc"}  # on a seed where we have 0.0
    assert best_peer({"hpo": {p: {0: 0.5, 1: 0.0} for p in "abc"}, "lucky": lucky, "many": many}) == "many"


def test_a_place_is_taken_from_us_only_on_most_of_our_problems(tmp_path: Path) -> None:
    for problem in "ab":
        save(tmp_path, "hpo", problem, [0.5] * 2)
        save(tmp_path, "random", problem, [0.6] * 2)
    save(tmp_path, "sobol", "a", [0.1] * 2)
    (short, *_) = cells(write(tmp_path), "q1")
    assert short[3:5] == ["2", "1.00 (place 1)"]


def test_the_page_of_what_was_measured(tmp_path: Path) -> None:
    results, page = tmp_path / "results", tmp_path / "docs" / "measured.md"
    for contender in ("hpo", "random"):
        save(results, contender, "a", [0.5] * 2)
        save(results, contender, "n", [0.5] * 2, mode="async8")  # not of the standard suite
    write(results)
    page.parent.mkdir()
    measured_page(results, page)
    text = page.read_text()
    assert [file.name for file in (page.parent / "measured").iterdir()] == ["single.q1.png"]
    assert re.findall(r"!\[.*\]\((.*)\)", text) == ["measured/single.q1.png"]
    assert len(cells(text, "hpo")) == 1
    assert "async8" not in text


# -- cost -------------------------------------------------------------------------------------------------------------


def test_the_cost_tables(tmp_path: Path) -> None:
    def ask(contender: str, n: int, cpu: list[list[float]]) -> records.Record:
        cell = {"kind": "ask", "contender": contender, "d": 6, "n": n, "q": 1, "died": ""}
        return {**cell, "cpu": cpu, "wall": cpu, "add_cpu": 0.002, "memory": 100.0 + n}

    lines = [
        {"kind": "start", "contender": "hpo", "import_cpu": [0.3, 0.1, 0.2], "memory": 80.0},
        {"kind": "start", "contender": "ax", "import_cpu": [4.0], "memory": 400.0},
        ask("hpo", 20, [[0.05, 0.01, 0.02, 0.03], [0.07, 0.02, 0.02, 0.02]]),
        ask("ax", 20, [[0.6, 0.5, 0.5, 0.5]]),
        ask("hpo", 100, [[0.1, 0.04, 0.04, 0.04]]),
        {"kind": "left_out", "contender": "ax", "d": 6, "n": 100, "q": 1, "reason": "70 CPU seconds for an ask"},
        {"kind": "study", "contender": "hpo", "d": 10, "trials": 500, "cpu": 12.5, "wall": 13.0, "memory": 120.0},
    ]
    for entry in lines:
        append(cost.path_of(tmp_path), ORIGIN, entry)
    page = write(tmp_path)
    assert cells(page, "6") == [
        ["6", "20", "1", "60", "600 (10)"],
        ["6", "100", "1", "100", "-"],
        ["6", "20", "1", "20", "500 (25)"],
        ["6", "100", "1", "40", "-"],
    ]
    assert cells(page, "hpo") == [["hpo", "0.2", "80", "200 (n = 100)", "2"]]
    assert cells(page, "ax") == [["ax", "4", "400", "120 (n = 20)", "2"]]
    assert "- ax at d = 6, n = 100, q = 1: 70 CPU seconds for an ask" in page
    assert "500 trials one at a time: 12.5 CPU seconds for all asks and tells, 120 MB" in page


# -- pieces -----------------------------------------------------------------------------------------------------------


def test_numbers_as_words() -> None:
    assert [number(x) for x in (None, math.nan, math.inf, 0.123456, 12345.0)] == [
        "-",
        "-",
        "never",
        "0.123",
        "12300",
    ]
    assert interval(Interval(0.12345, -0.5, 0.75), "+") == "+0.123 [-0.5, +0.75]"
    assert interval(Interval(math.nan, 0, 0)) == "-"
    assert [span(x) for x in ([], [3, 3], [5, 20, 7])] == ["-", "3", "5-20"]
    assert table(["a", "bb"], [["1", "2"], ["333", "4"]]).splitlines() == [
        "| a   | bb |",
        "| --- | -- |",
        "| 1   | 2  |",
        "| 333 | 4  |",
    ]


def test_pictures_show_medians() -> None:
    x, y = median_curve([a_run(curve=((2, level),)) for level in (0.5, 0.1, 0.3)])
    assert x.tolist() == [1, 2, 3, 4]
    assert y.tolist() == [1.0, 0.3, 0.3, 0.3]
    times, losses = median_curve([a_run(clock=((2.0, level),), simulated=4.0) for level in (0.5, 0.1, 0.3)])
    np.testing.assert_allclose(losses, np.where(times < 2.0, 1.0, 0.3))


def test_every_contender_has_its_own_look() -> None:
    from benchmarks.contenders import CONTENDERS

    looks = {tuple(style(name, list(CONTENDERS)).items()) for name in CONTENDERS}
    assert len(looks) == len(CONTENDERS)


# -- the command line -------------------------------------------------------------------------------------------------


def test_no_command_prints_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for command in ("environments", "run", "cost", "report"):
        assert command in printed


def test_the_report_is_printed_as_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == (tmp_path / "report.md").read_text().strip()


@pytest.mark.parametrize(
    "arguments",
    [["run", "--seeds", "0"], ["race"], ["run", "--jobs", "x"], ["run", "--suite", "huge"], ["run", "--modes", "q2"]],
)
def test_mistakes_on_the_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err
