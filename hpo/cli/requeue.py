"""hpo requeue: have trials run again that failed by a fault which has been mended."""

from __future__ import annotations

import click

from hpo.cli.opening import existing_study, name_argument, storage_option
from hpo.errors import SettingsError
from hpo.progress import counted
from hpo.trial import FAILURE_KINDS


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
    """Have trials of study NAME run again: the next run gives them out first.

    Until then they do not count in the budget's trials.
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
        named = f": {', '.join(f'#{trial.number}' for trial in trials)}" if trials else ""
        click.echo(f"{counted(len(trials), 'trial')} of {study.name} will be run again{named}")
