"""The driver's side of works that run as Slurm jobs."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hpo.errors import ExecutorError
from hpo.executors import slurm_queue
from hpo.executors.base import CloseMode, Outcome, Pool, Work
from hpo.executors.ledger import Ledger
from hpo.executors.slurm_flight import Array, Flight, Site
from hpo.executors.slurm_folder import NOBODY, PoolFolder
from hpo.executors.slurm_queue import Loss, Sightings
from hpo.executors.wire import Settings

log = logging.getLogger(__name__)

LOOK = 0.2
"""Seconds between two looks for outcomes."""
POLL = 3.0
"""Seconds between two questions to Slurm; also before something is tried again."""
SETTLE = 5.0
"""Seconds that Slurm must have called a job lost before its work is: its outcome may be on the way."""
PATIENCE = 10.0
"""Seconds beyond its grace after which a work that was asked to end is left to Slurm's own scancel."""
MOST = 1000
"""Works in one array; Slurm's own limit, unless it is configured, is 1001."""

TRIES = 3
"""How often Slurm is asked to remove a job."""

PROGRAM = """
import sys
folder, first, *path = sys.argv[1:]
sys.path[:] = path or sys.path
from hpo.executors.slurm_job import main
main(folder, int(first))
"""


class Books(Ledger):
    """A ledger of works that may have begun before it and end after it."""

    def adopt(self, ids: Iterable[str]) -> None:
        """These run from now on."""
        with self._changed:
            self._running.update(ids)

    def forget(self) -> None:
        """Expect no outcome any more."""
        with self._changed:
            self._running.clear()
            self._changed.notify_all()


class SlurmPool(Pool):
    """A thread of its own looks into the folder and, one call at a time, talks to Slurm.

    Whatever ends a work, also a decision made here, becomes an outcome in the folder first; from there, and only from
    there, it is delivered. Calls are made in another thread, so that an absent controller delays no outcome.
    """

    def __init__(self, site: Site, parent: Path, folder: PoolFolder, settings: Settings) -> None:
        self._site, self._parent, self._folder, self._settings = site, parent, folder, settings
        self._ledger = Books()
        self._flights: dict[str, Flight] = {}
        self._folders = [folder]
        """Its own, and those of pools whose works it has taken back."""
        self._next = 0
        self._unsent: deque[Array] = deque()
        self._unsure: Array | None = None
        """The array whose answer was lost: looked for before it is sent again."""
        self._has_sent = False
        self._cancels: deque[tuple[str, float]] = deque()
        self._unwanted: dict[tuple[str, int], int] = {}
        """What is to leave Slurm's queue, and how often that was asked for."""
        self._seen: Sightings = {}
        self._polled_at = self._failed_at = -float("inf")
        self._is_closing = self._is_leaving = False
        self._leave_by = float("inf")
        self._caller = ThreadPoolExecutor(1, "hpo-slurm-call")
        self._call: tuple[Future[Any], Callable[[Future[Any]], None]] | None = None
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="hpo-slurm", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """The number of slots."""
        return self._site.slots

    @property
    def grace(self) -> float:
        """As the executor was given it."""
        return self._settings.grace

    @property
    def survives(self) -> bool:
        """Yes."""
        return True

    def submit(self, *works: Work) -> None:
        """Queue `works`; those that find a free slot are handed to Slurm together."""
        if self._settings.command is not None:
            for work in works:
                self._settings.command.check(work.payload)
        self._ledger.add(works)
        self._bell.set()

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Outcomes not delivered yet, as soon as there is one."""
        return self._ledger.wait(timeout)

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End as cancelled what has not started; ask the jobs of the others to end their works."""
        running = self._ledger.cancel_waiting(ids)
        self._cancels.extend((id, self.grace if grace is None else grace) for id in running)
        self._bell.set()

    def reattach(self, ids: Iterable[str]) -> set[str]:
        """Take back works found in the folder: of an id that occurs again and again, the last."""
        wanted = set(ids)
        if self._is_closing:
            raise ExecutorError("this pool is closed; start the executor again to take works back")
        if not wanted:
            return set()
        with self._lock:
            found = wanted & self._ledger.in_flight()
            others = (folder for folder in PoolFolder.all(self._parent) if folder != self._folder)
            for folder in others:
                try:
                    arrays = folder.arrays()
                except FileNotFoundError:  # its driver is removing it, or was killed while it did: all was delivered
                    continue
                for first, works in arrays:
                    array = Array(folder, first, len(works), sent_at=-float("inf"))
                    for number, work in enumerate(works, first):
                        if work.id in wanted - found:
                            found.add(work.id)
                            self._adopt(Flight(work, number, array))
        self._bell.set()
        return found

    def _adopt(self, flight: Flight) -> None:
        self._has_sent = True
        folder = flight.array.folder
        if folder.name not in {known.name for known in self._folders}:
            self._folders.append(folder)
        self._ledger.adopt([flight.work.id])
        self._flights[flight.work.id] = flight
        folder.take_back(flight.number)

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Drain, cancel, or leave the jobs to go on. What waits for a free slot was not handed over and is cancelled."""
        self._ledger.close()
        if mode is CloseMode.DETACH and not self._is_closing:
            self._leave_by = time.monotonic() + 2 * slurm_queue.PATIENCE
            self._is_leaving = True
        else:
            if mode is CloseMode.KILL:
                self.cancel(self._ledger.in_flight())
            self._ledger.join()
        self._is_closing = True
        self._bell.set()
        self._thread.join()
        self._caller.shutdown()
        self._ledger.forget()
        return self._ledger.deliver()

    # what follows runs in the pool's thread

    def _serve(self) -> None:
        try:
            while not (self._is_closing and self._is_done()):
                with self._lock:
                    pause = self._step()
                self._bell.wait(pause)
                self._bell.clear()
            for folder in self._folders:
                folder.remove_if_done()
        except ExecutorError as fault:
            self._ledger.break_off(fault)
        except BaseException as fault:
            self._ledger.break_off(fault)
            raise

    def _step(self) -> float | None:
        """Do what can be done now; returns the seconds until something must be looked at though nothing happened."""
        try:
            self._pass_on_cancels()
            self._deliver()
            self._give_up()
        except FileNotFoundError:
            self._drop_gone()
        except OSError as error:  # a file server that is away, a full disk
            log.warning("the folder cannot be used at the moment: %s", error)
            return POLL
        self._talk()
        is_busy = self._flights or self._call or self._unwanted or self._unsure or self._is_closing
        return LOOK if is_busy else None

    def _is_done(self) -> bool:
        if self._call is not None:
            return False
        if self._is_leaving:
            return not self._unsent and self._unsure is None and self._ledger.in_flight() <= self._flights.keys()
        return not self._flights and not self._unwanted

    def _pass_on_cancels(self) -> None:
        while self._cancels:
            id, grace = self._cancels[0]
            if (flight := self._flights.get(id)) is not None:
                folder, number = flight.array.folder, flight.number
                if folder.claim(number, NOBODY):
                    folder.end(number, Outcome(id=id, kind="cancelled", message="cancelled before it started"))
                    self._remove(flight)
                else:
                    folder.stop(number, grace)
                    flight.forced_at = min(flight.forced_at, time.monotonic() + grace + PATIENCE)
            self._cancels.popleft()

    def _deliver(self) -> None:
        ended = {folder.name: folder.ended() for folder in self._folders if self._flights}
        over = [flight for flight in self._flights.values() if flight.number in ended[flight.array.folder.name]]
        outcomes = [(outcome, flight) for flight in over if (outcome := flight.outcome()) is not None]
        for outcome, flight in sorted(outcomes, key=lambda pair: (pair[0].started_at or 0.0) + pair[0].seconds):
            del self._flights[flight.work.id]
            self._ledger.end(outcome)
            flight.array.folder.deliver(flight.number)

    def _give_up(self) -> None:
        """Write the outcomes of works that nobody else will."""
        now = time.monotonic()
        for flight in self._flights.values():
            if now >= flight.forced_at and not flight.is_forced:
                flight.is_forced = True
                flight.loss = Loss("cancelled", "it was asked to end and did not answer; it may still run")
                flight.lost_at = now + slurm_queue.PATIENCE
                self._remove(flight)
            if flight.loss is not None and now >= flight.lost_at + SETTLE:
                flight.end_lost(flight.loss)
                self._remove(flight)
        if self._is_leaving and now > self._leave_by:
            left = [array for array in (self._unsure, *self._unsent) if array is not None]
            for flight in self._flights.values():
                if flight.array in left:
                    flight.end_lost(Loss("infra", "Slurm did not answer while the driver left"))
            self._unsent.clear()
            self._unsure = None
            self._ledger.cancel_waiting(self._ledger.in_flight())

    def _drop_gone(self) -> None:
        """Somebody has removed a folder: the works in it are lost."""
        gone = {folder.name for folder in self._folders if not folder.is_there}
        if self._folder.name in gone:
            raise ExecutorError(f"the folder of this pool is gone: {self._folder.path}")
        self._folders = [folder for folder in self._folders if folder.name not in gone]
        for id, flight in list(self._flights.items()):
            if flight.array.folder.name in gone:
                del self._flights[id]
                self._ledger.end(Outcome(id=id, kind="infra", message="the folder it was written to is gone"))

    def _remove(self, flight: Flight) -> None:
        """Let it leave Slurm's queue, at the next opportunity."""
        self._unwanted.setdefault(flight.key, 0)
        self._polled_at = -float("inf")

    # calls of Slurm's programs, one at a time

    def _talk(self) -> None:
        if self._call is not None:
            answer, then = self._call
            if not answer.done():
                return
            self._call = None
            then(answer)
        now = time.monotonic()
        alive = [sighting for key in self._unwanted for sighting in self._seen.get(key, ()) if sighting.is_alive]
        if alive:
            self._seen = {}
            keys, jobs = {(sighting.name, sighting.index) for sighting in alive}, [sighting.job for sighting in alive]
            self._ask(lambda answer: self._cancelled(keys, answer), slurm_queue.cancel, jobs)
        elif (self._flights or self._unwanted or self._unsure) and now >= max(self._polled_at, self._failed_at) + POLL:
            self._ask(lambda answer: self._looked(answer, now), slurm_queue.look)
        elif self._unsure is None and now >= self._failed_at + POLL:
            self._take()
            self._send_next()

    def _ask(self, then: Callable[[Future[Any]], None], call: Callable[..., Any], *arguments: object) -> None:
        answer = self._caller.submit(call, *arguments)
        self._call = answer, then
        answer.add_done_callback(lambda _: self._bell.set())

    def _take(self) -> None:
        """Turn the works for which there are slots into arrays."""
        alike: defaultdict[tuple[str, ...], list[Work]] = defaultdict(list)
        free = self._site.slots - len(self._flights)
        while free > 0 and (work := self._ledger.take()) is not None:
            work = self._site.with_defaults(work)
            alike[self._site.requests(work)].append(work)
            free -= 1
        for options, works in alike.items():
            for begin in range(0, len(works), MOST):
                self._prepare(options, works[begin : begin + MOST])
        if self._is_leaving:
            self._ledger.cancel_waiting(self._ledger.in_flight())

    def _prepare(self, options: tuple[str, ...], works: list[Work]) -> None:
        array = Array(self._folder, self._next, len(works), options)
        self._next += len(works)
        try:
            self._folder.add(array.first, works)
        except OSError as error:
            for work in works:
                self._ledger.end(Outcome(id=work.id, kind="infra", message=f"the work could not be written: {error}"))
            return
        self._flights.update((work.id, Flight(work, array.first + i, array)) for i, work in enumerate(works))
        self._unsent.append(array)

    def _send_next(self) -> None:
        awaited = {flight.array for flight in self._flights.values()}
        while self._unsent:
            array = self._unsent.popleft()
            if array in awaited:  # else all of it was cancelled
                self._send(array)
                return

    def _send(self, array: Array) -> None:
        path = self._folder.path
        job = [self._site.python, "-c", PROGRAM, str(path), str(array.first)]
        if self._site.python == sys.executable:
            job += [os.path.abspath(entry) for entry in sys.path]
        options = (*array.options, f"--output={path}/slurm/%A_%a.out", "--open-mode=append")
        script = f"#!/bin/sh\nexec {shlex.join(job)}\n"
        self._ask(
            lambda answer: self._sent(array, answer), slurm_queue.submit, array.name, array.count, options, script
        )

    def _sent(self, array: Array, answer: Future[None]) -> None:
        try:
            answer.result()
        except ConnectionError as error:
            log.warning("Slurm may or may not have taken an array of %d works: %s", array.count, error)
            self._unsure = array
            self._failed_at = time.monotonic()
        except ExecutorError as error:
            if not self._has_sent:  # the settings are wrong, not a work
                self._folder.remove()
                raise
            for flight in self._flights.values():
                if flight.array is array:
                    flight.loss, flight.lost_at = Loss("infra", str(error)), -float("inf")
        else:
            self._has_sent = True
            array.sent_at = time.monotonic()

    def _looked(self, answer: Future[Sightings], asked_at: float) -> None:
        self._polled_at = time.monotonic()
        try:
            self._seen = answer.result()
        except ConnectionError as error:
            log.warning("no news from Slurm: %s", error)
            if self._is_closing and not self._flights:
                self._unwanted.clear()  # what starts all the same finds that it is not to run
            return
        if (array := self._unsure) is not None:
            self._unsure = None
            if any((array.name, i) in self._seen for i in range(array.count)):
                self._has_sent, array.sent_at = True, asked_at
            else:
                self._unsent.appendleft(array)  # should both arrive, each work has one claim
        for key, tries in list(self._unwanted.items()):
            if tries >= TRIES or not any(sighting.is_alive for sighting in self._seen.get(key, ())):
                del self._unwanted[key]
            else:
                self._unwanted[key] += 1
        for flight in self._flights.values():
            if flight.array.sent_at < asked_at and not flight.is_forced:
                loss = slurm_queue.judge(self._seen.get(flight.key, ()))
                if loss is None or flight.loss is None:
                    flight.lost_at = self._polled_at
                flight.loss = loss

    def _cancelled(self, keys: Iterable[tuple[str, int]], answer: Future[None]) -> None:
        try:
            answer.result()
        except ConnectionError as error:
            log.warning("not every job could be cancelled: %s", error)
            return
        for key in keys:
            self._unwanted.pop(key, None)
