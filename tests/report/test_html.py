from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Constraint, Metric, Objective, Tracked
from hpo.problem.parameters import Categorical, Float, Int
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.report import Comparison, write_report
from hpo.report.html import answer, question, render
from hpo.strategies import Random
from hpo.study.open_study import open_study
from hpo.study.study import Study

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "link", "img", "br", "hr", "input"}
METRICS = (
    Objective("accuracy", threshold=0.5, description=EVIL, owner="a & b"),
    Constraint("latency_ms", upper=15, unit="ms"),
    Tracked("revenue $x^2$", business=True),
)


class Page(HTMLParser):
    """Tags and their balance, text outside scripts and styles, what would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data") and not (value or "").startswith(("#", "data:")):
                self.loads.append(f"{tag} {name}={value}")
            if name == "id" and value:
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def checked(text: str) -> Page:
    """The parsed page, after what holds for every report."""
    page = Page(text)
    assert not page.open
    assert len(set(page.ids)) == len(page.ids)
    assert not page.loads
    css_loads = [u for u in re.findall(r"url\(([^)]*)\)|@import", text) if not u.strip("\"'").startswith("#")]
    assert not css_loads
    assert page.tags.count("script") == 1
    assert len(text.encode()) < 1_000_000
    return page


def filled(n: int, metrics: Sequence[Metric] = METRICS, n_parameters: int = 4) -> Study:
    """A study of `n` results, a failure and a trial in flight; latency grows with x, so that some are infeasible."""
    space = Space(
        {
            "z.last": Float(1e-5, 1e-1, log=True),
            "a.first": Categorical(["sgd", "<adam>", "a choice with a very long name $"]),
            "units": Int(8, 64, log=True, unit="px"),
            "momentum": Float(0, 1, active_if={"a.first": ["sgd"]}),
            **{f"more{i}": Float(0, 1) for i in range(n_parameters - 4)},
        }
    )
    study = open_study(
        f"digits {EVIL}",
        Problem(space, metrics),
        storage=":memory:",
        seed=3,
        reason="Which net & why?",
        strategy=Random(),
    )
    names = [m.name for m in metrics]
    for i in range(n):
        u = [((i + 1) * (0.754877 + 0.1 * j)) % 1 for j in range(len(space))]
        values = {name: 0.4 + u[k % 4] / 2 for k, name in enumerate(names)}
        if "latency_ms" in values:
            values["latency_ms"] = 20 * u[1]
        study.add(space.at(u), values)
    study.fail(study.ask(), "oom", f"{EVIL} too big")
    study.ask()
    return study


def test_the_page_is_whole_offline_and_names_everything(tmp_path: Path) -> None:
    study = filled(40)
    path = write_report(study, tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    page = checked(text)
    words = " ".join(page.text)
    best = study.best
    assert f"Best configuration: trial {best.number}" in words
    assert f"'z.last': {best.params['z.last']!r}," in words
    assert f'"z.last" = {best.params["z.last"]!r}' in words
    for said in (
        "Which net & why?",
        "a & b",
        "latency_ms <= 15 ms",
        "revenue $x^2$",
        "oom: ",
        EVIL,
        study.problem.hash,
    ):
        assert said in words
    assert page.tags.count("svg") == 3
    assert page.tags.count("figcaption") == page.tags.count("figure") == 3
    assert words.index("z.last") < words.index("a.first")
    assert EVIL not in text


def test_two_hundred_trials_stay_below_a_megabyte() -> None:
    checked(render(filled(200, n_parameters=20)))


def test_many_trials_are_drawn_as_an_image_and_the_table_is_cut() -> None:
    text = render(filled(1200))
    checked(text)
    assert "The best and the latest, 1000 of 1202" in text
    assert "data:image/png;base64" in text


def test_equal_studies_give_equal_charts() -> None:
    figures = [re.findall(r"<svg.*?</svg>", render(filled(12)), re.DOTALL) for _ in range(2)]
    assert figures[0]
    assert figures[0] == figures[1]


def test_charts_follow_the_page_into_the_dark() -> None:
    text = render(filled(12))
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        colors = set(re.findall(r"#[0-9a-f]{6}\b", svg))
        assert colors <= {"#000000", "#ffffff"}
    used = set(re.findall(r"var\(--([\w-]+)\)", text))
    style = text[text.index("<style>") : text.index("</style>")]
    for theme in style.split(":root")[1:]:
        assert used <= set(re.findall(r"--([\w-]+):", theme.split("}")[0]))


def test_before_the_first_result_the_page_says_so() -> None:
    problem = Problem(Space({"x": Float(0, 1)}), METRICS)
    study = open_study("new", problem, storage=":memory:", seed=1)
    page = checked(render(study))
    assert "No trial has a result yet." in " ".join(page.text)
    assert "svg" not in page.tags


def test_with_nothing_feasible_the_closest_is_shown() -> None:
    study = filled(12, (Objective("accuracy"), Constraint("latency_ms", upper=-1, unit="ms")))
    page = " ".join(checked(render(study)).text)
    closest = study.closest()
    assert f"Closest configuration: trial {closest.number}" in page
    assert f"No trial of 12 meets every limit. The closest is #{closest.number}, which misses latency_ms" in page
    assert "none met it; nearest" in page


def test_two_objectives_have_a_front() -> None:
    text = render(filled(12, (Objective("accuracy"), Objective("loss", "minimize"))))
    assert checked(text).tags.count("svg") == 4
    assert "accuracy against loss" in text


def test_only_constraints_and_missing_tracked_values() -> None:
    study = filled(12, (Constraint("latency_ms", upper=15, unit="ms"),))
    assert "meet latency_ms" in question(study)
    checked(render(study))


def test_measured_errors_why_and_edits_are_told() -> None:
    problem = Problem(Space({"x": Float(0, 1)}), [Objective("y"), Constraint("c", upper=0.9)])
    study = open_study("noisy", problem, storage=":memory:", seed=1)
    for _ in range(8):
        trial = study.ask()
        x = trial.params["x"]
        study.tell(trial, {"y": Measurement(-((x - 0.7) ** 2), 0.01), "c": x})
    study.tell(3, {"y": Measurement(1.0, 0.25), "c": 0.1}, replace=True, reason="wrong unit")
    study.edit_metric(Constraint("c", upper=0.8), reason="the budget shrank")
    page = " ".join(checked(render(study)).text)
    assert "result of trial 3 corrected wrong unit" in re.sub(r"\s+", " ", page)
    assert "metric c edited the budget shrank" in re.sub(r"\s+", " ", page)
    trial = study.trials[7]
    assert "predicted" in trial.why
    assert "the 4 results since have not improved on it" in page


def test_a_comparison_adds_a_table_and_a_picture() -> None:
    study = filled(12)
    history = study.history
    page = checked(render(study, Comparison.of({EVIL: {3: history, 4: history}, "grid": {3: history}})))
    assert page.tags.count("svg") == 4
    assert "Strategies compared" in " ".join(page.text)


def test_question_and_answer() -> None:
    study = filled(12)
    assert question(study) == (
        "Which values of 4 parameters give the highest accuracy with accuracy >= 0.5 and latency_ms <= 15 ms?"
    )
    best = study.best
    n = len(study.history.feasible)
    assert answer(study.history) == (
        f"Best feasible accuracy {best.values['accuracy'].value:.4g} (#{best.number}); {n} of 12 results meet every limit."
    )


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_report(filled(3), tmp_path / "none" / "page.html")


def test_of_several_objectives_the_front_is_shown_and_no_best() -> None:
    study = filled(30, (Objective("accuracy"), Objective("loss", "minimize"), Constraint("latency_ms", upper=15)))
    words = " ".join(checked(render(study)).text)
    assert "Best configuration" not in words
    n = len(study.pareto_front)
    assert f"Pareto front: {n} trial{'s' if n > 1 else ''}" in words
    assert all(f"#{trial.number}" in words for trial in study.pareto_front)


def test_failures_are_in_the_chart_and_in_a_list() -> None:
    study = filled(8)
    study.fail(study.ask(), "diverged", "loss is NaN")
    text = render(study)
    words = " ".join(checked(text).text)
    assert "Crosses at the foot are the trials that failed: 1 oom, 1 diverged." in words
    assert "loss is NaN" in words
    chart = re.findall(r"<svg.*?</svg>", text, re.DOTALL)[0]
    assert ">diverged<" in chart


def test_outliers_are_left_out_of_the_charts_and_said() -> None:
    study = filled(20)
    for penalty in (1e6, 1.7e308):
        study.add(study.problem.space.at([0.5, 0.5, 0.5, 0.5]), {"accuracy": -penalty, "latency_ms": penalty})
    words = " ".join(checked(render(study)).text)
    assert re.search(r"Of accuracy, 2 points below \S+ are not shown.", words)
    assert re.search(r"Of latency_ms, 2 points above \S+ ms are not shown.", words)


def test_nothing_but_penalties_is_still_a_page() -> None:
    study = open_study("s", Problem(Space({"x": Float(0, 1)}), METRICS[:2]), storage=":memory:", seed=1)
    for penalty in (1.7e308, 1.6e308):
        study.add({"x": 0.5}, {"accuracy": -penalty, "latency_ms": 1.7e308})
    text = render(study)
    checked(text)
    assert "no point to show" in text


def test_whole_numbers_have_whole_ticks() -> None:
    problem = Problem(Space({"layers": Int(1, 3)}), [Objective("units", "minimize")])
    study = open_study("s", problem, storage=":memory:", seed=1)
    for layers in (1, 2, 3, 2):
        study.add({"layers": layers}, {"units": float(layers)})
    ticks = re.findall(r"<text[^>]*>([^<]*)</text>", render(study))
    assert {"1", "2", "3"} <= set(ticks)
    assert not [tick for tick in ticks if "." in tick]


def test_a_single_trial_has_a_single_tick() -> None:
    study = open_study("s", Problem(Space({"x": Float(0, 1)}), [Objective("y")]), storage=":memory:", seed=1)
    study.add({"x": 0.5}, {"y": 0.25})
    chart = re.findall(r"<svg.*?</svg>", render(study), re.DOTALL)[0]
    ticks = re.findall(r"<text[^>]*>([^<]*)</text>", chart)
    assert "0" in ticks
    assert "\N{MINUS SIGN}1" not in ticks
    assert "0.5" not in ticks


def test_without_limits_nothing_is_said_of_them() -> None:
    study = open_study("plain", Problem(Space({"x": Float(0.0, 1.0)}), [Objective("y")]), storage=":memory:", seed=1)
    for _ in range(2):
        study.tell(study.ask(), 1.0)
    page = render(study)
    assert "The best, 1, is #0; the 1 result since has not improved on it." in page
    assert "Filled points" not in page
    assert "Best y 1 (#0)" in page


def test_charts_have_a_title_and_a_description() -> None:
    for svg in re.findall(r"<svg.*?</svg>", render(filled(12)), re.DOTALL):
        labels = re.match(r'<svg role="img" aria-labelledby="(\S+) (\S+)"', svg)
        assert labels
        for label in labels.groups():
            assert re.search(rf'<(title|desc) id="{label}">[^<]+</', svg)


def test_headings_that_sort_are_buttons() -> None:
    text = render(filled(3))
    head = text[text.index('<table id="trials">') :].split("</thead>")[0]
    assert head.count("<th scope") == head.count('<button type="button">') == 11


def test_a_page_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_report(filled(3), tmp_path / "page.html")
    before = path.read_text()
    path.chmod(0o640)
    link = tmp_path / "link.html"
    link.symlink_to(path)
    write_report(filled(4), link)
    assert link.is_symlink()
    assert path.read_text() != before
    assert path.stat().st_mode & 0o777 == 0o640
    whole = path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(filled(5), path)
    assert path.read_text() == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.html", "page.html"]


def test_the_way_to_replay_names_the_file_as_it_is(tmp_path: Path) -> None:
    study = open_study("s", Problem(Space({"x": Float(0, 1)}), [Objective("y")]), storage=tmp_path / "ä b.db", seed=1)
    assert "hpo replay s --storage &#39;ä b.db&#39;" in render(study)
