"""hpo validate: what a study file would do, and every fault of it, before anything is made or run."""

from __future__ import annotations

import shlex
import shutil
from typing import Any

import click

from hpo.cli.console import echo
from hpo.cli.executors import LOCAL
from hpo.cli.options import DEFAULT_STORAGE, existing_storage
from hpo.cli.show import aligned
from hpo.cli.strict_json import json_option, json_text
from hpo.cli.study_file import StudyFile, read_study_file
from hpo.common.redact import masked, redact
from hpo.errors import DefinitionChanged, HpoError, SettingsError
from hpo.executors.supervisor.command import Command
from hpo.problem.metrics import Metric, limit_words
from hpo.storage.open_storage import is_made
from hpo.study.open_study import open_study
from hpo.trials.trial import Trial

_MOST = 100_000
"""Configurations of a finite space that are counted."""


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--storage", envvar="HPO_STORAGE", show_envvar=True, help="What `hpo run` would be given, instead of study.storage."
)
@json_option
def validate(file: str, storage: str | None, as_json: bool) -> None:
    """Check a study file, without running it.

    Says what `hpo run` would do with it, and makes nothing.

    Every fault is shown, each with its key, and the exit code is 1 then: of the file, of the command's program, which must
    be on this machine where trials run here, and of the study of that name where the storage has one already.
    """
    given = read_study_file(file)
    faults: list[str] = []
    if fault := _program_fault(given):
        faults.append(f"{file}: run.command: {fault}")
    where = storage or given.storage or DEFAULT_STORAGE
    plan: dict[str, Any] = {}
    try:
        first = _first_trial(given)
        plan = _plan(given, where, _stored_trials(given, where), first)
    except DefinitionChanged as error:
        faults += [
            f"{file}: study {given.name!r} is stored otherwise in {redact(where)}: {line}" for line in error.differences
        ]
    except HpoError as error:
        faults.append(f"{file}: {error}")
    if faults:
        raise SettingsError(*faults)
    if as_json:
        echo(json_text({"file": file, "valid": True, **plan}))
        return
    echo(aligned([], [[key, words] for key, words in _words(given, plan)]))
    echo("valid")


def _program_fault(given: StudyFile) -> str:
    """What is wrong with the command's program, where it would run on this machine."""
    program = _program(given)
    if given.executor.get("type", LOCAL) != LOCAL or "{" in program or shutil.which(program):
        return ""
    return (
        f"there is no program {program!r} on this machine; give one that is, with its folder if it is not on the PATH"
    )


def _program(given: StudyFile) -> str:
    part = Command.of(given.command).parts[0]
    return part if isinstance(part, str) else part[0]


def _first_trial(given: StudyFile) -> Trial:
    """What a new study would begin with, made in memory. Raises what a run would raise."""
    return open_study(given.name, given.problem, storage=":memory:", seed=given.seed, strategy=given.strategy).ask()


def _stored_trials(given: StudyFile, where: str) -> int | None:
    """How many trials the study has already; None where it is new. Raises DefinitionChanged."""
    if where == ":memory:" or not is_made(where):
        return None
    with existing_storage(where) as store:
        if store.load(given.name) is None:
            return None
        study = open_study(given.name, given.problem, storage=store, seed=given.seed, data=given.data)
        return len(study.trials)


def _plan(given: StudyFile, where: str, stored: int | None, first: Trial) -> dict[str, Any]:
    """What `--json` prints. `configurations` is null where there are endlessly many, or more than are counted."""
    space = given.problem.space
    budget = given.budget.to_json() if given.budget else {}
    command = Command.of(masked(given.command)).render(first.params)
    return {
        "study": given.name,
        "storage": {"where": redact(where), "trials": stored},
        "parameters": len(space),
        "configurations": space.size(_MOST),
        "metrics": {m.name: _metric_words(m) for m in given.problem.metrics},
        "budget": budget,
        "executor": given.executor.get("type", LOCAL),
        "workers": given.workers,
        "first_trial": {"params": dict(first.params), "command": command},
    }


def _words(given: StudyFile, plan: dict[str, Any]) -> list[tuple[str, str]]:
    where, trials, n = plan["storage"]["where"], plan["storage"]["trials"], plan["configurations"]
    many = f"more than {_MOST:,}" if given.problem.space.is_finite else "endlessly many"
    size = f"{many if n is None else n} configurations"
    is_short = n is not None and given.budget is not None and (given.budget.trials or 0) > n
    budget = ", ".join(f"{key} {value}" for key, value in plan["budget"].items() if value is not None)
    return [
        ("study", f"{given.name!r} in {where}: " + ("new" if trials is None else f"goes on from {trials} trials")),
        (
            "space",
            f"{plan['parameters']} parameters, {size}" + (", fewer than the budget has trials" if is_short else ""),
        ),
        *((f"metric {name}", words) for name, words in plan["metrics"].items()),
        ("budget", budget or "none; hpo run needs --trials then"),
        ("runs on", f"{plan['executor']}, {given.workers} at a time"),
        ("command", shlex.join(plan["first_trial"]["command"])),
    ]


def _metric_words(metric: Metric) -> str:
    goal = getattr(metric, "goal", None)
    return " ".join(filter(None, [type(metric).__name__.lower(), f"({goal})" if goal else "", limit_words(metric)]))
