"""The command `hpo`."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path
from typing import Any

import click

from hpo.cli.change import edit, enqueue, note
from hpo.cli.check import doctor, replay
from hpo.cli.codes import INTERRUPTED
from hpo.cli.console import echo
from hpo.cli.export import export, report
from hpo.cli.manage import backup, copy, delete, rename
from hpo.cli.requeue import requeue
from hpo.cli.run import run
from hpo.cli.show import best, list_studies, status
from hpo.cli.simulate import simulate_command
from hpo.cli.validate import validate
from hpo.cli.worker import worker
from hpo.common.redact import redact
from hpo.common.text import shown
from hpo.errors import HpoError
from hpo.study.provenance import DISTRIBUTION


class Commands(click.Group):
    """Errors of the user and of the system become a message on standard error and exit code 1, without a traceback;
    Ctrl-C becomes exit code 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except HpoError as error:
            raise click.ClickException(redact(shown(str(error), lines=True))) from error
        except KeyboardInterrupt:
            echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output left; click ends quietly
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(shown(f"{where}{error.strerror or error}")) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=DISTRIBUTION)
def main() -> None:
    """Tune hyperparameters together, within limits, in few training runs.

    `hpo demo` shows it on a real model; `hpo run study.toml` runs your own.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that its encoding does not have ends no command


@main.command()
@click.option("--trials", type=click.IntRange(min=1), help="Trials for each strategy.")
@click.option("--seeds", type=click.IntRange(min=1), help="How often each strategy is run.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where the report, the picture and the studies are kept.",
)
def demo(trials: int | None, seeds: int | None, folder: Path) -> None:
    """Tune a real model four ways and write a report.

    Jointly, by grid, one parameter at a time, and at random, with the same number of trials each.
    """
    from hpo.cli import demo as task

    settings = {name: value for name, value in (("trials", trials), ("seeds", seeds)) if value is not None}
    task.demo(folder=folder, **settings)


for command in (
    *(run, worker, requeue, status, best, list_studies, export, report, replay, simulate_command, doctor),
    *(enqueue, edit, note, rename, copy, delete, backup, validate),
):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="hpo")
