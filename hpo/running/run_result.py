"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from hpo.common.text import counted
from hpo.study.study import Study
from hpo.trials.history import History
from hpo.trials.trial import Trial


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    reason: str
    seconds: float
    interrupted: bool = False
    stopped: tuple[Trial, ...] = ()
    """Trials that were ended before their time: cancelled, or handed back to be run again."""
    left: tuple[Trial, ...] = ()
    """Trials that go on without this driver; the next run takes them back."""
    completed: int = field(default=0, compare=False)
    """How many trials of this run have brought a result."""
    failed: int = field(default=0, compare=False)
    """How many trials of this run have failed."""


def interrupt(study: Study, ended: Run, history: History) -> KeyboardInterrupt:
    """What an interrupted run raises, with its Run."""
    n = len(history.completed)
    is_stored = study.storage.url != ":memory:"
    where = "stored" if is_stored else "in memory"
    kept = f"{counted(n, 'result')} {'is' if n == 1 else 'are'} {where}" if n else "no trial has a result yet"
    again = f". To go on, run study {study.name!r} again" if is_stored else ""
    stop = KeyboardInterrupt(f"{ended.reason}; {kept}{again}")
    stop.run = ended  # type: ignore[attr-defined]
    return stop
