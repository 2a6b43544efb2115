"""Strategy <-> its name and settings, as stored with each suggestion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from hpo.errors import SettingsError, did_you_mean, listing
from hpo.plugins import load
from hpo.strategies.base import Strategy

_BUILT_IN = {
    "bayesian": "hpo.strategies.bayesian:Bayesian",
    "grid": "hpo.strategies.grid:Grid",
    "one_at_a_time": "hpo.strategies.one_at_a_time:OneAtATime",
    "random": "hpo.strategies.random:Random",
    "sobol": "hpo.strategies.sobol:Sobol",
}


def to_json(strategy: Strategy) -> dict[str, Any]:
    """The strategy's name and settings as JSON values. Raises SettingsError for what is not an instance of a dataclass."""
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


def from_json(data: Mapping[str, Any]) -> Strategy:
    """The strategy that `to_json` wrote. Raises SettingsError for an unknown name or setting."""
    cls = load("hpo.strategies", str(data.get("name")), _BUILT_IN)
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        raise SettingsError(f"{data['name']!r} is no strategy: not a frozen dataclass")
    settings = {k: v for k, v in data.items() if k != "name"}
    known = [f.name for f in dataclasses.fields(cls)]
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known)
            raise SettingsError(f"strategy {data['name']!r} has no setting {name!r} (have: {listing(known)}).{hint}")
    return cast(Strategy, cls(**settings))
