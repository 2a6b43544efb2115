"""What the figures show is what the history holds, read back from what matplotlib was given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.report import Comparison, Contender, plots
from hpo.study.open_study import open_study
from hpo.trials.history import History
from tests.report.results import history

RESULTS = ((0.5, 1.0), (0.9, 20.0), None, (0.7, 2.0), (0.6, 3.0))


def lines(axes: Any) -> list[tuple[list[float], list[float]]]:
    """What was drawn on it, in order: x and y."""
    return [([*map(float, line.get_xdata())], [*map(float, line.get_ydata())]) for line in axes.get_lines()]


def test_filled_points_meet_every_limit_and_hollow_ones_do_not() -> None:
    (axes,) = plots.history_figure(history("maximize", *RESULTS), Objective("accuracy")).axes
    hollow, filled, best, failed = lines(axes)
    assert hollow == ([1.0], [0.9])
    assert filled == ([0.0, 3.0, 4.0], [0.5, 0.7, 0.6])
    assert best == ([0.0, 1.0, 3.0, 4.0], [0.5, 0.5, 0.7, 0.7])
    assert failed == ([2.0], [0.03])
    assert [line.get_markerfacecolor() for line in axes.get_lines()[:2]] == ["none", plots.COLORS["good"]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("trial", "accuracy")
    assert [text.get_text() for text in axes.texts] == ["oom"]


def test_the_line_of_the_best_goes_down_where_less_is_better() -> None:
    given = history("minimize", *RESULTS)
    (axes,) = plots.history_figure(given, Objective("accuracy", "minimize")).axes
    assert lines(axes)[2][1] == [0.5, 0.5, 0.5, 0.5]
    assert plots._best_line(history("maximize"), Objective("accuracy")).shape == (0,)


def test_before_a_feasible_one_there_is_no_best() -> None:
    best = plots._best_line(history("maximize", (0.9, 99.0), (0.1, 1.0)), Objective("accuracy"))
    assert np.array_equal(best, [np.nan, 0.1], equal_nan=True)


@pytest.mark.parametrize(("n", "n_words"), [(20, 20), (21, 0)])
def test_few_failures_are_named_and_many_are_crosses(n: int, n_words: int) -> None:
    (axes,) = plots.history_figure(history("maximize", (0.5, 1.0), *[None] * n), Objective("accuracy")).axes
    assert (len(axes.texts), len(lines(axes)[-1][0])) == (n_words, n)


def test_a_limit_is_a_line_across_and_its_panel_says_who_meets_it() -> None:
    (axes,) = plots.limits_figure(history("maximize", *RESULTS)).axes
    hollow, filled, limit = lines(axes)
    assert (hollow[1], filled[1]) == ([20.0], [1.0, 2.0, 3.0])
    assert limit[1] == [15.0, 15.0]
    assert axes.get_ylabel() == "latency_ms [ms]"


def spacious() -> History:
    """Two results in a space of each kind of parameter, of which one is active in the first alone."""
    space = Space(
        {
            "kind": Categorical(["sgd", "a choice with a long name", "$x$"]),
            "m": Float(0.0, 1.0, active_if={"kind": ["sgd"]}),
            "lr": Float(1e-4, 1e-1, log=True, unit="1/s"),
            "n": Int(2, 6),
        }
    )
    study = open_study("s", Problem(space, [Objective("y", "minimize"), Objective("z")]), storage=":memory:", seed=1)
    study.add({"kind": "sgd", "m": 0.25, "lr": 1e-3, "n": 3}, {"y": 1.0, "z": 5.0})
    study.add({"kind": "$x$", "lr": 1e-2, "n": 5}, {"y": 2.0, "z": 7.0})
    study.add({"kind": "$x$", "lr": 1e-2, "n": 4}, {"y": 3.0, "z": 6.0})
    return study.history


def test_each_parameter_has_a_panel_of_the_trials_in_which_it_is_active() -> None:
    given = spacious()
    figure = plots.slices_figure(given, given.problem.objectives[0])
    kind, m, lr, n, *spare = figure.axes
    assert [lines(axes)[1][0] for axes in (kind, m, lr, n)] == [[0, 2, 2], [0.25], [1e-3, 1e-2, 1e-2], [3, 5, 4]]
    assert [axes.get_xlabel() for axes in (kind, m, lr, n)] == ["kind", "m", "lr [1/s]", "n"]
    assert [text.get_text() for text in kind.get_xticklabels()] == ["sgd", "a choice with…", r"\$x\$"]
    assert kind.get_xlim() == (-0.5, 2.5)
    assert m.get_xlim() == pytest.approx((-0.04, 1.04))
    assert n.get_xlim() == pytest.approx((1.84, 6.16))
    assert lr.get_xscale() == "log"
    assert lr.get_xlim() == pytest.approx((1e-4 / 1000**0.04, 1e-1 * 1000**0.04))
    assert len(spare) == 2
    assert not any(axes.axison for axes in spare)


def test_the_front_is_a_line_through_those_that_nothing_dominates() -> None:
    (axes,) = plots.pareto_figure(spacious()).axes
    assert lines(axes)[1:] == [([1.0, 2.0, 3.0], [5.0, 7.0, 6.0]), ([1.0, 2.0], [5.0, 7.0])]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("y", "z")


def compared(goal: Any = "maximize") -> Comparison:
    curves: dict[str, dict[int, Any]] = {
        "joint": {0: (None, 0.5, 0.7), 1: (0.1, 0.6, 0.6)},
        "grid": {0: (0.2, 0.2, 0.5), 1: (0.0, 0.3, 0.3)},
    }
    return Comparison(Objective("y", goal, threshold=0.9), [Contender(name, by) for name, by in curves.items()])


def test_strategies_are_thin_lines_of_their_seeds_and_a_thick_one_of_their_median() -> None:
    axes: Any = plots.comparison_figure(compared()).axes[0]
    drawn: list[Any] = [line for line in axes.get_lines() if len(line.get_xdata()) == 3]
    assert [line.get_linewidth() for line in drawn] == [0.6, 0.6, 2.0] * 2
    assert [line.get_label() for line in drawn if line.get_linewidth() == 2.0] == ["joint", "grid"]
    assert np.allclose(drawn[2].get_ydata(), [np.nan, 0.55, 0.65], equal_nan=True)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["joint", "grid"]
    assert axes.get_ylabel() == "best feasible y"
    assert list(drawn[0].get_xdata()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("goal", "shown"), [("maximize", (0.3 - 0.12, 0.7 + 0.04)), ("minimize", (0.3 - 0.04, 0.7 + 0.12))]
)
def test_the_axis_shows_where_the_strategies_end(goal: str, shown: tuple[float, float]) -> None:
    (axes,) = plots.comparison_figure(compared(goal)).axes
    assert axes.get_ylim() == pytest.approx(shown)


def test_a_comparison_of_nobody_is_an_empty_figure() -> None:
    (axes,) = plots.comparison_figure(Comparison(Objective("y"), [])).axes
    assert (axes.get_lines()[:], axes.get_legend()) == ([], None)


@given(st.floats(1e-12, 1e11), st.floats(1.001, 1e9))
def test_ticks_of_a_log_axis_are_few_round_and_inside(low: float, ratio: float) -> None:
    high = low * ratio
    ticks = plots._log_ticks(low, high)
    assert 1 <= len(ticks) <= 5
    assert ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-8) <= tick <= high * (1 + 1e-8) for tick in ticks)
    assert ticks == [low, high] or all(f"{tick:.0e}"[0] in "125" for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-4, 1e-1, [1e-4, 1e-3, 1e-2, 1e-1]),
        (1.0, 10.0, [1.0, 2.0, 5.0, 10.0]),
        (1e-6, 1e3, [1e-6, 1e-4, 1e-2, 1.0, 100.0]),
        (3.0, 4.0, [3.0, 4.0]),
    ],
)
def test_ticks_by_hand(low: float, high: float, ticks: list[float]) -> None:
    assert plots._log_ticks(low, high) == pytest.approx(ticks)


def test_many_points_are_an_image() -> None:
    few, many = (
        plots.history_figure(history("maximize", *[(0.5, 1.0)] * n), Objective("accuracy")) for n in (2000, 2001)
    )
    assert [figure.axes[0].get_lines()[1].get_rasterized() for figure in (few, many)] == [False, True]


def test_a_figure_in_a_page_says_what_it_is_and_follows_its_colors() -> None:
    text = plots.svg(plots.comparison_figure(compared()), "fig", "a < b", "c & d")
    assert text.startswith('<svg role="img" aria-labelledby="fig-title fig-desc" ')
    assert '<title id="fig-title">a &lt; b</title><desc id="fig-desc">c &amp; d</desc>' in text
    assert "<metadata" not in text
    assert {"var(--line-1)", "var(--line-2)", "var(--ink)"} <= set(re.findall(r"var\(--[\w-]+\)", text))
    assert all(id.startswith("fig-") for id in re.findall(r'\bid="([^"]*)"', text))
    assert plots.svg(plots.comparison_figure(compared()), "fig", "a < b", "c & d") == text


def test_an_image_is_written_in_the_kind_of_its_name(tmp_path: Path) -> None:
    for name, begins in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")):
        plots.save(plots.comparison_figure(compared()), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_what_is_left_out_is_said_for_each_metric() -> None:
    given = history("maximize", *[(0.5 + i / 100, 1.0 + i) for i in range(8)], (-1e9, 1e9))
    words = plots.unseen(given, Objective("accuracy"), Constraint("latency_ms", upper=15, unit="ms"))
    assert words == ("Of accuracy, 1 point below 0.5 is not shown. Of latency_ms, 1 point above 15 ms is not shown.")
    assert plots.unseen(history("maximize", *RESULTS[:1]), Objective("accuracy")) == ""
