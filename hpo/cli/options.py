"""From `--storage` and a name to an existing study. Only `hpo run` makes files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, TypeVar

import click

from hpo.common.redact import redact
from hpo.errors import SettingsError, StorageError, StudyNotFound, listing
from hpo.running.budget import seconds
from hpo.storage import Storage, open_storage
from hpo.storage.open_storage import missing_file
from hpo.storage.retry import patient
from hpo.strategies.registry import from_json
from hpo.study.open_study import open_study
from hpo.study.study import Study

DEFAULT_STORAGE = "hpo.db"
JOINING = 120.0
"""Seconds for which a run or a worker waits for its storage at the beginning: a server that restarts, or is taken over by
its standby, is back by then. Machines were asked for, and trials may wait."""

F = TypeVar("F", bound=Callable[..., Any])


def n_studies(n: int) -> str:
    """`1 study`, `2 studies`."""
    return f"{n} {'study' if n == 1 else 'studies'}"


def storage_option(function: F) -> F:
    """`--storage`, or HPO_STORAGE, or hpo.db."""
    return click.option(
        "--storage",
        envvar="HPO_STORAGE",
        default=DEFAULT_STORAGE,
        show_default=True,
        show_envvar=True,
        help="A file (SQLite) or a database URL.",
    )(function)


def name_argument(function: F) -> F:
    """NAME, which may be left out where the storage holds one study."""
    return click.argument("name", required=False)(function)


def length(_: click.Context, __: click.Parameter, given: str | None) -> float | None:
    """A length of time in seconds: a number of them, or text like "10min"."""
    try:
        return None if given is None else seconds(float(given) if given.replace(".", "", 1).isdecimal() else given)
    except SettingsError as error:
        raise click.BadParameter(str(error)) from error


def outage_option(function: F) -> F:
    """`--outage`."""
    return click.option(
        "--outage",
        metavar="TIME",
        callback=length,
        help="How long to go on while the storage does not answer, like 2h; 12h by default, and 2min at the beginning.",
    )(function)


@contextmanager
def existing_storage(where: str) -> Iterator[Storage]:
    """The storage at `where`. Raises StorageError, and makes nothing, when a file does not exist."""
    if path := missing_file(where):
        others = sorted(p.name for p in path.parent.glob("*.db")) if path.parent.is_dir() else []
        have = "`hpo run study.toml` makes one"
        if others:
            have = f"there is {listing(others)}: add --storage {shlex.quote(str(path.parent / others[0]))}"
        raise StorageError(f"no file {path}; {have}")
    storage = open_storage(where)
    try:
        yield storage
    finally:
        storage.close()


@contextmanager
def existing_study(
    where: str, name: str | None, *, trust: bool = False, patience: float | None = None
) -> Iterator[Study]:
    """The study `name`, or the only one; with `trust` its strategy is imported, whoever wrote its name.
    patience: seconds for which the storage is waited for, where that is not what others wait. Raises StudyNotFound naming
    what there is."""
    with ExitStack() as opened:
        with nullcontext() if patience is None else patient(patience):
            storage = opened.enter_context(existing_storage(where))
            study = _only(storage, where) if name is None else open_study(name, storage=storage)
            if trust:
                settings = study.facts.get("strategy")
                study = open_study(study.name, storage=storage, strategy=from_json(settings, trust=True))
        yield study


def _only(storage: Storage, where: str) -> Study:
    names = storage.names()
    if len(names) != 1:
        have = f"has {len(names)} studies, name one: {listing(names)}" if names else "has no study yet"
        raise StudyNotFound(f"{redact(where)} {have}")
    return open_study(names[0], storage=storage)
