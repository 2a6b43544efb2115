"""The driver's side of works that run as Slurm jobs."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Pool, Work
from hpo.executors.notices import Notices
from hpo.executors.slurm import programs as slurm_programs
from hpo.executors.slurm.client import Client
from hpo.executors.slurm.commands import Loss
from hpo.executors.slurm.folder import NOBODY, PoolFolder
from hpo.executors.slurm.programs import POLL
from hpo.executors.slurm.submitted import Array, Flight, Site
from hpo.executors.supervisor.messages import Settings
from hpo.executors.work_queue import Ledger

LOOK = 0.2
"""Seconds between two looks for outcomes."""
SETTLE = 5.0
"""Seconds that Slurm must have called a job lost before its work is: its outcome may be on the way."""
PATIENCE = 10.0
"""Seconds beyond its grace after which a work that was asked to end is left to Slurm's own scancel."""
FOLDER_PATIENCE = 60.0
"""Seconds for which works are looked for in a folder that cannot be used."""
MOST = 1000
"""Works in one array; Slurm's own limit, unless it is configured, is 1001."""


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
        self._cancels: deque[tuple[str, float]] = deque()
        self._told: deque[Flight] = deque()
        """Delivered, and the folder does not know it yet."""
        self._is_closing = self._is_leaving = False
        self._leave_by = self._hurry_at = self._missing_since = float("inf")
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._notices = Notices()
        self._client = Client(site, self._flights, self._notices, self._bell.set)
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
        end = time.monotonic() + FOLDER_PATIENCE
        while True:
            try:
                with self._lock:
                    found = self._find(wanted)
                break
            except OSError as error:
                self._say_folder(error)
                if time.monotonic() > end:  # what may be there must not be taken for lost
                    raise ExecutorError(f"Slurm cannot look for works in the folder {self._parent}: {error}") from error
                time.sleep(POLL)
        self._bell.set()
        return found

    def _find(self, wanted: set[str]) -> set[str]:
        found = wanted & self._ledger.in_flight()
        for folder in PoolFolder.all(self._parent, self._say_skipped):
            if folder == self._folder:
                continue
            try:
                arrays = folder.arrays(self._say_skipped)
            except FileNotFoundError:  # its driver is removing it, or was killed while it did: all was delivered
                continue
            for first, works in arrays:
                array = Array(folder, first, range(len(works)), sent_at=-float("inf"))
                for number, work in enumerate(works, first):
                    if work.id in wanted - found:
                        self._check(folder)
                        found.add(work.id)
                        self._adopt(Flight(work, number, array))
        return found

    def _check(self, folder: PoolFolder) -> None:
        try:
            folder.check_layout()
        except ValueError as error:
            raise ExecutorError(
                f"trials of this study run as Slurm jobs of another version of hpo (folder {folder.path}). Go on with that "
                "version until they have ended; or end their jobs with scancel and remove the folder: then the trials "
                "start again"
            ) from error

    def _adopt(self, flight: Flight) -> None:
        self._client.has_sent = True
        folder = flight.array.folder
        if folder.name not in {known.name for known in self._folders}:
            self._folders.append(folder)
        folder.take_back(flight.number)
        self._ledger.adopt([flight.work.id])
        self._flights[flight.work.id] = flight

    def avoid(self, places: Collection[str]) -> None:
        """Exclude these nodes, beside those that the options exclude: from what is handed over from now on, and from what
        waits in Slurm's queue. Ignored when Slurm has no others."""
        self._client.avoid(places)
        self._bell.set()

    def notices(self) -> list[str]:
        """What Slurm or the folder does not do at the moment, and what waits in the queue for long."""
        return self._notices.take()

    def _say_folder(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        self._notices.say("folder", f"the folder {self._parent} cannot be used at the moment, outcomes wait: {why}")

    def _say_skipped(self, error: ValueError) -> None:
        self._notices.say(str(error), f"works left aside: {error}")

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Drain, cancel, or leave the jobs to go on. What waits for a free slot was not handed over and is cancelled."""
        self._ledger.close()
        if mode is CloseMode.DETACH and not self._is_closing:
            self._leave_by = time.monotonic() + 2 * slurm_programs.PATIENCE
            self._is_leaving = True
        else:
            if mode is CloseMode.KILL:
                self.cancel(self._ledger.in_flight())
            self._ledger.join()
        self._hurry_at = time.monotonic() + slurm_programs.PATIENCE
        self._is_closing = True
        self._bell.set()
        self._thread.join()
        self._client.close()
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
            with suppress(OSError):
                self._note_delivered()
            for folder in self._folders:
                folder.remove_if_done()
        except ExecutorError as fault:
            self._ledger.break_off(fault)
        except BaseException as fault:
            self._ledger.break_off(fault)
            raise

    def _step(self) -> float | None:
        """Do what can be done now; returns the seconds until something must be looked at though nothing happened."""
        if time.monotonic() > self._hurry_at:
            self._hurry_at = float("inf")
            self._client.hurry()
        if time.monotonic() > self._leave_by:
            self._leave_unsent()
        try:
            try:
                self._pass_on_cancels()
                self._deliver()
                self._give_up()
            except FileNotFoundError as error:
                self._drop_gone(error)
        except (OSError, ValueError) as error:  # a file server that is away, a full disk
            self._say_folder(error)
            return POLL
        self._missing_since = float("inf")
        self._notices.end("folder", f"the folder {self._parent} can be used again")
        self._client.step(self._take)
        is_idle = self._ledger.is_idle and not self._client.is_busy and not self._is_closing
        return None if is_idle else LOOK

    def _is_done(self) -> bool:
        client = self._client
        if client.is_calling:
            return False
        if self._is_leaving:
            return not client.unsent and client.unsure is None and self._ledger.in_flight() <= self._flights.keys()
        # what is not removed and starts all the same finds that it is not to run
        return not self._flights and (not client.unwanted or client.is_deaf)

    def _pass_on_cancels(self) -> None:
        while self._cancels:
            id, grace = self._cancels[0]
            if (flight := self._flights.get(id)) is not None:
                folder, number = flight.array.folder, flight.number
                if folder.claim(number, NOBODY):
                    folder.end(number, Outcome(id=id, kind="cancelled", message="cancelled before it started"))
                    self._client.remove(flight)
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
            self._told.append(flight)
        self._note_delivered()

    def _note_delivered(self) -> None:
        while self._told:
            self._told[0].array.folder.deliver(self._told[0].number)
            self._told.popleft()

    def _give_up(self) -> None:
        """Write the outcomes of works that nobody else will."""
        now = time.monotonic()
        for flight in self._flights.values():
            if now >= flight.forced_at and not flight.is_forced:
                flight.is_forced = True
                flight.loss = Loss("cancelled", "it was asked to end and did not answer; it may still run")
                flight.lost_at = now + slurm_programs.PATIENCE
                self._client.remove(flight)
            if flight.loss is not None and now >= flight.lost_at + SETTLE:
                flight.end_lost(flight.loss)
                self._client.remove(flight)

    def _leave_unsent(self) -> None:
        """Wait no longer for what Slurm has not taken."""
        left = [self._client.unsure, *self._client.unsent]
        for flight in self._flights.values():
            if flight.array in left:
                with suppress(OSError, ValueError):  # else the next pool finds it, and Slurm does not know it
                    flight.end_lost(Loss("infra", "Slurm did not answer while the driver left"))
        self._client.unsent.clear()
        self._client.unsure = None
        self._ledger.cancel_waiting(self._ledger.in_flight())

    def _drop_gone(self, error: FileNotFoundError) -> None:
        """Somebody has removed a folder: the works in it are lost. Raises `error` while the parent is missing too: it is no
        longer mounted, perhaps."""
        self._missing_since = min(self._missing_since, time.monotonic())
        if not self._parent.exists() and time.monotonic() < self._missing_since + FOLDER_PATIENCE:
            raise error
        gone = {folder.name for folder in self._folders if not folder.is_there}
        if self._folder.name in gone:
            raise ExecutorError(f"the folder of this pool is gone: {self._folder.path}")
        self._folders = [folder for folder in self._folders if folder.name not in gone]
        for id, flight in list(self._flights.items()):
            if flight.array.folder.name in gone:
                del self._flights[id]
                self._ledger.end(Outcome(id=id, kind="infra", message="the folder it was written to is gone"))

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
        array = Array(self._folder, self._next, range(len(works)), options)
        self._next += len(works)
        try:
            self._folder.add(array.first, works)
        except OSError as error:
            for work in works:
                self._ledger.end(Outcome(id=work.id, kind="infra", message=f"the work could not be written: {error}"))
            return
        self._flights.update((work.id, Flight(work, array.first + i, array)) for i, work in enumerate(works))
        self._client.unsent.append(array)
