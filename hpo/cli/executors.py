"""From `[run.executor]` of a study file to the executor that runs its command."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hpo import executors
from hpo.errors import HpoError, SettingsError, did_you_mean, listing
from hpo.executors import Executor

LOCAL = "local"
_CLASSES = {LOCAL: "Subprocess", "dask": "Dask", "ray": "Ray", "slurm": "Slurm"}
_GIVEN = ("command", "slots", "logs")
"""Fields that other keys of the file say."""
_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "bool": (bool, "true or false"),
    "Sequence": (list, "a list of text"),
    "tuple": (list, "a list of two whole numbers"),
    "Mapping": (dict, "a table of text"),
}
"""What a file may say for a field, by the first word of its type; and in words."""


def executor_of(
    table: Mapping[str, Any],
    command: Sequence[str | Sequence[str]],
    slots: int,
    logs: str | None,
    devices: Sequence[Any],
) -> Executor:
    """The executor of `type` (this machine by default), the rest of the table being its fields; `slots` tasks at once.

    Raises SettingsError for a type or a field that does not exist, is needed or is of another type, ExecutorError for an
    invalid field.
    """
    fields = dict(table)
    kind = fields.pop("type", LOCAL)
    if kind not in _CLASSES:
        raise SettingsError(f"type {kind!r} is not one of {listing(_CLASSES)}.{did_you_mean(str(kind), _CLASSES)}")
    made = getattr(executors, _CLASSES[kind])
    known = {field.name: field for field in dataclasses.fields(made) if field.init and field.name not in _GIVEN}
    for name, value in fields.items():
        if name not in known:
            raise SettingsError(f"{name}: no such key of {kind} (have: {listing(known)}).{did_you_mean(name, known)}")
        _check(known[name], value)
    for name, field in known.items():
        if name not in fields and field.default is field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{name}: {kind} needs it, {_TYPES[_word(field)][1]}; add {name} = ...")
    if devices:
        if kind != LOCAL:
            raise SettingsError(f"run.devices are GPUs of this machine; {kind} deals out its own: say run.gpus")
        fields["devices"] = devices
    try:
        executor: Executor = made(**fields, command=command, slots=slots, logs=logs)
    except HpoError:
        raise
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{kind}: {', '.join(fields)} cannot be: {error}") from error
    return executor


def words_of(command: str) -> list[str]:
    """The words of a command given as text, as a shell would split it; raises SettingsError where it cannot be."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise SettingsError(
            f"the command {command!r} cannot be split into words: {error}; close what is open"
        ) from error


def _check(field: dataclasses.Field[Any], value: object) -> None:
    """Raise SettingsError for a value that the field's type does not allow."""
    types, words = _TYPES[_word(field)]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    is_text = all(isinstance(part, str) for part in parts) or "str]" not in str(field.type)
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool) or not is_text:
        raise SettingsError(f"{field.name}: expected {words}, got {value!r}")


def _word(field: dataclasses.Field[Any]) -> str:
    return re.split(r"\W", str(field.type), maxsplit=1)[0]
