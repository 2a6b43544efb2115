"""Drivers: processes that run trials of a study, each holding its trials by leases that others can see."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from hpo.errors import HpoError
from hpo.study import Study
from hpo.trial import Trial, TrialState

log = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds for which a driver holds a trial; it renews three times in that time."""


def owner() -> str:
    """This process, as trials name it: `host:pid:start`."""
    return f"{platform.node()}:{os.getpid()}:{_start(os.getpid()):.2f}"


def reclaim(study: Study) -> list[Trial]:
    """Hand back the running trials of runs on this machine whose process is gone, and those whose lease is over. Returns
    them."""
    return study.reclaim({trial.owner for trial in study.trials if is_orphan(trial)})


def left_behind(study: Study) -> list[Trial]:
    """The running trials that no driver watches: those `reclaim` would hand back."""
    held = study.held()
    return [t for t in study.trials if is_orphan(t) or (_is_driven(t) and t.number not in held)]


def others_at_work(study: Study, me: str) -> bool:
    """Whether drivers other than `me` hold trials, which may come back to be run again."""
    return any(_is_driven(t) and t.owner != me for t in study.history.in_flight)


def is_orphan(trial: Trial) -> bool:
    """Whether it runs, and the process of this machine that ran it is gone."""
    return _is_driven(trial) and _is_gone(trial.owner)


@contextmanager
def heartbeat(
    study: Study, me: str, lease: float, held: Callable[[], Mapping[str, Trial]], on_lost: Callable[[set[str]], None]
) -> Iterator[None]:
    """Renew the leases of what is `held`, by work id, from a thread of its own; `on_lost` is called there with those that
    another driver has taken over."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(lease / 3):
            works = held()
            try:
                gone = {trial.number for trial in study.renew(works.values(), me, lease)}
            except HpoError:
                log.exception("the leases could not be renewed")
                continue
            if lost := {id for id, trial in works.items() if trial.number in gone}:
                on_lost(lost)

    thread = threading.Thread(target=beat, name="hpo-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _is_driven(trial: Trial) -> bool:
    return trial.state is TrialState.RUNNING and bool(trial.owner)


def _is_gone(who: str) -> bool:
    try:
        host, pid, started = who.rsplit(":", 2)
        number, start = int(pid), float(started)
    except ValueError:  # a name that its user has chosen
        return False
    if host != platform.node():
        return False
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE or abs(_start(number) - start) > 1.0
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True


def _start(pid: int) -> float:
    """When a process started, in seconds since the machine did: a time of day would be another one after the clock was
    set, and a living driver a dead one. Where the kernel does not say, the time of day all the same."""
    if not sys.platform.startswith("linux"):
        return psutil.Process(pid).create_time()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")
