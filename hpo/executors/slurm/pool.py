"""The driver's side of tasks that run as Slurm jobs."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from hpo.errors import ExecutorError
from hpo.executors.base import CloseMode, Outcome, Pool, Task
from hpo.executors.notices import Notices
from hpo.executors.slurm import programs as slurm_programs
from hpo.executors.slurm.client import Client
from hpo.executors.slurm.commands import LostJob
from hpo.executors.slurm.folder import NOBODY, PoolFolder
from hpo.executors.slurm.programs import POLL
from hpo.executors.slurm.submitted import JobArray, SlurmSettings, SubmittedTask
from hpo.executors.supervisor.messages import Settings
from hpo.executors.task_queue import TaskQueue

LOOK = 0.2
"""Seconds between two looks for outcomes."""
SETTLE = 5.0
"""Seconds that Slurm must have called a job lost before its task is: its outcome may be on the way."""
PATIENCE = 10.0
"""Seconds beyond its grace after which a task that was asked to end is left to Slurm's own scancel."""
FOLDER_PATIENCE = 60.0
"""Seconds for which tasks are looked for in a folder that cannot be used."""
MOST = 1000
"""Tasks in one array; Slurm's own limit, unless it is configured, is 1001."""


class SlurmTaskQueue(TaskQueue):
    """A queue of tasks that may have begun before it and end after it."""

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
    """A separate thread looks into the folder and, one call at a time, talks to Slurm.

    Whatever ends a task, also a decision made here, becomes an outcome in the folder first; from there, and only from
    there, it is delivered. Calls are made in another thread, so that an absent controller delays no outcome.
    """

    def __init__(self, site: SlurmSettings, parent: Path, folder: PoolFolder, settings: Settings) -> None:
        self._site, self._parent, self._folder, self._settings = site, parent, folder, settings
        self._queue = SlurmTaskQueue()
        self._submitted: dict[str, SubmittedTask] = {}
        self._folders = [folder]
        """Its own, and those of pools whose tasks it has taken back."""
        self._next = 0
        self._cancels: deque[tuple[str, float]] = deque()
        self._told: deque[SubmittedTask] = deque()
        """Delivered, and the folder does not know it yet."""
        self._is_closing = self._is_leaving = False
        self._leave_by = self._hurry_at = self._missing_since = float("inf")
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._notices = Notices()
        self._client = Client(site, self._submitted, self._notices, self._bell.set)
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
        """Always True."""
        return True

    def submit(self, *tasks: Task) -> None:
        """Queue `tasks`; those that find a free slot are handed to Slurm together."""
        if self._settings.command is not None:
            for task in tasks:
                self._settings.command.check(task.payload)
        self._queue.add(tasks)
        self._bell.set()

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Outcomes not delivered yet, as soon as there is one."""
        return self._queue.wait(timeout)

    def cancel(self, ids: Iterable[str], grace: float | None = None) -> None:
        """End as cancelled what has not started; ask the jobs of the others to end their tasks."""
        running = self._queue.cancel_waiting(ids)
        self._cancels.extend((id, self.grace if grace is None else grace) for id in running)
        self._bell.set()

    def reattach(self, ids: Iterable[str]) -> set[str]:
        """Take back tasks found in the folder: of an id that occurs again and again, the last."""
        wanted = set(ids)
        if self._is_closing:
            raise ExecutorError("this pool is closed; start the executor again to take tasks back")
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
                    raise ExecutorError(f"Slurm cannot look for tasks in the folder {self._parent}: {error}") from error
                time.sleep(POLL)
        self._bell.set()
        return found

    def _find(self, wanted: set[str]) -> set[str]:
        found = wanted & self._queue.in_flight()
        for folder in PoolFolder.all(self._parent, self._say_skipped):
            if folder == self._folder:
                continue
            try:
                arrays = folder.arrays(self._say_skipped)
            except FileNotFoundError:  # its driver is removing it, or was killed while it did: all was delivered
                continue
            for first, tasks in arrays:
                array = JobArray(folder, first, range(len(tasks)), sent_at=-float("inf"))
                for number, task in enumerate(tasks, first):
                    if task.id in wanted - found:
                        self._check(folder)
                        found.add(task.id)
                        self._adopt(SubmittedTask(task, number, array))
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

    def _adopt(self, submitted: SubmittedTask) -> None:
        self._client.has_sent = True
        folder = submitted.array.folder
        if folder.name not in {known.name for known in self._folders}:
            self._folders.append(folder)
        folder.take_back(submitted.number)
        self._queue.adopt([submitted.task.id])
        self._submitted[submitted.task.id] = submitted

    def avoid(self, places: Collection[str]) -> None:
        """Exclude these nodes, beside those that the options exclude: from what is handed over from now on, and from what
        waits in Slurm's queue. Ignored when Slurm has no others."""
        self._client.avoid(places)
        self._bell.set()

    def notices(self) -> list[str]:
        """What Slurm or the folder cannot do at the moment, and what has waited in the queue for long."""
        return self._notices.take()

    def _say_folder(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        self._notices.say("folder", f"the folder {self._parent} cannot be used at the moment, outcomes wait: {why}")

    def _say_skipped(self, error: ValueError) -> None:
        self._notices.say(str(error), f"tasks left aside: {error}")

    def close(self, mode: CloseMode = CloseMode.DRAIN) -> list[Outcome]:
        """Drain, cancel, or leave the jobs to go on. What waits for a free slot was not handed over and is cancelled."""
        self._queue.close()
        if mode is CloseMode.DETACH and not self._is_closing:
            self._leave_by = time.monotonic() + 2 * slurm_programs.PATIENCE
            self._is_leaving = True
        else:
            if mode is CloseMode.KILL:
                self.cancel(self._queue.in_flight())
            self._queue.join()
        self._hurry_at = time.monotonic() + slurm_programs.PATIENCE
        self._is_closing = True
        self._bell.set()
        self._thread.join()
        self._client.close()
        self._queue.forget()
        return self._queue.deliver()

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
            self._queue.break_off(fault)
        except BaseException as fault:
            self._queue.break_off(fault)
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
        is_idle = self._queue.is_idle and not self._client.is_busy and not self._is_closing
        return None if is_idle else LOOK

    def _is_done(self) -> bool:
        client = self._client
        if client.is_calling:
            return False
        if self._is_leaving:
            return not client.unsent and client.unsure is None and self._queue.in_flight() <= self._submitted.keys()
        # what is not removed and starts all the same finds that it is not to run
        return not self._submitted and (not client.unwanted or client.is_deaf)

    def _pass_on_cancels(self) -> None:
        while self._cancels:
            id, grace = self._cancels[0]
            if (submitted := self._submitted.get(id)) is not None:
                folder, number = submitted.array.folder, submitted.number
                if folder.claim(number, NOBODY):
                    folder.end(number, Outcome(id=id, kind="cancelled", message="cancelled before it started"))
                    self._client.remove(submitted)
                else:
                    folder.stop(number, grace)
                    submitted.forced_at = min(submitted.forced_at, time.monotonic() + grace + PATIENCE)
            self._cancels.popleft()

    def _deliver(self) -> None:
        ended = {folder.name: folder.ended() for folder in self._folders if self._submitted}
        over = [
            submitted
            for submitted in self._submitted.values()
            if submitted.number in ended[submitted.array.folder.name]
        ]
        outcomes = [(outcome, submitted) for submitted in over if (outcome := submitted.outcome()) is not None]
        for outcome, submitted in sorted(outcomes, key=lambda pair: (pair[0].started_at or 0.0) + pair[0].seconds):
            del self._submitted[submitted.task.id]
            self._queue.end(outcome)
            self._told.append(submitted)
        self._note_delivered()

    def _note_delivered(self) -> None:
        while self._told:
            self._told[0].array.folder.deliver(self._told[0].number)
            self._told.popleft()

    def _give_up(self) -> None:
        """Write the outcomes of tasks that nobody else will."""
        now = time.monotonic()
        for submitted in self._submitted.values():
            if now >= submitted.forced_at and not submitted.is_forced:
                submitted.is_forced = True
                submitted.loss = LostJob("cancelled", "it was asked to end and did not answer; it may still run")
                submitted.lost_at = now + slurm_programs.PATIENCE
                self._client.remove(submitted)
            if submitted.loss is not None and now >= submitted.lost_at + SETTLE:
                submitted.end_lost(submitted.loss)
                self._client.remove(submitted)

    def _leave_unsent(self) -> None:
        """Wait no longer for what Slurm has not taken."""
        left = [self._client.unsure, *self._client.unsent]
        for submitted in self._submitted.values():
            if submitted.array in left:
                with suppress(OSError, ValueError):  # else the next pool finds it, and Slurm does not know it
                    submitted.end_lost(LostJob("infra", "Slurm did not answer while the driver left"))
        self._client.unsent.clear()
        self._client.unsure = None
        self._queue.cancel_waiting(self._queue.in_flight())

    def _drop_gone(self, error: FileNotFoundError) -> None:
        """Somebody has removed a folder: the tasks in it are lost. Raises `error` while the parent is missing too: it is no
        longer mounted, perhaps."""
        self._missing_since = min(self._missing_since, time.monotonic())
        if not self._parent.exists() and time.monotonic() < self._missing_since + FOLDER_PATIENCE:
            raise error
        gone = {folder.name for folder in self._folders if not folder.is_there}
        if self._folder.name in gone:
            raise ExecutorError(f"the folder of this pool is gone: {self._folder.path}")
        self._folders = [folder for folder in self._folders if folder.name not in gone]
        for id, submitted in list(self._submitted.items()):
            if submitted.array.folder.name in gone:
                del self._submitted[id]
                self._queue.end(Outcome(id=id, kind="infra", message="the folder it was written to is gone"))

    def _take(self) -> None:
        """Turn the tasks for which there are slots into arrays."""
        alike: defaultdict[tuple[str, ...], list[Task]] = defaultdict(list)
        free = self._site.slots - len(self._submitted)
        while free > 0 and (task := self._queue.take()) is not None:
            task = self._site.with_defaults(task)
            alike[self._site.requests(task)].append(task)
            free -= 1
        for options, tasks in alike.items():
            for begin in range(0, len(tasks), MOST):
                self._prepare(options, tasks[begin : begin + MOST])
        if self._is_leaving:
            self._queue.cancel_waiting(self._queue.in_flight())

    def _prepare(self, options: tuple[str, ...], tasks: list[Task]) -> None:
        array = JobArray(self._folder, self._next, range(len(tasks)), options)
        self._next += len(tasks)
        try:
            self._folder.add(array.first, tasks)
        except OSError as error:
            for task in tasks:
                self._queue.end(Outcome(id=task.id, kind="infra", message=f"the task could not be written: {error}"))
            return
        self._submitted.update((task.id, SubmittedTask(task, array.first + i, array)) for i, task in enumerate(tasks))
        self._client.unsent.append(array)
