"""Heartbeat: processes that run trials hold them by leases, renew these, and take over from those that are gone."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from hpo.common.processes import is_certain, is_gone, this_process
from hpo.errors import ExecutorError, HpoError
from hpo.storage.retry import patient
from hpo.study.study import Study
from hpo.trials.trial import Trial, TrialState

log = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds for which a driver holds a trial; it renews three times in that time."""
_CALL, _AGAIN = 2.0, 5.0
"""Seconds for which one renewal is tried, and after which the next one is where that was in vain: other drivers may take
trials over soon after a storage that was away is back."""
_LAST = 5.0
"""Seconds for which the end of a run waits for its last renewal."""


def owner() -> str:
    """This process, as trials name it: `host:boot:namespace:pid:start`, see `hpo.common.processes`."""
    return this_process()


def reclaim(study: Study) -> list[Trial]:
    """Hand back the running trials of runs whose process is seen to be gone, and those whose lease is over. Those of
    runs in this process are left alone: they are alive, even where their leases ran out while the machine slept. Returns
    what it has handed back."""
    living = _watched_here(study)
    dead = {trial.owner for trial in study.trials if is_orphan(trial)}
    if guessed := {name for name in dead if not is_certain(name)}:  # their leases decide, where they have any
        held = study.leases.held()
        dead -= guessed & {trial.owner for trial in study.trials if trial.number in held}
    return study.leases.reclaim(dead, living)


def left_behind(study: Study) -> list[Trial]:
    """The running trials that no driver watches: those `reclaim` would hand back."""
    living = {trial.number: trial.attempt for trial in _watched_here(study)}
    held = study.leases.held()

    def is_left(trial: Trial) -> bool:
        if not _is_driven(trial) or living.get(trial.number) == trial.attempt:
            return False
        return trial.number not in held or (is_gone(trial.owner) and is_certain(trial.owner))

    return [trial for trial in study.trials if is_left(trial)]


def others_at_work(study: Study, me: str) -> bool:
    """Whether drivers other than `me` hold trials, which may come back to be run again."""
    return any(_is_driven(t) and t.owner != me for t in study.history.in_flight)


def is_orphan(trial: Trial) -> bool:
    """Whether it runs, and the process that ran it is gone, as far as can be seen from here."""
    return _is_driven(trial) and is_gone(trial.owner)


class Heartbeat:
    """Renews the leases of what a run holds, from a separate thread, and keeps what other drivers have taken over
    until the run asks."""

    def __init__(self, study: Study, me: str, lease: float, held: Callable[[], Mapping[str, Trial]]) -> None:
        self.study, self._me, self._lease, self._held = study, me, lease, held
        self._lost: set[str] = set()
        self._is_away = False
        """Whether the storage did not answer the last beat."""
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._thread = self._started()

    def lost(self) -> set[str]:
        """The tasks, by id, whose trials other drivers have taken over, or that have ended otherwise, as the beats since
        the last call have found them. Called in the loop of the run, which acts on them. Should the thread have died,
        another is started; raises ExecutorError when that cannot be."""
        if not self._thread.is_alive() and not self._over.is_set():
            log.error("the thread that renews the leases of this run has died; another is started")
            self._thread = self._started()
        with self._guard:
            lost, self._lost = self._lost, set()
        return lost

    def held(self) -> dict[str, Trial]:
        """What the run holds now, by the ids of its tasks."""
        return dict(self._held())

    def beat(self) -> bool:
        """Renew all leases now; whether it was done. What stands in the way is logged, and they are tried again soon."""
        try:
            tasks = self.held()
            with patient(_CALL):
                gone = {trial.number for trial in self.study.leases.renew(tasks.values(), self._me, self._lease)}
        except HpoError as error:  # away, full, locked: the run says so too
            level = logging.INFO if self._is_away else logging.WARNING
            log.log(level, "the leases could not be renewed; tried again until they are: %s", error)
            self._is_away = True
            return False
        except Exception:
            log.exception("the leases could not be renewed; tried again soon")
            return False
        self._is_away = False
        with self._guard:
            self._lost |= {id for id, trial in tasks.items() if trial.number in gone}
        return True

    def stop(self) -> None:
        """Renew nothing any more. A beat that hangs is not waited for: what it renews has ended."""
        self._over.set()
        self._thread.join(_LAST)

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=self._beat_on, name="hpo-heartbeat", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise ExecutorError(
                f"no thread can be started to renew the leases of this run ({error}): other drivers would take its trials "
                "for lost. End other programs, or have more threads allowed (ulimit -u)"
            ) from error
        return thread

    def _beat_on(self) -> None:
        is_done = True
        while not self._over.wait(self._lease / 3 if is_done else min(self._lease / 3, _AGAIN)):
            is_done = False
            with suppress(BaseException):  # a run whose leases are no longer renewed loses all its trials
                is_done = self.beat()


@contextmanager
def heartbeat(study: Study, me: str, lease: float, held: Callable[[], Mapping[str, Trial]]) -> Iterator[Heartbeat]:
    """Meanwhile the leases of what is `held`, by task id, are renewed. The loop of the run asks for what was `lost`."""
    beating = Heartbeat(study, me, lease, held)
    _beating.append(beating)
    try:
        yield beating
    finally:
        _beating.remove(beating)
        beating.stop()


_beating: list[Heartbeat] = []
"""Of the runs of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_beating.clear)


def _watched_here(study: Study) -> list[Trial]:
    """The trials that runs of this process hold, with their leases just renewed, so that nobody takes them over."""
    mine = [beating for beating in _beating if _is_same(beating.study, study)]
    for beating in mine:
        beating.beat()
    return [trial for beating in mine for trial in beating.held().values()]


def _is_same(one: Study, other: Study) -> bool:
    return (one.name, one.storage.url, one.facts) == (other.name, other.storage.url, other.facts)


def _is_driven(trial: Trial) -> bool:
    return trial.state is TrialState.RUNNING and bool(trial.owner)
