"""hpo list, status, best: what the studies of a storage say."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import click

from hpo.cli.codes import INFEASIBLE
from hpo.cli.console import echo
from hpo.cli.options import existing_storage, existing_study, name_argument, storage_option
from hpo.cli.strict_json import json_option, json_text
from hpo.common.text import shown
from hpo.errors import ConnectionLost, NoFeasibleTrial, StorageError, StudyDamaged
from hpo.executors.supervisor.command import Command, variables
from hpo.problem.metrics import limit_words, shortfall
from hpo.report import tables
from hpo.running.progress import progress_line
from hpo.study.open_study import open_study
from hpo.study.provenance import code_words
from hpo.study.study import Study
from hpo.trials.formatting import ago, aside_words, best_words, measured, miss, misses, short
from hpo.trials.history import History, oriented
from hpo.trials.trial import Trial, TrialState


@click.command("list")
@storage_option
@json_option
def list_studies(storage: str, as_json: bool) -> None:
    """Show all studies of the storage.

    If one cannot be read, the others are shown, and the exit code is 1.
    """
    with existing_storage(storage) as store:
        unread: list[str] = []
        rows, values = [], []
        for name in store.names():
            try:
                study = open_study(name, storage=store)
                rows.append(_line(study))
                values.append(_overview(study))
            except ConnectionLost:
                raise
            except StorageError as error:  # damaged, or of a later version
                unread.append(str(error) if isinstance(error, StudyDamaged) else f"study {name!r}: {error}")
                rows.append([name, "-", "cannot be read", ""])
        if as_json:
            echo(json_text({"storage": store.url, "studies": values}))
        else:
            echo(aligned(["study", "trials", "result", "created"], rows))
        if unread:
            raise click.ClickException("\n".join(unread))


@click.command()
@name_argument
@storage_option
@json_option
def status(name: str | None, storage: str, as_json: bool) -> None:
    """Show how a study is doing: trials, limits, notes.

    NAME may be left out where the storage holds one study.
    """
    with existing_study(storage, name) as study:
        history = study.history
        if as_json:
            echo(json_text(_status(study, history)))
            return
        echo(f"{study.name}: {progress_line(history)}")
        echo(aligned([], tables.used_rows(history)))
        if history.problem.limited and history.completed:
            echo(aligned(["metric", "limit", "missed by", "of all results", "best"], tables.limit_rows(history)))
        if copied := study.facts.get("copied"):
            echo(f"copied from {copied.get('from')!r}, at its event {copied.get('events')}")
        for note in notes(study):
            echo(f"note of {note['at'][:16].replace('T', ' ')} UTC: {note['text']}")


@click.command()
@name_argument
@storage_option
@json_option
@click.option("--reproduce", is_flag=True, help="What to run to train it again.")
@click.pass_context
def best(context: click.Context, name: str | None, storage: str, as_json: bool, reproduce: bool) -> None:
    """Show the best trial: params to use, metrics with their limits.

    While no trial meets every limit, shows the closest, says what it misses, and exits with 3. With several objectives,
    shows the Pareto front.
    """
    with existing_study(storage, name) as study:
        history = study.history
        if not history.completed:
            counts = f" that counts; set aside: {aside_words(history)}" if history.set_aside else " yet"
            raise NoFeasibleTrial(f"study {study.name!r}: no trial has a result{counts}")
        trials = _answers(history)
        if as_json:
            echo(json_text(_as_json(study, history, trials)))
        else:
            echo(_headline(history, trials))
            echo(trial_table(history, trials[0]) if len(trials) == 1 else _front_table(history, trials))
            for trial in trials if reproduce else ():
                echo("\n" + recipe(study, trial))
        context.exit(0 if history.has_best else INFEASIBLE)


def notes(study: Study) -> list[dict[str, str]]:
    """What people noted, oldest first: `at` (UTC, ISO 8601) and `text`."""
    return [{"at": event.at, "text": event.data.get("text", "")} for event in study.events() if event.kind == "noted"]


def trial_table(history: History, trial: Trial) -> str:
    """Params, exact, and metrics with their limits."""
    params = [[name, _exact(value)] for name, value in trial.params.items()]
    metrics = []
    for m in history.problem.metrics:
        broken = miss(m, trial.values[m.name].value) if m.name in trial.values else ""
        limit = limit_words(m)
        verdict = "missed" if broken else "met" if limit else ""
        metrics.append([m.name, measured(m, trial.values.get(m.name)), limit, verdict])
    return "\n".join([aligned(["param", "value"], params), "", aligned(["metric", "value", "limit", ""], metrics)])


def _front_table(history: History, trials: Sequence[Trial]) -> str:
    """A line a trial: its number, params, exact, and metrics; in order of the first objective, the best first."""
    names, metrics, first = history.problem.space.names, history.problem.metrics, history.problem.objectives[0]
    rows = [
        [
            f"#{t.number}",
            *(_exact(t.params[name]) if name in t.params else "-" for name in names),
            *(measured(m, t.values.get(m.name)) for m in metrics),
        ]
        for t in sorted(trials, key=lambda t: -oriented(first, t))
    ]
    return aligned(["", *names, *(m.name for m in metrics)], rows)


def recipe(study: Study, trial: Trial) -> str:
    """What to type to train a trial again: the code, the versions, the command; or where the params go."""
    origin = study.origin(trial)
    facts, command = origin["facts"], origin["command"]
    code, versions = facts.get("code"), facts.get("versions", {})
    lines = [f"# to train trial {trial.number} of {study.name!r} again"]
    if code and "commit" in code:
        lines.append(f"git checkout {shlex.quote(code['commit'][:12])}")
        if code["dirty"]:
            lines.append(
                f"# it had uncommitted changes, whose text is not stored; sha256 of the diff: {code['diff'][:12]}"
            )
    else:
        lines.append(f"# its code: {code_words(code)}")
    if facts.get("data"):
        lines.append(f"# data: {facts['data']}")
    if facts.get("image"):
        lines.append(f"# container image: {facts['image']}")
    lines.append(f"# python {facts.get('python', '?')}")
    if needed := [shlex.quote(f"{package}=={version}") for package, version in versions.items() if package != "hpo"]:
        lines.append("pip install " + " ".join(needed))
    lines.append(f"# suggested by hpo {versions.get('hpo', '?')}")
    if command:
        lines += _command_lines(Command.of(command), trial)
    else:
        lines.append(f"# call the objective with params={dict(trial.params)!r}, seed={trial.seed}")
        lines.append(f"# it was called by: {shlex.join(facts.get('argv', []))}")
    return "\n".join(shown(line) if line.startswith("#") else line for line in lines)


def _command_lines(command: Command, trial: Trial) -> list[str]:
    """What runs the command as it was run. Params it has no placeholders for it finds as all commands do: in a file, and
    in variables."""
    lines, words = [], [f"HPO_TRIAL={trial.number}", f"HPO_SEED={trial.seed}"]
    if not command.names.issuperset(trial.params):
        file = f"hpo-params-{trial.number}.json"
        lines.append(f"printf '%s\\n' {shlex.quote(json.dumps(dict(trial.params)))} > {file}")
        words.append(f'HPO_PARAMS="$PWD/{file}"')
        words += [f"{name}={shlex.quote(value)}" for name, value in variables(trial.params).items()]
    return [*lines, " ".join([*words, shlex.join(command.render(trial.params))])]


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as text in columns, two spaces apart."""
    lines = [[shown(cell) for cell in line] for line in ([header, *rows] if header else rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))] if lines else []
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _line(study: Study) -> list[str]:
    history = study.history
    result = best_words(history) if history.completed else "no result yet"
    return [study.name, str(len(history.trials)), result, ago(study.facts.get("created_at", ""))]


def _overview(study: Study) -> dict[str, Any]:
    """What `hpo list` says of a study; `best` with all the front where there are several objectives, else of one trial."""
    history = study.history
    return {
        "study": study.name,
        "created_at": study.facts.get("created_at"),
        "trials": {"total": len(history.trials), **_counts(history)},
        "feasible": len(history.feasible),
        "best": [_trial_json(history, trial) for trial in _answers(history)] if history.has_best else [],
    }


def _status(study: Study, history: History) -> dict[str, Any]:
    """What `hpo list` says, and more."""
    missed, kinds = history.misses(), [trial.kind for trial in history.failed]
    spent = [t.earlier_seconds + (t.seconds or 0.0) for t in history.trials]
    return {
        **_overview(study),
        "failures": {str(kind): kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "evaluation_seconds": sum(spent),
        "limits": {
            m.name: {"lower": m.limits[0], "upper": m.limits[1], "unit": m.unit, "missed": missed[m.name]}
            for m in history.problem.limited
        },
        "notes": notes(study),
        "copied": study.facts.get("copied"),
    }


def _counts(history: History) -> dict[str, int]:
    states = [trial.state for trial in history.trials]
    return {str(state): states.count(state) for state in TrialState}


def _answers(history: History) -> list[Trial]:
    if history.has_best and len(history.problem.objectives) > 1:
        return list(history.pareto_front)
    return [history.best if history.has_best else history.closest()]


def _headline(history: History, trials: list[Trial]) -> str:
    if history.has_best:
        return best_words(history)
    broken = "; ".join(misses(tuple(history.problem.metrics), trials[0]))
    return f"no trial of {len(history.completed)} meets every limit; closest #{trials[0].number}: {broken}"


def _as_json(study: Study, history: History, trials: list[Trial]) -> dict[str, Any]:
    answers = [_trial_json(history, trial) for trial in trials]
    shape = (
        {"pareto_front": answers} if len(history.problem.objectives) > 1 and history.has_best else {"trial": answers[0]}
    )
    return {"study": study.name, "feasible": history.has_best, **shape}


def _trial_json(history: History, trial: Trial) -> dict[str, Any]:
    metrics = {}
    for m in history.problem.metrics:
        if m.name in trial.values:
            told, (lower, upper) = trial.values[m.name], m.limits
            metrics[m.name] = {
                "value": told.value,
                "sem": told.sem,
                "unit": m.unit,
                "lower": lower,
                "upper": upper,
                "ok": shortfall(m, told.value) == 0,
            }
    return {"number": trial.number, "params": dict(trial.params), "metrics": metrics}


def _exact(value: object) -> str:
    """A value to copy: every digit that counts."""
    return repr(value) if isinstance(value, float) else short(value)
