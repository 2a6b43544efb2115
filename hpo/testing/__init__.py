"""Published contracts: test classes that every storage, executor and strategy must pass, ours and yours."""

from __future__ import annotations

from hpo.boundary.public import face

__all__ = ["clusters", "executors", "storage", "strategies"]
__getattr__ = face(__name__, dict.fromkeys(__all__, ""))
