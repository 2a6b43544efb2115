"""Strategy <-> its name and settings, as stored with each suggestion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from hpo.common.entry_points import load
from hpo.common.scalars import brief
from hpo.errors import HpoError, SettingsError, did_you_mean, listing
from hpo.strategies.base import Strategy

GROUP = "hpo.strategies"
"""Of the entry points that strategies are installed as."""
_BUILT_IN = {
    "bayesian": "hpo.strategies.bayesian:Bayesian",
    "grid": "hpo.strategies.grid:Grid",
    "one_at_a_time": "hpo.strategies.one_at_a_time:OneAtATime",
    "random": "hpo.strategies.random:Random",
    "sobol": "hpo.strategies.sobol:Sobol",
}


def to_json(strategy: Strategy) -> dict[str, Any]:
    """The strategy's name and settings as JSON values. Raises SettingsError if it is no instance of a dataclass."""
    cls = type(strategy)
    if isinstance(strategy, type):
        raise SettingsError(f"strategy={strategy.__name__} is a class; give {strategy.__name__}(), an instance")
    if isinstance(strategy, str):
        home = _BUILT_IN.get(strategy.lower(), _BUILT_IN["bayesian"])
        raise SettingsError(
            f"strategy={strategy!r} is text; give an instance, like hpo.strategies.{home.partition(':')[2]}()"
        )
    if not dataclasses.is_dataclass(strategy):
        raise SettingsError(
            f"a strategy is a frozen dataclass, so that its settings can be stored; {cls.__name__} is not"
        )
    where = f"{cls.__module__}:{cls.__qualname__}"
    name = next((name for name, home in _BUILT_IN.items() if home == where), where)
    fields = dataclasses.fields(strategy)
    changed = {f.name: getattr(strategy, f.name) for f in fields if getattr(strategy, f.name) != f.default}
    return {"name": name, **changed}


def from_json(data: object, given: Strategy | None = None, *, trust: bool = False) -> Strategy:
    """The strategy that `to_json` wrote: built in, installed as an entry point, of the class of the `given` one, or, with
    `trust`, of any module that the data name. Raises SettingsError for an unknown or untrusted name, or setting."""
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise SettingsError(f'expected a name, like "bayesian", or a table with a name and settings, got {brief(data)}')
    name = data["name"]
    if given is not None and to_json(given)["name"] == name:
        cls: Any = type(given)
    else:
        try:
            cls = load(GROUP, name, _BUILT_IN, trust=trust)
        except SettingsError as error:
            if trust or ":" not in name:
                raise
            raise SettingsError(f"strategy {error}. {_way_out(name)}") from error
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls) or not hasattr(cls, "suggest"):
        raise SettingsError(f"{name!r} is no strategy: not a frozen dataclass with a method suggest")
    settings = {k: v for k, v in data.items() if k != "name"}
    known = [f.name for f in dataclasses.fields(cls)]
    for key in settings:
        if key not in known:
            hint = did_you_mean(key, known)
            raise SettingsError(f"strategy {name!r} has no setting {key!r} (have: {listing(known)}).{hint}")
    try:
        return cast(Strategy, cls(**settings))
    except HpoError:
        raise
    except (TypeError, ValueError) as error:
        raise SettingsError(f"strategy {name!r} cannot be made with {settings!r}: {error}") from error


def _way_out(name: str) -> str:
    """What to do about a strategy that only the storage names."""
    cls = name.rpartition(":")[2]
    return (
        f"Give it: open_study(..., strategy={cls}()), or study.strategy = {name!r} in the study file; replay takes "
        f"trust=True, `hpo replay` --trust. Or install it as an entry point of the group {GROUP!r}. The study can be read, "
        "and results told, without it"
    )
