"""A study as one HTML file: it opens without a network, prints, and follows the reader's light or dark."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from hpo.history import History
from hpo.metrics import limit_words
from hpo.report import plots, tables
from hpo.report.comparison import Comparison
from hpo.report.words import best_words, misses, with_unit
from hpo.study import Study
from hpo.trial import Trial

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Chart:
    """One figure as SVG text, and the sentence that says what it means."""

    title: str
    svg: str
    meaning: str


def write_report(study: Study, path: str | Path, comparison: Comparison | None = None) -> Path:
    """Write the report of `study` to `path` and return it; `comparison` adds a table and a picture of strategies.

    Raises OSError where the file cannot be written.
    """
    target = Path(path)
    target.write_text(render(study, comparison), encoding="utf-8")
    return target


def render(study: Study, comparison: Comparison | None = None) -> str:
    """The page as text."""
    import jinja2

    history = study.history
    trial = tables.chosen(history)
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
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
        limits=tables.limit_rows(history),
        used=tables.used_rows(history),
        charts=charts(history),
        comparison=comparison,
        comparison_chart=comparison_chart(comparison) if comparison else None,
        trial_header=tables.trial_header(history),
        trials=tables.trial_rows(history),
        n_trials=len(history.trials),
        facts=tables.fact_rows(study),
        drivers=tables.driver_rows(study),
        edits=tables.edit_rows(study),
        quoted_name=shlex.quote(study.name),
        storage=_file_name(study),
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
        return "No trial has a result yet."
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
    objectives = history.problem.objectives
    out = [
        Chart(
            f"{objective.name}, trial by trial",
            plots.svg(plots.history_figure(history, objective), f"history-{i}"),
            _history_meaning(history, objective.name, _best_of(history, i)),
        )
        for i, objective in enumerate(objectives)
    ]
    if len(objectives) >= 2:
        a, b = objectives[:2]
        out.append(
            Chart(
                f"{a.name} against {b.name}",
                plots.svg(plots.pareto_figure(history), "pareto"),
                f"The line joins the {len(history.pareto_front)} feasible trials that none beats in every objective: "
                "each step along it trades one for the other.",
            )
        )
    if history.problem.limited:
        out.append(
            Chart(
                "Limits",
                plots.svg(plots.limits_figure(history), "limits"),
                f"Filled points meet the dashed limit of their own panel. {_binding(history)}",
            )
        )
    shown = objectives[0] if objectives else history.problem.metrics[0]
    out.append(
        Chart(
            f"{shown.name} against each parameter",
            plots.svg(plots.slices_figure(history, shown), "slices"),
            "Filled points meet every limit. Where they gather is where the answer lies; a panel without a pattern "
            "says that the parameter matters little or only together with others.",
        )
    )
    return out


def comparison_chart(comparison: Comparison) -> Chart:
    """The picture of the comparison."""
    return Chart(
        "Best feasible value by trainings spent",
        plots.svg(plots.comparison_figure(comparison), "comparison"),
        comparison.sentence(),
    )


def _best_of(history: History, i: int) -> Trial | None:
    """The feasible trial with the best value of objective `i`."""
    objective = history.problem.objectives[i]
    sign = 1 if objective.goal == "maximize" else -1
    return max(history.feasible, key=lambda t: (sign * t.values[objective.name].value, -t.number), default=None)


def _history_meaning(history: History, name: str, best: Trial | None) -> str:
    points = "Filled points meet every limit, hollow ones miss at least one; the line is the best filled one so far."
    if best is None:
        return f"{points} No trial is feasible yet, so there is no line."
    since = sum(t.number > best.number for t in history.completed)
    after = f"; the {since} results since have not improved on it" if since else ", the latest result"
    value = with_unit(history.problem.metric(name), best.values[name].value)
    return f"{points} The best, {value}, is #{best.number}{after}."


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
    is_file = url.startswith("sqlite:") or "://" not in url
    return url.rsplit("/", 1)[-1] if is_file else url
