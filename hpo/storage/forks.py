"""Locks in the child of a fork: those that other threads held at that moment would never be released there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """Something with locks."""

    def renew_locks(self) -> None:
        """Replace the locks by new ones."""
        ...


def renewed_in_children(thing: Renewable) -> None:
    """Have `thing` renewed in every child that this process forks, before anything else runs there."""
    _things.add(thing)


_things: weakref.WeakSet[Renewable] = weakref.WeakSet()


def _after_fork() -> None:
    for thing in list(_things):
        thing.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
