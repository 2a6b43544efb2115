"""hpo simulate: time, cost and result of a study on so many workers, before any is paid for."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hpo.cli.console import echo
from hpo.cli.options import DEFAULT_STORAGE, existing_study
from hpo.cli.show import aligned
from hpo.cli.strict_json import json_option, json_text
from hpo.cli.study_file import StudyFile, read_study_file
from hpo.errors import SettingsError, StudyNotFound
from hpo.executors import Duration, Failures, Lognormal
from hpo.problem.problem import Problem
from hpo.running.budget import seconds
from hpo.running.simulate import WORKERS, Capacity, Forecast, simulate
from hpo.study.study import Study
from hpo.trials.formatting import duration as time_words
from hpo.trials.formatting import short, with_unit

DEFAULT_TRIALS = 100


@click.command("simulate")
@click.argument("name_or_file", required=False)
@click.option(
    "--workers", default=",".join(map(str, WORKERS)), show_default=True, help="Numbers of workers to compare."
)
@click.option(
    "--trials", type=click.IntRange(min=1), help=f"Of each run; the file's budget.trials, or {DEFAULT_TRIALS}."
)
@click.option("--wall", help='Time after which no more trials start, like "8h".')
@click.option("--duration", help="Of a trial, like 90s or 10min; by default one of the recorded ones at random.")
@click.option(
    "--spread", type=click.FloatRange(min=0), help="Sigma of the logarithm of durations whose median is --duration."
)
@click.option(
    "--failures", type=click.FloatRange(min=0), default=0.0, help="Deaths of a worker for each hour that it works."
)
@click.option(
    "--stragglers", type=click.FloatRange(0, 1), default=0.0, help="Share of trials that take ten times as long."
)
@click.option("--rate", type=click.FloatRange(min=0), help="Cost of a worker for each hour.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Runs for each number of workers."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the forecast repeatable.")
@click.option(
    "--storage",
    envvar="HPO_STORAGE",
    show_envvar=True,
    help=f"A file (SQLite) or a database URL, instead of the file's study.storage; {DEFAULT_STORAGE} where none is given.",
)
@json_option
@click.pass_context
def simulate_command(
    context: click.Context,
    name_or_file: str | None,
    workers: str,
    trials: int | None,
    wall: str | None,
    duration: str | None,
    spread: float | None,
    failures: float,
    stragglers: float,
    rate: float | None,
    repeats: int,
    seed: int,
    storage: str | None,
    as_json: bool,
) -> None:
    """Forecast time and cost of a study by number of workers.

    NAME_OR_FILE is a study of the storage or a study file. Where the study has results, its models say what trials would
    measure; else time and cost are all that is shown. Nothing is trained, and the study is only read.
    """
    file = read_study_file(name_or_file) if name_or_file and _is_file(name_or_file) else None
    what = _declared(context, file, storage) if file else _stored(context, name_or_file, storage)
    planned = file.budget.trials if file and file.budget else None
    with _progress() as show:
        forecast = simulate(
            what,
            workers=_numbers(workers),
            trials=trials or planned or DEFAULT_TRIALS,
            wall=wall,
            duration=_duration(duration, spread),
            failures=Failures(deaths=failures, stragglers=stragglers),
            timeout=file.timeout if file else None,
            rate=rate,
            repeats=repeats,
            seed=seed,
            progress=show,
        )
    if as_json:
        echo(json_text(_as_json(forecast, what)))
        return
    echo(_basis(forecast, what))
    echo(_table(forecast))
    echo(forecast.advice)


def _is_file(given: str) -> bool:
    return given.endswith(".toml") or Path(given).is_file()


def _stored(context: click.Context, name: str | None, storage: str | None) -> Study:
    return context.with_resource(existing_study(storage or DEFAULT_STORAGE, name))


def _declared(context: click.Context, file: StudyFile, storage: str | None) -> Study | Problem:
    """The study that the file declares, where it is stored already, or the problem."""
    where = storage or file.storage or DEFAULT_STORAGE
    if "://" not in where and not Path(where).expanduser().exists():
        return file.problem
    try:
        return context.with_resource(existing_study(where, file.name))
    except StudyNotFound:
        return file.problem


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"--workers: whole numbers with commas between them, like 1,8,32, got {text!r}") from None


def _duration(text: str | None, spread: float | None) -> Duration | float | None:
    if text is None:
        if spread is not None:
            raise SettingsError("--spread is that of --duration, which is not given")
        return None
    given = seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    return given if spread is None else Lognormal(given, spread)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A line that counts the runs, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.status import Status

    with Status("simulating", console=Console(stderr=True, highlight=False)) as line:
        yield lambda done, total: line.update(f"simulated {done} of {total} runs")


def _basis(forecast: Forecast, what: Study | Problem) -> str:
    """What the forecast is drawn from."""
    drawn = f"the seconds of {forecast.n_seconds} trials" if forecast.n_seconds else "the duration given"
    if forecast.n_results:
        known = f"learned from {forecast.n_results} results"
    elif isinstance(what, Study) and what.history.completed:
        known = f"{len(what.history.completed)} results are too few to learn from: time and cost only, params at random"
    else:
        known = "no results to learn from: time and cost only, params at random"
    runs = "1 run" if forecast.repeats == 1 else f"medians of {forecast.repeats} runs"
    return f"{known}; durations from {drawn}; {runs} each"


def _as_json(forecast: Forecast, what: Study | Problem) -> dict[str, Any]:
    return {
        "study": what.name if isinstance(what, Study) else None,
        "rows": [dataclasses.asdict(row) for row in forecast.rows],
        "enough": forecast.enough.workers,
        "advice": forecast.advice,
        "repeats": forecast.repeats,
        "n_results": forecast.n_results,
        "n_seconds": forecast.n_seconds,
        "objective": forecast.objective and forecast.objective.name,
    }


def _table(forecast: Forecast) -> str:
    header = ["workers", "trials", "time", "worker-hours", "speed-up", "efficiency", "runs lost", "failed"]
    has_cost, objective = forecast.rows[0].cost is not None, forecast.objective
    header += ["cost"] if has_cost else []
    header += [f"best {objective.name}"] if objective else []

    def cells(row: Capacity) -> list[str]:
        out = [
            str(row.workers),
            short(float(row.trials)),
            time_words(row.seconds),
            short(row.worker_hours),
            f"{row.speed_up:.3g}",
            f"{100 * row.efficiency:.0f} %",
            short(float(row.lost)),
            short(float(row.failed)),
        ]
        out += [short(row.cost)] if has_cost else []
        if objective:
            out.append("-" if row.best is None else with_unit(objective, row.best))
        return out

    return aligned(header, [cells(row) for row in forecast.rows])
