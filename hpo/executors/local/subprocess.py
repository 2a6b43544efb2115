"""Subprocess: tasks are runs of a command, in any language."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.boundary.public import public_class
from hpo.errors import ExecutorError
from hpo.executors.base import Function, Pool
from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.pool import SupervisedPool
from hpo.executors.supervisor.supervised import Supervised


@public_class
@dataclass(frozen=True)
class Subprocess(Supervised):
    """Run `command` once for each task, up to `slots` at once; the payload is the params, a flat mapping.

        Subprocess(["python", "train.py", "--lr", "{model.lr}", ["--momentum", "{model.momentum}"]], slots=2)

    Params also arrive as the JSON file named by HPO_PARAMS and as HPO_PARAM_<NAME> (HPO_PARAM_MODEL_LR). A list within
    the list is left out while one of its params is absent. Metrics are JSON objects on lines of standard output, the
    last value of each wins, or one JSON object in the file named by HPO_RESULT. An exit code other than 0 is an error.

    Limits, kills and logs are those of `Processes`.
    """

    command: Sequence[str | Sequence[str]]
    slots: int = 1
    devices: Sequence[str | int] = ()
    """GPUs of this machine, dealt out over the slots: each task finds its own in CUDA_VISIBLE_DEVICES. With fewer
    devices than slots they are shared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", self.checked_slots(self.slots))
        object.__setattr__(self, "command", Command.of(self.command).parts)

    @property
    def names(self) -> frozenset[str]:
        """The params its placeholders ask for, to be checked against a space."""
        return Command.of(self.command).names

    def start(self, function: Function | None = None) -> Pool:
        """Start the supervisors. Raises ExecutorError if the program does not exist."""
        program = self.command[0]
        assert isinstance(program, str)
        if "{" not in program and shutil.which(program, path=self.env.get("PATH")) is None:
            raise ExecutorError(f"cannot run {program!r}: no such program, or not executable")
        settings = self.settings(function, self.command)
        return SupervisedPool(settings, self.slots, [str(device) for device in self.devices])
