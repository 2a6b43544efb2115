"""Untold results: those that a run has, and that its storage did not take before the run had to end."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hpo.common.text import counted
from hpo.errors import ResultError
from hpo.executors import Outcome
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Metric
from hpo.running.objective import Failure, result_of
from hpo.study.study import Study
from hpo.trials.trial import Trial

log = logging.getLogger(__name__)

Untold = tuple[Trial, Outcome]


def kept(study: Study, metrics: Sequence[Metric], untold: Sequence[Untold], *, is_command: bool) -> str:
    """Write a program that tells these results, and say how it is used: `2 results are not stored: ...`. The empty string
    where there are none; what brought no result need not be told, for it is run again."""
    lines = [line for trial, outcome in untold if (line := _line(trial, outcome, metrics, is_command))]
    if not lines:
        return ""
    one = len(lines) == 1
    begin = f"{counted(len(lines), 'result')} {'is' if one else 'are'} not stored ({'; '.join(lines)})"
    path = _written(study, lines)
    if path is None:
        return f"{begin}; store {'it' if one else 'them'} so from Python when the storage answers"
    return f"{begin}; when the storage answers: python {path}"


def _line(trial: Trial, outcome: Outcome, metrics: Sequence[Metric], is_command: bool) -> str:
    """`study.tell(3, {"y": 0.5}, seconds=12.0)`; of a later attempt, which is billed for it, with its number."""
    told = outcome.value if outcome.value is not None else outcome.reported
    if told is None:
        return ""
    try:
        result = result_of(told, metrics, is_command=is_command)
    except ResultError:
        return ""
    if isinstance(result, Failure):
        return ""
    values = ", ".join(f"{json.dumps(name)}: {_number(value)}" for name, value in result.values.items())
    attempt = f"dataclasses.replace(study.trials[{trial.number}], attempt={trial.attempt})"
    return f"study.tell({attempt if trial.attempt > 1 else trial.number}, {{{values}}}, seconds={outcome.seconds!r})"


def _number(value: object) -> str:
    return f"hpo.Measurement({value.value!r}, sem={value.sem!r})" if isinstance(value, Measurement) else repr(value)


def _written(study: Study, lines: Sequence[str]) -> Path | None:
    """The file of the program, in the present folder or, where nothing can be written there, in that for temporary ones."""
    name = re.sub(r"[^\w-]+", "-", study.name)[:60]
    program = [
        "# Results that a run could not store. Passwords are left out of the storage's URL: see PGPASSWORD.",
        "import dataclasses",
        "import hpo",
        f"study = hpo.open_study({study.name!r}, storage={study.storage.url!r})",
        *lines,
    ]
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        path = folder / f"hpo-untold-{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.py"
        try:
            path.write_text("\n".join(program) + "\n", encoding="utf-8")
        except OSError as error:
            log.warning("results that are not stored cannot be written to %s: %s", path, error)
        else:
            return path
    return None
