"""Starting: how a run gets trials, and the tasks that it makes of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from contextlib import suppress

from hpo.errors import SpaceExhausted
from hpo.executors import Task
from hpo.running.objective import payload_of
from hpo.running.trial_limits import TrialLimits
from hpo.study.study import Study
from hpo.trials.history import History
from hpo.trials.trial import Trial, TrialState

Room = Callable[[History], float]


class Starter:
    """Claims trials for one driver."""

    def __init__(self, study: Study, me: str, limits: TrialLimits, *, is_command: bool) -> None:
        self._study, self._me, self._limits, self._is_command = study, me, limits, is_command
        self.name = study.name
        """What the ids of its tasks begin with."""
        self.timeout = limits.timeout
        self._request = ""
        """The name of a claim whose answer has not come."""

    def claimed(self, n: int, room: Room, suspects: Collection[int]) -> list[Trial]:
        """At most `n` trials; others than `suspects`, if there are others. Raises SpaceExhausted, StorageError: where the
        answer got lost, what was claimed then comes with the next call."""
        if suspects:
            with suppress(SpaceExhausted):
                if others := self._claim(n, lambda history: room(history) - len(suspects), suspects):
                    return others
        return self._claim(n, room, ())

    def task(self, trial: Trial) -> Task:
        """What the executor runs of it."""
        limits, is_command = self._limits, self._is_command
        return Task(
            id=self.id(trial),
            payload=dict(trial.params) if is_command else payload_of(trial),
            timeout=self.timeout,
            memory=limits.memory,
            cpus=limits.cpus,
            gpus=limits.gpus,
            env={"HPO_TRIAL": str(trial.number), "HPO_SEED": str(trial.seed)} if is_command else {},
        )

    def id(self, trial: Trial) -> str:
        """Of the task of its present attempt."""
        return f"{self.name}-{trial.number}-{trial.attempt}"

    def _claim(self, n: int, room: Room, later: Collection[int]) -> list[Trial]:
        is_first, lease = not self._request, self._limits.lease
        name = self._request = self._request or uuid.uuid4().hex
        trials = self._study.leases.claim(
            n, self._me, lease=lease, within=room, later=later, request=name, is_first=is_first
        )
        self._request = ""
        return [trial for trial in trials if trial.state is TrialState.RUNNING and trial.owner == self._me]
