"""Published contracts: test classes that every storage, executor and strategy must pass, ours and yours."""

from __future__ import annotations

from hpo.boundary import face

__all__ = ["engines", "executors", "storage"]
__getattr__ = face(__name__, dict.fromkeys(__all__, ""))
