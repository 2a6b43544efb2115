"""hpo enqueue, edit, note: what a person adds to a study."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from hpo.cli.console import echo
from hpo.cli.options import existing_study, name_argument, storage_option
from hpo.errors import SettingsError, listing
from hpo.problem.metrics import Metric, limit_words
from hpo.problem.parameters import Categorical, Int, Parameter
from hpo.problem.space import Space
from hpo.trials.formatting import short


@click.command()
@click.argument("words", nargs=-1, metavar="[NAME] PARAM=VALUE...")
@storage_option
@click.option("--note", default="", help="Why; kept with the trial.")
def enqueue(words: tuple[str, ...], storage: str, note: str) -> None:
    """Put a trial of your own at the head of the queue.

    The next ask gives it out.

    Every active parameter is given, as lr=0.01, or all of them as one JSON object: '{"lr": 0.01, "layers": 3}'.
    """
    name = words[0] if words and not _is_params(words[0]) else None
    given = words[1:] if name is not None else words
    with existing_study(storage, name) as study:
        trial = study.enqueue(parsed(given, study.problem.space), note)
        params = ", ".join(f"{key}={short(value)}" for key, value in trial.params.items())
        echo(f"trial {trial.number} of {study.name!r} waits: {params}")


def _limit(_: click.Context, __: click.Parameter, given: str | None) -> float | None:
    """A number; NaN stands for "none", no limit, since None stands for an option that is not given."""
    if given is None or given.lower() == "none":
        return None if given is None else math.nan
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise click.BadParameter(f"{given!r} is no number; give one, or none to take the limit away")
    return number


@click.command()
@name_argument
@storage_option
@click.option("--metric", "metric_name", required=True, help="Which one.")
@click.option("--lower", metavar="NUMBER", callback=_limit, help="Of a constraint: its least value, or none.")
@click.option("--upper", metavar="NUMBER", callback=_limit, help="Of a constraint: its greatest value, or none.")
@click.option(
    "--threshold", metavar="NUMBER", callback=_limit, help="Of an objective: the least value of interest, or none."
)
@click.option("--reason", required=True, help="Why; kept in the log.")
def edit(
    name: str | None,
    storage: str,
    metric_name: str,
    lower: float | None,
    upper: float | None,
    threshold: float | None,
    reason: str,
) -> None:
    """Change the limits of a metric. What is feasible is judged anew, for all results; the log keeps both."""
    limits = {"lower": lower, "upper": upper, "threshold": threshold}
    given = {key: None if math.isnan(value) else value for key, value in limits.items() if value is not None}
    with existing_study(storage, name) as study:
        before = study.history
        old = before.problem.metric(metric_name)
        study.edit_metric(_with_limits(old, given), reason=reason)
        after = study.history
        now, was = limit_words(after.problem.metric(metric_name)) or "no limit", limit_words(old) or "no limit"
        n = len(after.completed)
        echo(
            f"{metric_name}: {now} (was {was}); {len(after.feasible)} of {n} results meet every limit (was "
            f"{len(before.feasible)})"
        )


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[NAME] TEXT")
@storage_option
def note(words: tuple[str, ...], storage: str) -> None:
    """Keep a remark with the study.

    For example what was found, decided, or went wrong. `hpo status` shows it.
    """
    if len(words) > 2:
        raise SettingsError(f"a note is one text; put it into quotes: hpo note {words[0]} '{' '.join(words[1:])}'")
    with existing_study(storage, words[0] if len(words) == 2 else None) as study:
        study.note(words[-1])
        echo(f"noted in {study.name!r}")


def parsed(given: Sequence[str], space: Space) -> dict[str, Any]:
    """`name=value` words, and JSON objects, as params. Each value is read by its parameter's type; what cannot be stays
    text, about which the space says what is wrong. Raises SettingsError."""
    params: dict[str, Any] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if word.lstrip().startswith("{"):
            found = _json_object(word)
        elif equals:
            found = {name: _value(text, space.parameters.get(name), name)}
        else:
            raise SettingsError(f"{word!r} is neither name=value nor a JSON object, like lr=0.01 or '{{\"lr\": 0.01}}'")
        if twice := [key for key in found if key in params]:
            raise SettingsError(f"{twice[0]} is given twice")
        params.update(found)
    return params


def _is_params(word: str) -> bool:
    return "=" in word or word.lstrip().startswith("{")


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{text!r} is no JSON: {error}") from error
    assert isinstance(found, dict)
    return found


def _value(text: str, parameter: Parameter | None, name: str) -> object:
    if isinstance(parameter, Categorical):
        return _choice(text, parameter, name)
    for read in (int, float) if isinstance(parameter, Int) else (float,):
        with suppress(ValueError):
            return read(text)
    return text


def _choice(text: str, parameter: Categorical, name: str) -> object:
    """The choice that `text` stands for, as it is or in JSON; `text` itself where there is none."""
    meant: list[object] = [choice for choice in parameter.choices if text in _spellings(choice)]
    if not meant:
        with suppress(ValueError):
            number = float(text)
            meant += [c for c in parameter.choices if type(c) in (int, float) and c == number]
    if len(meant) > 1:
        ways = " or ".join(f"'{json.dumps({name: choice})}'" for choice in meant)
        raise SettingsError(f"{name}={text} may be {listing(map(repr, meant))}; say which in JSON: {ways}")
    return meant[0] if meant else text


def _spellings(choice: object) -> tuple[str, ...]:
    """What stands for a choice on a command line. A text that is the JSON of another choice stands for both."""
    if isinstance(choice, str):
        return choice, json.dumps(choice)
    return json.dumps(choice), str(choice)


def _with_limits(metric: Metric, given: Mapping[str, float | None]) -> Metric:
    """The metric with other limits. Raises SettingsError where it has no such limit, MetricError where it cannot be."""
    has = [name for name in ("lower", "upper", "threshold") if hasattr(metric, name)]
    if not has:
        raise SettingsError(f"metric {metric.name!r} is tracked only; it has no limits to edit")
    options = " or ".join(f"--{name}" for name in has)
    if not given or not set(given) <= set(has):
        raise SettingsError(f"the limits of metric {metric.name!r} are edited with {options}")
    return dataclasses.replace(metric, **given)  # type: ignore[arg-type]
