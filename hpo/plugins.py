"""A name or `module:attribute` -> the object: a built-in table first, then installed entry points."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from hpo.errors import SettingsError, did_you_mean, listing


def load(group: str, name: str, built_in: Mapping[str, str]) -> Any:
    """The object called `name` in `group` (`hpo.strategies`). A broken plug-in fails here, when it is named, not at
    import. Raises SettingsError for a name nobody knows or an object that cannot be imported."""
    where = built_in.get(name)
    if where is None and ":" in name:
        where = name
    if where is None:
        found = {point.name: point.value for point in entry_points(group=group)}
        where = found.get(name)
        if where is None:
            known = [*built_in, *found]
            raise SettingsError(f"{name!r} is not known (have: {listing(known)}).{did_you_mean(name, known)}")
    module, _, attribute = where.partition(":")
    try:
        value: Any = importlib.import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"{name!r} stands for {where}, which cannot be imported: {error}") from error
    return value
