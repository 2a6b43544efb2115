"""A name or `module:attribute` -> the object: a built-in table first, then installed entry points."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from hpo.errors import SettingsError, did_you_mean, listing


def load(group: str, name: str, built_in: Mapping[str, str], *, trust: bool = False) -> Any:
    """The object called `name` in `group` (`hpo.strategies`). A broken plug-in fails here, when it is named, not at
    import.

    A `module:attribute` that is neither built in nor an installed entry point is imported with `trust` alone: where the
    caller has written the name, not where a database holds it. Raises SettingsError for a name nobody knows or that is not
    trusted, and for an object that cannot be imported.
    """
    found = {} if name in built_in else {point.name: point.value for point in entry_points(group=group)}
    installed = {**found, **built_in}
    where = installed.get(name, name if trust or name in installed.values() else "")
    if ":" not in where:
        if ":" in name:
            raise SettingsError(
                f"{name!r} is not installed here, and nothing is imported only because a database names it"
            )
        raise SettingsError(f"{name!r} is not known (have: {listing(installed)}).{did_you_mean(name, installed)}")
    module, _, attribute = where.partition(":")
    try:
        value: Any = importlib.import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"{name!r} stands for {where}, which cannot be imported: {error}") from error
    return value
