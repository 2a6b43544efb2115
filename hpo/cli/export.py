"""hpo export, report: a study as a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from hpo.cli.console import echo
from hpo.cli.options import existing_study, name_argument, storage_option
from hpo.cli.show import notes
from hpo.cli.strict_json import json_text
from hpo.common.atomic_files import replace_text
from hpo.problem.json_format import problem_to_json
from hpo.study.study import Study
from hpo.trials.trial import trial_to_json


@click.command()
@name_argument
@storage_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help="CSV is a row for each trial; JSON has all that is known.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="A file; standard output where none is given.")
def export(name: str | None, storage: str, kind: str, output: str | None) -> None:
    """Write all trials of a study as CSV or JSON.

    CSV has one row for each trial (param.*, metric.*, ok.*); JSON has all that is known.
    """
    with existing_study(storage, name) as study:
        text = _as_csv(study) if kind == "csv" else as_json(study)
        if output is None:
            click.echo(text, nl=False)
        else:
            replace_text(Path(output), text)
            echo(f"wrote {output}: {len(study.trials)} trials")


@click.command()
@name_argument
@storage_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    default="report.html",
    show_default=True,
    help="The file to write.",
)
def report(name: str | None, storage: str, output: str) -> None:
    """Write a study as one HTML file that opens without a network."""
    from hpo.report import write_report

    with existing_study(storage, name) as study:
        path = write_report(study, output)
        echo(f"wrote {path}: {len(study.trials)} trials, {path.stat().st_size / 1000:.0f} kB")


_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a text begins, after blanks, that a spreadsheet would take for a formula, and run."""


def _as_csv(study: Study) -> str:
    """One row a trial; numbers exact, absent values empty."""
    history = study.history
    buffer = io.StringIO()
    rows = history.records()
    if rows:
        writer = csv.DictWriter(buffer, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({name: _inert(cell) for name, cell in row.items()} for row in rows)
    return buffer.getvalue().encode("utf-8", "backslashreplace").decode()  # half a character is in no encoding


def as_json(study: Study) -> str:
    """The definition, the facts, and every trial with its measurements and its why."""
    data = {
        "study": study.name,
        "definition": problem_to_json(study.problem),
        "facts": dict(study.facts),
        "notes": notes(study),
        "trials": [trial_to_json(trial) for trial in study.trials],
    }
    return json_text(data) + "\n"


def _inert(cell: object) -> object:
    """A text that would be a formula with `'` before it, which spreadsheets read as "this is text"; numbers stay."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell if cell.startswith("-") else f"'{cell}"
