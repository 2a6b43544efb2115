"""From `[run.executor]` of a study file to the executor that runs its command."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hpo import executors
from hpo.errors import SettingsError, did_you_mean, listing
from hpo.executors import Executor

LOCAL = "local"
_CLASSES = {LOCAL: "Subprocess", "dask": "Dask", "ray": "Ray", "slurm": "Slurm"}
_GIVEN = ("command", "slots", "logs")
"""Fields that other keys of the file say."""


def engine(
    table: Mapping[str, Any],
    command: Sequence[str | Sequence[str]],
    slots: int,
    logs: str | None,
    devices: Sequence[Any],
) -> Executor:
    """The executor of `type` (this machine by default), the rest of the table being its fields; `slots` works at once.

    Raises SettingsError for a type or a field that does not exist, ExecutorError for a field that cannot be.
    """
    fields = dict(table)
    kind = fields.pop("type", LOCAL)
    if kind not in _CLASSES:
        raise SettingsError(f"type {kind!r} is not one of {listing(_CLASSES)}.{did_you_mean(str(kind), _CLASSES)}")
    made = getattr(executors, _CLASSES[kind])
    known = [field.name for field in dataclasses.fields(made) if field.init and field.name not in _GIVEN]
    for name in fields:
        if name not in known:
            raise SettingsError(f"{name}: no such key of {kind} (have: {listing(known)}).{did_you_mean(name, known)}")
    if devices:
        if kind != LOCAL:
            raise SettingsError(f"run.devices are GPUs of this machine; {kind} deals out its own: say run.gpus")
        fields["devices"] = devices
    executor: Executor = made(**fields, command=command, slots=slots, logs=logs)
    return executor
