"""hpo requeue: have trials run again that failed for a cause that has been fixed."""

from __future__ import annotations

import click

from hpo.cli.console import echo
from hpo.cli.options import existing_study, name_argument, storage_option
from hpo.common.text import counted
from hpo.errors import SettingsError
from hpo.trials.trial import FAILURE_KINDS


@click.command()
@name_argument
@storage_option
@click.option("--failed", is_flag=True, help="All failed trials.")
@click.option("--kind", type=click.Choice(FAILURE_KINDS), help="Of the failed trials those of this kind.")
@click.option(
    "--trial", "numbers", type=int, multiple=True, help="The trial of this number; may be given several times."
)
@click.option("--reason", default="", help="Why, for the record.")
def requeue(
    name: str | None, storage: str, failed: bool, kind: str | None, numbers: tuple[int, ...], reason: str
) -> None:
    """Have failed trials run again by the next run.

    It gives them out first. Until then they do not count in the budget's trials.
    """
    if bool(numbers) == (failed or kind is not None):
        raise SettingsError(
            "say which trials: --failed for all that failed, --kind error for some, or --trial 3 --trial 5"
        )
    with existing_study(storage, name) as study:
        if numbers:
            trials = [study.requeue(number, reason) for number in numbers]
        else:
            trials = study.requeue_failed(reason, kind=kind)
        if not trials:
            echo(f"no trial of {study.name!r} has failed{f' of kind {kind}' if kind else ''}: nothing is run again")
            return
        named = ", ".join(f"#{trial.number}" for trial in trials)
        echo(f"{counted(len(trials), 'trial')} of {study.name!r} will be run again: {named}")
