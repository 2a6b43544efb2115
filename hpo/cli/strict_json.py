"""What `--json` prints: one JSON value that every parser reads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="For scripts: one JSON object.")(function)


def json_text(value: object) -> str:
    """Indented JSON in ASCII. Infinite numbers and NaN, which JSON does not have, are null."""
    return json.dumps(_strict(value), indent=2, allow_nan=False)


def _strict(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    return value
