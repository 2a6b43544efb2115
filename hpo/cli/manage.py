"""hpo rename, delete, copy, backup: whole studies and storages."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from hpo.cli.console import echo
from hpo.cli.options import existing_storage, n_studies, storage_option
from hpo.common.redact import redact
from hpo.common.text import counted
from hpo.errors import SettingsError, StorageError
from hpo.storage import Storage
from hpo.study.manage import back_up, copy_study, delete_study, rename_study
from hpo.study.open_study import open_study


@click.command()
@click.argument("name")
@click.argument("new")
@storage_option
def rename(name: str, new: str, storage: str) -> None:
    """Give study NAME the name NEW.

    Runs in progress go on. A study file with the old name would begin a new study: change it there too.
    """
    with existing_storage(storage) as store:
        rename_study(name, new, storage=store)
        echo(f"study {name!r} is now {new!r}; in a study file, change study.name too")


@click.command()
@click.argument("name")
@storage_option
@click.option("--confirm", metavar="NAME", help="The name once more: for scripts, which cannot be asked.")
@click.option(
    "--force", is_flag=True, help="Even while trials are running, whose results are lost, and if it is damaged."
)
def delete(name: str, storage: str, confirm: str | None, force: bool) -> None:
    """Delete study NAME with all its trials, for good.

    Asks for the name once more.
    """
    with existing_storage(storage) as store:
        words = _what_is_lost(store, name)
        if confirm is None:
            if not sys.stdin.isatty():
                raise SettingsError(f"this deletes {words} for good; to do it, add --confirm {shlex.quote(name)}")
            confirm = click.prompt(f"This deletes {words} for good. Its name, to do it", default="", show_default=False)
        if confirm != name:
            raise SettingsError(f"nothing was deleted: {confirm!r} is not {name!r}")
        delete_study(name, storage=store, force=force)
        echo(f"deleted {words}")


@click.command()
@click.argument("name")
@click.argument("new", required=False)
@click.option(
    "--to", help="Another file or database URL, made if it does not exist; the study may keep its name there."
)
@storage_option
def copy(name: str, new: str | None, to: str | None, storage: str) -> None:
    """Copy study NAME, with all its trials, to a study NEW."""
    if new is None and to is None:
        raise SettingsError(
            f"a copy in the same storage needs another name: hpo copy {name} NEW; or give --to other.db"
        )
    with existing_storage(storage) as store:
        copy_study(name, new or name, storage=store, to=to)
        echo(f"copied study {name!r} to {new or name!r}" + (f" in {redact(to)}" if to else ""))


@click.command()
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Write over an earlier backup.")
@storage_option
def backup(dest: Path, replace: bool, storage: str) -> None:
    """Write all studies to the SQLite file DEST.

    Others may go on working with them meanwhile.
    """
    with existing_storage(storage) as store:
        names = store.names()
        path = back_up(dest, storage=store, replace=replace)
        echo(f"wrote {path}: {n_studies(len(names))}, {path.stat().st_size / 1000:.0f} kB")


def _what_is_lost(store: Storage, name: str) -> str:
    """The study with the number of its trials, if it can be read."""
    try:
        trials = open_study(name, storage=store).trials
    except StorageError:
        return f"study {name!r}, which cannot be read,"
    return f"study {name!r} with {counted(len(trials), 'trial')}"
