"""hpo replay, doctor: whether a study can be derived again, and whether this machine can run one."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from hpo.cli.console import echo
from hpo.cli.options import existing_storage, existing_study, n_studies, name_argument, storage_option
from hpo.cli.strict_json import json_option, json_text
from hpo.common.redact import redact
from hpo.errors import StorageError
from hpo.problem.metrics import Constraint, Objective
from hpo.problem.parameters import Float, Int
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.storage.open_storage import is_made
from hpo.storage.paths import file_of
from hpo.study.open_study import open_study
from hpo.study.provenance import installed

_OPTIONAL = {
    "matplotlib": "reports",
    "jinja2": "reports",
    "pandas": "to_frame",
    "psycopg": "PostgreSQL",
    "alembic": "databases of an earlier version",
    "scikit-learn": "the demo",
}
_LEAST_DISK = 200e6


@click.command()
@name_argument
@storage_option
@click.option("--trust", is_flag=True, help="Import the strategies that the storage names, whoever has written it.")
@json_option
def replay(name: str | None, storage: str, trust: bool, as_json: bool) -> None:
    """Derive every suggestion of a study again.

    Says where the first differs, and exits with 1 then.
    """
    with existing_study(storage, name) as study:
        found = study.replay(trust=trust)
        if as_json:
            difference = {"trial": found.first_difference, "stored": found.stored, "derived": found.derived}
            echo(
                json_text(
                    {
                        "study": study.name,
                        "identical": found.is_identical,
                        "checked": found.n_checked,
                        "first_difference": None if found.is_identical else difference,
                    }
                )
            )
        if not found.is_identical:
            raise click.ClickException(str(found))
        if not as_json:
            echo(str(found))


@click.command()
@storage_option
@json_option
def doctor(storage: str, as_json: bool) -> None:
    """Check this machine and the studies of the storage.

    Shows versions, threads, disk, a storage round trip, the studies and one timed fit. Ends with "ready".
    """
    checks: Sequence[tuple[str, Callable[[], str]]] = (
        ("versions", versions),
        ("threads", threads),
        ("disk", lambda: disk(storage)),
        ("storage", storage_round_trip),
        ("studies", lambda: studies(storage)),
        ("engine", timed_suggestion),
        ("optional", optional_packages),
    )
    said, faults = [], []
    for name, check in checks:
        try:
            text = check()
        except Exception as error:  # whatever is wrong with a machine, the other checks still tell
            faults.append(name)
            text = f"FAULT {type(error).__name__}: {error}"
        said.append({"check": name, "ok": name not in faults, "text": text.removeprefix("FAULT ")})
        if not as_json:
            echo(f"{name:<9} {text}")
    if as_json:
        echo(json_text({"ready": not faults, "checks": said}))
    if faults:
        raise click.ClickException(f"not ready: {', '.join(faults)}")
    if not as_json:
        echo("ready")


def versions() -> str:
    """Python, this library and what it computes with."""
    names = ("hpo", "numpy", "scipy", "sqlalchemy")
    return f"python {platform.python_version()}, " + ", ".join(
        f"{name} {installed(name) or 'absent'}" for name in names
    )


def threads() -> str:
    """Cores, and how many threads the linear algebra would take."""
    from threadpoolctl import threadpool_info

    pools = [f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info()]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} cores; {', '.join(dict.fromkeys(pools)) or 'no BLAS found'} (one inside ask)"


def disk(storage: str) -> str:
    """Free space where the storage is or will be. Raises OSError when there is next to none."""
    file = None if storage == ":memory:" else file_of(storage)
    folder = Path.cwd() if file is None else file.absolute().parent
    free = shutil.disk_usage(folder).free
    if free < _LEAST_DISK:
        raise OSError(f"{free / 1e6:.0f} MB free in {folder}; a study and its logs want {_LEAST_DISK / 1e6:.0f} MB")
    return f"{free / 1e9:.1f} GB free in {folder}"


def storage_round_trip() -> str:
    """Write a trial to a new database and read it back."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hpo-doctor-") as folder:
        path = Path(folder) / "check.db"
        study = open_study("check", _problem(), storage=path, seed=0)
        trial = study.tell(study.ask(), {"y": 0.5, "limit": 0.1})
        study.storage.close()
        again = open_study("check", storage=path)
        stored = again.trials
        again.storage.close()
    if stored != (trial,):
        raise OSError(f"a stored trial came back changed: {stored} for {trial}")
    return f"a trial written and read back in {time.perf_counter() - began:.2f} s"


def studies(storage: str) -> str:
    """Read all that is stored. Raises StorageError naming what is damaged."""
    from hpo.storage import SqlStorage

    if storage == ":memory:" or not is_made(storage):
        return f"none yet in {redact(storage)}"
    with existing_storage(storage) as store:
        faults = store.faults() if isinstance(store, SqlStorage) else []
        n_events = 0
        for name in store.names():
            try:
                study = open_study(name, storage=store)
                _ = study.trials
                n_events += len(study.events())
            except StorageError as error:
                faults.append(str(error))
        if faults:
            raise StorageError("; ".join(faults))
        return f"{n_studies(len(store.names()))} with {n_events} events in {redact(storage)}, all readable"


def timed_suggestion() -> str:
    """One fit of the model on twelve results and one suggestion from it. Raises RuntimeError when it fell back."""
    study = open_study("check", _problem(), storage=":memory:", seed=0)
    for i in range(12):
        x, n = (i + 0.5) / 12, 1 + (5 * i) % 9
        study.add({"x": x, "n": n}, {"y": -((x - 0.3) ** 2) - 0.01 * n, "limit": x * n})
    began = time.perf_counter()
    trial = study.ask()
    if trial.why["role"] == "fallback":
        raise RuntimeError(trial.why["how"])
    return f"a fit and a suggestion on 12 results in {time.perf_counter() - began:.2f} s ({trial.why['role']})"


def optional_packages() -> str:
    """What is installed beside the needed packages, and what it is for."""
    return ", ".join(f"{name} {installed(name) or 'absent'} ({use})" for name, use in _OPTIONAL.items())


def _problem() -> Problem:
    return Problem(Space({"x": Float(0.0, 1.0), "n": Int(1, 9)}), [Objective("y"), Constraint("limit", upper=4.0)])
