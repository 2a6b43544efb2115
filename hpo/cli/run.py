"""hpo run: a study from a file, run to the end of its budget."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shlex
import sys
from collections.abc import Iterator

import click

from hpo.cli.codes import INFEASIBLE, INTERRUPTED
from hpo.cli.console import echo
from hpo.cli.executors import executor_of
from hpo.cli.options import DEFAULT_STORAGE, JOINING, outage_option
from hpo.cli.show import trial_table
from hpo.cli.study_file import StudyFile, read_study_file
from hpo.common.redact import HIDDEN, redact
from hpo.errors import ConnectionLost, DefinitionChanged, SettingsError
from hpo.running.budget import Budget
from hpo.running.display import Display, Shown
from hpo.running.outage import CALL
from hpo.running.run_result import Run
from hpo.running.runner import run as run_study
from hpo.running.screens import screen_on
from hpo.storage import Storage, open_storage
from hpo.storage.retry import patient
from hpo.study.open_study import open_study
from hpo.study.study import Study
from hpo.trials.formatting import aside_words, best_words, duration, misses
from hpo.trials.history import History

log = logging.getLogger(__name__)

_SHOWN = 8


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--trials", type=click.IntRange(min=1), help="Trials in all, instead of the file's budget.trials.")
@click.option("--workers", type=click.IntRange(min=1), help="Trials at a time, instead of the file's run.workers.")
@click.option(
    "--storage",
    envvar="HPO_STORAGE",
    show_envvar=True,
    help=f"A file (SQLite) or a database URL, instead of the file's study.storage; {DEFAULT_STORAGE} where none is given.",
)
@outage_option
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@click.pass_context
def run(
    context: click.Context,
    file: str,
    trials: int | None,
    workers: int | None,
    storage: str | None,
    outage: float | None,
    quiet: bool,
) -> None:
    """Run the study that FILE declares, or go on with it.

    After a first Ctrl-C running trials finish; a second cancels them.

    \b
    Exit codes, for scripts and CI:
      0    the best trial meets every limit and threshold
      1    an error: in the file, in the program, in a result it reports, in the storage, or of all machines
      2    a faulty command line
      3    ended, but no trial meets every limit, or none has a result
      130  interrupted; the command that goes on is printed
    """  # noqa: D301 - click reads the backspace
    given = read_study_file(file)
    budget = _budget(given, trials, file)
    patience = JOINING if outage is None else outage
    with patient(patience):
        store = open_storage(storage or given.storage or DEFAULT_STORAGE)
    try:
        with patient(patience):
            study = _opened(given, store, file)
        executor = executor_of(given.executor, given.command, workers or given.workers, given.logs, given.devices)
        try:
            ended = run_study(
                study,
                budget=budget,
                executor=executor,
                timeout=given.timeout,
                memory=given.memory,
                cpus=given.cpus,
                gpus=given.gpus,
                lease=given.lease,
                notice=given.notice,
                outage=given.outage if outage is None else outage,
                progress=display(quiet, budget),
            )
        except KeyboardInterrupt as stop:
            ended = ended_by(stop)
        history = latest(study)
        with written_if_possible():
            summarize(study.name, history, ended)
            if ended.interrupted:
                echo(f"to go on: {_again(file, trials, workers, storage, quiet)}")
        if ended.interrupted:
            context.exit(INTERRUPTED)
        context.exit(0 if history.has_best else INFEASIBLE)
    finally:
        store.close()


def _opened(given: StudyFile, store: Storage, file: str) -> Study:
    try:
        return open_study(
            given.name,
            given.problem,
            storage=store,
            seed=given.seed,
            strategy=given.strategy,
            author=given.author,
            reason=given.reason,
            data=given.data,
        )
    except DefinitionChanged as error:
        raise DefinitionChanged(
            given.name,
            error.differences,
            f"Undo that in {file}, or give it another study.name: a new study, to which results of this one can be added. "
            "Limits alone may be edited: hpo edit",
        ) from None


def _budget(given: StudyFile, trials: int | None, file: str) -> Budget:
    if given.budget is None and trials is None:
        raise SettingsError(f"{file}: no budget; add [budget] with trials, wall or cost, or give --trials 60")
    if trials is None:
        assert given.budget is not None
        return given.budget
    return dataclasses.replace(given.budget, trials=trials) if given.budget else Budget(trials=trials)


def display(quiet: bool, budget: Budget) -> Display:
    """What shows the progress: a line that is redrawn on a terminal, lines elsewhere, both on standard output."""
    return Display() if quiet else Shown(screen_on(sys.stdout), budget, is_whole=False)


def ended_by(stop: KeyboardInterrupt) -> Run:
    """How the run ended that Ctrl-C has ended; raises again what came before there was one."""
    ended = getattr(stop, "run", None)
    if not isinstance(ended, Run):
        raise stop
    return ended


@contextlib.contextmanager
def written_if_possible() -> Iterator[None]:
    """Go on where standard output has nobody who reads it, or no room: what was run is stored all the same."""
    try:
        yield
    except OSError as error:
        log.warning("the summary could not be written: %s", error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python's own last flush fails too


def latest(study: Study) -> History:
    """The history now; where the storage does not answer, as the run has last read it: a summary is not waited for."""
    try:
        with patient(CALL):
            return study.history
    except ConnectionLost as error:
        log.warning("what follows is as last read: %s", str(error).partition(". ")[0].rstrip("."))
        return study.leases.known


def summarize(name: str, history: History, ended: Run) -> None:
    """Say how a run of study `name` ended, what was stopped, and what is best."""
    echo(f"ended after {duration(ended.seconds)}: {ended.reason}")
    for trials, words in (
        (ended.stopped, "stopped before their end"),
        (ended.left, "left running, watched by the next run"),
    ):
        if trials:
            named = ", ".join(f"#{t.number} ({t.message})" if t.message else f"#{t.number}" for t in trials[:_SHOWN])
            more = f" and {len(trials) - _SHOWN} more" if len(trials) > _SHOWN else ""
            echo(f"{words}: {named}{more}; {len(history.completed)} results are kept")
    if history.set_aside:
        echo(f"set aside until accepted: {aside_words(history)}")
    if not history.completed:
        echo("no trial has a result" + (" that counts" if history.set_aside else ""))
        return
    if history.has_best and len(history.problem.objectives) > 1:
        echo(f"{best_words(history)}; see hpo best {shlex.quote(name)}")
        return
    trial = history.best if history.has_best else history.closest()
    if history.has_best:
        echo(best_words(history))
    else:
        broken = "; ".join(misses(tuple(history.problem.metrics), trial))
        echo(f"no trial of {len(history.completed)} meets every limit; closest #{trial.number}: {broken}")
    echo(trial_table(history, trial))


def _again(file: str, trials: int | None, workers: int | None, storage: str | None, quiet: bool) -> str:
    """The command that goes on with the run; a password is left out of it, for it would stay in logs."""
    where = redact(storage) if storage else storage
    options = [("--trials", trials), ("--workers", workers), ("--storage", where)]
    words = ["hpo", "run", file, *(w for option, value in options if value is not None for w in (option, str(value)))]
    hidden = (
        "" if where == storage else f" (its password in place of {HIDDEN}, or in PGPASSWORD, or the URL in HPO_STORAGE)"
    )
    return shlex.join([*words, "--quiet"] if quiet else words) + hidden
