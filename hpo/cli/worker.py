"""hpo worker: run trials of a study that others have begun, knowing only where it is stored."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from hpo.cli.codes import INTERRUPTED
from hpo.cli.executors import words_of
from hpo.cli.options import JOINING, existing_study, length, name_argument, outage_option, storage_option
from hpo.cli.run import display, ended_by, latest, summarize, written_if_possible
from hpo.common.redact import HIDDEN
from hpo.errors import SettingsError
from hpo.executors import Subprocess
from hpo.running.budget import Budget
from hpo.running.runner import run
from hpo.study.study import Study

_PROGRAMS = ("hpo", "main.py")
"""What command lines begin with; the second is that of `python -m hpo.cli.main`."""


@click.command()
@name_argument
@storage_option
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Trials at a time.")
@click.option("--devices", help="GPUs of this machine, dealt out over the workers: 0,1,2,3.")
@click.option(
    "--trials", type=click.IntRange(min=1), help="Trials of the study in all, instead of the stored budget's."
)
@click.option("--command", "text", help="What to run, instead of the stored command: 'python train.py --lr {lr}'.")
@click.option(
    "--idle",
    metavar="TIME",
    callback=length,
    help="Leave after so long with nothing to run, like 10min; one lease by default.",
)
@click.option(
    "--notice",
    metavar="TIME",
    callback=length,
    help="What running trials have after SIGTERM, like 30s, before they are handed back.",
)
@outage_option
@click.option("--logs", type=click.Path(file_okay=False), help="Folder for what the commands print.")
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@click.pass_context
def worker(
    context: click.Context,
    name: str | None,
    storage: str,
    workers: int,
    devices: str | None,
    trials: int | None,
    text: str | None,
    idle: float | None,
    notice: float | None,
    outage: float | None,
    logs: str | None,
    quiet: bool,
) -> None:
    """Join study NAME and run its trials on this machine.

    Command, limits and budget are those of its last `hpo run`.

    Workers come and go at will, on any machine that reaches the storage and has the code. They run the command and the
    strategy that the storage names: whoever may write there decides what runs here. On SIGTERM, which preempted
    machines send, nothing new is started; what has not ended after the notice is handed back, to be run elsewhere.
    """
    patience = JOINING if outage is None else outage
    with existing_study(storage, name, trust=True, patience=patience) as study:
        settings = _settings(study)
        command = words_of(text) if text else _command(study, settings.get("command", []))
        budget, limits = _budget(settings, trials), dict(settings.get("settings", {}).get("limits", {}))
        given = {"idle": idle, "notice": notice, "outage": outage}
        limits.update({option: value for option, value in given.items() if value is not None})
        executor = Subprocess(command, slots=workers, logs=logs, devices=devices.split(",") if devices else ())
        try:
            ended = run(study, budget=budget, executor=executor, progress=display(quiet, budget), **limits)
        except KeyboardInterrupt as stop:
            ended = ended_by(stop)
        history = latest(study)
        with written_if_possible():
            summarize(study.name, history, ended)
        context.exit(INTERRUPTED if ended.interrupted else 0)


def _settings(study: Study) -> Mapping[str, Any]:
    """What the last run with a command recorded of itself; else what the last run did. What a worker recorded counts only
    where nobody else has: its options are its own."""
    joined = [event.data for event in study.events() if event.kind == "joined"]
    runs = [data for data in joined if not _is_worker(data)]
    with_command = [data for data in runs if data["command"]]
    return (with_command or runs or joined or [{}])[-1]


def _is_worker(joined: Mapping[str, Any]) -> bool:
    """Whether `hpo worker` recorded this, which its command line says."""
    program, *arguments = joined["facts"].get("argv") or [""]
    return program in _PROGRAMS and arguments[:1] == ["worker"]


def _command(study: Study, stored: Sequence[str | Sequence[str]]) -> Sequence[str | Sequence[str]]:
    if not stored:
        raise SettingsError(
            f"study {study.name!r} was never run with a command, so a worker cannot know what to run; give it: "
            "--command 'python train.py --lr {lr}'. A study that is run from Python is joined by running that script again"
        )
    words = [word for part in stored for word in ([part] if isinstance(part, str) else part)]
    if any(HIDDEN in word for word in words):
        raise SettingsError(
            f"the stored command has a secret, which is not stored: {shlex.join(words)}; give it whole with --command, or "
            "let the training read the secret from its environment"
        )
    return stored


def _budget(settings: Mapping[str, Any], trials: int | None) -> Budget:
    stored = dict(settings.get("settings", {}).get("budget", {}))
    if trials is not None:
        stored["trials"] = trials
    if not stored:
        raise SettingsError("no run of this study has recorded a budget; give --trials")
    return Budget(**stored)
