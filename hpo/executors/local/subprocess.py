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
    """Run a command once for each task, in any language, on this machine.

    Params arrive in the placeholders of the command, in the JSON file that HPO_PARAMS names, and as environment
    variables (`model.lr` in HPO_PARAM_MODEL_LR). Metrics are JSON objects on lines of standard output, where the last
    value of each counts, or one JSON object in the file that HPO_RESULT names. An exit code other than 0 is an error.
    Limits, kills and logs are those of `Processes`.

    Example:
        >>> import hpo
        >>> command = ["python", "train.py", "--lr", "{model.lr}", ["--momentum", "{model.momentum}"]]
        >>> sorted(hpo.executors.Subprocess(command, slots=2).names)
        ['model.lr', 'model.momentum']
    """

    command: Sequence[str | Sequence[str]]
    """The program and its arguments. `{name}` stands for a parameter. A list within the list is left out while one of
    its parameters is inactive."""
    slots: int = 1
    """How many tasks run at once."""
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
