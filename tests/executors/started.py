"""Tasks and commands that tests of executors start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from hpo.executors import Outcome, Pool, Subprocess, Task
from hpo.testing.executors import await_that, collect


def run(pool: Pool, id: str = "a", **payload: Any) -> Any:
    """The outcome of one task."""
    pool.submit(Task(id=id, payload=payload))
    return collect(pool, 1)[0]


def shell(script: str, *arguments: str, **settings: Any) -> Subprocess:
    """Runs this script of sh."""
    return Subprocess(["sh", "-c", script, "sh", *arguments], **settings)


def run_command(executor: Subprocess, env: dict[str, str] | None = None, **params: Any) -> Outcome:
    """The outcome of one task, for which the executor is started."""
    with executor.start() as pool:
        pool.submit(Task(id="a", payload=params, env=env or {}))
        return collect(pool, 1)[0]


def supervisor_of(pid: int) -> psutil.Process:
    """The parent of a task's process."""
    parent = psutil.Process(pid).parent()
    assert parent is not None
    return parent


def start_endless_task(pool: Pool, mark: Path) -> psutil.Process:
    """Its supervisor, once the task `endless` runs."""
    pool.submit(Task(id="endless", payload={"do": "hang", "mark": str(mark)}))
    await_that(mark.exists, "the task starts")
    return supervisor_of(int(mark.read_text()))
