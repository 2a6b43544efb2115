"""Slurm's own programs, called one at a time. Each call ends in time, and a program that needs longer gets more of it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from hpo.errors import ExecutorError
from hpo.executors.notices import Notices

PATIENCE = 15.0
"""Seconds a call may take at first; twice as long after each that did not end, up to `MAX_PATIENCE`."""
MAX_PATIENCE = 120.0
POLL = 3.0
"""Seconds between two calls; twice as many after each failure in a row, up to `LONGEST`."""
LONGEST = 60.0

AWAY = (
    *("unable to contact", "connect", "communicat", "timed out", "temporar", "transmi", "receive"),
    *("standby", "presently disabled", "munge", "authentication", "maxsubmit", "submitjob"),
)
"""Words in errors that may pass: the controller is away or has enough for now. Any other error is a refusal."""


@dataclass
class _Manner:
    """How a program has behaved."""

    patience: float
    failures: int = 0
    failed_at: float = -float("inf")


class Programs:
    """Calls of sbatch, squeue, scancel and scontrol. One thread may call at a time, another may hurry it."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._manners: defaultdict[str, _Manner] = defaultdict(lambda: _Manner(PATIENCE))
        self._process: subprocess.Popen[str] | None = None
        self._is_hurried = False
        self._lock = threading.Lock()

    def __call__(self, *command: str, text: str = "") -> str:
        """What the program prints. Raises ConnectionError where it cannot be known whether what was asked was done, or
        Slurm does not do it now; ExecutorError where Slurm refuses it."""
        program, begun = command[0], time.monotonic()
        manner = self._manners[program]
        try:
            output = self._ended(command, text, manner)
        except ConnectionError:
            manner.failures += 1
            manner.failed_at = time.monotonic()
            raise
        manner.patience = min(manner.patience, max(PATIENCE, 2.0 * (time.monotonic() - begun)))
        manner.failures = 0
        self._notices.end(program, f"Slurm answers again ({program})")
        return output

    def next_call(self, program: str) -> float:
        """When it is to be called again after a failure, on the monotonic clock."""
        manner = self._manners[program]
        return manner.failed_at + min(POLL * 2.0 ** max(0, manner.failures - 1), LONGEST)

    def hurry(self) -> None:
        """Somebody waits for the end: cut off the call under way, and let later ones take `PATIENCE` at most."""
        with self._lock:
            self._is_hurried = True
            if self._process is not None:
                _kill(self._process)

    def _ended(self, command: tuple[str, ...], text: str, manner: _Manner) -> str:
        program, patience = command[0], PATIENCE if self._is_hurried else manner.patience
        env = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SCANCEL_"))}
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=env,
                process_group=0,  # what a wrapper has started ends with it
            )
        except OSError as error:  # no process to be had; a file system that is away
            raise self.passing(program, f"{program} could not be called: {error}") from error
        with self._lock:
            self._process = process
        try:
            output, errors = process.communicate(text, timeout=patience)
        except subprocess.TimeoutExpired as error:
            manner.patience = min(2.0 * patience, MAX_PATIENCE)
            again = f"tried again with {manner.patience:g} s of patience"
            self._notices.say(program, f"Slurm has not answered for {patience:g} s ({program}); {again}")
            raise ConnectionError(f"{program} did not answer in {patience:g} s") from error
        finally:
            with self._lock:
                self._process = None
            _kill(process)
            with suppress(subprocess.TimeoutExpired):  # in a file system that is away, not even that ends it
                process.wait(1.0)
            for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
                with suppress(OSError):
                    pipe.close()
        if process.returncode == 0:
            return output
        said = " ".join((errors or output).split()) or f"{program} ended with exit code {process.returncode}"
        if process.returncode < 0 or any(word in said.lower() for word in AWAY):
            raise self.passing(program, said)
        raise ExecutorError(f"Slurm refuses: {said}")

    def passing(self, program: str, said: str) -> ConnectionError:
        """The error for a fault that may pass; a person is told of it."""
        if not self._is_hurried:
            self._notices.say(program, f"Slurm cannot do it now ({said}); it is asked again")
        return ConnectionError(said)


def _kill(process: subprocess.Popen[str]) -> None:
    """It, and what it has started; nothing if it has ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
