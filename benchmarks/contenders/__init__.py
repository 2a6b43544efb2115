"""The contenders by name. Each lives in a module of its own, imported only in the process that runs it."""

from __future__ import annotations

import importlib

from benchmarks.contenders.base import Opener

CONTENDERS = {
    "hpo": "benchmarks.contenders.hpo_study:HpoStudy",
    "botorch": "benchmarks.contenders.botorch_loop:BotorchLoop",
    "random": "benchmarks.contenders.random_search:RandomSearch",
}


def load(name: str) -> Opener:
    """The contender of this name, ready to be given a problem. Raises ValueError for a name that is none."""
    if name not in CONTENDERS:
        raise ValueError(f"no contender {name!r} (have: {', '.join(CONTENDERS)})")
    module, attribute = CONTENDERS[name].split(":")
    opener: Opener = getattr(importlib.import_module(module), attribute)
    return opener
