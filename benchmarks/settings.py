"""Constants of the library that a contender's process changes before any problem is opened, for `ablate`."""

from __future__ import annotations

import importlib
import json
import os

SETTINGS = "HPO_BENCH_SETTINGS"
"""The variable that names them: JSON, `{"hpo.bayes.propose.N_STARTS": 2}`."""


def apply_settings() -> None:
    """Change the constants that the environment names. Raises AttributeError for one that is none."""
    for place, value in json.loads(os.environ.get(SETTINGS, "{}")).items():
        module, _, name = place.rpartition(".")
        owner = importlib.import_module(module)
        kind = type(getattr(owner, name))
        setattr(owner, name, kind(value))
