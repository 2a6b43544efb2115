"""A study as one HTML file: it opens without a network, prints, and follows the reader's light or dark."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.bayes.chances import chances
from hpo.boundary.public import public
from hpo.common.atomic_files import replace_text
from hpo.common.redact import redact
from hpo.common.text import counted, shown
from hpo.errors import MissingExtra
from hpo.problem.metrics import Objective, limit_words
from hpo.report import plots, tables
from hpo.report.comparison import Comparison
from hpo.storage.paths import file_of
from hpo.study.study import Study
from hpo.trials.formatting import aside_words, best_words, misses, with_unit
from hpo.trials.history import History, oriented
from hpo.trials.trial import Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Chart:
    """One figure as SVG text, and the sentence that says what it means."""

    title: str
    svg: str
    meaning: str


@public
def write_report(study: Study, path: str | Path, comparison: Comparison | None = None) -> Path:
    """Write a study as one HTML file that needs no network.

    Args:
        study: The study.
        path: The file. A file that is there is replaced.
        comparison: Adds a table and a picture of several strategies. None: they are left out.

    Returns:
        The path.

    Raises:
        OSError: The file cannot be written; the one that was there stays.
        MissingExtra: matplotlib or jinja2 is missing.

    Example:
        >>> import hpo, pathlib, tempfile
        >>> study = hpo.maximize(lambda trial: trial.params["x"], {"x": (0.0, 1.0)}, trials=3, progress=False)
        >>> hpo.report.write_report(study, pathlib.Path(tempfile.mkdtemp()) / "report.html").name
        'report.html'
    """
    target = Path(path)
    replace_text(target, render(study, comparison))
    return target


def render(study: Study, comparison: Comparison | None = None) -> str:
    """The page as text."""
    try:
        import jinja2
        import matplotlib  # noqa: F401 - what the charts are drawn with
    except ImportError as error:
        raise MissingExtra("a report needs matplotlib and jinja2: pip install matplotlib jinja2") from error
    history = study.history
    trial = tables.chosen(history)
    limits_header, limits = _limits(history, trial)
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        finalize=lambda value: shown(value, lines=True) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    return page.render(
        name=study.name,
        question=question(study),
        reason=study.facts.get("reason", ""),
        answer=answer(history),
        trial=trial,
        is_feasible=bool(trial and trial in history.feasible),
        as_python=tables.as_python(trial) if trial else "",
        as_toml=tables.as_toml(trial) if trial else "",
        why=tables.why_rows(history, trial) if trial else [],
        metrics=tables.metric_rows(history),
        parameters=tables.parameter_rows(history),
        constraints=history.problem.space.constraints,
        front_header=tables.front_header(history),
        front=tables.front_rows(history) if history.has_best and len(history.problem.objectives) > 1 else [],
        n_front=len(history.pareto_front),
        limits_header=limits_header,
        limits=limits,
        failures=tables.failure_rows(history),
        used=tables.used_rows(history),
        charts=charts(history),
        comparison=comparison,
        comparison_chart=_comparison_chart(comparison) if comparison else None,
        trial_header=tables.trial_header(history),
        print_size=_print_size(len(tables.trial_header(history)) + 3),
        trials=tables.trial_rows(history),
        n_trials=len(history.trials),
        facts=tables.fact_rows(study),
        drivers=tables.driver_rows(study),
        edits=tables.edit_rows(study),
        quoted_name=shlex.quote(study.name),
        storage=shlex.quote(_file_name(study)),
    )


def _print_size(n_columns: int) -> float:
    """Pixels of the letters with which so many columns fit on a landscape page, some eight letters each."""
    return round(min(9.0, max(4.0, (850 / n_columns - 5) / 4.8)), 1)


def _limits(history: History, trial: Trial | None) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the limits: how often each is missed, and how `trial` stands to it."""
    header, rows = ["metric", "limit", "missed by", "of all results"], tables.limit_rows(history)
    if trial is None:
        return header, [row[:4] for row in rows]
    margins = tables.margin_rows(history, trial, chances(history, trial))
    return (
        [*header, f"trial {trial.number}", "margin", "sure to meet it"],
        [[*row, *margin] for row, margin in zip(rows, margins, strict=True)],
    )


def question(study: Study) -> str:
    """What was asked, in one sentence."""
    problem = study.problem
    n = len(problem.space)
    aims = [f"{'highest' if o.goal == 'maximize' else 'lowest'} {o.name}" for o in problem.objectives]
    subject = f"Which values of {n} parameters" if n > 1 else f"Which value of {problem.space.names[0]}"
    verb = f" give{'' if n > 1 else 's'} the {' and the '.join(aims)}" if aims else ""
    limits = [f"{m.name} {limit_words(m)}" for m in problem.limited]
    link = " with " if aims else f" meet{'' if n > 1 else 's'} "
    return f"{subject}{verb}{link + ' and '.join(limits) if limits else ''}?"


def answer(history: History) -> str:
    """What came out, in one sentence."""
    if not history.completed:
        aside = history.set_aside
        return (
            f"No trial has a result that counts; set aside: {aside_words(history)}."
            if aside
            else "No trial has a result yet."
        )
    if history.has_best:
        words = best_words(history)
        n = len(history.feasible)
        met = f"{_count(n, len(history.completed))} meet{'s' if n == 1 else ''} every limit"
        return f"{words[0].upper()}{words[1:]}{'; ' + met if history.problem.limited else ''}."
    closest = history.closest()
    broken = "; ".join(misses(tuple(history.problem.metrics), closest))
    return (
        f"No trial of {len(history.completed)} meets every limit. The closest is #{closest.number}, "
        f"which misses {broken}."
    )


def charts(history: History) -> list[Chart]:
    """The charts of a study; none before the first result."""
    if not history.completed:
        return []
    objectives, limited = history.problem.objectives, history.problem.limited
    out = [
        _chart(
            f"{objective.name}, trial by trial",
            plots.history_figure(history, objective),
            f"history-{i}",
            _history_meaning(history, objective, _best_of(history, i)),
        )
        for i, objective in enumerate(objectives)
    ]
    if len(objectives) >= 2:
        a, b = objectives[:2]
        out.append(
            _chart(
                f"{a.name} against {b.name}",
                plots.pareto_figure(history),
                "pareto",
                f"The line joins the {len(history.pareto_front)} feasible trials that none beats in every objective: "
                f"each step along it trades one for the other. {plots.unseen(history, a, b)}",
            )
        )
    if limited:
        meaning = f"Filled points meet the dashed limit of their own panel. {_binding(history)}"
        unseen = plots.unseen(history, *limited)
        out.append(_chart("Limits", plots.limits_figure(history), "limits", f"{meaning} {unseen}"))
    subject = objectives[0] if objectives else history.problem.metrics[0]
    out.append(
        _chart(
            f"{subject.name} against each parameter",
            plots.slices_figure(history, subject),
            "slices",
            f"{'Filled points meet every limit' if _has_hollow(history) else 'Each point is a result'}. "
            "Where the good ones gather is where the answer lies; a panel without a pattern says that "
            f"the parameter matters little or only together with others. {plots.unseen(history, subject)}",
        )
    )
    return out


def _chart(title: str, figure: Figure, name: str, meaning: str) -> Chart:
    title, meaning = shown(title), shown(meaning.rstrip())
    return Chart(title, plots.svg(figure, name, title, meaning), meaning)


def _comparison_chart(comparison: Comparison) -> Chart:
    """The picture of the comparison."""
    figure = plots.comparison_figure(comparison)
    return _chart("Best feasible value by training runs spent", figure, "comparison", comparison.sentence())


def _best_of(history: History, i: int) -> Trial | None:
    """The feasible trial with the best value of objective `i`."""
    objective = history.problem.objectives[i]
    return max(history.feasible, key=lambda t: (oriented(objective, t), -t.number), default=None)


def _history_meaning(history: History, objective: Objective, best: Trial | None) -> str:
    said = ["Each point is a result; the line is the best so far."]
    if _has_hollow(history):
        said = [
            "Filled points meet every limit, hollow ones miss at least one; the line is the best filled one so far."
        ]
    if best is None:
        said.append("No trial is feasible yet, so there is no line.")
    else:
        since = sum(t.number > best.number for t in history.completed)
        later = f"; the {counted(since, 'result')} since {'has' if since == 1 else 'have'} not improved on it"
        after = later if since else ", the latest result"
        said.append(f"The best, {with_unit(objective, best.values[objective.name].value)}, is #{best.number}{after}.")
    if history.failed:
        kinds = [str(t.kind) for t in history.failed]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        said.append(f"Crosses at the foot are the trials that failed: {counts}.")
    return " ".join([*said, plots.unseen(history, objective)]).rstrip()


def _has_hollow(history: History) -> bool:
    """Whether points may be hollow in the charts: a result may miss a limit, or be set aside."""
    return bool(history.problem.limited or history.set_aside)


def _binding(history: History) -> str:
    missed = {name: n for name, n in history.misses().items() if n}
    if not missed:
        return "No trial misses a limit: they do not hold the search back."
    name = max(missed, key=lambda k: missed[k])
    return f"The limit missed most often is that of {name}, by {_count(missed[name], len(history.completed))}."


def _count(n: int, total: int) -> str:
    return f"{n} of {total} results" if total != 1 else f"{n} of 1 result"


def _file_name(study: Study) -> str:
    """The storage's file without its folder, which is nobody's business; other storages as they are."""
    url = study.storage.url
    path = file_of(url) if url.startswith("sqlite:") else None
    return path.name if path else redact(url)
