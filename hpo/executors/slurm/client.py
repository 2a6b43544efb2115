"""The pool's conversation with Slurm: arrays are sent, looked for and removed, one call of its programs at a time."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from hpo.errors import ExecutorError
from hpo.executors.notices import Notices
from hpo.executors.slurm import commands as slurm_queue
from hpo.executors.slurm.commands import LostJob, Sightings
from hpo.executors.slurm.folder import PLACE
from hpo.executors.slurm.programs import POLL, Programs
from hpo.executors.slurm.submitted import JobArray, SlurmSettings, SubmittedTask
from hpo.executors.slurm.waits import Waits

TRIES = 3
"""How often Slurm is asked to remove a job."""

STEADY = 15.0
"""Seconds for which nodes must have been avoided, or free again, before jobs in the queue are told."""

PROGRAM = """
import sys
folder, first, *path = sys.argv[1:]
sys.path[:] = path or sys.path
from hpo.executors.slurm.job import main
main(folder, int(first))
"""


class Client:
    """Calls are made in a thread of their own, so that an absent controller delays no outcome; all else happens in the
    pool's. What Slurm says of a task is noted in it."""

    def __init__(
        self,
        site: SlurmSettings,
        submitted_tasks: Mapping[str, SubmittedTask],
        notices: Notices,
        ring: Callable[[], None],
    ) -> None:
        """submitted_tasks: those not yet delivered, by the tasks' ids. ring: called when an answer has come."""
        self._site, self._submitted, self._notices, self._ring = site, submitted_tasks, notices, ring
        self.has_sent = False
        """Whether Slurm has ever accepted a job: before that, a refusal means that the settings are wrong."""
        self.unsent: deque[JobArray] = deque()
        self.unsure: JobArray | None = None
        """The array whose answer was lost: looked for before it is sent again."""
        self._is_too_large = False
        """Whether it may have been more at once than Slurm takes."""
        self.unwanted: dict[tuple[str, int], int] = {}
        """What is to leave Slurm's queue, and how often that was asked for."""
        self._asked = self._wish = frozenset[str]()
        """Nodes to be kept from: as the pool was told, and without what Slurm cannot do."""
        self._asked_at = -float("inf")
        self.is_deaf = False
        """Whether Slurm could not be asked last time."""
        self._seen: Sightings = {}
        self._polled_at = -float("inf")
        self._waits = Waits(notices)
        self._programs = Programs(notices)
        self._caller = ThreadPoolExecutor(1, "hpo-slurm-call")
        self._call: tuple[Future[Any], Callable[[Future[Any]], None]] | None = None

    @property
    def is_calling(self) -> bool:
        """Whether an answer is to come."""
        return self._call is not None

    @property
    def is_busy(self) -> bool:
        """Whether it has something to do beside the tasks not yet delivered."""
        return self.is_calling or bool(self.unwanted) or self.unsure is not None

    def remove(self, submitted: SubmittedTask) -> None:
        """Let it leave Slurm's queue, at the next opportunity."""
        self.unwanted.setdefault(submitted.key, 0)
        self._polled_at = -float("inf")

    def avoid(self, places: Collection[str]) -> None:
        """Avoid these nodes, while that leaves others. May be called in any thread, and repeatedly."""
        if (asked := frozenset(filter(None, places))) != self._asked:
            self._asked, self._asked_at = asked, time.monotonic()
            self._wish = asked

    def hurry(self) -> None:
        """Somebody waits for the end: cut off the call under way."""
        self._programs.hurry()

    def close(self) -> None:
        """No call is made any more."""
        self._caller.shutdown()

    def step(self, prepare: Callable[[], None]) -> None:
        """Read an answer that has come, and make the next call if it is time. `prepare` adds what is to be sent."""
        if self._call is not None:
            answer, then = self._call
            if not answer.done():
                return
            self._call = None
            then(answer)
        now = time.monotonic()
        alive = [status for key in self.unwanted for status in self._seen.get(key, ()) if status.is_alive]
        look_at = max(self._polled_at + POLL, *map(self._programs.next_call, ("squeue", "scancel")))
        if alive:
            self._seen = {}
            keys, jobs = {(status.name, status.index) for status in alive}, [status.job for status in alive]
            self._ask(lambda answer: self._cancelled(keys, answer), slurm_queue.cancel, jobs)
        elif (self._submitted or self.unwanted or self.unsure) and now >= look_at:
            self._ask(lambda answer: self._looked(answer, now), slurm_queue.look)
        elif waiting := self._unlike_the_wish(now):
            self._exclude(waiting)
        elif self.unsure is None and now >= self._programs.next_call("sbatch"):
            prepare()
            self._send_next()

    def _ask(self, then: Callable[[Future[Any]], None], call: Callable[..., Any], *arguments: object) -> None:
        answer = self._caller.submit(call, self._programs, *arguments)
        self._call = answer, then
        answer.add_done_callback(lambda _: self._ring())

    def _send_next(self) -> None:
        awaited = {submitted.array for submitted in self._submitted.values()}
        while self.unsent:
            array = self.unsent.popleft()
            if array in awaited:  # else all of it was cancelled
                self._send(array)
                return

    def _send(self, array: JobArray) -> None:
        path = array.folder.path
        job = [self._site.python, "-c", PROGRAM, str(path), str(array.first)]
        if self._site.python == sys.executable:
            job += [os.path.abspath(entry) for entry in sys.path]
        array.excluded = self._wish
        options = slurm_queue.excluding(array.options, array.excluded)
        options = (*options, f"--output={path}/slurm/%A_%a.out", "--open-mode=append")
        script = f'#!/bin/sh\necho "{PLACE}$SLURMD_NODENAME"\nexec {shlex.join(job)}\n'
        self._ask(
            lambda answer: self._sent(array, answer), slurm_queue.submit, array.name, array.tasks, options, script
        )

    def _sent(self, array: JobArray, answer: Future[None]) -> None:
        try:
            answer.result()
        except ConnectionError as error:
            self.unsure = array
            self._is_too_large = slurm_queue.is_too_large(error)
        except ExecutorError as error:
            self._refused(array, error)
        else:
            self.has_sent = True
            array.sent_at = time.monotonic()

    def _refused(self, array: JobArray, error: ExecutorError) -> None:
        if array.excluded and "node" in str(error).lower():
            self._notices.say(
                "avoid",
                f"Slurm has no other node than {', '.join(sorted(array.excluded))}, which fail: used all the same",
            )
            self._wish = frozenset()
            self.unsent.appendleft(array)
        elif slurm_queue.is_too_large(error) and len(array.tasks) > 1:
            self._halve(array)
        elif self.has_sent or slurm_queue.may_pass(error):
            for submitted in self._submitted.values():
                if submitted.array is array:
                    submitted.loss, submitted.lost_at = LostJob("infra", str(error)), -float("inf")
        else:  # the settings are wrong, not a task
            array.folder.remove()
            raise error

    def _halve(self, array: JobArray) -> None:
        """Hand it over in two parts."""
        middle = array.tasks.start + len(array.tasks) // 2
        halves = (
            replace(array, tasks=range(array.tasks.start, middle)),
            replace(array, tasks=range(middle, array.tasks.stop)),
        )
        for submitted in self._submitted.values():
            if submitted.array is array:
                submitted.array = halves[submitted.key[1] >= middle]
        self.unsent.extendleft(reversed(halves))

    def _looked(self, answer: Future[Sightings], asked_at: float) -> None:
        self._polled_at = time.monotonic()
        try:
            self._seen, self.is_deaf = answer.result(), False
        except ConnectionError:
            self.is_deaf = True
            return
        if (array := self.unsure) is not None:
            self.unsure = None
            if any((array.name, i) in self._seen for i in array.tasks):
                self.has_sent, array.sent_at = True, asked_at
            elif asked_at < self._programs.next_call("sbatch"):
                self.unsure = array  # it may still arrive
            elif self._is_too_large and len(array.tasks) > 1:
                self._halve(array)
            else:
                self.unsent.appendleft(array)  # should both arrive, each task has one claim
        for key, tries in list(self.unwanted.items()):
            if tries >= TRIES or not any(status.is_alive for status in self._seen.get(key, ())):
                del self.unwanted[key]
            else:
                self.unwanted[key] += 1
        for submitted in self._submitted.values():
            statuses = self._seen.get(submitted.key, ())
            submitted.see(statuses, asked_at)
            if submitted.array.sent_at < asked_at and not submitted.is_forced:
                loss = slurm_queue.lost_reason(statuses)
                if loss is None or submitted.loss is None:
                    submitted.lost_at = self._polled_at
                submitted.loss = loss
        self._waits.note(self._submitted.values(), asked_at)

    def _cancelled(self, keys: Iterable[tuple[str, int]], answer: Future[None]) -> None:
        try:
            answer.result()
        except ConnectionError:
            return
        for key in keys:
            self.unwanted.pop(key, None)

    def _unlike_the_wish(self, now: float) -> list[SubmittedTask]:
        """Tasks in the queue that were to be kept from other nodes than now, unless that has just changed."""
        if now < self._asked_at + STEADY:
            return []
        return [
            submitted
            for submitted in self._submitted.values()
            if submitted.pending and submitted.array.excluded != self._wish
        ]

    def _exclude(self, waiting: list[SubmittedTask]) -> None:
        options = self._site.requests(waiting[0].task)
        alike = [submitted for submitted in waiting if self._site.requests(submitted.task) == options]
        for submitted in alike:
            submitted.array.excluded = self._wish
        jobs = sorted({submitted.pending.partition("_")[0] for submitted in alike})
        self._ask(lambda _: None, slurm_queue.exclude, jobs, options, self._wish)
